"""What an arm holds in memory while it answers, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragft.plotting.names import settle
from ragft.plotting.style import ARMS, WIDTH, caption, heading, look, require, sentences, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = {
    "weights": ("language model", "#8C510A"),
    "adapter": ("adapter", "#D8B365"),
    "keys and values": ("keys and values", "#C7A76B"),
    "activations": ("activations", "#E8DCC2"),
    "encoder": ("embedding model", "#1F5F5B"),
    "index": ("vectors and postings", "#5AB4AC"),
    "passages": ("text of the passages", "#C7EAE5"),
}
"""Every part: its name and colour; generation brown, retrieval green."""
MIB = 2**20
COUNTED = tuple(part for part in PARTS if part != "activations")
"""Parts that are there whatever the code does; what passes through could be nearly nothing."""
FLOOR = "Beside the bars: MiB, and how many times the floor, which is all but the activations."
SLIVER = 0.004
"""Share of the longest bar below which a part is not drawn in the key."""


@styled
def memory_split(parts: pd.DataFrame, title: str = "", note: str = "") -> Figure:
    """Draw a bar for every arm, a panel for every number of questions answered together.

    Parameters
    ----------
    parts : pandas.DataFrame
        As `experiments.memory.Memory.parts`: `arm`, `together`, `part`, `bytes`.
    title, note : str

    Raises
    ------
    RagftError
        No rows, a column is missing, or an unknown arm.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    require(parts, ["arm", "together", "part", "bytes"])
    for arm in parts["arm"]:
        look(arm)
    arms = [arm for arm in ARMS if arm in set(parts["arm"])]
    sizes = sorted(set(parts["together"]))
    figure, panels = plt.subplots(
        1, len(sizes), figsize=(WIDTH, 1.5 + 0.34 * len(arms)), sharex=True, sharey=True,
        squeeze=False,
    )  # fmt: skip
    wide = parts.assign(mib=parts["bytes"].fillna(0) / MIB).pivot_table(
        index=["together", "arm"], columns="part", values="mib"
    )
    longest = float(wide.sum(axis=1).max())
    for axes, size in zip(panels[0], sizes, strict=True):
        _bars(axes, wide.loc[size].reindex(arms), longest)
        axes.set_title(f"{size} question{'s' if size > 1 else ''} at once")
        axes.set_xlabel("MiB held")
    drawn = [part for part in PARTS if wide[part].max() > SLIVER * longest]
    keys = [Patch(color=PARTS[part][1], label=PARTS[part][0]) for part in drawn]
    figure.legend(handles=keys, loc="outside right center", fontsize=8)
    heading(figure, title)
    caption(figure, sentences(FLOOR, note))
    settle(figure)
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, longest: float) -> None:
    left = rows[next(iter(PARTS))] * 0
    for part, (_, colour) in PARTS.items():
        axes.barh(range(len(rows)), rows[part], left=left, color=colour, height=0.7)
        left = left + rows[part]
    least = rows[list(COUNTED)].sum(axis=1)
    for place, (total, floor) in enumerate(zip(left, least, strict=True)):
        axes.annotate(
            f"{total:,.0f}, {total / floor:.2f}×", (total, place), xytext=(3, 0),
            textcoords="offset points", va="center", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [look(arm).label for arm in rows.index])
    axes.set(xlim=(0, 1.3 * longest), ylim=(len(rows) - 0.5, -0.5))
    axes.grid(axis="y", visible=False)
