"""Behaviours: how often each arm behaves, and how many examples it takes to learn.

One picture of bars, a block per behaviour; one of learning curves, behaviours beside facts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragft.plotting.checks import check_lines
from ragft.plotting.doses import BANDS, MARKERS, SERIES, draw_curve
from ragft.plotting.names import name_ends
from ragft.plotting.scales import log_axis
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
    wrap,
)
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.21
"""Inches from one bar to the next."""
BAR = 80.0
"""Per cent that count as learnt."""
FACTS = {"trained wording": "-", "new wording": "--"}
"""Line styles of the two series of facts."""
RANGES = (("behaviour", 200.0, 500.0), ("knowledge", 1000.0, 5000.0))
"""Examples that an article says it takes."""


@styled
def behaviour_bars(frame: pd.DataFrame, title: str = "", note: str = "") -> Figure:
    """Draw the share that passes, a block per behaviour and a bar per arm in it.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per behaviour and arm: `behaviour` (in words, in the order in which they come),
        `arm`, `mean`, `low`, `high` (shares in [0, 1]; a row without a mean is left blank), `n`,
        and optionally `label` (instead of the arm's own) and `prompt_tokens` (of an answer).
    title, note : str
        Title; and what the data does not tell: seeds, corpus, model, hardware.

    Raises
    ------
    RagftError
        No rows, a missing column, an unknown arm, a label that occurs twice in a block, or a mean
        outside [0, 1].
    """
    import matplotlib.pyplot as plt

    require(frame, ["behaviour", "arm", "mean", "low", "high", "n"])
    labels = [look(arm).label for arm in frame["arm"]]
    if "label" in frame:
        labels = [given or own for given, own in zip(frame["label"], labels, strict=True)]
    frame = frame.assign(label=labels)
    _check_bars(frame)
    blocks = [(str(name), part.to_dict("records")) for name, part in
              frame.groupby("behaviour", sort=False)]  # fmt: skip
    rows = sum(len(part) for _, part in blocks)
    text = sentences(counts(frame).replace("a point", "a bar"), "Whiskers: 95 %.", note)
    height = ROW * (rows + 1.3 * len(blocks)) + 0.55 + 0.3 * bool(title)
    height += 0.14 * len(wrap(text, WIDTH - 0.1, SMALL))
    figure, axes = plt.subplots(figsize=(WIDTH, height))
    places = _draw_blocks(axes, blocks)
    axes.set(xlim=(0, 100), ylim=(places[-1][0] + 0.6, -0.4), xlabel="answers that pass, %")
    axes.set_yticks([y for y, _ in places], [row["label"] for _, row in places])
    for label, (_, row) in zip(axes.get_yticklabels(), places, strict=True):
        label.set(color=darker(look(row["arm"]).colour), fontweight="bold", fontsize=8)
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x")
    axes.spines["left"].set_visible(False)
    heading(figure, title)
    caption(figure, text)
    return figure


def _check_bars(frame: pd.DataFrame) -> None:
    if (twice := frame.duplicated(["behaviour", "label"])).any():
        row = frame[twice].iloc[0]
        raise RagftError(f"plot: the data has {row['label']!r} twice in {row['behaviour']!r}")
    means = frame["mean"].astype(float)
    if (strange := frame[(means < 0) | (means > 1)]).size:
        row = strange.iloc[0]
        raise RagftError(
            f"plot: the mean {row['mean']:g} of {row['label']!r} is no share in [0, 1]"
        )


def _draw_blocks(
    axes: Axes, blocks: Sequence[tuple[str, list[dict[str, Any]]]]
) -> list[tuple[float, dict[str, Any]]]:
    """Draw all blocks downwards from 0; return where the rows are."""
    places, y = [], 0.0
    for name, rows in blocks:
        _write(axes, 0, y, name, 0, fontsize=9, fontweight="bold")
        y += 1
        for row in rows:
            _draw_bar(axes, y, row)
            places.append((y, row))
            y += 1
        y += 0.3
    return places


def _draw_bar(axes: Axes, y: float, row: Mapping[str, Any]) -> None:
    style = look(row["arm"])
    mean, low, high = (100 * float(row[name]) for name in ("mean", "low", "high"))
    if not math.isfinite(mean):
        return
    face = "white" if style.hollow else style.colour
    axes.barh(y, mean, height=0.68, facecolor=face, edgecolor=style.colour, lw=1, alpha=0.75)
    text = f"{mean:.0f} %"
    if math.isfinite(high - low):
        axes.plot([low, high], [y, y], color="#111111", lw=1.2, clip_on=False)
        text += f" [{low:.0f}, {high:.0f}]"
    if math.isfinite(tokens := float(row.get("prompt_tokens", math.nan))):
        text += f" · {tokens:.0f} tokens"
    _write(axes, 1, y, text, 6, fontsize=8)


def _write(axes: Axes, side: float, y: float, text: str, shift: float, **options: Any) -> None:
    """Write at the left (0) or right (1) end of a row, moved by points."""
    axes.annotate(
        text, (side, y), xycoords=("axes fraction", "data"), xytext=(shift, 0),
        va="center_baseline", textcoords="offset points", annotation_clip=False,
        parse_math=False, **options,
    )  # fmt: skip


@styled
def learning_curves(
    frame: pd.DataFrame,
    title: str = "",
    note: str = "",
    *,
    ranges: Sequence[tuple[str, float, float]] = RANGES,
) -> Figure:
    """Draw what passes over the number of training examples, behaviours beside facts.

    A mark on the bar of 80 % stands where the lower end of an interval is first above it; a
    hollow arrow at the end of the bar where it never is.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per series and number of examples: `series` (in words; 'facts, trained wording'
        and 'facts, new wording' are drawn as the fine-tuned arm), `x`, `mean`, `low`, `high`
        (shares in [0, 1]; NaN leaves a gap), `n`. Rows with x = 0 cannot stand on a logarithmic
        axis and are left out; the caption tells of them.
    title, note : str
        Title; and what the data does not tell: seeds, corpus, model, hardware.
    ranges : sequence of (label, low, high)
        Numbers of examples that somebody claims it takes: grey strips. Those far beyond what was
        measured are left out.

    Raises
    ------
    RagftError
        No rows or no mean to draw, a missing column, a series that has a number twice, a mean
        outside [0, 1], or more than six series that are not facts.
    """
    import matplotlib.pyplot as plt

    require(frame, ["series", "x", "mean", "low", "high", "n"])
    check_lines(frame, "series", "x")
    tuned = frame[frame["x"] > 0]
    if not len(tuned):
        raise RagftError("plot: no row has any training examples; a log axis needs some")
    looks = _looks(tuned)
    figure, axes = plt.subplots(figsize=(WIDTH, 3.7))
    low, high = float(tuned["x"].min()), float(tuned["x"].max())
    near = [one for one in ranges if one[1] <= 3 * high]
    right = max(high, *(min(end, 5 * high) for _, _, end in near)) if near else high
    log_axis(axes, low, right, room=1.15)
    axes.set_xlim(right=right if right > low else None)
    axes.set(ylim=(0, 103), xlabel="training examples (log)", ylabel="passed or right, %")
    _strips(axes, near, right)
    axes.axhline(BAR, color=REFERENCE, lw=0.8, ls="--", label="_bar", zorder=1)
    names = [
        draw_curve(axes, rows.assign(at=rows["x"]), looks[series])
        for series, rows in tuned.groupby("series", sort=False)
    ]
    _learnt(axes, tuned, looks)
    heading(figure, title)
    caption(figure, sentences(counts(tuned), BANDS, _zeros(frame), note))
    name_ends(figure, [(axes, [name for name in names if math.isfinite(name.y)])])
    return figure


def _looks(frame: pd.DataFrame) -> dict[str, Look]:
    """Return how each series is drawn: facts as the fine-tuned arm, others by their marker."""
    tuned, found, place = look("finetuned"), {}, 0
    for series in dict.fromkeys(frame["series"]):
        wording = series.removeprefix("facts, ")
        if wording in FACTS:
            found[series] = Look(series, tuned.colour, tuned.marker, line=FACTS[wording])
            continue
        if place == len(MARKERS):
            raise RagftError(f"plot: too many series that are not facts; {len(MARKERS)} at most")
        found[series] = Look(series, SERIES, MARKERS[place])
        place += 1
    return found


def _strips(axes: Axes, ranges: Sequence[tuple[str, float, float]], right: float) -> None:
    """Shade what is claimed, and say above the panel what it is claimed of."""
    for label, low, high in ranges:
        end = min(high, right)
        axes.axvspan(low, end, color="#000000", alpha=0.06, lw=0)
        axes.annotate(
            f"claimed: {label}", (math.sqrt(low * end), 1), xycoords=("data", "axes fraction"),
            xytext=(0, 2), textcoords="offset points", ha="center", fontsize=SMALL,
            color=REFERENCE, annotation_clip=False,
        )  # fmt: skip


def _learnt(axes: Axes, frame: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Mark on the bar from where on each series is above it; series beside each other."""
    taken: dict[float, int] = {}
    right = axes.get_xlim()[1]
    for series, rows in frame.groupby("series", sort=False):
        style = looks[series]
        above = rows[100 * rows["low"].astype(float) >= BAR]["x"]
        at = float(above.min()) if len(above) else right
        shift = taken[at] = taken.get(at, -1) + 1
        # Outwards from where it belongs, so that marks at one number do not hide each other.
        place = at * 1.045 ** (shift if len(above) and at < right else -shift)
        face = style.colour if len(above) else "white"
        axes.plot(
            [place], [BAR], style.marker if len(above) else ">", color=style.colour,
            markerfacecolor=face, ms=6, zorder=4, clip_on=False, label="_learnt",
        )  # fmt: skip


def _zeros(frame: pd.DataFrame) -> str:
    """Say what passes without any training."""
    rows = frame[(frame["x"] == 0) & frame["mean"].notna()]
    if not len(rows):
        return ""
    most = rows.iloc[int(rows["mean"].astype(float).argmax())]
    return f"Without any example {100 * most['mean']:.0f} % pass at most ({most['series']})."
