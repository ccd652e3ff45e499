"""Upkeep: what an index and an adapter know on a day under a policy, and what that has cost.

A policy is a word such as 'weekly'. What it means for an arm is looked up in `POLICIES`; the
answers given under it are computed in `freshness`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ragft.evaluation.statistics import Interval
from ragft.experiments.timeline import Timeline, known_on
from ragft.types import Changes, Document, Question, RagftError, RefreshCost

if TYPE_CHECKING:
    import numpy as np

    from ragft.arms.finetuned import Training
    from ragft.arms.library import Library
    from ragft.generation.local import LocalModel
    from ragft.training.finetune import FinetuneResult

WEEK = timedelta(days=7)
DAY = timedelta(days=1)
QUERIES_A_DAY = 1000
"""Questions that a running cost is shared out over, where upkeep stands against answering."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the index and the adapter of an arm are kept up; '' = it has none."""

    index: str = ""
    """'never', 'weekly', 'nightly' or 'at once'."""
    adapter: str = ""
    """'never', 'scratch' (trained anew), 'continued' (on what changed), 'rehearsed' (the same
    with as many facts that did not change)."""
    kept: bool = False
    """Whether old versions stay in the index."""


_INDEX = {name: Policy(index=name) for name in ("never", "weekly", "nightly", "at once")}
_INDEX["kept"] = Policy("at once", kept=True)
_ADAPTER = {
    "never": Policy(adapter="never"),
    "monthly": Policy(adapter="scratch"),
    "each release": Policy(adapter="scratch"),
    "continued": Policy(adapter="continued"),
    "rehearsed": Policy(adapter="rehearsed"),
}
_BOTH = {
    "never": Policy("never", "never"),
    "nightly": Policy("nightly", "never"),
    "at once": Policy("at once", "never"),
    "monthly": Policy("nightly", "scratch"),
    "each release": Policy("at once", "scratch"),
}
POLICIES: dict[str, dict[str, Policy]] = {
    "prompt": {"": Policy()},
    "prior": {"": Policy("at once")},
    "oracle": {"": Policy()},
    "rag": _INDEX,
    "raft": _INDEX,
    "finetuned": _ADAPTER,
    "finetuned_rag": _BOTH,
}
"""What each word means for each arm. The reading adapter of `raft` holds no facts and is never
trained again; `finetuned_rag` is named after what its index does, and after its adapter where
that is trained again."""


def policy_of(arm: str, name: str, timeline: Timeline) -> Policy:
    """Return what a policy means for an arm.

    Raises
    ------
    RagftError
        The arm cannot follow it, or the timeline has no such step (no month in a history of
        releases).
    """
    known = POLICIES.get(arm, {})
    other = {"monthly", "each release"} - {timeline.retraining}
    if name not in known or name in other:
        choices = ", ".join(repr(word) for word in known if word not in other) or "none"
        raise RagftError(f"{arm}: no upkeep {name!r} on {timeline.name}; choose of {choices}")
    return known[name]


def index_day(policy: Policy, timeline: Timeline, day: date) -> date:
    """Return the day as of which the index knows the collection when it is asked on `day`.

    A nightly job ran before the day began, so it knows the day before; a weekly one runs on
    every seventh day, before that day's questions.
    """
    age = day - timeline.start
    if policy.index == "never":
        return timeline.start
    if policy.index == "nightly":
        return max(timeline.start, day - DAY)
    return day - age % WEEK if policy.index == "weekly" else day


def trained_days(policy: Policy, timeline: Timeline, day: date) -> list[date]:
    """Return the days up to `day` on which the adapter was trained, day 0 first."""
    if policy.adapter == "never":
        return [timeline.start]
    return [timeline.start, *(d for d in timeline.retraining_days if d <= day)]


def refresh_days(policy: Policy, timeline: Timeline, until: date) -> Iterator[tuple[date, date]]:
    """Yield (day on which the index is refreshed, day as of which it then knows) after day 0.

    Days on which nothing can have changed since the last refresh are left out for 'at once',
    which is told of changes; the others run by the calendar.
    """
    changing = set(timeline.corpus.days)
    day, known = timeline.start + DAY, timeline.start
    while policy.index not in ("", "never") and day <= until:
        now = index_day(policy, timeline, day)
        if now > known and (policy.index != "at once" or day in changing):
            yield day, now
            known = now
        day += DAY


def refresh_costs(
    policy: Policy, timeline: Timeline, library: Library
) -> list[tuple[date, RefreshCost]]:
    """Keep an index up over a timeline, and return what day 0 and each refresh have cost.

    Parameters
    ----------
    policy : Policy
    timeline : Timeline
    library : Library
        Empty, and without a cache of vectors, so that all work is done and measured.
    """
    known = known_on(timeline.corpus, timeline.start, policy.kept)
    costs = [(timeline.start, library.prepare(known))]
    since = timeline.start
    for day, until in refresh_days(policy, timeline, timeline.days[-1]):
        found = timeline.corpus.changes(since, until)
        removed = () if policy.kept else found.removed
        new = Changes(_open(found.added), _open(found.changed), removed)
        costs.append((day, library.refresh(new)))
        since = until
    return costs


def upkeep_share(
    costs: Sequence[tuple[date, RefreshCost]],
    answering_ms: np.ndarray,
    days: int,
    level: float = 0.95,
    n_boot: int = 2000,
) -> Interval | None:
    """Return the share of an index's running cost in seconds that goes into refreshing it.

    The whole is building, refreshing, and answering `QUERIES_A_DAY` questions a day.

    Parameters
    ----------
    costs : sequence of (date, RefreshCost)
        As from `refresh_costs`.
    answering_ms : ndarray of shape (questions,)
        Milliseconds of single answers.
    days : int
        How long it runs.
    level, n_boot
        Of the bootstrap interval over refreshes and over answers, each resampled on its own.

    Returns
    -------
    Interval or None
        In [0, 1], n counts refreshes; None with fewer than two refreshes or answers.
    """
    import numpy as np
    from scipy.stats import bootstrap

    (_, built), *refreshes = costs
    seconds = np.array([cost.seconds for _, cost in refreshes])
    if len(seconds) < 2 or len(answering_ms) < 2:
        return None

    def share(refresh: np.ndarray, ms: np.ndarray, axis: int = -1) -> np.ndarray:
        kept_up = refresh.mean(axis=axis) * len(seconds)
        answering = ms.mean(axis=axis) / 1000 * QUERIES_A_DAY * days
        return kept_up / (built.seconds + kept_up + answering)

    found = bootstrap(
        (seconds, answering_ms), share, n_resamples=n_boot, confidence_level=level,
        method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    mean = float(share(seconds, answering_ms))
    return Interval(mean, float(found.low), float(found.high), len(seconds), "bootstrap")


def _open(documents: Sequence[Document]) -> tuple[Document, ...]:
    """Return documents as they are known while they hold: without the day of their end."""
    return tuple(replace(d, valid_to=None) for d in documents)


@dataclass(frozen=True)
class Upkeep:
    """The adapters of a timeline for one training seed, trained when first asked for."""

    timeline: Timeline
    wordings: int
    training: Training
    load: Callable[[], LocalModel]
    """Returns the base model; only called when there is something to train."""

    def steps(self, policy: Policy, day: date) -> list[list[Question]]:
        """Return the questions of every training up to a day, that of day 0 first.

        A retraining day on which no followed fact has changed trains nothing; nor does one on
        which facts have ended and nothing else, for an adapter has no way to unlearn them.
        """
        first, *later = trained_days(policy, self.timeline, day)
        found = [self._taught(first)]
        since = first
        for until in later:
            changed = self.timeline.moved(since, until)
            chosen = self._chosen(policy, self._taught(until), changed, until)
            if changed and chosen:
                found.append(chosen)
                since = until
        return found

    def lessons(self, policy: Policy, day: date) -> list[Any]:
        """Return what decides the adapter of a day, as JSON can hold it."""
        taught = [
            [[q.id, q.text, q.answers_on(q.asked_on)] for q in step]
            for step in self.steps(policy, day)
        ]
        if policy.adapter == "scratch" or len(taught) == 1:
            return [taught[-1]]
        return [asdict(self.training.continued()), *taught]

    def adapters(self, policy: Policy, day: date) -> list[FinetuneResult]:
        """Return every adapter trained up to a day under a policy, in order."""
        from ragft.arms.finetuned import train
        from ragft.training.from_questions import fact_examples

        model = self.load()
        found: list[FinetuneResult] = []
        for questions in self.steps(policy, day):
            examples = fact_examples(model, questions)
            if not found or policy.adapter == "scratch":
                found.append(train(model, examples, self.training))
            else:
                again = self.training.continued()
                found.append(train(model, examples, again, start=found[-1].adapter))
        return found

    def _taught(self, day: date) -> list[Question]:
        return list(self.timeline.taught(day, self.wordings))

    def _chosen(
        self, policy: Policy, taught: list[Question], changed: set[str], day: date
    ) -> list[Question]:
        """Return what is trained on one retraining day."""
        if policy.adapter == "scratch":
            return taught
        chosen = set(changed)
        if policy.adapter == "rehearsed":
            rest = sorted({q.id for q in taught} - changed)
            count = min(len(rest), len(changed))
            chosen |= set(random.Random(f"rehearsed-{day}").sample(rest, count))
        mine = [q for q in taught if q.id in chosen]
        return mine if any(q.id in changed for q in mine) else []
