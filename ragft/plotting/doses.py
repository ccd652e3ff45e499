"""Lines with bands over a dose: what more of one thing does to another."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.plotting.checks import check_lines
from ragft.plotting.names import Name, name_ends
from ragft.plotting.scales import log_axis
from ragft.plotting.style import (
    ARMS,
    REFERENCE,
    WIDTH,
    Look,
    caption,
    counts,
    heading,
    line_style,
    line_width,
    look,
    require,
    sentences,
    styled,
)
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES = "#5B6770"
"""Colour of a series that is no arm's; such series differ by marker and name."""
MARKERS = ("X", "<", "*", ">", "p", "h")
STYLES = ("-", "--", ":", "-.")
"""Line styles of the series of one arm, in the order in which they come."""
BANDS = "Bands: 95 %."
FEW = 6
"""Doses up to which a logarithmic axis has a tick at each, if they are short to write."""


@styled
def dose_response(
    frame: pd.DataFrame,
    title: str,
    note: str,
    xlabel: str,
    ylabel: str,
    *,
    diagonal: bool = False,
    log: bool = False,
) -> Figure:
    """Draw shares over a dose, a line with its band a series, named at its end.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per series and dose: `series` (an arm, or what is written at the line's end),
        `x` (in the unit of `xlabel`; with `diagonal` a share in [0, 1], shown in per cent),
        `mean`, `low`, `high` (shares in [0, 1]; NaN leaves a gap), and optionally `arm` (its
        colour and marker; several series of an arm differ by line style) and `n`.
    title, note : str
        Title; and what the data does not tell: seeds, corpus, model, hardware.
    xlabel, ylabel : str
        With units. 'log' is added to `xlabel` where it applies.
    diagonal : bool
        Draw the line on which as much comes out as goes in.
    log : bool
        Draw x on a logarithmic axis; all doses must be above 0.

    Raises
    ------
    RagftError
        No rows or no mean to draw, a missing column, an unknown arm, a series that has a dose
        twice, a mean outside [0, 1], too many series, or doses that the axis cannot show.
    """
    import matplotlib.pyplot as plt

    require(frame, ["series", "x", "mean", "low", "high"])
    check_lines(frame, "series", "x")
    frame = _shares(frame) if diagonal else frame
    looks = _looks(frame)
    figure, axes = plt.subplots(figsize=(WIDTH, 3.9))
    _span(axes, frame["x"], log=log)
    axes.set(xlabel=f"{xlabel} (log)" if log else xlabel, ylabel=ylabel)
    names = [
        draw_curve(axes, rows.assign(at=rows["x"]), *looks[series])
        for series, rows in frame.groupby("series", sort=False)
    ]
    axes.set_ylim(0, _top(frame, diagonal=diagonal))
    if diagonal:
        names.append(_diagonal(axes))
    heading(figure, title)
    caption(figure, sentences(counts(frame) if "n" in frame else "", BANDS, note))
    name_ends(figure, [(axes, [name for name in names if math.isfinite(name.y)])])
    return figure


def draw_curve(axes: Axes, rows: pd.DataFrame, style: Look, width: float = 2.0) -> Name:
    """Draw one line, its band and its marks, out to the right end of the axis.

    Parameters
    ----------
    axes : Axes
        With its limits across already set.
    rows : pandas.DataFrame
        Columns `at`, `mean`, `low`, `high`; the last three shares in [0, 1].
    style : Look
        Its `line` is the line style; '' for solid.
    width : float
        Of the line, in points.

    Returns
    -------
    Name
        What is to be written at the end; its `y` is NaN where nothing could be drawn.
    """
    rows = rows.sort_values("at")
    at = rows["at"].to_numpy(float)
    mean, low, high = (100 * rows[name].to_numpy(float) for name in ("mean", "low", "high"))
    known = np.flatnonzero(np.isfinite(mean))
    if not len(known):
        return Name(math.nan, math.nan, style.label, "", style.colour)
    axes.plot(
        at, mean, style.line or "-", color=style.colour, marker=style.marker,
        markerfacecolor="white" if style.hollow else style.colour, clip_on=False,
        lw=width, ms=7 if style.marker in MARKERS else 5, zorder=3,
    )  # fmt: skip
    axes.fill_between(at, low, high, color=style.colour, alpha=0.15, lw=0)
    # A point between two gaps has no band: its interval is a bar.
    beside = np.concatenate([[False], np.isfinite(mean), [False]])
    alone = beside[1:-1] & ~beside[:-2] & ~beside[2:]
    axes.vlines(at[alone], low[alone], high[alone], color=style.colour, lw=1.2, clip_on=False)
    end, right = known[-1], axes.get_xlim()[1]
    if at[end] < right:
        # A line that stops early is still named at the right, by way of a hair.
        axes.plot(
            [at[end], right], [mean[end]] * 2, color=style.colour, lw=0.6, alpha=0.8,
            label="_lead",
        )  # fmt: skip
    return Name(at[end], mean[end], style.label, "", style.colour)


def _looks(frame: pd.DataFrame) -> dict[Any, tuple[Look, float]]:
    """Return how each series is drawn, and how wide: as its arm, or in the colour of no arm."""
    owners = frame.drop_duplicates("series").set_index("series")
    found: dict[Any, tuple[Look, float]] = {}
    drawn: Counter[str] = Counter()
    for series, row in owners.iterrows():
        arm = row.get("arm")
        if not isinstance(arm, str) and series in ARMS:
            arm = series
        if isinstance(arm, str):
            style, line = look(arm), STYLES[drawn[arm] % len(STYLES)]
            label = style.label if series in ARMS else str(series)
            line = line if drawn[arm] else line_style(arm, "")
            style = Look(label, style.colour, style.marker, style.hollow, line)
            found[series] = style, line_width(arm, "")
            drawn[arm] += 1
        else:
            if drawn[""] == len(MARKERS):
                raise RagftError(f"plot: too many series that are no arm's; {len(MARKERS)} at most")
            found[series] = Look(str(series), SERIES, MARKERS[drawn[""]]), 2.0
            drawn[""] += 1
    return found


def _shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its doses, which are shares, in per cent."""
    if not frame["x"].between(0, 1).all():
        strange = frame["x"][~frame["x"].between(0, 1)].iloc[0]
        raise RagftError(f"plot: with a diagonal, x is a share in [0, 1], and not {strange:g}")
    return frame.assign(x=100 * frame["x"])


def _span(axes: Axes, doses: pd.Series, *, log: bool) -> None:
    """Span the doses; lines end at the right edge, where their names are."""
    low, high = float(doses.min()), float(doses.max())
    if not log:
        axes.set_xlim(low, high if high > low else low + 1)
        whole = (doses % 1 == 0).all() and high - low >= 1
        axes.xaxis.get_major_locator().set_params(integer=bool(whole))
        return
    log_axis(axes, low, high, room=1.15)
    if high > low:
        axes.set_xlim(right=high)
    tried = sorted(set(doses))
    if len(tried) <= FEW and high < 1000 and (doses % 1 == 0).all():
        axes.set_xticks(tried)


def _top(frame: pd.DataFrame, *, diagonal: bool) -> float:
    """Return the upper end of an axis of per cent that starts at 0."""
    highest = 100 * float(np.nanmax(frame[["mean", "high"]].to_numpy(float)))
    # The diagonal is seen to the end, where its name is.
    return min(100.0, max(5.0, 1.12 * highest, 1.05 * frame["x"].max() if diagonal else 0))


def _diagonal(axes: Axes) -> Name:
    """Draw the line on which as much comes out as goes in, and return its name."""
    ends = list(axes.get_xlim())
    axes.plot(ends, ends, color=REFERENCE, lw=0.8, zorder=1, label="_diagonal")
    return Name(ends[1], ends[1], "", "as much out as in", REFERENCE)
