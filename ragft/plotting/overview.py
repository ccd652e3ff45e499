"""The arms at a glance: correct over days, and beside it how wrong, how slow and how dear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragft.plotting.days import BREAKS, draw_line, span, timeline
from ragft.plotting.names import Name, arm_name, name_ends
from ragft.plotting.scales import day_axis, event_lines, label_event, log_axis
from ragft.plotting.style import (
    WIDTH,
    caption,
    counts,
    darker,
    heading,
    look,
    policy_words,
    require,
    sentences,
    styled,
)
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERO_ARMS = ("prompt", "rag", "finetuned", "finetuned_rag")
HERO_LINES: tuple[tuple[str, str], ...] = (
    ("prompt", ""),
    ("rag", "never"),
    ("rag", "nightly"),
    ("finetuned", "never"),
    ("finetuned", "monthly"),
    ("finetuned_rag", "monthly"),
)
"""Each arm kept up and left alone; the ceiling is a reference and not counted."""
MOST_LINES = 6

PANELS: tuple[tuple[str, str, str, str], ...] = (
    ("wrong", "Wrong answers", "% of all answers", "{:.0f} %"),
    ("p95_s", "Latency, p95", "seconds, log", "{:.2g} s"),
    ("dollars", "Cost", "$ per 1,000, log", "${:.2g}"),
)
"""Column of the comparison, title, axis, and how a value is written."""


@styled
def hero(
    summary: pd.DataFrame,
    events: Sequence[Any],
    comparison: pd.DataFrame,
    title: str = "",
    note: str = "",
    *,
    event: str = "facts change",
    lines: Sequence[tuple[str, str]] = HERO_LINES,
) -> Figure:
    """Draw correct answers over days, beside how often wrong, how slow and how dear an arm is.

    Parameters
    ----------
    summary : pandas.DataFrame
        As for `freshness`; the rows of group 'all' and measure 'accuracy' are drawn.
    events : sequence of dates
        Days on which many facts change.
    comparison : pandas.DataFrame
        One row per arm, each under the policy that keeps it up: `arm`, `wrong` (share in
        [0, 1]), `p95_s` (seconds), `dollars` (per 1,000 answers, upkeep included), each
        with `_low` and `_high`; `policy` is named in the caption. A column that is not there
        is shown as 'not measured yet', a value that is NaN is left blank.
    title, note : str
        Title; and what the data does not tell: seeds, corpus, model, hardware.
    event : str
        What is written at the first event.
    lines : sequence of (arm, policy)
        Six at most; those without data are left out.

    Raises
    ------
    RagftError
        No data for any line or any of the four arms, a missing column, an arm that occurs
        twice in `comparison`, or more than six lines.
    """
    import matplotlib.pyplot as plt

    if len(lines) > MOST_LINES:
        raise RagftError(f"plot: {len(lines)} lines are too many; choose {MOST_LINES} at most")
    frame, marks = timeline(summary, events)
    frame = frame[(frame["group"] == "all") & (frame["measure"] == "accuracy")]
    rows = _by_arm(comparison)
    figure = plt.figure(figsize=(WIDTH, 4.4))
    grid = figure.add_gridspec(1, 4, width_ratios=[2.5, 1, 1, 1], wspace=0.07)
    left, *right = [figure.add_subplot(cell) for cell in grid]
    names = _hero_lines(left, frame, marks, [("oracle", ""), *lines])
    if marks:
        label_event(left, marks[0], event)
    for axes, (column, head, label, form) in zip(right, PANELS, strict=True):
        _dots(axes, rows, column, form)
        axes.set_title(head, fontsize=9)
        if _measured(rows, column):
            axes.set_xlabel(label, fontsize=8)
    _row_names(right[0])
    heading(figure, title)
    caption(figure, sentences(counts(frame), BREAKS if marks else "", _kept(rows), note))
    name_ends(figure, [(left, names)])
    return figure


def _by_arm(comparison: pd.DataFrame) -> pd.DataFrame:
    require(comparison, ["arm", "wrong"])
    rows = comparison[comparison["arm"].isin(HERO_ARMS)]
    if rows["arm"].duplicated().any():
        twice = rows.loc[rows["arm"].duplicated(), "arm"].iloc[0]
        raise RagftError(f"plot: the comparison has {twice!r} twice; give the policy kept up only")
    if not len(rows):
        raise RagftError(f"plot: the comparison has none of the arms {', '.join(HERO_ARMS)}")
    return rows.set_index("arm")


def _hero_lines(
    axes: Axes, frame: pd.DataFrame, events: Sequence[float], lines: Sequence[tuple[str, str]]
) -> list[Name]:
    """Draw the left half, and return the names of its lines."""
    names = []
    for arm, policy in lines:
        mine = frame[(frame["arm"] == arm) & (frame["policy"] == policy)]
        if len(mine):
            end = draw_line(axes, mine, events, end_mark=arm != "oracle")
            names.append(arm_name(arm, policy_words(arm, policy), *end))
    names = [name for name in names if math.isfinite(name.y)]
    if not names:
        raise RagftError("plot: the data has none of the lines that were asked for")
    axes.set(ylim=(0, 108), yticks=range(0, 101, 25), xlim=span(frame), title="Correct answers")
    axes.set_ylabel("correct, % of all questions")
    day_axis(axes)
    event_lines(axes, events)
    return names


def _dots(axes: Axes, rows: pd.DataFrame, column: str, form: str) -> None:
    """Draw one dot plot: a row an arm, its value above the dot, a bar for the interval."""
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set(ylim=(len(HERO_ARMS) - 0.5, -0.5), yticks=[])
    if not _measured(rows, column):
        axes.text(
            0.5, 0.5, "not\nmeasured\nyet", transform=axes.transAxes, ha="center", va="center",
            style="italic", color="#707070",
        )  # fmt: skip
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        return
    for border in range(1, len(HERO_ARMS)):
        axes.axhline(border - 0.5, color="#E4E4E4", lw=0.7)
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="x", labelsize=8)
    values = rows.reindex(columns=[column, f"{column}_low", f"{column}_high"]).astype(float)
    if column == "wrong":
        values = 100 * values
        axes.set(xlim=(0, 100), xticks=(0, 50, 100))
    else:
        log_axis(axes, float(values.min().min()), float(values.max().max()))
    for place, arm in enumerate(HERO_ARMS):
        if arm in values.index and math.isfinite(values.loc[arm, column]):
            _dot(axes, place + 0.24, arm, values.loc[arm], form)


def _measured(rows: pd.DataFrame, column: str) -> bool:
    return column in rows and bool(rows[column].notna().any())


def _dot(axes: Axes, place: float, arm: str, values: Sequence[float], form: str) -> None:
    value, low, high = values
    style = look(arm)
    axes.plot([low, high], [place] * 2, color=style.colour, lw=4, alpha=0.35, solid_capstyle="butt")
    axes.plot([value], [place], style.marker, color=style.colour, ms=6.5, clip_on=False)
    # Near an edge the value leans inwards, so that it stays in its panel.
    across = axes.transAxes.inverted().transform(axes.transData.transform((value, 0)))[0]
    side = "left" if across < 0.2 else "right" if across > 0.8 else "center"
    axes.annotate(
        form.format(value), (value, place), xytext=({"left": -4, "right": 4}.get(side, 0), 6),
        textcoords="offset points", ha=side, va="bottom", fontsize=8.5, annotation_clip=False,
        parse_math=False,
    )  # fmt: skip


def _row_names(axes: Axes) -> None:
    for place, arm in enumerate(HERO_ARMS):
        axes.annotate(
            look(arm).label, (0, place - 0.42), xycoords=("axes fraction", "data"), va="top",
            fontsize=8.5, fontweight="bold", color=darker(look(arm).colour),
            annotation_clip=False,
        )  # fmt: skip


def _kept(rows: pd.DataFrame) -> str:
    """Return the sentence that names the policies of the right half."""
    if "policy" not in rows:
        return ""
    told = [
        f"{look(arm).label}, {policy_words(arm, rows.loc[arm, 'policy'])}".replace("\n", " ")
        for arm in HERO_ARMS
        if arm in rows.index and rows.loc[arm, "policy"]
    ]
    return f"Right: {'; '.join(told)}." if told else ""
