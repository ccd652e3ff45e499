"""Checked answers of a behaviour experiment, as effects want them: averaged within a question.

Which effects there are is decided in `behaviour_effects` and `behaviour_curves`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragft.evaluation.statistics import Difference, Interval
from ragft.experiments import effects
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

KEYS = ["seed", "question_id", "cluster"]
ALL = "all"
"""The condition under which every condition counts, averaged within a question."""


@dataclass(frozen=True)
class Behaved:
    """Checked answers of an experiment, and how its intervals are made."""

    rows: pd.DataFrame
    sizes: Profile

    def rated(
        self, arm: str, part: str, condition: str | Sequence[str] = ALL, pairs: int | None = None
    ) -> pd.DataFrame:
        """Return one row a seed and question: the mean of every score over some conditions.

        `pairs` None is the largest number that the arm was tuned on. Empty where not measured.
        """
        rows = self.rows
        mine = rows[(rows["arm"] == arm) & (rows["part"] == part)]
        if condition != ALL:
            wanted = [condition] if isinstance(condition, str) else list(condition)
            mine = mine[mine["condition"].isin(wanted)]
        if mine.empty:
            return mine
        mine = mine[mine["pairs"] == (mine["pairs"].max() if pairs is None else pairs)]
        numbers = [name for name in mine.select_dtypes("number") if name not in (*KEYS, "pairs")]
        return mine.groupby(KEYS, sort=False)[numbers].mean().reset_index()

    def mean(self, *where: Any, score: str = "passed") -> Interval | None:
        """Return the mean of a score; None where no row has a value."""
        return effects.mean(self.rated(*where), score, self.sizes)

    def gain(self, part: str, score: str, *condition: Any, over: str = "prompt") -> Any:
        """Return a score of the tuned model minus that of another arm; None without one of them."""
        one, two = (self.rated(arm, part, *condition) for arm in ("finetuned", over))
        return self.difference(one, two, score)

    def difference(self, one: pd.DataFrame, two: pd.DataFrame, score: str) -> Difference | None:
        """Return one − two of a score; None where either is missing."""
        if one.empty or two.empty:
            return None
        return effects.difference(one, two, score, self.sizes)

    def over(
        self, part: str, column: str, arms: tuple[str, str], ratio: Callable[..., Interval]
    ) -> Interval | None:
        """Return a column of one arm over that of another; None without one of them.

        Seeds are averaged, and paired by question; `ratio` is of `evaluation.ratios`.
        """
        sides = [self.rated(arm, part) for arm in arms]
        if any(side.empty or side[column].isna().all() for side in sides):
            return None
        one, two = (side.groupby("question_id")[column].mean() for side in sides)
        names = one.index.intersection(two.index)
        options = {"level": self.sizes.level, "n_boot": self.sizes.n_boot}
        found = ratio(one[names], two[names], clusters=names, **options)
        return None if math.isnan(found.low) else found
