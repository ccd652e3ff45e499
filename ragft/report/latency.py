"""Latency, load and caching as DataFrames, in the columns that the pictures want."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragft.report.text import number

if TYPE_CHECKING:
    import pandas as pd


def stages_frame(times: pd.DataFrame, axis: str, arm: str = "rag") -> pd.DataFrame:
    """Return an arm's mean time in every stage along an axis, for `plotting.stage_curves`."""
    from ragft.experiments.latency_effects import STAGES

    mine = times[(times["arm"] == arm) & (times["axis"] == axis)]
    means = mine.groupby("value")[list(STAGES)].mean()
    long = means.rename_axis("at").reset_index().melt("at", var_name="stage", value_name="mean")
    return long[["stage", "at", "mean"]]


def quantiles_frame(
    summary: pd.DataFrame, axis: str, arms: Sequence[str], measure: str = "total"
) -> pd.DataFrame:
    """Return arms' quantiles along an axis, for `plotting.stage_curves`.

    Arms that were not measured along it are taken from the base point, with no place of their own.
    """
    import pandas as pd

    mine = summary[summary["measure"] == measure]
    parts = []
    for arm in arms:
        rows = mine[(mine["arm"] == arm) & (mine["axis"] == axis)]
        if rows.empty:
            base = mine[(mine["arm"] == arm) & (mine["axis"] == "batch") & (mine["at"] == 1)]
            rows = base.assign(at=float("nan"))
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)[["arm", "at", "q", "value", "low", "high", "n"]]


def latency_table(summary: pd.DataFrame, axis: str, q: float = 0.5) -> pd.DataFrame:
    """Return one quantile of every measure in milliseconds, a row an arm and place."""
    mine = summary[(summary["axis"] == axis) & (summary["q"] == q)]
    told = mine.assign(
        shown=[
            f"{number(v)} [{number(low)}, {number(high)}]"
            for v, low, high in zip(mine["value"], mine["low"], mine["high"], strict=True)
        ]
    )
    wide = told.pivot(index=["arm", "at"], columns="measure", values="shown")
    order = list(dict.fromkeys(told["measure"]))
    return wide.loc[list(dict.fromkeys(zip(told["arm"], told["at"], strict=True))), order]
