"""Which examples are worth training on: a report of what is wrong with the others, and the rest.

What is looked for is defined in `duplicates`, `outliers` and `losses`; here it is decided what
is dropped for it. Nothing is dropped in silence: rows in = rows kept + rows dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ragft.training.duplicates import (
    Contradiction,
    contradictions,
    exact_duplicates,
    near_duplicates,
)
from ragft.training.losses import worst
from ragft.training.outliers import format_outliers, length_outliers
from ragft.types import Example, RagftError

REASONS = ("empty", "exact", "near", "contradiction", "length", "format", "loss")
"""What is looked for, in this order; an example goes for the first that it is dropped for."""
DROPPED = ("empty", "exact", "near", "length", "format", "loss")
"""What is dropped unless told otherwise: contradictions are reported and stay."""


@dataclass(frozen=True, slots=True)
class Flag:
    """Something wrong with one example."""

    position: int
    """Of the example in what was given, counted from 0."""
    reason: str
    """One of `REASONS`."""
    why: str
    other: int | None = None
    """Position of the example that this one repeats; None where it repeats none."""


@dataclass(frozen=True, slots=True)
class Curation:
    """What was found among examples, what was dropped for it, and what is left."""

    examples: int
    """Rows given."""
    kept: tuple[int, ...]
    """Positions of the rows left, in order."""
    dropped: tuple[Flag, ...]
    """One for each row dropped, in order of position."""
    reported: tuple[Flag, ...]
    """What was found in rows that stay, for reasons that nothing is dropped for."""
    contradictions: tuple[Contradiction, ...]
    """Prompts of the rows given that are completed in several ways."""
    unscored: int
    """Rows whose loss is NaN: they cannot be ranked, and none is dropped for it."""

    @property
    def counts(self) -> dict[str, int]:
        """Rows dropped for each reason; they add up to the rows dropped."""
        counted = Counter(flag.reason for flag in self.dropped)
        return {reason: counted[reason] for reason in REASONS}

    def positions(self, reason: str) -> tuple[int, ...]:
        """Return the rows dropped for one reason."""
        return tuple(flag.position for flag in self.dropped if flag.reason == reason)

    def __str__(self) -> str:
        told = ", ".join(f"{count} {reason}" for reason, count in self.counts.items() if count)
        return (
            f"{len(self.kept)} of {self.examples} examples kept, {len(self.dropped)} dropped"
            f"{f' ({told})' if told else ''}; {len(self.contradictions)} contradictory prompts, "
            f"{self.unscored} without a loss"
        )


def curate(
    examples: Sequence[Example],
    *,
    drop: Collection[str] = DROPPED,
    threshold: float = 0.8,
    limit: float = 3.5,
    rare: float = 0.02,
    losses: Sequence[float] | None = None,
    share: float = 0.2,
) -> tuple[list[Example], Curation]:
    """Return the examples worth training on, in their order, and what became of the others.

    All but the loss are looked at again until nothing more is found, because what is usual is
    told from the rows left; curating what was curated therefore changes nothing. The worst
    share by loss goes last, once: of any rows some are the worst.

    Parameters
    ----------
    examples : sequence of Example
        May be empty: then nothing is kept and nothing dropped.
    drop : collection of str
        Of `REASONS`; what is found for the others is reported and stays. 'contradiction' drops
        every side of it: which one stands is not decided here.
    threshold : float
        From which similarity on examples are near duplicates (`near_duplicates`).
    limit : float
        From which robust z-score on a length is an outlier (`length_outliers`).
    rare : float
        Up to which share a form is an outlier (`format_outliers`).
    losses : sequence of float, optional
        One per example, from `example_losses` or `cross_losses`; without them none is judged.
    share : float
        Of the rows that the other reasons leave, those with the highest loss are dropped:
        0 to 1, rounded to whole rows.

    Returns
    -------
    list of Example, Curation

    Raises
    ------
    RagftError
        A reason that is not known, a number out of range, or losses of another length.
    """
    if unknown := sorted(set(drop) - set(REASONS)):
        raise RagftError(f"drop: {', '.join(unknown)} not known; choose of {', '.join(REASONS)}")
    if losses is not None and len(losses) != len(examples):
        raise RagftError(f"{len(losses)} losses for {len(examples)} examples: give one of each")
    kept, dropped = list(range(len(examples))), []
    while True:
        flags = _pass(examples, kept, drop, threshold, limit, rare)
        gone = [flag for flag in flags if flag.reason in drop]
        dropped += gone
        kept = _without(kept, gone)
        if not gone:
            break
    bad = _by_loss(kept, losses, share)
    if "loss" in drop:
        dropped, kept = dropped + bad, _without(kept, bad)
    still = set(kept)
    report = Curation(
        examples=len(examples),
        kept=tuple(kept),
        dropped=tuple(sorted(dropped, key=lambda flag: flag.position)),
        reported=tuple(f for f in [*flags, *bad] if f.position in still),
        contradictions=tuple(contradictions(examples)),
        unscored=0 if losses is None else sum(loss != loss for loss in losses),
    )
    return [examples[i] for i in kept], report


def _pass(
    examples: Sequence[Example],
    kept: Sequence[int],
    drop: Collection[str],
    threshold: float,
    limit: float,
    rare: float,
) -> list[Flag]:
    """Look for each reason in turn, among the rows that those before it leave."""
    flags: list[Flag] = []
    for reason in REASONS[:-1]:
        rows = [examples[i] for i in kept]
        found = [
            replace(f, position=kept[f.position], other=None if f.other is None else kept[f.other])
            for f in _found(reason, rows, threshold, limit, rare)
        ]
        flags += found
        if reason in drop:
            kept = _without(kept, found)
    return flags


def _found(
    reason: str, rows: Sequence[Example], threshold: float, limit: float, rare: float
) -> list[Flag]:
    if reason == "empty":
        bare = [n for n, e in enumerate(rows) if not (e.prompt.strip() and e.completion.strip())]
        return [Flag(n, reason, "a prompt or a completion without text") for n in bare]
    if reason in ("exact", "near"):
        twins = exact_duplicates(rows) if reason == "exact" else near_duplicates(rows, threshold)
        return [Flag(t.position, reason, f"{t.similarity:.0%} alike", t.other) for t in twins]
    if reason == "contradiction":
        sides = [(p, c) for c in contradictions(rows) for side in c.positions for p in side]
        told = [(p, f"one of {len(c.completions)} completions of its prompt") for p, c in sides]
        return [Flag(position, reason, why) for position, why in sorted(told)]
    outliers = length_outliers(rows, limit) if reason == "length" else format_outliers(rows, rare)
    return [Flag(position, reason, why) for position, why in outliers.items()]


def _by_loss(kept: Sequence[int], losses: Sequence[float] | None, share: float) -> list[Flag]:
    if losses is None:
        return []
    places = worst([losses[i] for i in kept], share)
    return [
        Flag(kept[p], "loss", f"loss {losses[kept[p]]:.4g}, among the worst {share:.0%}")
        for p in places
    ]


def _without(kept: Sequence[int], flags: Sequence[Flag]) -> list[int]:
    gone = {flag.position for flag in flags}
    return [i for i in kept if i not in gone]
