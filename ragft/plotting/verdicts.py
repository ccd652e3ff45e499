"""The ledger: what articles claim, what was measured, and the verdict, a row each.

Places are inches from the top left corner: a table with an axis in it has to line up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragft.plotting.claim_rows import COLUMNS, VERDICTS, amounts, left_out, number, told
from ragft.plotting.style import GREY, REFERENCE, SMALL, WIDTH, require, sentences, styled, wrap
from ragft.types import RagftError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.29
"""Inches from one row to the next."""
HEAD, FOOT = 0.4, 0.46
"""Inches above and below the rows of a panel: heads of columns, and the axis."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One block of rows with an axis of its own."""

    head: str
    label: str


PANELS: dict[str, Panel] = {
    "effect": Panel("Effects", "measured effect ÷ claimed effect"),
    "level": Panel("Levels", "measured ÷ figure (log)"),
    "points": Panel("Effects claimed without a size", "points in the claimed direction"),
}
_PLOT = (3.82, 1.42)
"""Left edge and width of the axes."""
_X = {"id": 0.08, "claim": 0.44, "figure": 3.7, "measured": 5.36, "n": 7.0, "verdict": 7.08}
"""Left edge of a column of text; of 'figure' and 'n' the right one."""
_CLAIM_WIDTH, _FIGURE_WIDTH, _MEASURED_WIDTH, _VERDICT_WIDTH = 2.42, 0.8, 1.26, 0.88


@styled
def ledger(rows: Any, title: str = "", note: str = "") -> Figure:
    """Draw claims against measurements, as shares of the claimed effect.

    Effects with a figure are shown as measured ÷ claimed, differences as they are and ratios
    as logarithms, so that 0 is no effect and 1 the effect that was claimed; single levels as
    measured ÷ figure; differences that were claimed without a figure, and levels of 0, in points
    in the claimed direction. Where a range is claimed, its middle is 1.

    Parameters
    ----------
    rows : sequence of mappings, or pandas.DataFrame
        As `ragft claims --json` gives them: `id`, `claim`, `figure` (the article's, in
        words, shown where they are short),
        `measured`, `low`, `high` and `claimed` (numbers in `unit`; None or NaN where there is
        none; `claimed` may be a range [low, high]), `effect` ('difference', 'ratio' or
        'level'), `unit` ('points' and 'share', both as shares of one; 'ratio', 'seconds', …),
        `verdict`, `n`, and `direction`, the sign that is claimed (1 where it is missing or
        0). The order is kept within a panel.
    title, note : str
        Title; and what the rows do not tell: seeds, corpora, models, hardware.

    Raises
    ------
    RagftError
        No row can be drawn, a column is missing, or what is measured is no such effect.
    """
    import matplotlib.pyplot as plt
    import pandas as pd

    frame = pd.DataFrame(rows)
    require(frame, COLUMNS)
    placed = [told(row) for row in frame.to_dict("records")]
    panels = {name: [row for row in placed if row["panel"] == name] for name in PANELS}
    panels = {name: mine for name, mine in panels.items() if mine}
    if not panels:
        raise RagftError(f"plot: none of the {len(placed)} claims has a measurement to draw")
    text = wrap(sentences(left_out(placed), note), WIDTH - 0.2, SMALL)
    top = 0.34 if title else 0.06
    below = 0.14 + 0.145 * len(text)
    drawn = sum(len(mine) for mine in panels.values())
    height = top + ROW * drawn + (HEAD + FOOT) * len(panels) + below
    figure = plt.figure(figsize=(WIDTH, height))
    figure.set_layout_engine("none")
    if title:
        _text(figure, 0.08, 0.2, title, fontsize=11, fontweight="bold")
    y = top
    for name, mine in panels.items():
        y = _block(figure, y, name, mine)
    for place, line in enumerate(reversed(text)):
        y = height - 0.12 - 0.145 * place
        _text(figure, 0.08, y, line, fontsize=SMALL, color=GREY)
    return figure


def _text(figure: Figure, x: float, y: float, text: str, **options: Any) -> None:
    """Write at inches from the top left corner."""
    place = (x / WIDTH, 1 - y / figure.get_figheight())
    options = {"va": "center", "fontsize": 8, "parse_math": False, **options}
    figure.text(*place, text, **options)


def _block(figure: Figure, top: float, name: str, rows: Sequence[Mapping[str, Any]]) -> float:
    """Draw one panel and its table; return where it ends."""
    panel, left = PANELS[name], _PLOT[0]
    start = top + HEAD
    height = figure.get_figheight()
    axes = figure.add_axes(
        (
            left / WIDTH,
            1 - (start + ROW * len(rows)) / height,
            _PLOT[1] / WIDTH,
            ROW * len(rows) / height,
        )
    )
    _axis(axes, name, rows)
    _heads(figure, start - 0.11, panel)
    for place, row in enumerate(rows):
        y = start + ROW * (place + 0.5)
        _row(figure, y, row)
        _draw(axes, place, row)
        line = [1 - (y + ROW / 2) / height] * 2
        if place < len(rows) - 1:
            figure.add_artist(_rule(line))
    return start + ROW * len(rows) + FOOT


def _rule(heights: Sequence[float]) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([0.01, 0.99], heights, color="#EEEEEE", lw=0.7, zorder=-1)


def _heads(figure: Figure, y: float, panel: Panel) -> None:
    grey = {"color": "#707070"}
    _text(figure, _X["id"], y, panel.head, fontsize=9, fontweight="bold")
    _text(figure, _X["figure"], y, "article", ha="right", **grey)
    _text(figure, _X["measured"], y, "measured [95 %]", **grey)
    _text(figure, _X["n"], y, "n", ha="right", **grey)
    _text(figure, _X["verdict"], y, "verdict", **grey)


def _row(figure: Figure, y: float, row: Mapping[str, Any]) -> None:
    small = {"fontsize": SMALL, "linespacing": 1.05}
    measured, claimed = amounts(row)
    claim = wrap(str(row["claim"]), _CLAIM_WIDTH, SMALL, lines=2)
    _text(figure, _X["id"], y, str(row["id"]), color="#707070")
    _text(figure, _X["claim"], y, "\n".join(claim), **small)
    _text(figure, _X["figure"], y, _article(row["figure"], claimed), ha="right", **small)
    if len(wrap(measured, _MEASURED_WIDTH, SMALL)) > 1:
        measured = measured.replace(" [", "\n[")
    _text(figure, _X["measured"], y, measured, **small)
    n = number(row["n"])
    _text(figure, _X["n"], y, f"{n:,.0f}" if math.isfinite(n) else "–", ha="right", **small)
    verdict = wrap(row["verdict"], _VERDICT_WIDTH, SMALL, bold=True)
    colour = VERDICTS[row["verdict"]].colour
    _text(figure, _X["verdict"], y, "\n".join(verdict), fontweight="bold", color=colour, **small)


def _article(words: Any, claimed: str) -> str:
    """Return the article's own words where they fit in two lines, or else the number in them."""
    words = words.strip(" -–—") and words.strip() if isinstance(words, str) else ""
    lines = wrap(words, _FIGURE_WIDTH, SMALL)
    if not words or len(lines) > 2:
        lines = wrap(claimed or "–", _FIGURE_WIDTH, SMALL)
    return "\n".join(lines)


def _axis(axes: Axes, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.set_xlabel(PANELS[name].label, fontsize=8, labelpad=2)
    if name == "effect":
        axes.set(xlim=(-1, 2), xticks=(-1, 0, 1, 2))
        axes.axvspan(-1, 0, color="#F1F1F1", lw=0)
        lines = [(0, "-", "no\neffect"), (1, "--", "as\nclaimed")]
    elif name == "level":
        axes.set_xscale("log")
        axes.set_xlim(0.1, 10)
        axes.xaxis.set_major_locator(FixedLocator([0.1, 0.3, 1, 3, 10]))
        axes.xaxis.set_minor_locator(NullLocator())
        lines = [(1, "--", "as\nclaimed")]
    else:
        reach = _tens(max(abs(x) for row in rows for x in (row["at"], *row["ends"])))
        axes.set(xlim=(-reach, reach), xticks=(-reach, 0, reach))
        axes.axvspan(-reach, 0, color="#F1F1F1", lw=0)
        lines = [(0, "-", "no\neffect")]
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("-", "−")))
    for x, style, words in lines:
        axes.axvline(x, color=REFERENCE, lw=1, ls=style)
        axes.annotate(
            words, (x, 1), xycoords=("data", "axes fraction"), xytext=(0, 2), ha="center",
            textcoords="offset points", fontsize=SMALL, color=GREY, linespacing=0.95,
        )  # fmt: skip


def _tens(value: float) -> float:
    return 10.0 * max(1, math.ceil(value / 10))


def _draw(axes: Axes, place: int, row: Mapping[str, Any]) -> None:
    """Draw a mark and its interval; what lies beyond the axis is an arrow at its edge."""
    look, (low, high) = VERDICTS[row["verdict"]], axes.get_xlim()
    if row["figure_at"]:
        strip = [min(max(x, low), high) for x in row["figure_at"]]
        axes.plot(strip, [place] * 2, color="#D0D0D0", lw=8, solid_capstyle="butt")
    ends = [min(max(x, low), high) for x in row["ends"]]
    axes.plot(ends, [place] * 2, color=look.colour, lw=1.8, solid_capstyle="butt")
    face = "white" if look.hollow else look.colour
    options = {"color": look.colour, "markerfacecolor": face, "clip_on": False, "zorder": 3}
    if low <= row["at"] <= high:
        size = 11 if look.marker == "_" else 6.5
        axes.plot([row["at"]], [place], look.marker, ms=size, mew=1.4, **options)
    least, most = (pick(row["at"], *row["ends"]) for pick in (min, max))
    for beyond, edge, arrow in ((least < low, low, "<"), (most > high, high, ">")):
        if beyond:
            axes.plot([edge], [place], arrow, ms=5.5, **options)
