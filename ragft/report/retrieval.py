"""Retrieval and the answers made from it as DataFrames, in the columns that the pictures want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragft.report.text import percent

if TYPE_CHECKING:
    import pandas as pd

CUT = ["strategy", "size", "overlap"]


def short_name(corpus: str) -> str:
    """Return what a picture calls a corpus: 'made-up world', a package, or its own name."""
    if corpus.startswith("world"):
        return "made-up world"
    return corpus.removeprefix("packages:").partition("==")[0]


def stages_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Return every stage of every collection: a row each, a column a measure, 'mean [low, high]'.

    Parameters
    ----------
    summary : DataFrame
        As `experiments.retrieval_quality.Quality.summary`.
    """
    shown = summary.assign(
        shown=[
            f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
            for row in summary.to_dict("records")
        ]
    )
    keys = ["set", "part", "stage", "n"]
    wide = shown.pivot_table(
        index=keys, columns="measure", values="shown", aggfunc="first", sort=False
    )
    return wide.reset_index("n")


def marks_table(marks: pd.DataFrame) -> pd.DataFrame:
    """Return how often documents of each mark come first, per set and stage, in per cent."""
    if marks.empty:
        return marks
    shown = marks.assign(shown=[percent(row) for row in marks.to_dict("records")])
    wide = shown.pivot(index=["set", "part", "stage", "n"], columns="first", values="shown")
    return wide.reset_index("n")


def found_frame(summary: pd.DataFrame, strategy: str = "") -> pd.DataFrame:
    """Return what was found beside what was answered, for `plotting.found_and_right`.

    Parameters
    ----------
    summary : DataFrame
        As `experiments.retrieval_answers.RetrievalAnswers.summary`.
    strategy : str
        How documents were cut; '' is each task's own way.
    """
    mine = summary[summary["strategy"] == strategy]
    keys = ["corpus", "retriever", "top_k"]
    parts = []
    for measure in ("found", "accuracy"):
        rows = mine[mine["measure"] == measure].set_index(keys)
        named = {"mean": measure, "low": f"{measure}_low", "high": f"{measure}_high"}
        parts.append(rows[[*named, "n"]].rename(columns=named))
    both = parts[0].drop(columns="n").join(parts[1]).reset_index()
    return both.assign(corpus=both["corpus"].map(short_name))


def both_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Return retrieval and answers on one row: a row a corpus and way, shares in per cent."""
    keys = ["corpus", "retriever", "top_k", *CUT]
    shown = summary.assign(
        corpus=summary["corpus"].map(short_name),
        shown=[percent(row) for row in summary.to_dict("records")],
    )
    wide = shown.pivot_table(
        index=keys, columns="measure", values="shown", aggfunc="first", sort=False
    )
    order = ["found", "accuracy", "hallucination", "abstained"]
    return wide[[name for name in order if name in wide]]


def cuts_frame(summary: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return shares over the size of passages, for `plotting.dose_response`.

    Parameters
    ----------
    summary : DataFrame
        As `experiments.retrieval_answers.RetrievalAnswers.summary`; only what was cut into
        passages of some size and no overlap.
    names : mapping
        Measure to what its line is called.
    """
    rows = summary[(summary["overlap"] == 0) & ~summary["strategy"].isin(("", "whole"))]
    rows = rows[rows["measure"].isin(list(names))]
    several = rows["corpus"].nunique() > 1
    series: list[Any] = [
        f"{names[row['measure']]}, {short_name(row['corpus'])}"
        if several
        else names[row["measure"]]
        for row in rows.to_dict("records")
    ]
    return rows.assign(series=series, x=rows["size"])[["series", "x", "mean", "low", "high", "n"]]
