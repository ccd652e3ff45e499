"""How things look: the house style, the colours of arms, saving, captions.

No data is drawn here, and matplotlib's settings are only ever changed within `styled`.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.files import atomic_write
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
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
SMALL = 7.5
"""Points; nothing is written smaller."""
REFERENCE = "#555555"
"""Colour of lines that are no arm's."""
GREY = "#444444"
"""Colour of captions and side remarks."""


@dataclass(frozen=True, slots=True)
class Look:
    """How an arm is drawn."""

    label: str
    colour: str
    marker: str
    hollow: bool = False
    line: str = ""
    """The line style of an arm that needs no upkeep, drawn thin; '' = it is `UPKEEP`'s."""


ARMS: dict[str, Look] = {
    "prompt": Look("Prompt only", "#666666", "s", line="-"),
    "fewshot": Look("Few-shot prompt", "#666666", "s", hollow=True, line="-"),
    "rag": Look("RAG", "#0072B2", "o"),
    "finetuned": Look("Fine-tuned", "#D55E00", "^"),
    "finetuned_rag": Look("Fine-tuned + RAG", "#009E73", "D"),
    "raft": Look("Tuned to read + RAG", "#CC79A7", "v"),
    "oracle": Look("Right passage given", "#000000", "_", line="--"),
    "oracle_raft": Look("Right passage, tuned to read", "#000000", "_", line="--"),
    "prior": Look("Guessing", "#555555", ".", line=":"),
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

UPKEEP = {
    "refreshed": "-",
    "at once": "-",
    "nightly": "-",
    "continued": "-",
    "rehearsed": "-",
    "weekly": "--",
    "monthly": "--",
    "each release": "--",
    "kept": "-.",
    "never": ":",
}
"""Line style of a policy: solid follows, dashed is late, dotted stays as it was."""

_INDEX = {
    "never": "never re-indexed",
    "weekly": "index weekly",
    "nightly": "index nightly",
    "at once": "index at once",
    "kept": "old versions kept",
}
_POLICIES: dict[str, dict[str, str]] = {
    "rag": _INDEX,
    "raft": _INDEX,
    "finetuned": {
        "never": "never again",
        "monthly": "retrained monthly",
        "each release": "retrained each release",
        "continued": "continued LoRA",
        "rehearsed": "continued, rehearsed",
    },
    "finetuned_rag": {
        "never": "neither again",
        "nightly": "index nightly,\nadapter never",
        "at once": "index at once,\nadapter never",
        "monthly": "index nightly,\nadapter monthly",
        "each release": "index at once,\nadapter each release",
    },
}
_SHORT = {
    "nightly": "index nightly",
    "at once": "index at once",
    "monthly": "and adapter\nmonthly",
    "each release": "and adapter\neach release",
}
"""What the arm that has both keeps up."""
_KEPT = {"kept": "old versions\nkept"}


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


def policy_words(arm: str, policy: str) -> str:
    """Return what a policy means for an arm, such as 'index nightly'; at most two lines."""
    return _POLICIES.get(arm, {}).get(policy, policy)


def policy_word(arm: str, policy: str) -> str:
    """Return the same in short, for a place where the arm is known; at most two lines."""
    return (_SHORT if arm == "finetuned_rag" else _KEPT).get(policy, policy)


def line_width(arm: str, policy: str) -> float:
    """Return a line's width in points: references are thin, as is the second solid of a pair."""
    if look(arm).line:
        return 1.0
    return 1.2 if policy in ("at once", "rehearsed") else 2.0


def line_style(arm: str, policy: str) -> str:
    """Return a line's style: the upkeep's, or a reference's own."""
    return look(arm).line or UPKEEP.get(policy, "-")


def darker(colour: str) -> tuple[float, ...]:
    """Return a colour dark enough for text on white."""
    from matplotlib.colors import to_rgb

    return tuple(0.78 * part for part in to_rgb(colour))


def halo() -> list:
    """Return the white rim of texts that may lie on lines."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.5, foreground="white")]


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

    drawn = io.BytesIO()
    with mpl.rc_context(RC):
        figure.savefig(drawn, format="png", metadata={"Software": None})
    return atomic_write(path, drawn.getvalue())


def caption(figure: Figure, text: str) -> None:
    """Write the caption below the picture: n, seeds, corpus, model, hardware."""
    held = "\N{NO-BREAK SPACE}%"  # a number and its % stay on one line
    lines = textwrap.fill(text.replace(" %", held), 138).replace(held, " %")
    figure.supxlabel(lines, x=0.008, ha="left", fontsize=SMALL, color=GREY, parse_math=False)


def heading(figure: Figure, text: str) -> None:
    """Write the title of a figure of several panels; '' writes none."""
    if text:
        figure.suptitle(text, x=0.008, ha="left", fontsize=11, fontweight="bold")


def sentences(*parts: str) -> str:
    """Join the parts of a caption that are not empty."""
    return " ".join(part for part in parts if part)


def counts(frame: pd.DataFrame) -> str:
    """Return 'n = 118 to 120 questions a point.' from the column `n`."""
    low, high = int(frame["n"].min()), int(frame["n"].max())
    return f"n = {low:,}{f' to {high:,}' if high > low else ''} questions a point."


def require(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a frame without rows, or without one of the columns.

    Raises
    ------
    RagftError
        With the first column that is missing.
    """
    if not len(frame):
        raise RagftError("plot: there is no data to draw; run the experiment first")
    if missing := [name for name in columns if name not in frame]:
        raise RagftError(f"plot: the data has no column {missing[0]!r}")


def wrap(
    text: str, width: float, size: float, *, lines: int | None = None, bold: bool = False
) -> list[str]:
    """Break a text into lines of at most `width` inches; what does not fit ends in '…'."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")

    def fits(line: str) -> bool:
        return text_to_path.get_text_width_height_descent(line, font, False)[0] <= 72 * width

    found = [""]
    for word in text.split():
        longer = f"{found[-1]} {word}".strip()
        if not found[-1] or fits(longer):
            found[-1] = longer
        else:
            found.append(word)
    if lines is None or len(found) <= lines:
        return found
    last = found[lines - 1]
    while last and not fits(f"{last} …"):
        last = last.rpartition(" ")[0]
    return [*found[: lines - 1], f"{last} …"]
