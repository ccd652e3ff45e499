"""Kinds of vector index: how long a search takes over how many vectors, and what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragft.plotting.names import Name, name_ends
from ragft.plotting.scales import log_axis
from ragft.plotting.style import REFERENCE, WIDTH, caption, heading, require, styled
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = {
    "exact": ("exact", "#1F5F5B", "o"),
    "hnsw": ("HNSW", "#8C510A", "s"),
    "ivf": ("IVF", "#6A51A3", "^"),
}
"""Every kind: its name, colour and marker."""
COLUMNS = ["kind", "vectors", "p50", "p95", "recall", "recall_low", "recall_high", "floor", "n"]


@styled
def search_curves(summary: pd.DataFrame, title: str = "", note: str = "") -> Figure:
    """Draw the time of a search and the share of true neighbours found, by kind of index.

    Parameters
    ----------
    summary : pandas.DataFrame
        As `experiments.index_kinds.IndexKinds.summary`: one row per `kind` and number of
        `vectors`, with `p50`, `p95` and `floor` (milliseconds; NaN where nothing is counted),
        `recall`, `recall_low`, `recall_high` and `n`.
    title, note : str

    Raises
    ------
    RagftError
        No rows, a column is missing, or an unknown kind.
    """
    import matplotlib.pyplot as plt

    require(summary, COLUMNS)
    unknown = sorted(set(summary["kind"]) - set(KINDS))
    if unknown:
        raise RagftError(f"search_curves: no kind {unknown[0]!r}; there are {', '.join(KINDS)}")
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6), width_ratios=[3, 2])
    parts = {kind: summary[summary["kind"] == kind].sort_values("vectors") for kind in KINDS}
    parts = {kind: rows for kind, rows in parts.items() if len(rows)}
    times = [_times(left, kind, rows) for kind, rows in parts.items()]
    found = [_found(right, kind, rows) for kind, rows in parts.items()]
    for axes in (left, right):
        log_axis(axes, summary["vectors"].min(), summary["vectors"].max(), room=1.1)
        axes.set_xlabel("vectors in the index (log)")
    seen = summary[["p50", "p95", "floor"]].astype(float).stack()
    log_axis(left, seen.min(), seen.max(), room=1.3, axis="y")
    left.set_ylabel("one search, ms (log)")
    right.set(ylabel="share of the true neighbours found", ylim=(0, 1.02))
    heading(figure, title)
    fewest = int(summary["n"].min())
    told = (
        f"n = {fewest} searches a point. Thick p50, thin p95; thin grey: the floor, reading every "
        "vector or its codes."
    )
    caption(figure, " ".join(part for part in (told, note) if part))
    name_ends(figure, [(left, times), (right, found)])
    return figure


def _times(axes: Axes, kind: str, rows: pd.DataFrame) -> Name:
    label, colour, marker = KINDS[kind]
    axes.plot(rows["vectors"], rows["p50"], "-", color=colour, lw=2, marker=marker, ms=4)
    axes.plot(rows["vectors"], rows["p95"], "-", color=colour, lw=1)
    floors, end, plain = rows["floor"].astype(float), rows.iloc[-1], ""
    if floors.notna().any():
        axes.plot(rows["vectors"], floors, color=REFERENCE, lw=0.7, label="_floor")
        plain = f"{end['p50'] / floors.iloc[-1]:.1f}× its floor"
    return Name(0, float(end["p50"]), label, plain, colour)


def _found(axes: Axes, kind: str, rows: pd.DataFrame) -> Name:
    label, colour, marker = KINDS[kind]
    limits = rows[["recall_low", "recall_high"]].astype(float)
    axes.plot(rows["vectors"], rows["recall"], "-", color=colour, lw=2, marker=marker, ms=4)
    axes.fill_between(
        rows["vectors"], limits["recall_low"], limits["recall_high"], color=colour, alpha=0.15, lw=0
    )
    end = rows.iloc[-1]
    return Name(0, float(end["recall"]), label, f"{end['recall']:.2f}", colour)
