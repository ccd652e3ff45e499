"""One quantity against another: a mark per arm and policy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.plotting.names import Name, arm_name, name_ends, name_marks
from ragft.plotting.scales import log_axis
from ragft.plotting.style import (
    WIDTH,
    caption,
    counts,
    heading,
    line_style,
    look,
    policy_word,
    require,
    sentences,
    styled,
)
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def cost_accuracy(
    frame: pd.DataFrame, title: str = "", note: str = "", *, when: str = "mean over the days"
) -> Figure:
    """Draw what a policy costs against what it keeps right: a mark per arm and policy.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per arm and policy: `arm`, `policy`, `seconds` (of preparation and upkeep over
        the timeline), `mean`, `low`, `high` (shares in [0, 1]: correct answers). Where `seconds`
        is 0 there is nothing to keep up, and the arm is a horizontal line; where a value is NaN
        the row is left out and counted in the caption.
    title, note : str
        Title; and what the data does not tell: n, seeds, corpus, model, hardware.
    when : str
        Of which days `mean` tells, for the axis, such as 'on the last day'.

    Raises
    ------
    RagftError
        No rows that have both values, or a column is missing.
    """
    import matplotlib.pyplot as plt

    require(frame, ["arm", "policy", "seconds", "mean", "low", "high"])
    numbers = frame[["seconds", "mean", "low", "high"]].astype(float)
    known = frame.assign(**numbers)[numbers[["seconds", "mean"]].notna().all(axis=1)]
    costly, free = known[known["seconds"] > 0], known[known["seconds"] <= 0]
    if not len(costly):
        raise RagftError("plot: no policy has both seconds above 0 and a mean to draw")
    figure, axes = plt.subplots(figsize=(WIDTH, 4.3))
    log_axis(axes, costly["seconds"].min(), costly["seconds"].max(), room=3, fine=4)
    axes.set(ylim=(0, 103), xlabel="seconds of preparation and upkeep so far (log)")
    axes.set_ylabel(f"correct, % ({when})")
    ends = [_level(axes, row) for row in free.to_dict("records")]
    marks = [_mark(axes, row) for row in costly.sort_values("mean").to_dict("records")]
    heading(figure, title)
    left_out = len(frame) - len(known)
    missing = f"Left out for want of a value: {left_out}." if left_out else ""
    caption(figure, sentences(counts(frame) if "n" in frame else "", missing, note))
    name_ends(figure, [(axes, ends)])
    name_marks(axes, marks, _taken(axes, costly, free))
    return figure


def _level(axes: Axes, row: dict[str, Any]) -> Name:
    """Draw an arm that costs no upkeep as a line across."""
    style, mean = look(row["arm"]), 100 * row["mean"]
    axes.axhline(mean, color=style.colour, lw=1, ls=line_style(row["arm"], row["policy"]))
    axes.axhspan(100 * row["low"], 100 * row["high"], color=style.colour, alpha=0.1, lw=0)
    return arm_name(row["arm"], "no upkeep", 0, mean)


def _mark(axes: Axes, row: dict[str, Any]) -> Name:
    style, x = look(row["arm"]), row["seconds"]
    low, mean, high = (100 * row[name] for name in ("low", "mean", "high"))
    axes.plot([x, x], [low, high], color=style.colour, lw=1.5)
    face = "white" if style.hollow else style.colour
    axes.plot([x], [mean], style.marker, color=style.colour, ms=7, markerfacecolor=face)
    words = policy_word(row["arm"], row["policy"]).replace("\n", " ")
    return arm_name(row["arm"], words, x, mean)


def _taken(axes: Axes, rows: pd.DataFrame, levels: pd.DataFrame) -> np.ndarray:
    """Return the boxes of marks, bars and levels, in pixels, where no name may lie."""
    reach = 4.5 * axes.figure.dpi / 72
    panel = axes.get_window_extent()
    found = []
    for ends in levels[["low", "mean", "high"]].to_numpy():
        heights = [axes.transData.transform((1, 100 * y))[1] for y in ends if math.isfinite(y)]
        found.append((panel.x0, min(heights) - 1, panel.x1, max(heights) + 1))
    for row in rows.to_dict("records"):
        ends = [(row["seconds"], 100 * row[name]) for name in ("low", "mean", "high")]
        (x, low), (_, mean), (_, high) = axes.transData.transform(ends)
        found.append((x - reach, mean - reach, x + reach, mean + reach))
        if math.isfinite(high - low):
            found.append((x - reach / 2, low, x + reach / 2, high))
    return np.array(found)
