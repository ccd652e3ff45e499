"""Retrieval over a history: an index as it was made, beside one that is kept up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragft.plotting.days import day_zero, days_since, span
from ragft.plotting.names import Name, name_ends
from ragft.plotting.scales import day_axis
from ragft.plotting.style import REFERENCE, WIDTH, caption, counts, heading, require, styled
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INDEXES = {"refreshed": ("#1F5F5B", "-", "o"), "as made": ("#8C510A", "--", "s")}
"""Every index: its colour, line and marker."""
SHOWN = "recall@10"
HELD = "Thin grey: the share of the questions whose words the index as made had held at all."


@styled
def drift_curves(summary: pd.DataFrame, title: str = "", note: str = "") -> Figure:
    """Draw recall over the days on which two indexes were asked, with bands.

    Parameters
    ----------
    summary : pandas.DataFrame
        As `experiments.history.History.summary`: one row per `day` and `index` ('as made',
        'refreshed'), with `n`, `held` and `recall@10`, also `_low` and `_high`.
    title, note : str

    Raises
    ------
    RagftError
        No rows, a column is missing, or an unknown index.
    """
    import matplotlib.pyplot as plt

    require(summary, ["day", "index", "n", "held", *(SHOWN + end for end in ("", "_low", "_high"))])
    unknown = sorted(set(summary["index"]) - set(INDEXES))
    if unknown:
        raise RagftError(
            f"drift_curves: no index {unknown[0]!r}; there are {', '.join(map(repr, INDEXES))}"
        )
    zero = day_zero(summary)
    frame = days_since(summary, zero)
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4))
    names = [
        _index(axes, index, frame[frame["index"] == index].sort_values("day"))
        for index in INDEXES
        if index in set(frame["index"])
    ]
    day_axis(axes, f"days since {zero.date().isoformat()}")
    axes.set(xlim=span(frame), ylim=(0, 1.02), ylabel="passages found among the first 10")
    heading(figure, title)
    caption(figure, " ".join(part for part in (counts(frame), HELD, note) if part))
    name_ends(figure, [(axes, names)])
    return figure


def _index(axes: Axes, index: str, rows: pd.DataFrame) -> Name:
    colour, style, marker = INDEXES[index]
    axes.plot(rows["day"], rows[SHOWN], style, color=colour, lw=2, marker=marker, ms=4,
              clip_on=False)  # fmt: skip
    limits = (rows[f"{SHOWN}_low"].astype(float), rows[f"{SHOWN}_high"].astype(float))
    axes.fill_between(rows["day"], *limits, color=colour, alpha=0.15, lw=0)
    if index == "as made":
        axes.plot(rows["day"], rows["held"], color=REFERENCE, lw=0.8, label="_held")
    last = float(rows[SHOWN].iloc[-1])
    return Name(0, last, index, f"{last:.0%}", colour)
