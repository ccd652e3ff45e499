"""Where among the passages the right one stood, and whether it was still read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ragft.plotting.checks import check_lines
from ragft.plotting.doses import BANDS, draw_curve
from ragft.plotting.names import name_ends
from ragft.plotting.style import (
    ARMS,
    WIDTH,
    caption,
    counts,
    heading,
    line_width,
    look,
    require,
    sentences,
    styled,
)
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@styled
def position_curve(frame: pd.DataFrame, title: str = "", note: str = "") -> Figure:
    """Draw correct answers against the place of the right passage, a line with its band an arm.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per arm and place: `arm`, `position` (1 for the first passage shown, up to k,
        the highest in the frame), `mean`, `low`, `high` (shares in [0, 1]: correct answers;
        NaN leaves a gap), `n`.
    title, note : str
        Title; and what the data does not tell: seeds, corpus, model, hardware.

    Raises
    ------
    RagftError
        No rows or no mean to draw, a missing column, an unknown arm, an arm that has a place
        twice, a mean outside [0, 1], or a place that is no whole number from 1 on.
    """
    import matplotlib.pyplot as plt

    require(frame, ["arm", "position", "mean", "low", "high", "n"])
    check_lines(frame, "arm", "position")
    places = frame["position"].astype(float)
    if (strange := places[(places < 1) | (places % 1 != 0)]).size:
        raise RagftError(f"plot: position {strange.iloc[0]:g} is no whole number from 1 on")
    k = int(places.max())
    figure, axes = plt.subplots(figsize=(WIDTH, 3.7))
    axes.set(xlim=(1 - 0.015 * k, max(k, 2)), ylim=(0, 100), ylabel="correct, %")
    axes.set_xlabel(f"place of the right passage among the {k} shown (1 = first)")
    axes.set_xticks(range(1, k + 1, 1 + (k - 1) // 20))
    for arm in frame["arm"]:
        look(arm)
    names = [
        draw_curve(
            axes, frame[frame["arm"] == arm].assign(at=places), look(arm), line_width(arm, "")
        )
        for arm in ARMS
        if arm in set(frame["arm"])
    ]
    heading(figure, title)
    known = frame[frame["n"].notna()]
    caption(figure, sentences(counts(known) if len(known) else "", BANDS, note))
    name_ends(figure, [(axes, [name for name in names if math.isfinite(name.y)])])
    return figure
