"""What is learnt against what is forgotten: a path for each way of training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.plotting.names import Name, name_marks, settle
from ragft.plotting.style import (
    REFERENCE,
    SMALL,
    WIDTH,
    Look,
    caption,
    counts,
    darker,
    heading,
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

BASE, RAG = "base", "rag"
LORA, SOFT = "#D55E00", "#5B6770"
METHODS: dict[str, Look] = {
    "full": Look("All weights", "#7A3500", "s"),
    "lora": Look("LoRA", LORA, "^"),
    "lora_16": Look("LoRA, rank 16", "#E2803A", "^"),
    "lora_8": Look("LoRA, rank 8", "#E99A5E", "^"),
    "lora_4": Look("LoRA, rank 4", "#F0B080", "^"),
    "qlora": Look("QLoRA", "#9A4A9A", "v"),
    "prefix": Look("Prefix tuning", SOFT, "X"),
    "prompt": Look("Prompt tuning", SOFT, "P"),
}
"""Every way of training; lower ranks are lighter."""
PLANE = ("x", "x_low", "x_high", "y", "y_low", "y_high")
LABELS = 128.0
"""Right end of the axis of per cent: names stand beyond 100."""


@styled
def learning_forgetting(
    frame: pd.DataFrame, title: str = "", note: str = "", *, unit: str = "passes"
) -> Figure:
    """Draw what each way of training learns against what it loses, a path from the base.

    Filled marks are trainings with rehearsal, hollow ones without; the cross at the end of a path
    is its interval in both directions.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per method, rehearsal and length: `method` ('base', the model before training;
        'rag', which is not trained; or one of `METHODS`), `rehearsal` (bool), `steps` (how long was
        trained, in `unit`), `x`, `x_low`, `x_high` (new facts correct, shares in [0, 1]), `y`,
        `y_low`, `y_high` (correct of what was known, share minus the base's, in [-1, 1]), `n`. A
        row without x or y is left out and counted in the caption.
    title, note : str
        Title; and what the data does not tell: seeds, corpus, model, hardware.
    unit : str
        What `steps` counts, in words.

    Raises
    ------
    RagftError
        No rows, a missing column, no base, nothing besides it, an unknown method, a point that
        occurs twice, or a value out of range.
    """
    import matplotlib.pyplot as plt

    require(frame, ["method", "rehearsal", "steps", *PLANE, "n"])
    _check(frame)
    known = _percent(frame[frame[["x", "y"]].notna().all(axis=1)])
    figure, axes = plt.subplots(figsize=(WIDTH, 4.4))
    _span(axes, known)
    [base] = known[known["method"] == BASE].to_dict("records")
    axes.axhline(0, color=REFERENCE, lw=0.8, zorder=1, label="_zero")
    names = [_start(axes, base)]
    trained = known[~known["method"].isin([BASE, RAG])]
    for (method, rehearsed), rows in trained.groupby(["method", "rehearsal"], sort=False):
        names.append(_path(axes, METHODS[method], rehearsed, rows.sort_values("steps"), base))
    names += [_rag(axes, row) for row in known[known["method"] == RAG].to_dict("records")]
    heading(figure, title)
    missing = len(frame) - len(known)
    left_out = f"Left out for want of a value: {missing}." if missing else ""
    caption(figure, sentences(counts(known), _reading(trained, unit), left_out, note))
    settle(figure)
    taken = _taken(axes, known, base)
    name_marks(axes, names, np.vstack([taken, _better(axes, taken)]))
    return figure


def _check(frame: pd.DataFrame) -> None:
    for method in frame["method"]:
        if method not in METHODS and method not in (BASE, RAG):
            there = ", ".join([BASE, RAG, *METHODS])
            raise RagftError(f"plot: no method {method!r}; there are {there}")
    if (twice := frame.duplicated(["method", "rehearsal", "steps"])).any():
        row = frame[twice].iloc[0]
        raise RagftError(f"plot: the data has {row['method']!r} twice at steps {row['steps']:g}")
    for name, low in (("x", 0), ("y", -1)):
        values = frame[name].astype(float)
        if (strange := values[(values < low) | (values > 1)]).size:
            raise RagftError(f"plot: {name} is a share in [{low}, 1], and not {strange.iloc[0]:g}")
    known = frame[frame[["x", "y"]].notna().all(axis=1)]
    if (known["method"] == BASE).sum() != 1:
        raise RagftError("plot: the data needs one row of 'base', where all paths start")
    if len(known) < 2:
        raise RagftError("plot: nothing but the base has values to draw")


def _percent(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**100 * frame[list(PLANE)].astype(float))


def _span(axes: Axes, rows: pd.DataFrame) -> None:
    """Span what was measured; right of 100 is room for names."""
    lows, highs = rows[["y", "y_low"]].min(axis=None), rows[["y", "y_high"]].max(axis=None)
    room = 0.09 * max(highs - lows, 10)
    axes.set(xlim=(-4, LABELS), ylim=(min(lows, 0) - room, max(highs, 0) + 1.5 * room))
    axes.set_xticks(range(0, 101, 25))
    axes.set_xlabel("new facts correct, %", x=(50 + 4) / (LABELS + 4))
    axes.set_ylabel("known facts correct,\npoints from the base")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:+.0f}".replace("-", "−") if y else "0")
    axes.spines["bottom"].set_bounds(-4, 100)


def _start(axes: Axes, base: dict[str, Any]) -> Name:
    axes.plot(base["x"], base["y"], "*", color="black", ms=13, zorder=5, label="_base")
    return Name(base["x"], base["y"], "Before training", "", "#000000")


def _path(
    axes: Axes, style: Look, rehearsed: bool, rows: pd.DataFrame, base: dict[str, Any]
) -> Name:
    """Draw a path from the base through its lengths of training, and return its name."""
    xs, ys = rows["x"].tolist(), rows["y"].tolist()
    axes.plot(
        [base["x"], xs[0]], [base["y"], ys[0]], color=style.colour, lw=1.2, alpha=0.55,
        ls=(0, (4, 2)), zorder=2, label="_first",
    )  # fmt: skip
    axes.plot(
        xs, ys, color=style.colour, lw=1.8, marker=style.marker, ms=5.5, zorder=3,
        markerfacecolor=style.colour if rehearsed else "white",
    )  # fmt: skip
    end = rows.iloc[-1].to_dict()
    _cross(axes, end, style.colour)
    axes.plot(
        end["x"], end["y"], style.marker, color=style.colour, ms=8.5, zorder=4, label="_end",
        markerfacecolor=style.colour if rehearsed else "white",
    )  # fmt: skip
    # Light colours are for marks; their names are written in that of their family.
    ink = LORA if style.label.startswith("LoRA") else style.colour
    return _name(end, style.label, "rehearsed" if rehearsed else "", ink)


def _rag(axes: Axes, row: dict[str, Any]) -> Name:
    style = look(RAG)
    _cross(axes, row, style.colour)
    axes.plot(row["x"], row["y"], style.marker, color=style.colour, ms=8.5, zorder=4)
    return _name(row, style.label, "new facts indexed", style.colour)


def _name(row: dict[str, Any], bold: str, plain: str, colour: str) -> Name:
    """Return a name that stands beyond the right arm of a cross."""
    right = row["x_high"] if math.isfinite(row["x_high"]) else row["x"]
    return Name(right, row["y"], bold, plain, colour)


def _cross(axes: Axes, row: dict[str, Any], colour: str) -> None:
    """Draw the interval of a point in both directions, as far as it is known."""
    across, up = ([row[f"{name}_low"], row[f"{name}_high"]] for name in ("x", "y"))
    style = {"color": colour, "lw": 1.3, "zorder": 2.5, "label": "_cross"}
    axes.plot(across, [row["y"]] * 2, **style)
    axes.plot([row["x"]] * 2, up, **style)


def _reading(trained: pd.DataFrame, unit: str) -> str:
    """Say how to read the paths."""
    if not len(trained):
        return "Crosses: 95 %."
    steps = [f"{step:,.0f}" for step in sorted(trained["steps"].unique())]
    listed = " and ".join([", ".join(steps[:-1]), steps[-1]]) if len(steps) > 1 else steps[0]
    filled = "Filled: known facts rehearsed. " if trained["rehearsal"].any() else ""
    return f"{filled}Marks along a path: {listed} {unit}, each trained by itself; crosses: 95 %."


def _taken(axes: Axes, rows: pd.DataFrame, base: dict[str, Any]) -> np.ndarray:
    """Return the boxes of marks, crosses, paths and the zero line, in pixels."""
    point, pixels = axes.figure.dpi / 72, axes.transData.transform
    start, panel = pixels((base["x"], base["y"])), axes.get_window_extent()
    boxes = [(panel.x0, start[1] - point, panel.x1, start[1] + point)]
    boxes += _around([start], 6 * point)
    for (method, _), part in rows.groupby(["method", "rehearsal"], sort=False):
        points = pixels(part.sort_values("steps")[["x", "y"]].to_numpy())
        boxes += _around(points, 5 * point)
        path = [start, *points] if method not in (BASE, RAG) else []
        for one, two in zip(path, path[1:], strict=False):
            # A slanting line is a row of small boxes.
            along = np.linspace(one, two, 1 + math.ceil(math.dist(one, two) / (14 * point)))
            low, high = np.minimum(along[:-1], along[1:]), np.maximum(along[:-1], along[1:])
            boxes += [*np.hstack([low - point, high + point])]
    ends = rows.sort_values("steps").groupby(["method", "rehearsal"], sort=False).tail(1)
    for end in ends.to_dict("records"):
        limits = ["x_low", "y"], ["x_high", "y"], ["x", "y_low"], ["x", "y_high"]
        left, right, low, high = pixels([[end[name] for name in names] for names in limits])
        boxes += [(*(left - point), *(right + point)), (*(low - point), *(high + point))]
    return np.array([box for box in boxes if np.isfinite(box).all()])


def _around(points: Iterable[np.ndarray], reach: float) -> list[tuple[float, ...]]:
    return [(*(point - reach), *(point + reach)) for point in points]


def _better(axes: Axes, taken: np.ndarray) -> tuple[float, float, float, float]:
    """Draw the arrow to where it is better, in the corner with the least in it; return its box."""
    panel, point = axes.get_window_extent(), axes.figure.dpi / 72
    wide, high = 62 * point, 27 * point
    # of two that are free, the one where paths do not end: their names need the room
    corners = [(panel.x1 - wide - 4 * point, panel.y1 - high - point),
               (panel.x0 + 10 * point, panel.y0 + 8 * point),
               (panel.x1 - wide - 4 * point, panel.y0 + 8 * point)]  # fmt: skip
    boxes = [(x, y, x + wide, y + high) for x, y in corners]

    def lies_there(box: tuple[float, float, float, float]) -> int:
        across = (taken[:, 0] < box[2]) & (taken[:, 2] > box[0])
        return int((across & (taken[:, 1] < box[3]) & (taken[:, 3] > box[1])).sum())

    x0, y0, x1, y1 = min(boxes, key=lies_there)
    to_data = axes.transData.inverted().transform
    start, end = to_data([(x0, y0), (x0 + 26 * point, y0 + 26 * point)])
    axes.annotate(
        "", xy=tuple(end), xytext=tuple(start),
        arrowprops={"arrowstyle": "-|>", "color": REFERENCE, "lw": 1.5, "mutation_scale": 13},
    )  # fmt: skip
    axes.annotate(
        "better", tuple(end), xytext=(3, -5), textcoords="offset points", fontsize=SMALL + 1,
        color=darker(REFERENCE), style="italic", va="center",
    )  # fmt: skip
    return x0, y0, x1, y1
