"""What became of the questions: bars of outcome shares, in one block or a block per condition.

Correct starts at 0 and the wrong kinds end flush at 100, so that both can be compared by eye;
what abstaining leaves lies between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragft.plotting.checks import in_table_order, not_applicable
from ragft.plotting.style import (
    OUTCOMES,
    SMALL,
    WIDTH,
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

WRONG = ("stale", "confused", "fabricated")
UNDIVIDED = "wrong, kind not known"
"""What is wrong where not every kind is told apart; drawn hatched."""
INTERVALS = ("correct_low", "correct_high", "wrong_low", "wrong_high")
ROW, WIDE_ROW = 0.2, 0.3
"""Inches from one bar to the next, in blocks and where there is only one."""
HEAD = 1.35
"""Rows that the heading of a block takes, with the gap above it."""
LEAST = 8
"""Per cent; smaller shares are not written into their part of the bar."""
_INK = {"confused": "white", "fabricated": "white"}


@styled
def outcomes(frame: pd.DataFrame, title: str = "Outcomes", note: str = "") -> Figure:
    """Draw the shares of the five outcomes, one horizontal bar an arm.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per arm: `arm`, the outcomes as shares in [0, 1] (where a wrong kind is NaN,
        the rest of the wrong answers is hatched), and optionally `correct_low`,
        `correct_high`, `wrong_low` and `wrong_high`, `n`, and `applicable`.
    title, note : str
        Title and caption.

    Raises
    ------
    RagftError
        No rows, a missing column, an unknown arm or one that occurs twice, or shares that do
        not add up to 1.
    """
    require(frame, ["arm", *OUTCOMES])
    return _bars([("", frame)], title, note, WIDE_ROW)


@styled
def outcomes_by_condition(frame: pd.DataFrame, title: str = "", note: str = "") -> Figure:
    """Draw the shares of the five outcomes, a block per condition and a bar per arm in it.

    Whiskers are 95 % intervals: the upper one of correct, the lower one of all wrong answers.
    The figure grows by its rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per condition and arm: `condition` (in words, shown in the order in which they
        come), `arm`, the outcomes as shares in [0, 1] of the same answers (where a wrong kind
        is NaN, the rest of the wrong answers is hatched), `correct_low`, `correct_high`,
        `wrong_low`, `wrong_high` (NaN: no whisker), `n`, and optionally `applicable`: where
        it is False, the row says 'not applicable'. A row of NaN is left blank.
    title, note : str
        Title; and what the data does not tell: seeds, corpus, model, hardware.

    Raises
    ------
    RagftError
        No rows, a missing column, a row without a condition, an unknown arm or one that occurs
        twice in a condition, or shares that do not add up to 1.
    """
    require(frame, ["condition", "arm", *OUTCOMES, *INTERVALS, "n"])
    if frame["condition"].isna().any():
        raise RagftError("plot: a row has no condition")
    blocks = [(str(name), rows) for name, rows in frame.groupby("condition", sort=False)]
    return _bars(blocks, title, note, ROW)


def _bars(
    blocks: Sequence[tuple[str, pd.DataFrame]], title: str, note: str, pitch: float
) -> Figure:
    """Draw all blocks on one axis, whose unit downwards is a row."""
    import matplotlib.pyplot as plt
    import pandas as pd

    frame = pd.concat([rows for _, rows in blocks])
    text = sentences(_counts(frame[~not_applicable(frame)]), _legend_words(frame), note)
    heads, rows, bottom = _places(blocks)
    # An inch and a bit: the legend, the axis and its label.
    around = 0.85 + 0.3 * bool(title) + 0.14 * len(wrap(text, WIDTH - 0.1, SMALL))
    figure, axes = plt.subplots(figsize=(WIDTH, around + pitch * (bottom + 0.5)))
    axes.set(xlim=(0, 100), ylim=(bottom, -0.5), xlabel="share of all questions, %")
    for place, name in heads:
        _beside(axes, 0, place, name, (0, 0), fontsize=9, fontweight="bold")
    known = {name for place, row in rows for name in _bar(axes, place, row)}
    axes.set_yticks([place for place, _ in rows], [look(row["arm"]).label for _, row in rows])
    for label, (_, row) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set(color=darker(look(row["arm"]).colour), fontweight="bold", fontsize=8)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    _legend(axes, undivided=UNDIVIDED in known)
    heading(figure, title)
    caption(figure, text)
    return figure


def _places(
    blocks: Sequence[tuple[str, pd.DataFrame]],
) -> tuple[list[tuple[float, str]], list[tuple[float, dict[str, Any]]], float]:
    """Return where headings and rows go, downwards from 0, and where the last row ends."""
    heads, rows, y = [], [], 0.0
    for name, frame in blocks:
        if name:
            y += HEAD - 1 if heads else 0.15
            heads.append((y, name))
            y += 1
        ordered = in_table_order(frame, name).assign(applicable=~not_applicable(frame))
        for row in ordered.astype(dict.fromkeys(OUTCOMES, float)).to_dict("records"):
            rows.append((y, row))
            y += 1
    return heads, rows, y - 0.5


def _bar(axes: Axes, place: float, row: Mapping[str, Any]) -> list[str]:
    """Draw one row, and return the names of the parts it has."""
    if not row["applicable"]:
        grey = {"style": "italic", "color": "#707070"}
        _beside(axes, 0, place, "not applicable", (5, 0), fontsize=8, **grey)
        return []
    parts = _parts(row)
    for name, left, share in parts:
        if name == UNDIVIDED:
            axes.broken_barh([(left, share)], (place - 0.38, 0.76), **_HATCHED)
        else:
            colour = OUTCOMES[name]
            axes.barh(place, share, left=left, height=0.76, color=colour, ec="white", lw=0.5)
        # A share that is 8 but for the last bit counts as 8.
        if round(share, 6) >= LEAST:
            axes.text(
                left + share / 2, place, f"{share:.0f}", ha="center", va="center_baseline",
                fontsize=SMALL, color=_INK.get(name, "#1A1A1A"),
                bbox={"fc": "white", "ec": "none", "pad": 0.8} if name == UNDIVIDED else None,
            )  # fmt: skip
    _ends(axes, place, row)
    return [name for name, _, _ in parts]


def _ends(axes: Axes, place: float, row: Mapping[str, Any]) -> None:
    """Draw the whiskers of one row, and write beside it how much was wrong."""
    _whisker(axes, place - 0.33, row.get("correct_low"), row.get("correct_high"))
    low, high = row.get("wrong_low"), row.get("wrong_high")
    if certain := _known(low, high):
        _whisker(axes, place + 0.33, 1 - high, 1 - low)
    if _known(row["correct"], row["abstained"]):
        # Every answer is correct, abstained or wrong.
        wrong = max(0.0, 1 - row["correct"] - row["abstained"])
        interval = f" [{100 * low:.0f}, {100 * high:.0f}]" if certain else ""
        _beside(axes, 1, place, f"wrong {100 * wrong:.0f} %{interval}", (6, 0), fontsize=8)


def _parts(row: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return the parts of a bar: name, left end and width in per cent; what is NaN has none.

    Raises
    ------
    RagftError
        The shares cannot be parts of one whole.
    """
    share = {name: 100 * row[name] for name in OUTCOMES}
    known = {name: value for name, value in share.items() if math.isfinite(value)}
    total, whole = sum(known.values()), len(known) == len(share)
    if min(known.values(), default=0) < 0 or total > 100.5 or (whole and total < 99.5):
        raise RagftError(
            f"plot: the outcome shares of {row['arm']!r} add up to {total:.0f} %; "
            "they must be shares in [0, 1] of the same answers, and add up to 1"
        )
    left = {"correct": 0.0, "abstained": share["correct"]}
    end = 100.0
    for kind in reversed(WRONG):
        end = left[kind] = end - known.get(kind, 0.0)
    parts = [(name, left[name], known[name]) for name in known if math.isfinite(left[name])]
    start = share["correct"] + share["abstained"]
    if any(kind not in known for kind in WRONG) and end > start:
        parts.append((UNDIVIDED, start, end - start))
    return parts


def _whisker(axes: Axes, place: float, low: float | None, high: float | None) -> None:
    from matplotlib.patheffects import withStroke

    if _known(low, high):
        # The white rim keeps it visible on the dark parts.
        axes.plot(
            [100 * low, 100 * high], [place] * 2, color="#111111", lw=1.2, clip_on=False,
            solid_capstyle="butt", path_effects=[withStroke(linewidth=2.2, foreground="white")],
        )  # fmt: skip


def _known(*values: float | None) -> bool:
    return all(value is not None and math.isfinite(value) for value in values)


def _beside(
    axes: Axes, side: float, place: float, text: str, shift: tuple[float, float], **options: Any
) -> None:
    """Write at the left (0) or right (1) end of a row, moved by points."""
    axes.annotate(
        text, (side, place), xycoords=("axes fraction", "data"), xytext=shift, va="center_baseline",
        textcoords="offset points", annotation_clip=False, parse_math=False, **options,
    )  # fmt: skip


_HATCHED = {"facecolor": "white", "edgecolor": "#9A7080", "hatch": "////", "lw": 0.5}


def _legend(axes: Axes, *, undivided: bool) -> None:
    """Name the outcomes above the bars, in their order."""
    import matplotlib.pyplot as plt

    looks: dict[str, dict[str, Any]] = {
        name: {"facecolor": colour, "edgecolor": "#BBBBBB", "lw": 0.5}
        for name, colour in OUTCOMES.items()
    }
    if undivided:
        looks[UNDIVIDED] = _HATCHED
    axes.legend(
        [plt.Rectangle((0, 0), 1, 1, **options) for options in looks.values()], list(looks),
        ncols=len(looks), loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderaxespad=0.3,
        handlelength=1.1, handleheight=1.0, handletextpad=0.5, columnspacing=1.6, borderpad=0,
    )  # fmt: skip


def _counts(frame: pd.DataFrame) -> str:
    if "n" not in frame or not frame["n"].notna().any():
        return ""
    return counts(frame).replace("a point", "a bar")


def _legend_words(frame: pd.DataFrame) -> str:
    """Say what the whiskers are, where there are any, and what counts as wrong."""
    drawn = "wrong_low" in frame and frame["wrong_low"].notna().any()
    whiskers = "Whiskers: 95 %, upper for correct, lower for all wrong." if drawn else ""
    return sentences(whiskers, "Wrong = stale + confused + fabricated; abstaining is not wrong.")
