"""Latency, load and caching as DataFrames, in the columns that the pictures want."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragft.report.text import number

if TYPE_CHECKING:
    import pandas as pd


def stages_frame(times: pd.DataFrame, axis: str, arm: str = "rag") -> pd.DataFrame:
    """Return an arm's mean time in every stage along an axis, for `plotting.stage_curves`."""
    from ragft.experiments.latency_effects import SERVER_STAGES, STAGES

    mine = times[(times["arm"] == arm) & (times["axis"] == axis)]
    known = SERVER_STAGES if SERVER_STAGES[-2] in mine else STAGES
    means = mine.groupby("value")[list(known)].mean()
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


def floors_frame(floors: pd.DataFrame, axis: str, arm: str = "rag") -> pd.DataFrame:
    """Return the floors of an arm's stages along an axis, for `plotting.stage_curves`."""
    mine = floors[(floors["arm"] == arm) & (floors["axis"] == axis)]
    return mine[["stage", "at", "floor"]].reset_index(drop=True)


def least_frame(floors: pd.DataFrame) -> pd.DataFrame:
    """Return the floor of a whole answer in seconds, a row an arm, for `plotting.load_curves`."""
    base = floors[(floors["axis"] == "batch") & (floors["at"] == 1)]
    least = base.groupby("arm", sort=False)["floor"].sum(min_count=1) / 1000
    return least.rename("floor").reset_index()


def beyond_frame(extrapolated: pd.DataFrame, arm: str = "rag") -> pd.DataFrame:
    """Return what an arm's stages would take over many more documents, by the same model."""
    mine = extrapolated[(extrapolated["arm"] == arm) & extrapolated["model"].isna()]
    mine = mine.dropna(subset="documents").rename(columns={"documents": "at"})
    return mine[["stage", "at", "low", "high"]].reset_index(drop=True)


def extrapolated_table(extrapolated: pd.DataFrame) -> pd.DataFrame:
    """Return extrapolated seconds of every stage, a row an arm, size of index and model.

    'low to high' of the two readings, see `floors.extrapolated`; 'all' is the sum of each.
    """
    import pandas as pd

    named = extrapolated.assign(
        documents=[
            "as measured" if value != value else f"{value:,.0f}"
            for value in extrapolated["documents"].astype(float)
        ],
        model=extrapolated["model"].fillna("as measured"),
    )
    ends = [
        named.pivot_table(
            index=["arm", "documents", "model"], columns="stage", values=limit, sort=False
        )
        for limit in ("low", "high")
    ]
    low, high = ((wide / 1000).assign(all=wide.sum(axis=1) / 1000) for wide in ends)
    told = {
        stage: [_span(*pair) for pair in zip(low[stage], high[stage], strict=True)]
        for stage in low.columns
    }
    return pd.DataFrame(told, index=low.index)


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


def _span(low: float, high: float) -> str:
    if low != low:
        return ""
    first, last = f"{low:.3g}", f"{high:.3g}"
    return first if first == last else f"{first} to {last}"
