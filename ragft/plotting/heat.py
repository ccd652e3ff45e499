"""Two doses at once: a map of cells, each with its number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.plotting.style import (
    WIDTH,
    caption,
    counts,
    heading,
    require,
    sentences,
    styled,
)
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

COLOURS = "cividis"
ROW = 0.66
"""Inches of a row of cells."""
DARK = 0.179
"""Luminance up to which white stands out more than black; either does by 4.5 to 1 at least."""


@styled
def size_by_noise(
    frame: pd.DataFrame,
    title: str = "",
    note: str = "",
    frame_cells: Sequence[tuple[float, float]] = ((30, 0.0), (300, 0.3)),
    *,
    xlabel: str = "training examples",
    ylabel: str = "wrong among them, %",
) -> Figure:
    """Draw a share over the number of examples and the noise among them, a cell each.

    Cells that were not run are left blank. Sizes and noises stand at equal distances, whatever
    lies between them.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per cell: `size` (a number of examples), `noise` (share of them in [0, 1]), `mean`,
        `low`, `high` (shares in [0, 1]; a cell without a mean is left blank), `n`.
    title, note : str
        Title; and what the data does not tell: the framed cells' difference, seeds, model.
    frame_cells : sequence of (size, noise)
        The two cells that a claim compares; those that were not run are not framed.
    xlabel, ylabel : str

    Raises
    ------
    RagftError
        No rows or no mean to draw, a missing column, a cell that occurs twice, or a mean or a
        noise outside [0, 1].
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    require(frame, ["size", "noise", "mean", "low", "high", "n"])
    _check(frame)
    sizes, noises = (sorted(frame[name].unique().tolist()) for name in ("size", "noise"))
    known = frame[frame["mean"].notna()]
    limits = _tens(known["mean"])
    scale = mpl.colors.Normalize(*limits)
    figure, axes = plt.subplots(figsize=(WIDTH, ROW * len(noises) + 1.25 + 0.3 * bool(title)))
    for row in known.to_dict("records"):
        place = sizes.index(row["size"]), noises.index(row["noise"])
        _draw_cell(axes, place, row, mpl.colormaps[COLOURS], scale)
    axes.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(-0.5, len(noises) - 0.5))
    axes.set_xticks(range(len(sizes)), [f"{size:,.0f}" for size in sizes])
    axes.set_yticks(range(len(noises)), [f"{100 * noise:.0f}" for noise in noises])
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    measured = set(zip(known["size"], known["noise"], strict=True))
    framed = [cell for cell in frame_cells if tuple(cell) in measured]
    for size, noise in framed:
        _frame(axes, sizes.index(size), noises.index(noise))
    heading(figure, title)
    shown = "{:.0f} (dark) to {:.0f} % (light).".format(*limits)
    cells = f"Cells: per cent right [95 %], from {shown}"
    caption(figure, sentences(_counts(known), cells, _framed(framed), note))
    return figure


def _check(frame: pd.DataFrame) -> None:
    if (twice := frame.duplicated(["size", "noise"])).any():
        row = frame[twice].iloc[0]
        raise RagftError(
            f"plot: the data has the cell of size {row['size']:g} and noise {row['noise']:g} twice"
        )
    for name in ("noise", "mean"):
        values = frame[name].astype(float)
        if (strange := values[(values < 0) | (values > 1)]).size:
            raise RagftError(f"plot: the {name} {strange.iloc[0]:g} is no share in [0, 1]")
    if not frame["mean"].notna().any():
        raise RagftError("plot: no row has a mean to draw")


def _tens(means: pd.Series) -> tuple[float, float]:
    """Return the limits of colour, in per cent: the range of the means rounded out to tens."""
    low, high = (100 * float(x) for x in (means.min(), means.max()))
    # What is a whole number of tens but for the last bit stays one.
    low, high = 10 * math.floor(low / 10 + 1e-9), 10 * math.ceil(high / 10 - 1e-9)
    return (low, high) if high > low else (max(0, low - 10), max(10, high))


def _draw_cell(
    axes: Axes, place: tuple[int, int], row: dict[str, Any], colours: Colormap, scale: Any
) -> None:
    from matplotlib.patches import Rectangle

    mean, low, high = (100 * float(row[name]) for name in ("mean", "low", "high"))
    colour = colours(scale(mean))
    x, y = place
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", lw=1.5))
    ink = "white" if _luminance(colour) < DARK else "black"
    known = math.isfinite(high - low)
    _write(axes, place, f"{mean:.0f}", 7 * known, ink, fontsize=12, fontweight="bold")
    if known:
        _write(axes, place, f"[{low:.0f}, {high:.0f}]", -9, ink, fontsize=8)


def _luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = np.asarray(colour[:3], float)
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _write(
    axes: Axes, place: tuple[int, int], text: str, shift: float, ink: str, **options: Any
) -> None:
    """Write in the middle of a cell, moved up by points."""
    axes.annotate(
        text, place, xytext=(0, shift), textcoords="offset points", ha="center", va="center",
        color=ink, **options,
    )  # fmt: skip


def _frame(axes: Axes, x: int, y: int) -> None:
    """Frame a cell in black on white, which is seen on dark cells and on light ones."""
    from matplotlib.patches import Rectangle

    for colour, width in (("white", 6.0), ("black", 2.5)):
        axes.add_patch(
            Rectangle(
                (x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=colour, lw=width, zorder=3,
                joinstyle="miter", clip_on=False, label="_frame",
            )
        )  # fmt: skip


def _counts(frame: pd.DataFrame) -> str:
    return counts(frame).replace("a point", "a cell")


def _framed(cells: Sequence[tuple[float, float]]) -> str:
    """Say in words which cells are framed."""
    if not cells:
        return ""
    words = [f"{size:,.0f} with {100 * noise:.0f} % wrong" for size, noise in cells]
    return f"Framed: {', '.join(words)}."
