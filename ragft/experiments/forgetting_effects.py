"""The numbers that the ledger reads from a forgetting experiment: what is learnt, what is lost.

Each is computed from judged answers, paired by question; one whose methods the experiment does
not have is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragft.evaluation.statistics import Difference, Interval
from ragft.experiments import effects
from ragft.experiments.forgetting_cells import BASE, CONTROL, NEW, RAG, READING, REHEARSED
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

SOFT = ("prefix", "prompt")
LEARNT = 0.8
"""Share of the new facts from which on a method has learnt them."""


@dataclass(frozen=True)
class Tuned:
    """Judged answers of an experiment, and how its intervals are made."""

    rows: pd.DataFrame
    sizes: Profile

    def part(
        self, method: str, condition: str, passes: int | None = None, rehearsal: bool = False
    ) -> pd.DataFrame:
        """Return the rows of one method; of the most passes where none are given."""
        rows = self.rows
        mine = rows[(rows["tuning"] == method) & (rows["condition"] == condition)]
        mine = mine[mine["rehearsal"] == rehearsal]
        last = mine["passes"].max() if passes is None else passes
        return mine[mine["passes"] == last]

    def mean(self, *where: Any, **more: Any) -> Interval | None:
        """Return the share of right answers; None where not measured."""
        return effects.mean(self.part(*where, **more), "accuracy", self.sizes)

    def gap(self, one: pd.DataFrame, two: pd.DataFrame) -> Difference | None:
        """Return right answers of one side minus those of the other."""
        return effects.difference(one, two, "accuracy", self.sizes)

    def first_learnt(self, method: str) -> int | None:
        """Return the fewest passes after which most new facts were known; None if never."""
        new = self.rows[(self.rows["tuning"] == method) & (self.rows["condition"] == NEW)]
        right = new[~new["rehearsal"]].groupby("passes")["accuracy"].mean()
        reached = right.index[right >= LEARNT]
        return int(min(reached)) if len(reached) else None


def quantities(rows: pd.DataFrame, notes: Sequence[dict[str, Any]], sizes: Profile) -> dict:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    rows : pandas.DataFrame
        One judged answer a row: tuning, rehearsal, passes, seed, condition, question_id, cluster,
        accuracy.
    notes : sequence of dict
        Of the cells: what training took.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, seeds, method and `unit`; shares and differences of shares.
    """
    told = Tuned(rows, sizes)
    found = effects.quantities({name: effect(told) for name, effect in EFFECTS.items()}, "points")
    found |= effects.quantities({"known_before": told.mean(BASE, CONTROL)})
    timed = _at_equal_time(told, notes)
    if timed is not None:
        gap, note = timed
        found["lora_minus_prefix_at_equal_time"] = effects.quantity(gap, "points", note=note)
    if "forgetting_full_minus_lora_once_learnt" in found:
        passes = {method: told.first_learnt(method) for method in REHEARSED}
        note = ", ".join(f"{method} after {n} passes" for method, n in passes.items())
        found["forgetting_full_minus_lora_once_learnt"]["note"] = note
    return found


def lora_minus_prefix(told: Tuned) -> Difference | None:
    """T3: new facts known after the same passes, LoRA minus the better of prefix and prompt.

    The better is chosen by these very answers, which is in its favour.
    """
    return _over_the_better(told, dict.fromkeys(SOFT))


def _over_the_better(told: Tuned, passes: dict[str, int | None]) -> Difference | None:
    lora = told.part("lora", NEW)
    parts = [told.part(method, NEW, n) for method, n in passes.items()]
    parts = [part for part in parts if not part.empty]
    if lora.empty or not parts:
        return None
    return told.gap(lora, max(parts, key=lambda part: part["accuracy"].mean()))


def _at_equal_time(
    told: Tuned, notes: Sequence[dict[str, Any]]
) -> tuple[Difference | None, str] | None:
    """Return T3 at as many seconds of training as LoRA took, or fewer, and what was compared."""
    seconds: dict[tuple[str, int], list[float]] = {}
    for note in notes:
        if note["passes"] and not note["rehearsal"]:
            place = (note["tuning"], note["passes"])
            seconds.setdefault(place, []).append(note["training_seconds"])
    mean = {place: sum(s) / len(s) for place, s in seconds.items()}
    whole = [mean[place] for place in sorted(mean) if place[0] == "lora"]
    chosen: dict[str, int | None] = {}
    for method in SOFT:
        able = [n for m, n in mean if m == method and whole and mean[m, n] <= whole[-1]]
        if able:
            chosen[method] = max(able)
    if not chosen:
        return None
    shown = ", ".join(f"{m} {n} passes in {mean[m, n]:.0f} s" for m, n in chosen.items())
    return _over_the_better(told, chosen), f"{shown}; LoRA {whole[-1]:.0f} s"


def forgetting_full_minus_lora(told: Tuned) -> Difference | None:
    """T4: known facts lost, all weights minus LoRA, after the same passes."""
    return told.gap(told.part("lora", CONTROL), told.part("full", CONTROL))


def forgetting_full_minus_lora_once_learnt(told: Tuned) -> Difference | None:
    """T4: the same, each after the fewest passes that taught it most of the new facts."""
    passes = {method: told.first_learnt(method) for method in REHEARSED}
    if None in passes.values():
        return None
    full, lora = (told.part(method, CONTROL, passes[method]) for method in REHEARSED)
    return told.gap(lora, full)


def learning_full_minus_lora(told: Tuned) -> Difference | None:
    """P5: new facts known, all weights minus LoRA, after the fewest passes."""
    new = told.rows[(told.rows["passes"] > 0)]
    if new.empty:
        return None
    first = int(new["passes"].min())
    return told.gap(told.part("full", NEW, first), told.part("lora", NEW, first))


def smaller_gap_full_minus_lora(told: Tuned) -> Interval | None:
    """P5: the smaller of two gaps, what all weights learn more and what they forget more.

    Learning is compared after the fewest passes, where it is not complete, forgetting after the
    most. Both gaps must be there for the claim to hold, so the interval runs from the smaller of
    the two lower ends to the smaller of the two upper ends (Berger 1982, intersection-union).
    """
    gaps = [learning_full_minus_lora(told), forgetting_full_minus_lora(told)]
    if None in gaps:
        return None
    least = min(gaps, key=lambda gap: gap.mean)
    ends = {side: min(getattr(gap, side) for gap in gaps) for side in ("low", "high")}
    n = min(gap.n for gap in gaps)
    return Interval(least.mean, **ends, n=n, method="intersection-union", seeds=least.seeds)


def rehearsal_full(told: Tuned) -> Difference | None:
    """T4: known facts kept, all weights trained with rehearsal minus without."""
    return told.gap(told.part("full", CONTROL, None, True), told.part("full", CONTROL))


def rehearsal_lora(told: Tuned) -> Difference | None:
    """T4: the same of LoRA."""
    return told.gap(told.part("lora", CONTROL, None, True), told.part("lora", CONTROL))


def qlora_minus_lora(told: Tuned) -> Difference | None:
    """T2: new facts known, LoRA on a base of 4 bits minus LoRA on the base as it is."""
    return told.gap(told.part("qlora", NEW), told.part("lora", NEW))


def forgetting_of_rank_4_minus_32(told: Tuned) -> Difference | None:
    """T4: known facts lost, LoRA of rank 4 minus rank 32."""
    return told.gap(told.part("lora", CONTROL), told.part("lora_4", CONTROL))


def reading_lost_by_full(told: Tuned) -> Difference | None:
    """T4: right answers from passages, before minus after all weights learnt new facts."""
    return told.gap(told.part(BASE, READING), told.part("full", READING))


def reading_lost_by_lora(told: Tuned) -> Difference | None:
    """T4: the same of LoRA."""
    return told.gap(told.part(BASE, READING), told.part("lora", READING))


def lost_by_rag(told: Tuned) -> Difference | None:
    """T4: known facts that the untrained model gets wrong once it reads passages of other facts."""
    return told.gap(told.part(BASE, CONTROL), told.part(RAG, CONTROL))


EFFECTS: dict[str, Callable[[Tuned], Interval | None]] = {
    effect.__name__: effect
    for effect in (
        lora_minus_prefix,
        forgetting_full_minus_lora,
        forgetting_full_minus_lora_once_learnt,
        learning_full_minus_lora,
        smaller_gap_full_minus_lora,
        rehearsal_full,
        rehearsal_lora,
        qlora_minus_lora,
        forgetting_of_rank_4_minus_32,
        reading_lost_by_full,
        reading_lost_by_lora,
        lost_by_rag,
    )
}


def paths(rows: pd.DataFrame, sizes: Profile) -> list[dict[str, Any]]:
    """Return the learning-forgetting plane, as a record holds it.

    Rows of `plotting.learning_forgetting`: method, rehearsal, steps (passes), x, x_low, x_high
    (new facts known), y, y_low, y_high (known facts kept, minus the base's), n.
    """
    told, found = Tuned(rows, sizes), []
    base = told.part(BASE, CONTROL)
    keys = ["tuning", "rehearsal", "passes"]
    for method, rehearsal, passes in rows[keys].drop_duplicates().itertuples(index=False):
        where = {"passes": passes, "rehearsal": rehearsal}
        learnt = told.mean(method, NEW, **where)
        kept = told.gap(told.part(method, CONTROL, **where), base)
        if learnt is not None and kept is not None:
            place = {"method": method, "rehearsal": bool(rehearsal), "steps": int(passes)}
            x = {"x": learnt.mean, "x_low": learnt.low, "x_high": learnt.high}
            y = {"y": kept.mean, "y_low": kept.low, "y_high": kept.high}
            found.append({**place, **x, **y, "n": learnt.n, "seeds": learnt.seeds})
    return found
