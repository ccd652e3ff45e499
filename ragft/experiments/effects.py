"""Effects as the ledger and the tables show them: means and paired differences of judged answers.

Every experiment's numbers are made by these two functions, so that seeds, clusters and
questions that only one side has are treated alike everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.evaluation.statistics import (
    Difference,
    Interval,
    mean_over_questions,
    paired_difference,
    seed_interval,
)
from ragft.evaluation.strata import standing_for
from ragft.experiments.evaluate import score_matrix
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd


def mean(part: pd.DataFrame, score: str, sizes: Profile) -> Interval | None:
    """Return a mean over questions and seeds; None where no row has a value.

    Parameters
    ----------
    part : DataFrame
        Rows of one arm under one condition: seed, question_id, cluster and the score.
    score : str
    sizes : Profile
        Gives level and number of resamples.
    """
    if part.empty or part[score].isna().all():
        return None
    return seed_interval(*score_matrix(part, score), sizes.level, sizes.n_boot)


def summary(
    rated: pd.DataFrame, by: Sequence[str], measures: Sequence[str], sizes: Profile
) -> list[dict[str, Any]]:
    """Return a row per group and measure: the mean with its interval, as a record holds it.

    A measure that no row of a group has a value for (not applicable, undefined) has no row.
    """
    rows = []
    for key, part in rated.groupby(list(by), sort=False):
        for measure in measures:
            found = mean(part, measure, sizes)
            if found is not None:
                place = dict(zip(by, key, strict=True))
                rows.append({**place, "measure": measure, **found.to_dict()})
    return rows


def difference(
    one: pd.DataFrame,
    two: pd.DataFrame,
    score: str,
    sizes: Profile,
    population: Mapping[str, int] | None = None,
) -> Difference | None:
    """Return one − two over the questions that both have; None where there are none.

    A side with a single run stands against every seed of the other. With a `population`, the
    sizes of the groups (a column) in the whole collection, it is the difference over all of that:
    see `evaluation.strata`.

    Raises
    ------
    RagftError
        Both sides have several seeds, and not the same number.
    """
    shared = set(one["question_id"]) & set(two["question_id"])
    one, two = (part[part["question_id"].isin(shared)] for part in (one, two))
    if one.empty or one[score].isna().all() or two[score].isna().all():
        return None
    left, clusters = score_matrix(one, score)
    right, _ = score_matrix(two, score)
    left, right = (x[0] if len(x) == 1 else x for x in (left, right))
    if not population:
        found = paired_difference(left, right, clusters, sizes.level, sizes.n_boot)
        return found if found.n else None
    _, groups = score_matrix(one.assign(cluster=one["group"]), score)
    gap = np.atleast_2d(left - right)
    gap, left, right = (
        standing_for(np.where(np.isnan(gap), np.nan, side), groups, population)
        for side in (gap, left, right)
    )
    found = paired_difference(gap, np.zeros_like(gap), clusters, sizes.level, sizes.n_boot)
    sides = {"one": mean_over_questions(left).item(), "two": mean_over_questions(right).item()}
    return replace(found, **sides) if found.n else None


def averaged(parts: Iterable[pd.DataFrame], score: str) -> pd.DataFrame:
    """Return one row a question and seed: the mean of its scores over several conditions.

    Only questions that all conditions have; NaN where one of the scores is undefined.
    """
    import pandas as pd

    parts = list(parts)
    rows = pd.concat(parts, ignore_index=True)
    counts = rows.groupby("question_id")["condition"].nunique()
    rows = rows[rows["question_id"].isin(counts.index[counts == len(parts)])]
    keys = ["seed", "question_id", "cluster"]
    sums = rows.groupby(keys, sort=False)[score].sum(min_count=len(parts))
    return (sums / len(parts)).reset_index()


def drawn_half(clusters: Iterable[str]) -> set[str]:
    """Return half of the distinct clusters, drawn: to pick the best of several ways on.

    The best of many ways on the questions it was picked by is partly luck, so it is measured on the
    others.
    """
    several = sorted(set(clusters))
    drawn = np.random.default_rng(0).permutation(len(several))
    return {several[i] for i in drawn[: len(several) // 2]}


def limits(found: Interval) -> dict[str, Any]:
    """Return what a line is drawn from: mean, low, high, n and seeds, undefined numbers as None."""
    return {key: found.to_dict()[key] for key in ("mean", "low", "high", "n", "seeds")}


def quantity(found: Interval | None, unit: str = "share", **more: Any) -> dict[str, Any] | None:
    """Return an interval as a record holds it; None where there is none."""
    return None if found is None else {**found.to_dict(), "unit": unit, **more}


def quantities(
    found: Mapping[str, Interval | None], unit: str = "share", **more: Any
) -> dict[str, dict[str, Any]]:
    """Return named intervals as a record holds them, without those that are None."""
    return {k: quantity(one, unit, **more) for k, one in found.items() if one is not None}


@dataclass(frozen=True)
class Rated:
    """Judged answers of an experiment, and how its intervals are made."""

    rows: pd.DataFrame
    sizes: Profile

    def part(self, arm: str, condition: str) -> pd.DataFrame:
        """Return the rows of one arm under one condition."""
        return self.rows[(self.rows["arm"] == arm) & (self.rows["condition"] == condition)]

    def mean(self, arm: str, condition: str, score: str) -> Interval | None:
        """Return the mean of a score; None where no row has a value."""
        return mean(self.part(arm, condition), score, self.sizes)

    def difference(
        self, one: tuple[str, str], two: tuple[str, str], score: str = "accuracy"
    ) -> Difference | None:
        """Return (arm, condition) one − two; None where either is missing."""
        return difference(self.part(*one), self.part(*two), score, self.sizes)

    def averaged(self, arm: str, conditions: Iterable[str], score: str) -> pd.DataFrame | None:
        """Return a score averaged over conditions; None where one is missing, or without any."""
        parts = [self.part(arm, condition) for condition in conditions]
        if not parts or any(part.empty for part in parts):
            return None
        return averaged(parts, score)
