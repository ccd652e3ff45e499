"""Names at the ends of lines and beside marks, pushed apart so that none lies on another.

The layout is settled first: how far two names are apart is known in points only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragft.plotting.style import darker, halo, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

GAP = 9.0
"""Points between the end of a line and its name."""
SIZE = 8.0
"""Points, of a name."""
FREE = 12.0
"""Points that a name may be from its mark without a lead."""

TRIES, ROUNDS = 12, 2


@dataclass(frozen=True, slots=True)
class Name:
    """What is written beside a point of the data."""

    x: float
    y: float
    """Of the point, in data units."""
    bold: str
    """'' where the panel's title is the name."""
    plain: str
    """Below the name; may have two lines."""
    colour: str

    @property
    def rows(self) -> int:
        """Lines of text."""
        return bool(self.bold) + (self.plain.count("\n") + 1 if self.plain else 0)


def arm_name(arm: str, plain: str, x: float, y: float, *, bold: bool = True) -> Name:
    """Return the name of an arm; without `bold` only what stands below it."""
    style = look(arm)
    return Name(x, y, style.label if bold else "", plain, style.colour)


def spread(wanted: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Push boxes on a line apart, moving them as little as possible.

    Parameters
    ----------
    wanted, sizes : sequence of float, same length
        Where the middle of a box should be, and its size.
    low, high : float
        All boxes lie between them, or from `low` on where there is no room.

    Returns
    -------
    list of float
        Middles in the order given, with the least sum of squared moves: less the sizes
        before it, a middle is an isotonic regression.
    """
    from scipy.optimize import isotonic_regression

    if not len(wanted):
        return []
    order = np.argsort(wanted, kind="stable")
    size = np.asarray(sizes, float)[order]
    before = np.cumsum(size) - size / 2
    fitted = isotonic_regression(np.asarray(wanted, float)[order] - before).x
    placed = np.maximum(np.minimum(fitted, high - size.sum()), low) + before
    found = np.empty(len(order))
    found[order] = placed
    return found.tolist()


def _write(axes: Axes, name: Name, **options) -> list[Annotation]:
    """Write the two parts of a name, their common middle at the anchor."""
    split = name.bold and name.plain
    parts = [(name.bold, "bold", "bottom" if split else "center")]
    parts.append((name.plain, "normal", "top" if split else "center"))
    return [
        axes.annotate(
            text, fontsize=SIZE, fontweight=weight, va=va, color=darker(name.colour),
            textcoords="offset points", annotation_clip=False, linespacing=1.1,
            parse_math=False, path_effects=halo(), zorder=6, **options,
        )
        for text, weight, va in parts
        if text
    ]  # fmt: skip


def settle(figure: Figure) -> None:
    """Lay the figure out once and keep it so, to the pixel."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def name_ends(figure: Figure, panels: Sequence[tuple[Axes, Sequence[Name]]]) -> None:
    """Write names right of their panels, each with a thin lead to its line, and settle.

    Call it last: the names need room, and the room they got tells where they go.
    """
    written = [
        [_write(a, n, xy=(1, n.y), xycoords=("axes fraction", "data"), xytext=(GAP, 0)) for n in ns]
        for a, ns in panels
    ]
    settle(figure)
    for (axes, names), texts in zip(panels, written, strict=True):
        _push_apart(axes, names, texts)


def _push_apart(axes: Axes, names: Sequence[Name], texts: Sequence[list[Annotation]]) -> None:
    point = axes.figure.dpi / 72
    box = axes.get_window_extent()
    to_pixels, to_data = axes.transData, axes.transData.inverted()
    wanted = [to_pixels.transform((0, name.y))[1] for name in names]
    # Half the text may stand above and below the panel, beside the ends of its axis.
    heights = [(1.18 * SIZE * name.rows + 1.5) * point for name in names]
    placed = spread(wanted, heights, box.y0 - 3 * point, box.y1 + 8 * point)
    for name, parts, pixel in zip(names, texts, placed, strict=True):
        # Where name and policy differ in lines, their border is not the middle.
        border = pixel + (name.rows - 2) * 0.59 * SIZE * point * bool(name.bold and name.plain)
        y = to_data.transform((0, border))[1]
        for part in parts:
            part.xy = (1, y)
        axes.plot(
            [1, 1 + (GAP - 1.5) * point / box.width], [name.y, to_data.transform((0, pixel))[1]],
            color=name.colour, lw=0.6, alpha=0.8, transform=axes.get_yaxis_transform(),
            clip_on=False, label="_lead",
        )  # fmt: skip


def name_marks(axes: Axes, names: Sequence[Name], taken: np.ndarray) -> None:
    """Write names beside marks in a settled figure, where they lie on nothing.

    Parameters
    ----------
    axes : Axes
    names : sequence of Name
    taken : array (boxes, 4)
        What is already there: left, bottom, right and top in pixels.
    """
    point = axes.figure.dpi / 72
    texts = [_write(axes, n, xy=(n.x, n.y), xycoords="data", xytext=(0, 0)) for n in names]
    wide = [max(t.get_window_extent().width for t in parts) / point + 1 for parts in texts]
    high = [1.18 * SIZE * name.rows for name in names]
    marks = axes.transData.transform([(n.x, n.y) for n in names]) / point
    panel = np.array(axes.get_window_extent().extents) / point
    sizes = np.column_stack([wide, high])
    for name, parts, place in zip(names, texts, find_places(marks, sizes, taken / point, panel),
                                  strict=True):  # fmt: skip
        # Where name and policy differ in lines, their border is not the middle.
        border = (name.rows - 2) * 0.59 * SIZE * bool(name.bold and name.plain)
        for part in parts:
            part.set_position((place[0], place[1] + border))
            part.set_ha("left" if place[0] > 0 else "right")
        if np.hypot(*place) > FREE:
            axes.annotate(
                "", xy=(name.x, name.y), xytext=place, textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": name.colour, "lw": 0.6, "shrinkA": 0},
            )  # fmt: skip


def find_places(
    marks: np.ndarray, sizes: np.ndarray, taken: np.ndarray, panel: np.ndarray
) -> list[tuple[float, float]]:
    """Return where each name goes, from its mark: near, and on nothing that is there.

    Names are placed one by one, and again once all the others are known, in several drawn
    orders, of which the best counts. All is in points.

    Parameters
    ----------
    marks, sizes : array (names, 2)
        Where the marks are; width and height of their names.
    taken, panel : array (boxes, 4) and (4,)
        Left, bottom, right and top of what is already there, and of the room.

    Returns
    -------
    list of (across, up)
        The middle of the name's side that is next to the mark, which is its left side where
        `across` is above 0.
    """
    names, leads = _boxes(marks, sizes)
    best: tuple[float, list[int]] = (np.inf, [])
    generator = np.random.default_rng(0)
    for _ in range(TRIES):
        order = generator.permutation(len(marks)).tolist()
        chosen: dict[int, int] = {}
        costs: dict[int, float] = {}
        for i in order * ROUNDS:
            others = [(j, place) for j, place in chosen.items() if j != i]
            there = [taken, *(names[j, place][None] for j, place in others)]
            there += [leads[j, place] for j, place in others]
            found = _cost(names[i], leads[i], np.concatenate(there), panel)
            chosen[i], costs[i] = int(np.argmin(found)), float(found.min())
        best = min(best, (sum(costs.values()), [chosen[i] for i in range(len(marks))]))
    return [_PLACES[place] for place in best[1]]


def _boxes(marks: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the boxes of names (names, places, 4) and of leads (names, places, steps, 4).

    A lead is a row of small boxes; without one they have no area.
    """
    places = np.array(_PLACES)
    anchors = marks[:, None] + places
    left = anchors[..., 0] - sizes[:, None, 0] * (places[:, 0] < 0)
    low = np.stack([left, anchors[..., 1] - sizes[:, None, 1] / 2], axis=-1)
    names = np.concatenate([low, low + sizes[:, None]], axis=-1)
    steps = np.linspace(0.25, 0.95, 7)[:, None]
    along = marks[:, None, None] + steps * places[:, None]
    half = (np.hypot(*places.T) > FREE)[:, None, None] * 2.0
    return names, np.concatenate([along - half, along + half], axis=-1)


def _cost(names: np.ndarray, leads: np.ndarray, there: np.ndarray, panel: np.ndarray) -> np.ndarray:
    """Return for each place how far it is and how much lies there; a crossed lead is worst."""
    far = np.hypot(*np.array(_PLACES).T)
    size = np.prod(names[:, 2:] - names[:, :2], axis=-1)
    outside = size - _shared(names, panel[None])
    crossed = _shared(leads.reshape(-1, 4), there).reshape(len(leads), -1).sum(axis=1)
    return far + 20 * (outside + _shared(names, there)) + 200 * crossed + 40 * (far > FREE)


def _shared(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the area that each box shares with the others."""
    low = np.maximum(ones[:, None, :2], others[None, :, :2])
    high = np.minimum(ones[:, None, 2:], others[None, :, 2:])
    return np.prod(np.clip(high - low, 0, None), axis=-1).sum(axis=1)


_HEIGHTS = (66, 54, 42, 36, 30, 24, 18, 15, 12, 9, 6, 3)
_PLACES = [
    (side * across, up)
    for up in (*_HEIGHTS, 0, *(-height for height in reversed(_HEIGHTS)))
    for across in (8, 20, 34)
    for side in (1, -1)
]
"""Places around a mark, in points."""
