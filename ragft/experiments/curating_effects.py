"""The numbers that the ledger reads from a curating experiment: effects, filters and curves.

Each is computed from checked answers, paired by question; one whose cells the experiment does not
have is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ragft.evaluation.statistics import Difference, Interval, mean_interval
from ragft.experiments import effects
from ragft.experiments.curating_cells import AS_GIVEN, FILTERED, RANDOM, SHARE
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

NOISY = 0.3
"""Share of wrong examples at which sizes and treatments are compared."""
FEWER = 10
"""How many times as many noisy examples the few clean ones stand against."""
SCORE = "passed"
SERIES = {AS_GIVEN: "as given", FILTERED: "worst fifth dropped", RANDOM: "random fifth dropped"}
"""What the lines over the share of wrong examples are called."""


@dataclass(frozen=True)
class Curated:
    """Checked answers, what filters dropped, and how intervals are made."""

    rows: pd.DataFrame
    filters: Sequence[Mapping[str, Any]]
    """size, noise, treatment, seed, dropped, spoilt and both, a filter each."""
    sizes: Profile

    def part(self, size: int | None, noise: float, treatment: str) -> pd.DataFrame:
        """Return the answers of one cell, all seeds; empty where it was not measured."""
        rows = self.rows
        at = (rows["size"] == size) & (rows["noise"] == noise)
        return rows[at & (rows["treatment"] == treatment)]

    def difference(
        self, one: tuple[int | None, float, str], two: tuple[int | None, float, str]
    ) -> Difference | None:
        """Return one cell − another; None where either was not measured."""
        return effects.difference(self.part(*one), self.part(*two), SCORE, self.sizes)

    def few(self, times: int) -> int | None:
        """Return the largest size of which so many times as many were taught too."""
        taught = set(self.rows["size"].tolist())
        return max((n for n in taught if times * n in taught), default=None)

    @property
    def filtered(self) -> int:
        """The size that filters are compared at: one with its double, or the largest."""
        return self.few(2) or int(self.rows["size"].max())


def quantities(
    rows: pd.DataFrame, filters: Sequence[Mapping[str, Any]], sizes: Profile
) -> dict[str, Any]:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    rows : pandas.DataFrame
        One checked answer a row: size, noise, treatment, seed, question_id, cluster, passed.
    filters : sequence of mapping
        See `Curated`.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, seeds, method, `unit` ('share') and `note`, which names sizes
        and rates.
    """
    told = Curated(rows, filters, sizes)
    found = effects.quantities({name: effect(told) for name, effect in EFFECTS.items()})
    for name, one in found.items():
        one["note"] = NOTES[name](told)
    return found


def curated_minus_noisy(told: Curated) -> Difference | None:
    """T5: passed, few clean examples minus ten times as many noisy ones."""
    few = told.few(FEWER)
    return few and told.difference((few, 0.0, AS_GIVEN), (few * FEWER, NOISY, AS_GIVEN))


def filtered_minus_doubled(told: Curated) -> Difference | None:
    """T5: the worst fifth of noisy examples dropped, minus twice as many of them as given."""
    size = told.few(2)
    return size and told.difference((size, NOISY, FILTERED), (2 * size, NOISY, AS_GIVEN))


def filtered_minus_as_given(told: Curated) -> Difference | None:
    """T5: the worst fifth dropped, minus the same examples as given."""
    size = told.filtered
    return told.difference((size, NOISY, FILTERED), (size, NOISY, AS_GIVEN))


def filtered_minus_random(told: Curated) -> Difference | None:
    """T5: the worst fifth dropped, minus as many dropped at random: what the filter itself does."""
    size = told.filtered
    return told.difference((size, NOISY, FILTERED), (size, NOISY, RANDOM))


def filter_precision(told: Curated) -> Interval | None:
    """Share of the examples dropped that were wrong; as large as the noise where luck chooses."""
    return _share(told, "dropped")


def filter_recall(told: Curated) -> Interval | None:
    """Share of the wrong examples that were dropped; at most the fifth over the noise."""
    return _share(told, "spoilt")


def _share(told: Curated, of: str) -> Interval | None:
    """Return the share of some examples that were both wrong and dropped, over all seeds.

    The examples of one filter share its training, so a seed is a cluster; of a single seed there
    is Wilson's interval over examples, which speaks for that one filter alone.
    """
    place = (told.filtered, NOISY, FILTERED)
    mine = [f for f in told.filters if (f["size"], f["noise"], f["treatment"]) == place]
    flags = [float(n < f["both"]) for f in mine for n in range(f[of])]
    clusters = [f["seed"] for f in mine for _ in range(f[of])]
    if not flags:
        return None
    several = clusters if len(set(clusters)) > 1 else None
    found = mean_interval(flags, several, told.sizes.level, told.sizes.n_boot)
    return replace(found, seeds=len(mine))


EFFECTS: dict[str, Callable[[Curated], Interval | None]] = {
    effect.__name__: effect
    for effect in (
        curated_minus_noisy,
        filtered_minus_doubled,
        filtered_minus_as_given,
        filtered_minus_random,
        filter_precision,
        filter_recall,
    )
}


def _note_on_few(told: Curated) -> str:
    few = told.few(FEWER)
    return f"{few} clean examples against {few * FEWER} of which {NOISY:.0%} are wrong; " + EQUAL


def _note_on_doubled(told: Curated) -> str:
    size = told.filtered
    return (
        f"{size} examples less the {SHARE:.0%} with the highest loss against {2 * size} as given, "
        f"{NOISY:.0%} of both wrong; {EQUAL}"
    )


def _note_on_size(told: Curated) -> str:
    return f"{told.filtered} examples of which {NOISY:.0%} are wrong; {EQUAL}"


def _note_on_filter(told: Curated) -> str:
    seeds = len({f["seed"] for f in told.filters})
    over = "over filters, a seed each" if seeds > 1 else "over the examples of one filter"
    most = min(1.0, SHARE / NOISY)
    return (
        f"{told.filtered} examples of which {NOISY:.0%} are wrong; the interval is {over}; by luck "
        f"precision is {NOISY:.0%} and recall {SHARE:.0%}, which is {most:.0%} at most"
    )


EQUAL = "trainings are shown equally many examples, repeats counted, but for whole passes"
NOTES: dict[str, Callable[[Curated], str]] = {
    "curated_minus_noisy": _note_on_few,
    "filtered_minus_doubled": _note_on_doubled,
    "filtered_minus_as_given": _note_on_size,
    "filtered_minus_random": _note_on_size,
    "filter_precision": _note_on_filter,
    "filter_recall": _note_on_filter,
}


def curves(rows: pd.DataFrame, sizes: Profile) -> list[dict[str, Any]]:
    """Return the share that passes over the share of wrong examples, as a record holds it.

    A row per size, series and share of wrong examples `x`: mean, low, high, n, seeds. A series
    is how the examples were treated.
    """
    found = []
    for (size, treatment, noise), part in rows.groupby(["size", "treatment", "noise"], sort=False):
        one = effects.mean(part, SCORE, sizes)
        if one is not None:
            place = {"size": size, "series": SERIES[treatment], "treatment": treatment, "x": noise}
            found.append({**place, **effects.limits(one)})
    return found
