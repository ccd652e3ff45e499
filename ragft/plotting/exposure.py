"""What the weights tell of their training data, over how often it was repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragft.plotting.names import Name, name_ends
from ragft.plotting.style import (
    GREY,
    REFERENCE,
    SMALL,
    WIDTH,
    caption,
    counts,
    halo,
    heading,
    look,
    require,
    sentences,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ["series", "arm", "x", "mean", "low", "high", "n"]


@styled
def memorised(
    exposures: pd.DataFrame,
    membership: pd.DataFrame,
    title: str = "",
    note: str = "",
    *,
    chance: float = 1.44,
    most: float | None = None,
) -> Figure:
    """Draw the exposure of secrets, and how well trained examples are told from others.

    Parameters
    ----------
    exposures : pandas.DataFrame
        One row per series and number of repeats: `series`, `arm` (None for what is not trained),
        `x` (repeats), `mean`, `low`, `high` (bits), `n`.
    membership : pandas.DataFrame
        The same columns, with areas under the curve in [0, 1].
    title, note : str
        Title; and what the data does not tell: seeds, corpus, model, hardware.
    chance : float
        Exposure of a secret that was never seen, in bits.
    most : float, optional
        The largest exposure that could be measured.

    Raises
    ------
    RagftError
        No rows, or a missing column.
    """
    import matplotlib.pyplot as plt

    require(exposures, COLUMNS)
    require(membership, COLUMNS)
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.5))
    names = [(axes, _points(axes, rows)) for axes, rows in ((left, exposures), (right, membership))]
    _reference(left, chance, "never seen", at_end=True)
    if most is not None:
        _reference(left, most, "most that could be measured")
    top = max(float(exposures["high"].max()), chance, most or 0.0)
    left.set(ylim=(0, 1.12 * top), ylabel="exposure, bits", title="Secrets")
    _reference(right, 0.5, "a toss of a coin")
    lowest = min(0.45, float(membership["low"].min()))
    right.set(ylim=(lowest, 1.02), ylabel="AUC, trained against not", title="Trained examples")
    heading(figure, title)
    both = counts(exposures), counts(membership)
    told = f"Left: {both[0][:-1].replace('questions', 'secrets')}; right: {both[1]}"
    caption(figure, sentences(told.replace("questions", "examples"), "Bars: 95 %.", note))
    name_ends(figure, names)
    return figure


def _points(axes: Axes, frame: pd.DataFrame) -> list[Name]:
    """Draw a point with its bar for every number of repeats; return what stands at the ends."""
    names = []
    repeats = sorted(frame["x"].unique())
    places = {x: place for place, x in enumerate(repeats)}
    for series, rows in frame.groupby("series", sort=False):
        style = look(rows["arm"].iloc[0]) if isinstance(rows["arm"].iloc[0], str) else None
        colour = style.colour if style else GREY
        at = [places[x] for x in rows["x"]]
        axes.vlines(at, rows["low"], rows["high"], color=colour, lw=2, clip_on=False)
        axes.plot(
            at, rows["mean"], color=colour, marker=style.marker if style else "s",
            markerfacecolor=colour if style else "white", lw=1.2, clip_on=False, zorder=3,
            label=str(series),
        )  # fmt: skip
        names.append(Name(at[-1], float(rows["mean"].iloc[-1]), str(series), "", colour))
    axes.set_xticks(range(len(repeats)), [f"{x:g}" for x in repeats])
    axes.set_xlim(-0.3, len(repeats) - 0.9)
    axes.set_xlabel("repeats in the training data")
    return names


def _reference(axes: Axes, value: float, text: str, *, at_end: bool = False) -> None:
    """Draw a line across, named between the first two points, or the last two."""
    axes.axhline(value, color=REFERENCE, lw=0.9, ls=(0, (1, 2)), zorder=1)
    between = max(0, len(axes.get_xticks()) - 2) + 0.5 if at_end else 0.5
    axes.annotate(
        text, (between, value), xytext=(0, 2), textcoords="offset points", ha="center",
        color=GREY, fontsize=SMALL, path_effects=halo(),
    )  # fmt: skip
