"""Ways of searching: how well each ranks, and what is shown against what is answered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragft.plotting.style import (
    REFERENCE,
    SMALL,
    WIDTH,
    Look,
    caption,
    counts,
    darker,
    halo,
    heading,
    require,
    sentences,
    styled,
)
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGES = {
    "bm25": Look("BM25", "#8C510A", "s"),
    "dense": Look("dense", "#6A51A3", "^"),
    "hybrid": Look("hybrid", "#1F5F5B", "o"),
    "hybrid, reranked": Look("hybrid, reranked", "#1F5F5B", "D"),
    "dense, tuned": Look("dense, tuned", "#6A51A3", "v"),
    "hybrid, tuned": Look("hybrid, tuned", "#1F5F5B", "P"),
}
"""Every way of searching, in the order of the rows."""
MEASURES = {"ndcg": "nDCG@10", "recall": "recall@10", "mrr": "MRR@10"}
PARTS = {"whole": 0.0, "held out": 0.26}
"""Of a collection, and how far below its row each is drawn; held-out halves are hollow."""
ROW = 0.34
"""Inches from one row to the next."""
MOST = 4
"""Panels that stand beside each other."""
_HOLLOW = "Hollow: only the half of the documents that nothing was trained on, searched by itself."


@styled
def stage_scores(
    summary: pd.DataFrame, title: str = "", note: str = "", measure: str = "ndcg"
) -> Figure:
    """Draw how well every stage ranks, a panel a collection and a row a stage.

    Parameters
    ----------
    summary : pandas.DataFrame
        As `experiments.retrieval_quality.Quality.summary`: one row per `set`, `part`, `stage` and
        `measure`, with `mean`, `low`, `high` and `n`.
    title, note : str
    measure : {'ndcg', 'recall', 'mrr'}

    Raises
    ------
    RagftError
        No rows, a column is missing, more than four collections, or an unknown stage or measure.
    """
    import matplotlib.pyplot as plt

    require(summary, ["set", "part", "stage", "measure", "mean", "low", "high", "n"])
    frame = summary[summary["measure"] == measure]
    require(frame, ["set"])
    sets = list(dict.fromkeys(frame["set"]))
    _known(frame["stage"], STAGES, "stage")
    _few(sets)
    stages = [stage for stage in STAGES if stage in set(frame["stage"])]
    figure, panels = plt.subplots(
        1, len(sets), figsize=(WIDTH, ROW * len(stages) + 1.5), sharey=True, squeeze=False
    )
    for axes, name in zip(panels[0], sets, strict=True):
        _scores(axes, frame[frame["set"] == name], stages)
        axes.set_title(name)
        axes.set_xlabel(MEASURES.get(measure, measure))
    panels[0][0].set_yticks(range(len(stages)), [STAGES[stage].label for stage in stages])
    panels[0][0].set_ylim(len(stages) - 0.4, -0.6)
    heading(figure, title)
    hollow = _HOLLOW if "held out" in set(frame["part"]) else ""
    caption(figure, sentences(counts(frame), "Bars: 95 %.", hollow, note))
    return figure


def _scores(axes: Axes, rows: pd.DataFrame, stages: Sequence[str]) -> None:
    """Draw one collection: a mark and its interval a stage and part, the value beside it."""
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.03)  # room for a mark at 1
    for row in rows.to_dict("records"):
        style, below = STAGES[row["stage"]], PARTS[row["part"]]
        at = stages.index(row["stage"]) + below
        axes.plot([row["low"], row["high"]], [at, at], color=style.colour, lw=1.4, zorder=2)
        axes.plot(
            row["mean"], at, style.marker, color=style.colour, ms=5, zorder=3,
            markerfacecolor="white" if below else style.colour,
        )  # fmt: skip
        # On the side where there is room.
        left = row["high"] > 0.75
        axes.annotate(
            f"{row['mean']:.3f}", (row["low"] if left else row["high"], at),
            xytext=(-4 if left else 4, 0), textcoords="offset points",
            ha="right" if left else "left", va="center", fontsize=SMALL,
            color=darker(style.colour), path_effects=halo(),
        )  # fmt: skip


@styled
def found_and_right(summary: pd.DataFrame, title: str = "", note: str = "") -> Figure:
    """Draw correct answers against the questions whose document was shown, a panel a corpus.

    Parameters
    ----------
    summary : pandas.DataFrame
        As `report.found_frame` makes it: one row per `corpus`, `retriever` and `top_k`, with
        `found`, `accuracy` and the ends of their intervals (`_low`, `_high`), and `n`.
    title, note : str

    Raises
    ------
    RagftError
        No rows, a column is missing, more than four corpora, or an unknown retriever.
    """
    import matplotlib.pyplot as plt

    ends = ("", "_low", "_high")
    wanted = [f"{name}{end}" for name in ("found", "accuracy") for end in ends]
    require(summary, ["corpus", "retriever", "top_k", "n", *wanted])
    corpora = list(dict.fromkeys(summary["corpus"]))
    _known(summary["retriever"], STAGES, "retriever")
    _few(corpora)
    figure, panels = plt.subplots(1, len(corpora), figsize=(WIDTH, 4.1), squeeze=False)
    for axes, corpus in zip(panels[0], corpora, strict=True):
        rows = summary[summary["corpus"] == corpus]
        span = _span(rows)
        axes.grid(visible=True, axis="both")
        axes.set(xlim=span, ylim=span, xlabel="questions whose document was shown, %")
        axes.set_title(corpus)
        axes.plot(span, span, color=REFERENCE, lw=0.8, zorder=1, label="_diagonal")
        for retriever, part in rows.groupby("retriever", sort=False):
            _way(axes, STAGES[str(retriever)], part.sort_values("top_k"))
    panels[0][0].set_ylabel("correct answers, %")
    heading(figure, title)
    told = "Numbers: passages shown. Thin grey: as many right as found. Bars: 95 %."
    told += " Each panel has a scale of its own." if len(corpora) > 1 else ""
    caption(figure, sentences(counts(summary), told, note))
    # The lines end in one corner, where no names would fit.
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return figure


def _span(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of a panel's axes, in per cent: of its own values, up to 100 and a little."""
    lowest = 100 * float(rows[["found_low", "accuracy_low"]].astype(float).min().min())
    start = 0.0 if lowest < 20 else 5.0 * math.floor(lowest / 5)
    return start - 0.04 * (100 - start) if start else 0.0, 100 + 0.08 * (100 - start)


def _way(axes: Axes, style: Look, rows: pd.DataFrame) -> None:
    """Draw one retriever: a line over the numbers of passages shown, each with both intervals."""
    values = {name: 100 * rows[name].astype(float) for name in rows if name not in _PLAIN}
    x, y = values["found"], values["accuracy"]
    line = {"color": style.colour, "lw": 1.2, "marker": style.marker, "ms": 5}
    axes.plot(x, y, "-", label=style.label, zorder=3, **line)
    bars = {"color": style.colour, "lw": 0.8, "alpha": 0.6, "zorder": 2}
    axes.hlines(y, values["found_low"], values["found_high"], **bars)
    axes.vlines(x, values["accuracy_low"], values["accuracy_high"], **bars)
    for at, right, shown in zip(x, y, rows["top_k"], strict=True):
        axes.annotate(
            str(shown), (at, right), xytext=(4, -9), textcoords="offset points", fontsize=SMALL,
            color=darker(style.colour), path_effects=halo(),
        )  # fmt: skip


_PLAIN = ("corpus", "retriever", "top_k", "n")


def _known(given: pd.Series, known: dict[str, Look], what: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise RagftError(f"plot: no {what} {unknown[0]!r}; there are {', '.join(known)}")


def _few(panels: Sequence[str]) -> None:
    if len(panels) > MOST:
        raise RagftError(f"plot: {len(panels)} collections are too many for one figure; {MOST} fit")
