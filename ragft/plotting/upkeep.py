"""What upkeep buys over days: correct answers, and answers that were right once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.plotting.days import BREAKS, broken, day_zero, days_since, draw_line, span, timeline
from ragft.plotting.names import Name, arm_name, name_ends
from ragft.plotting.scales import day_axis, event_lines, label_event
from ragft.plotting.style import (
    WIDTH,
    caption,
    counts,
    darker,
    heading,
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

COLUMNS = ("rag", "finetuned", "finetuned_rag", "raft")
"""Arms that have a panel of their own, where there is data."""
GROUPS = {"changing": "facts that change", "unchanging": "facts that do not"}
REFERENCES = {
    "oracle": "right passage\ngiven",
    "prompt": "prompt only",
    "prior": "guessing",
}
"""Arms that can be a thin line in every panel, and the words at its end."""
_TOP = 112
"""Per cent; above 100 there is room for the label of an event."""


@styled
def freshness(
    summary: pd.DataFrame,
    events: Sequence[Any],
    title: str = "",
    note: str = "",
    *,
    event: str = "event",
    references: Sequence[str] = ("oracle", "prompt"),
) -> Figure:
    """Draw correct answers over days: a column an arm, a line a policy.

    The upper row has the facts that change on some day, the lower those that never do.

    Parameters
    ----------
    summary : pandas.DataFrame
        Rows of a freshness record: `group`, `arm`, `policy`, `day` (a date or its ISO form),
        `measure`, `mean`, `low`, `high` (shares in [0, 1], NaN where undefined), `n`.
    events : sequence of dates
        Days on which many facts change; may be empty. Lines break there, so where every
        measured day is an event, points stand alone, and it may be better to give none.
    title, note : str
        Title; and what the data does not tell: seeds, corpus, model, hardware.
    event : str
        What is written at the first event, such as 'release'.
    references : sequence of str
        Arms that are a thin line in every panel; of 'oracle', 'prompt' and 'prior'.

    Raises
    ------
    RagftError
        No rows of a group and an arm that are drawn, a column is missing, or an arm cannot be
        a reference.
    """
    import matplotlib.pyplot as plt

    frame, marks = timeline(summary, events)
    frame = frame[(frame["measure"] == "accuracy") & frame["group"].isin(GROUPS)]
    arms = _columns(frame)
    groups = [group for group in GROUPS if group in set(frame["group"])]
    size = (WIDTH, 0.7 + 2.1 * len(groups))
    figure, grid = plt.subplots(
        len(groups), len(arms), figsize=size, sharex=True, sharey=True, squeeze=False
    )
    names = []
    for row, group in zip(grid, groups, strict=True):
        for axes, arm in zip(row, arms, strict=True):
            mine = frame[frame["group"] == group]
            ends = _references(axes, mine, marks, references)
            ends = ends if arm == arms[0] else []
            names.append((axes, ends + _policies(axes, mine[mine["arm"] == arm], marks)))
        row[0].set_ylabel(f"correct, %\n({GROUPS[group]})")
    grid[0, 0].set(ylim=(0, _TOP), yticks=range(0, 101, 25), xlim=span(frame))
    _dress(grid, arms, marks, event)
    heading(figure, title)
    caption(figure, sentences(counts(frame), BREAKS if marks else "", note))
    name_ends(figure, names)
    return figure


@styled
def stale_share(
    summary: pd.DataFrame,
    moved: pd.DataFrame,
    events: Sequence[Any],
    title: str = "",
    note: str = "",
    *,
    event: str = "event",
) -> Figure:
    """Draw over days how many answers were right once and are no longer.

    Parameters
    ----------
    summary : pandas.DataFrame
        As for `freshness`; the rows of group 'all' and measure 'stale' are drawn.
    moved : pandas.DataFrame
        `day` and `share`: of all questions, those whose right answer differs from day 0's,
        which is what an arm frozen then would get stale. Drawn grey.
    events, title, note, event
        As for `freshness`.

    Raises
    ------
    RagftError
        No such rows, or a column is missing.
    """
    import matplotlib.pyplot as plt

    frame, marks = timeline(summary, events)
    require(moved, ["day", "share"])
    frame = frame[(frame["measure"] == "stale") & (frame["group"] == "all")]
    arms = _columns(frame)
    drift = days_since(moved, day_zero(summary)).sort_values("day")
    days, (share,) = broken(drift["day"], [100 * drift["share"].astype(float)], marks)
    figure, grid = plt.subplots(
        1, len(arms), figsize=(WIDTH, 2.9), sharex=True, sharey=True, squeeze=False
    )
    names = []
    for axes, arm in zip(grid[0], arms, strict=True):
        axes.plot(days, share, color="#888888", lw=1.2)
        ends = _policies(axes, frame[frame["arm"] == arm], marks)
        if arm == arms[0]:
            ends.append(Name(days[-1], share[-1], "", "answer changed\nsince day 0", "#707070"))
        names.append((axes, ends))
    highest = np.nanmax([100 * frame["high"].max(), 100 * frame["mean"].max(), np.nanmax(share), 4])
    grid[0, 0].set(ylim=(0, 1.22 * highest), xlim=span(frame))
    grid[0, 0].set_ylabel("stale, %\n(of all questions)")
    _dress(grid, arms, marks, event)
    heading(figure, title)
    grey = "Grey: questions whose right answer is no longer day 0's."
    caption(figure, sentences(counts(frame), grey, BREAKS if marks else "", note))
    name_ends(figure, names)
    return figure


def _columns(frame: pd.DataFrame) -> list[str]:
    arms = [arm for arm in COLUMNS if arm in set(frame["arm"])]
    if not arms:
        raise RagftError(
            f"plot: the data has none of the arms {', '.join(COLUMNS)} for this figure; "
            "run the freshness experiment with one of them"
        )
    return arms


def _policies(axes: Axes, rows: pd.DataFrame, events: Sequence[float]) -> list[Name]:
    """Draw the lines of one arm, and return their names."""
    names = []
    for (arm, policy), mine in rows.groupby(["arm", "policy"], sort=False):
        end = draw_line(axes, mine, events)
        names.append(arm_name(arm, policy_word(arm, policy), *end, bold=False))
    return [name for name in names if math.isfinite(name.y)]


def _references(
    axes: Axes, rows: pd.DataFrame, events: Sequence[float], arms: Sequence[str]
) -> list[Name]:
    """Draw ceiling and floor, and return their names."""
    names = []
    for arm in arms:
        if arm not in REFERENCES:
            raise RagftError(f"plot: {arm!r} cannot be a reference; choose of {[*REFERENCES]}")
        mine = rows[rows["arm"] == arm]
        if len(mine):
            end = draw_line(axes, mine, events)
            names.append(arm_name(arm, REFERENCES[arm], *end, bold=False))
    return [name for name in names if math.isfinite(name.y)]


def _dress(grid: Any, arms: Sequence[str], events: Sequence[float], event: str) -> None:
    """Write titles and day axes, and mark the events in every panel, in words in the first."""
    for axes in grid.flat:
        event_lines(axes, events)
    for axes, arm in zip(grid[0], arms, strict=True):
        label = look(arm).label.replace(" + ", "\n+ " if len(arms) > 3 else " + ")
        axes.set_title(label, color=darker(look(arm).colour))
    narrow = len(arms) > 3 and grid[0, 0].get_xlim()[1] >= 1000  # numbers of four digits are wide
    for axes in grid[-1]:
        day_axis(axes, most=2 if narrow else 4)
    if events:
        label_event(grid[0, 0], events[0], event)
