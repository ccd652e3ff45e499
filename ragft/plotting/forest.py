"""What remedies change: paired differences with their intervals, a row each.

Downwards the unit of the axis is an inch: a table with an axis in it has to line up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.plotting.checks import not_applicable
from ragft.plotting.forest_rows import LEFT, Remedy, columns, placed
from ragft.plotting.style import (
    GREY,
    REFERENCE,
    SMALL,
    WIDTH,
    Look,
    counts,
    darker,
    look,
    require,
    sentences,
    styled,
    wrap,
)
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEAD, FOOT = 0.36, 0.46
"""Inches above and below the rows."""
_ALONE = Look("", "#444444", "o")
"""How a difference is drawn that is of no arm."""
_QUIET = "#707070"


@styled
def forest(
    frame: pd.DataFrame,
    title: str = "",
    note: str = "",
    xlabel: str = "paired difference, points",
) -> Figure:
    """Draw what each remedy changes: a mark and its interval, and the numbers beside them.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per remedy: `remedy` (in words, in the order in which they come), `mean`, `low`,
        `high` (differences of shares in [-1, 1], shown in points; a row without a mean is left
        blank), and optionally `arm` (a row each), `group` (the remedies of a group stand
        under its name, groups in the order in which they come), `n`, and `applicable`: where
        it is False, the row says 'not applicable'.
    title, note : str
        Title; and what the data does not tell: seeds, corpus, model, hardware.
    xlabel : str
        What is less and more, with its unit.

    Raises
    ------
    RagftError
        No rows or no mean to draw, a missing column, an unknown arm, a remedy that occurs
        twice in a group for an arm, or a mean outside [-1, 1].
    """
    import matplotlib.pyplot as plt

    require(frame, ["remedy", "mean", "low", "high"])
    numbers = frame[["mean", "low", "high"]].astype(float)
    frame = frame.assign(**numbers, applicable=~not_applicable(frame))
    if not frame.loc[frame["applicable"], "mean"].notna().any():
        raise RagftError("plot: no remedy has a difference to draw")
    if (strange := frame[frame["mean"].abs() > 1]).size:
        raise RagftError(
            f"plot: {strange['mean'].iloc[0]:g} for {strange['remedy'].iloc[0]!r} is no difference "
            "of shares in [-1, 1]"
        )
    remedies = placed(frame)
    arms = list(dict.fromkeys(row["arm"] for remedy in remedies for row in remedy.rows))
    text = wrap(sentences(_told(frame, arms), note), WIDTH - 0.2, SMALL)
    top, below = HEAD + 0.3 * bool(title), 0.1 + 0.145 * len(text)
    deep = remedies[-1].end
    height = top + deep + FOOT + below
    figure = plt.figure(figsize=(WIDTH, height))
    figure.set_layout_engine("none")
    left, width = columns(remedies, arms)
    axes = figure.add_axes(
        (left / WIDTH, (FOOT + below) / height, width / WIDTH, deep / height),
        xlim=_limits(frame), ylim=(deep, 0), yticks=[],
    )  # fmt: skip
    _dress(axes, xlabel)
    for remedy in remedies:
        _write_names(axes, remedy, named=len(arms) > 1)
        for place, row in enumerate(remedy.rows):
            _draw(axes, remedy.height(place), row)
    _edge(figure, height - 0.17, title, fontsize=11, fontweight="bold")
    for place, line in enumerate(reversed(text)):
        _edge(figure, 0.1 + 0.145 * place, line, fontsize=SMALL, color=GREY)
    return figure


def _told(frame: pd.DataFrame, arms: Sequence[str]) -> str:
    """Say what the data tells: n, what bars are, and the arm where there is only one."""
    known = frame[frame["n"].notna()] if "n" in frame else frame[:0]
    alone = f"Arm: {look(arms[0]).label}." if len(arms) == 1 and arms[0] else ""
    return sentences(
        alone, counts(known).replace("a point", "a row") if len(known) else "", "Bars: 95 %."
    )


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    """Return limits in points that hold all intervals and 0, with room for its label."""
    values = 100 * frame.loc[frame["applicable"], ["mean", "low", "high"]].to_numpy()
    low, high = min(0.0, np.nanmin(values)), max(0.0, np.nanmax(values))
    room = 0.08 * (high - low) or 1.0
    return low - room, high + room


def _dress(axes: Axes, xlabel: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.grid(visible=False)
    axes.grid(visible=True, axis="x")
    axes.spines["left"].set_visible(False)
    # The rules between remedies run through.
    axes.patch.set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlabel(xlabel, fontsize=8.5, labelpad=2)
    axes.axvline(0, color=REFERENCE, lw=1)
    axes.annotate(
        "no\neffect", (0, 1), xycoords=("data", "axes fraction"), xytext=(0, 2), ha="center",
        textcoords="offset points", fontsize=SMALL, color=GREY, linespacing=0.95,
    )  # fmt: skip
    _beside(axes, 1, 0, "points [95 %]", 8, va="bottom", color=_QUIET)


def _write_names(axes: Axes, remedy: Remedy, *, named: bool) -> None:
    """Write the remedy, its arms where there are several, and the group that begins here."""
    from matplotlib.lines import Line2D
    from matplotlib.transforms import blended_transform_factory

    figure = axes.figure
    across = blended_transform_factory(figure.transFigure, axes.transData)
    if math.isfinite(remedy.heading):
        _at(axes, remedy.heading, remedy.group, fontsize=9, fontweight="bold")
    _at(axes, remedy.middle, "\n".join(remedy.name), fontsize=8.5, linespacing=1.1)
    figure.add_artist(
        Line2D(
            [0.008, 0.992], [remedy.end] * 2, color="#EEEEEE", lw=0.7, transform=across, zorder=-1
        )
    )
    for place, row in enumerate(remedy.rows if named else ()):
        style, y = look(row["arm"]), remedy.height(place)
        _beside(
            axes, 0, y, style.label, -6, ha="right", fontweight="bold", color=darker(style.colour)
        )


def _draw(axes: Axes, y: float, row: Mapping[str, Any]) -> None:
    """Draw one difference and write its numbers; one without a mean is left blank."""
    style = look(row["arm"]) if row["arm"] else _ALONE
    if not row["applicable"]:
        _beside(axes, 1, y, "not applicable", 8, style="italic", color=_QUIET)
        return
    mean, low, high = (100 * row[name] for name in ("mean", "low", "high"))
    if not math.isfinite(mean):
        return
    if math.isfinite(high - low):
        axes.plot([low, high], [y, y], color=style.colour, lw=1.8, solid_capstyle="butt")
    face = "white" if style.hollow else style.colour
    # A dash would lie on its own bar.
    marker = "|" if style.marker == "_" else style.marker
    axes.plot([mean], [y], marker, color=style.colour, markerfacecolor=face, ms=6, zorder=3)
    text = _points(mean, "+.1f")
    if math.isfinite(high - low):
        text += f" [{_points(low, '.1f')}, {_points(high, '.1f')}]"
    _beside(axes, 1, y, text, 8, color=darker(style.colour))


def _points(value: float, form: str) -> str:
    text = format(value, form)
    # What is rounded to nothing has no sign.
    return text.lstrip("+-") if not text.strip("+-0.") else text.replace("-", "−")


def _beside(axes: Axes, side: float, y: float, text: str, shift: float, **options: Any) -> None:
    """Write left (0) or right (1) of the axes, at inches from its top."""
    options = {"va": "center_baseline", "fontsize": 8, "parse_math": False, **options}
    axes.annotate(
        text, (side, y), xycoords=("axes fraction", "data"), xytext=(shift, 0),
        textcoords="offset points", annotation_clip=False, **options,
    )  # fmt: skip


def _edge(figure: Figure, y: float, text: str, **options: Any) -> None:
    """Write at the left edge of the figure, at inches from its bottom."""
    place = (LEFT / WIDTH, y / figure.get_figheight())
    figure.text(*place, text, va="center", parse_math=False, **options)


def _at(axes: Axes, y: float, text: str, **options: Any) -> None:
    """Write at the left edge of the figure, at inches from the top of the axes."""
    axes.annotate(
        text, (LEFT / WIDTH, y), xycoords=("figure fraction", "data"), annotation_clip=False,
        va="center" if "\n" in text else "center_baseline", parse_math=False, **options,
    )  # fmt: skip
