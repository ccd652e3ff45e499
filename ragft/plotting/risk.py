"""How wrong an arm is when it answers only what it is surest of: risk against coverage."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ragft.plotting.names import Name, arm_name, name_ends
from ragft.plotting.style import (
    WIDTH,
    caption,
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

FEWEST = 50
"""Answers below which a risk is not drawn."""
MARKS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Coverages at which a line carries its arm's marker."""


@styled
def risk_coverage(
    frame: pd.DataFrame, marks: pd.DataFrame | None = None, title: str = "", note: str = ""
) -> Figure:
    """Draw the share wrong among the surest answers, at every share of questions answered.

    A dotted line shows the same answers in random order: all of them have the risk of the whole,
    which is where the arm's own line ends. Points with fewer than 50 answers are left out.

    Parameters
    ----------
    frame : pandas.DataFrame
        Curves of `evaluation.uncertainty.risk_coverage`, one row per arm and point: `arm`,
        `coverage`, `risk`, `low`, `high` (shares in [0, 1]), `n` (answered), and optionally
        `area`, `area_low`, `area_high`, the same in all rows of an arm, for its name. A NaN
        area is not written, a NaN limit not drawn.
    marks : pandas.DataFrame, optional
        Where arms abstain by themselves, one row per arm: `arm`, `coverage`, `risk`, and
        optionally `low` and `high`. Rows with NaN are not drawn.
    title, note : str
        Title; and what the data does not tell: questions, seeds, corpus, model, hardware.

    Raises
    ------
    RagftError
        No rows, no arm with 50 answers, or a column is missing.
    """
    import matplotlib.pyplot as plt

    require(frame, ["arm", "coverage", "risk", "low", "high", "n"])
    shown = frame[(frame["n"] >= FEWEST) & frame["risk"].notna()]
    if not len(shown):
        raise RagftError(f"plot: no arm has {FEWEST} answers, below which a risk is not drawn")
    figure, axes = plt.subplots(figsize=(WIDTH, 3.6))
    names = [_curve(axes, arm, rows) for arm, rows in shown.groupby("arm", sort=False)]
    top = 100 * float(shown[["risk", "high"]].max().max())
    marked = marks is not None and len(marks) > 0
    if marked:
        require(marks, ["arm", "coverage", "risk"])
        known = marks.dropna(subset=["coverage", "risk"]).to_dict("records")
        top = max([top, *(_mark(axes, row) for row in known)])
    axes.set(xlim=(0, 100), ylim=(0, min(103, max(5.0, 1.06 * top))), title=title)
    axes.set(xlabel="questions answered, % (surest first)", ylabel="wrong among answered, %")
    caption(figure, sentences(_remarks(frame, shown, marked), note))
    name_ends(figure, [(axes, names)])
    return figure


def _curve(axes: Axes, arm: str, rows: pd.DataFrame) -> Name:
    """Draw an arm's line, its band and its random order, and return its name."""
    rows, style = rows.sort_values("coverage"), look(arm)
    coverage, risk, low, high = (100 * rows[c] for c in ("coverage", "risk", "low", "high"))
    end = float(risk.iloc[-1])
    # As far as the edge, where the name stands: an arm that abstains ends before it.
    axes.axhline(end, color=style.colour, lw=0.9, ls=(0, (1, 2)), zorder=1.5, label="_random")
    near = {int(np.abs(coverage - 100 * at).argmin()) for at in MARKS}
    axes.plot(
        coverage, risk, line_style(arm, ""), color=style.colour, lw=line_width(arm, ""),
        marker=style.marker, ms=3 if style.line else 4.5, markevery=sorted(near),
        markerfacecolor="white" if style.hollow else style.colour, clip_on=False,
    )  # fmt: skip
    axes.fill_between(coverage, low, high, color=style.colour, alpha=0.15, lw=0)
    return arm_name(arm, _area(rows), 0, end)


def _area(rows: pd.DataFrame) -> str:
    """Return 'area 12.3 % [10.9, 13.8]'; '' where it is not known."""
    known = [100 * float(rows[c].iloc[0]) for c in ("area", "area_low", "area_high") if c in rows]
    if not known or math.isnan(known[0]):
        return ""
    limits = f" [{known[1]:.1f}, {known[2]:.1f}]" if len(known) == 3 else ""
    return f"area {known[0]:.1f} %{limits if 'nan' not in limits else ''}"


def _mark(axes: Axes, row: dict) -> float:
    """Draw where an arm stops by itself, with its interval, and return its top in per cent."""
    style, x, y = look(row["arm"]), 100 * row["coverage"], 100 * row["risk"]
    low, high = (100 * row.get(name, math.nan) for name in ("low", "high"))
    axes.plot(
        [x, x], [low, high], color=style.colour, lw=1.5, clip_on=False, zorder=3, label="_bar"
    )  # fmt: skip
    axes.plot(
        [x], [y], style.marker, color=style.colour, ms=8, clip_on=False, zorder=4, label="_mark",
        markerfacecolor="white" if style.hollow else style.colour, markeredgecolor="#222222",
    )  # fmt: skip
    return y if math.isnan(high) else max(y, high)


def _remarks(frame: pd.DataFrame, shown: pd.DataFrame, marked: bool) -> str:
    """Return what a reader must know to read the lines."""
    few = [look(arm).label for arm in dict.fromkeys(frame["arm"]) if arm not in set(shown["arm"])]
    return sentences(
        f"Lines start at {FEWEST} answers; dotted: the same answers in random order.",
        "Large mark: where the arm itself stops answering." if marked else "",
        "Area: mean over the coverages up to the arm's own." if "area" in frame else "",
        f"Not drawn, as it answers fewer: {', '.join(few)}." if few else "",
    )
