"""Pictures: a DataFrame in, a Figure out, in one style that is applied locally.

Arms have a colour and a marker, outcomes a colour, upkeep a line style. Nothing is
computed here beyond positions on the paper; intervals come with the frame.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RC: dict[str, Any] = {
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "errorbar.capsize": 0,
    "legend.frameon": False,
}
WIDTH = 8.0
"""Inches; every figure is as wide as the page it is read on."""


@dataclass(frozen=True, slots=True)
class Look:
    """How an arm is drawn."""

    label: str
    colour: str
    marker: str
    hollow: bool = False


ARMS: dict[str, Look] = {
    "prompt": Look("Prompt only", "#666666", "s"),
    "fewshot": Look("Few-shot prompt", "#666666", "s", hollow=True),
    "rag": Look("RAG", "#0072B2", "o"),
    "finetuned": Look("Fine-tuned", "#D55E00", "^"),
    "finetuned_rag": Look("Fine-tuned + RAG", "#009E73", "D"),
    "raft": Look("Tuned to read + RAG", "#CC79A7", "v"),
    "oracle": Look("Right passage given", "#000000", "_"),
    "oracle_raft": Look("Right passage, tuned to read", "#000000", "_"),
    "prior": Look("Guessing", "#555555", "."),
    "placebo": Look("Placebo", "#D55E00", "^", hollow=True),
}
"""In the order in which tables and figures show them."""

OUTCOMES: dict[str, str] = {
    "correct": "#6F8FAF",
    "abstained": "#E6E6E6",
    "stale": "#E3C65B",
    "confused": "#C65D6F",
    "fabricated": "#4A1230",
}
"""Colours in stacking order: correct starts at 0, the wrong kinds end at 100."""

UPKEEP = {"refreshed": "-", "nightly": "-", "weekly": "--", "monthly": "--", "never": ":"}


def look(arm: str) -> Look:
    """Return how an arm is drawn.

    Raises
    ------
    RagftError
        There is no such arm.
    """
    if arm not in ARMS:
        raise RagftError(f"plot: no arm {arm!r}; there are {', '.join(ARMS)}")
    return ARMS[arm]


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw under the house style, and leave matplotlib's settings as they were."""

    @wraps(draw)
    def drawn(*arguments: Any, **options: Any) -> Figure:
        import matplotlib as mpl

        with mpl.rc_context(RC):
            return draw(*arguments, **options)

    return drawn


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure; the same figure gives the same bytes."""
    import matplotlib as mpl

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with mpl.rc_context(RC):
        figure.savefig(part, format="png", metadata={"Software": None})
    part.replace(path)
    return path


def caption(figure: Figure, text: str) -> None:
    """Write the caption below the picture: n, seeds, corpus, model, hardware."""
    figure.supxlabel(textwrap.fill(text, 138), x=0.008, ha="left", fontsize=7.5, color="#444444")


def _require(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    if not len(frame):
        raise RagftError("plot: there is no data to draw; run the experiment first")
    if missing := [name for name in columns if name not in frame]:
        raise RagftError(f"plot: the data has no column {missing[0]!r}")


def _spread(values: Sequence[float], gap: float) -> list[float]:
    """Push label positions apart to at least `gap`, keeping their order and their middle."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed = [values[i] for i in order]
    for _ in range(200):
        moved = False
        for i in range(1, len(placed)):
            lack = gap - (placed[i] - placed[i - 1])
            if lack > 1e-9:
                placed[i - 1] -= lack / 2
                placed[i] += lack / 2
                moved = True
        if not moved:
            break
    found = [0.0] * len(values)
    for i, position in zip(order, placed, strict=True):
        found[i] = position
    return found


def _darker(colour: str) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(0.78 * part for part in to_rgb(colour))


@styled
def outcomes(frame: pd.DataFrame, title: str = "Outcomes", note: str = "") -> Figure:
    """Draw the shares of the five outcomes, one horizontal bar an arm.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per arm: `arm`, the outcomes as shares in [0, 1] (NaN leaves the arm's wrong
        answers in one piece), and optionally `correct_low`, `correct_high` and `wrong_low`,
        `wrong_high`.
    title, note : str
        Title and caption.

    Raises
    ------
    RagftError
        No rows, or a column is missing.
    """
    import matplotlib.pyplot as plt

    _require(frame, ["arm", "correct", "abstained", "stale", "confused", "fabricated"])
    rows = frame.set_index("arm")
    arms = [arm for arm in ARMS if arm in rows.index]
    figure, axes = plt.subplots(figsize=(WIDTH, 1.15 + 0.36 * len(arms)))
    for place, arm in enumerate(arms):
        _outcome_bar(axes, place, rows.loc[arm])
    axes.set_yticks(range(len(arms)), [look(arm).label for arm in arms])
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="share of all questions, %", title=title)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in OUTCOMES.values()]
    figure.legend(handles, list(OUTCOMES), ncols=5, loc="outside upper right", fontsize=8)
    caption(figure, note)
    return figure


def _outcome_bar(axes: Axes, place: int, row: Mapping[str, float]) -> None:
    import math

    left = 0.0
    for outcome, colour in OUTCOMES.items():
        share = 100 * row[outcome]
        if math.isnan(share):
            continue
        axes.barh(place, share, left=left, height=0.7, color=colour, edgecolor="white", lw=0.5)
        if share >= 8:
            dark = outcome in ("fabricated", "confused", "correct")
            axes.text(
                left + share / 2, place, f"{share:.0f}", ha="center", va="center", fontsize=8,
                color="white" if dark else "#222222",
            )  # fmt: skip
        left += share
    if "correct_low" in row:
        low, high = 100 * row["correct_low"], 100 * row["correct_high"]
        axes.plot([low, high], [place + 0.28] * 2, color="#1F2F3F", lw=1.2)
    if "wrong_low" in row:
        wrong = 100 * (row["stale"] + row["confused"] + row["fabricated"])
        text = f"wrong {wrong:.0f} % [{100 * row['wrong_low']:.0f}, {100 * row['wrong_high']:.0f}]"
        axes.annotate(
            text, (1, place), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=8, annotation_clip=False,
        )  # fmt: skip


@styled
def over_days(
    frame: pd.DataFrame,
    panels: Mapping[str, str],
    title: str = "",
    note: str = "",
    event: Any = None,
) -> Figure:
    """Draw lines over days, one panel a measure, a line per arm and upkeep.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns `arm`, `policy` (its line style is `UPKEEP`'s), `day` (dates), `measure`,
        `mean`, `low`, `high` as shares in [0, 1].
    panels : mapping of measure to axis label
    title, note : str
    event : date, optional
        Marked by a grey vertical line.

    Raises
    ------
    RagftError
        No rows, or a column is missing.
    """
    import matplotlib.pyplot as plt

    _require(frame, ["arm", "policy", "day", "measure", "mean", "low", "high"])
    size = (WIDTH, 0.9 + 2.9 * len(panels))
    figure, grid = plt.subplots(len(panels), 1, figsize=size, sharex=True, squeeze=False)
    for axes, (measure, label) in zip(grid[:, 0], panels.items(), strict=True):
        mine = frame[frame["measure"] == measure]
        ends = [
            _day_line(axes, arm, policy, rows)
            for (arm, policy), rows in mine.groupby(["arm", "policy"], sort=False)
        ]
        axes.set(ylabel=label)
        top = max(5.0, 100 * float(mine["high"].max()))
        axes.set_ylim(0, min(103, 1.12 * top))
        if event is not None:
            axes.axvline(event, color="#888888", lw=1)
        _name_ends(axes, ends)
    grid[0, 0].set_title(title)
    caption(figure, note)
    return figure


def _day_line(axes: Axes, arm: str, policy: str, rows: pd.DataFrame) -> tuple:
    rows = rows.sort_values("day")
    style, thin = look(arm), arm in ("prompt", "prior", "oracle", "oracle_raft")
    axes.plot(
        rows["day"], 100 * rows["mean"], UPKEEP.get(policy, "-"), color=style.colour,
        marker=style.marker, markerfacecolor="white" if style.hollow else style.colour,
        lw=1 if thin else 2, ms=3 if thin else 5,
    )  # fmt: skip
    axes.fill_between(
        rows["day"], 100 * rows["low"], 100 * rows["high"], color=style.colour, alpha=0.15, lw=0
    )
    last = rows.iloc[-1]
    return last["day"], 100 * last["mean"], style, policy


def _name_ends(axes: Axes, ends: Sequence[tuple]) -> None:
    """Write names at the ends of lines, pushed apart, the policy behind the name."""
    low, high = axes.get_ylim()
    places = _spread([y for _, y, _, _ in ends], 0.075 * (high - low))
    for (_, _, style, policy), y in zip(ends, places, strict=True):
        text = f"{style.label}" + (f", {policy}" if policy in UPKEEP else "")
        axes.annotate(
            text, (1, y), xycoords=("axes fraction", "data"), xytext=(6, 0), fontsize=8,
            textcoords="offset points", va="center", color=_darker(style.colour),
            annotation_clip=False, fontweight="bold",
        )  # fmt: skip
