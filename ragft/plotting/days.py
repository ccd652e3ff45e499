"""Lines over days: what an arm knows while the facts move on.

Lines break at an event: nothing is measured between the day before and the day itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.plotting.names import Name, name_ends
from ragft.plotting.style import (
    REFERENCE,
    UPKEEP,
    WIDTH,
    caption,
    line_style,
    line_width,
    look,
    require,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUMMARY = ("group", "arm", "policy", "day", "measure", "mean", "low", "high", "n")
"""Columns of the summary of a freshness record."""
BREAKS = "Lines break at an event: nothing is measured between the day before and the day itself."


def timeline(summary: pd.DataFrame, events: Sequence[Any]) -> tuple[pd.DataFrame, list[float]]:
    """Return the summary with its days counted from the first, and the events likewise.

    Events on the first day or before it, and after the last, are left out.

    Raises
    ------
    RagftError
        No rows, or a column is missing.
    """
    import pandas as pd

    require(summary, SUMMARY)
    zero = day_zero(summary)
    frame = days_since(summary, zero)
    values = {name: pd.to_numeric(frame[name]) for name in ("mean", "low", "high")}
    frame = frame.assign(**values)
    days = sorted(float((pd.Timestamp(event) - zero).days) for event in events)
    return frame, [day for day in days if 0 < day <= frame["day"].max()]


def day_zero(frame: pd.DataFrame) -> pd.Timestamp:
    """Return the first day of a frame."""
    import pandas as pd

    return pd.to_datetime(frame["day"]).min()


def days_since(frame: pd.DataFrame, zero: pd.Timestamp) -> pd.DataFrame:
    """Return a frame whose `day` counts days from `zero`."""
    import pandas as pd

    return frame.assign(day=(pd.to_datetime(frame["day"]) - zero).dt.days.astype(float))


def span(frame: pd.DataFrame) -> tuple[float, float]:
    """Return the limits of an axis from day 0 to the last day."""
    return 0.0, max(1.0, float(frame["day"].max()))


def broken(days: Any, values: Sequence[Any], events: Sequence[float]) -> tuple[Any, list]:
    """Return days and values with NaN where an event lies between two days."""
    passed = np.searchsorted(np.asarray(events), np.asarray(days), side="right")
    gaps = np.flatnonzero(np.diff(passed)) + 1
    cut = [np.insert(np.asarray(v, float), gaps, np.nan) for v in (days, *values)]
    return cut[0], cut[1:]


def draw_line(
    axes: Axes,
    rows: pd.DataFrame,
    events: Sequence[float],
    *,
    end_mark: bool = False,
) -> tuple[float, float]:
    """Draw one arm under one policy: the line, broken at events, and its band.

    Parameters
    ----------
    axes : Axes
    rows : pandas.DataFrame
        Of one arm and policy, from `timeline`, with one row a day.
    events : sequence of float
        Days at which the line breaks.
    end_mark : bool
        Put the arm's marker at the end of the line.

    Returns
    -------
    x, y : float
        The last point that has a value; NaN where none has.
    """
    rows = rows.sort_values("day")
    arm, policy = rows["arm"].iloc[0], rows["policy"].iloc[0]
    style, values = look(arm), [100 * rows[name] for name in ("mean", "low", "high")]
    days, (mean, low, high) = broken(rows["day"], values, events)
    known = np.isfinite(mean)
    if not known.any():
        return np.nan, np.nan
    # A point between two gaps is no line: without a mark it would not be seen.
    beside = np.concatenate([[False], known, [False]])
    alone = known & ~beside[:-2] & ~beside[2:]
    last = np.flatnonzero(known)[-1]
    marked = sorted({*np.flatnonzero(alone), *([last] if end_mark else [])})
    axes.plot(
        days, mean, line_style(arm, policy), color=style.colour, lw=line_width(arm, policy),
        marker=style.marker, ms=3 if style.line and not end_mark else 5,
        markevery=[int(i) for i in marked],
        markerfacecolor="white" if style.hollow else style.colour, solid_capstyle="butt",
        clip_on=False,
    )  # fmt: skip
    axes.fill_between(days, low, high, color=style.colour, alpha=0.15, lw=0)
    axes.vlines(days[alone], low[alone], high[alone], color=style.colour, lw=1.2, clip_on=False)
    return float(days[last]), float(mean[last])


@styled
def over_days(
    frame: pd.DataFrame,
    panels: Mapping[str, str],
    title: str = "",
    note: str = "",
    event: Any = None,
) -> Figure:
    """Draw lines over days, one panel a measure, a line per arm and upkeep.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns `arm`, `policy` (its line style is `UPKEEP`'s), `day` (dates), `measure`,
        `mean`, `low`, `high` as shares in [0, 1].
    panels : mapping of measure to axis label
    title, note : str
    event : date, optional
        Marked by a grey vertical line.

    Raises
    ------
    RagftError
        No rows, or a column is missing.
    """
    import matplotlib.pyplot as plt

    require(frame, ["arm", "policy", "day", "measure", "mean", "low", "high"])
    size = (WIDTH, 0.9 + 2.9 * len(panels))
    figure, grid = plt.subplots(len(panels), 1, figsize=size, sharex=True, squeeze=False)
    names = []
    for axes, (measure, label) in zip(grid[:, 0], panels.items(), strict=True):
        mine = frame[frame["measure"] == measure]
        groups = mine.groupby(["arm", "policy"], sort=False)
        names.append((axes, [_marked_line(axes, *key, rows) for key, rows in groups]))
        axes.set(ylabel=label, xlim=(None, frame["day"].max()))
        top = max(5.0, 100 * float(mine["high"].max()))
        axes.set_ylim(0, min(103, 1.12 * top))
        if event is not None:
            axes.axvline(event, color=REFERENCE, lw=1)
    grid[0, 0].set_title(title)
    caption(figure, note)
    name_ends(figure, names)
    return figure


def _marked_line(axes: Axes, arm: str, policy: str, rows: pd.DataFrame) -> Name:
    """Draw a line with a mark on every day that was measured, and return its name."""
    rows, style = rows.sort_values("day"), look(arm)
    axes.plot(
        rows["day"], 100 * rows["mean"], line_style(arm, policy), color=style.colour,
        marker=style.marker, markerfacecolor="white" if style.hollow else style.colour,
        lw=line_width(arm, policy), ms=3 if style.line else 5, clip_on=False,
    )  # fmt: skip
    axes.fill_between(
        rows["day"], 100 * rows["low"], 100 * rows["high"], color=style.colour, alpha=0.15, lw=0
    )
    text = f"{style.label}, {policy}" if policy in UPKEEP else style.label
    return Name(0, 100 * rows["mean"].iloc[-1], text, "", style.colour)
