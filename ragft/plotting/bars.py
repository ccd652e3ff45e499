"""What became of the questions: bars of outcome shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ragft.plotting.style import ARMS, OUTCOMES, WIDTH, caption, look, require, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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

    require(frame, ["arm", "correct", "abstained", "stale", "confused", "fabricated"])
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
