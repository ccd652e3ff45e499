"""Retrieval drift over a real history: an index made on one day, asked on later days.

Without any label or model: on each day headings and sentences of the documents in force on it are
the questions, cut out of what is indexed (`corpora.known_item`). They go to the index as it was
made, which nobody kept up, and to one refreshed that day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.corpora.corpus import Corpus
from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.history_cells import INDEXES, VERSION, Work, asked_days
from ragft.profiles import Profile, profile
from ragft.records import Records

if TYPE_CHECKING:
    import pandas as pd

    from ragft.retrieval.index import EmbedsTexts

MEASURES = ("recall", "rr", "held")
"""Recall@10, reciprocal rank within the first 10, and whether the index held the words at all."""
DAYS = 6


class History(Finished):
    """What a drift experiment found: an answer per day, index and question."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per day × index: `n`, `passages`, and `recall@10`, `mrr`, `held`.

        Each of the last three also with `_low` and `_high`.
        """
        return _dated(self.results["summary"])

    @cached_property
    def differences(self) -> pd.DataFrame:
        """One row per day: recall of the refreshed index minus that of the one as made, with p."""
        return _dated(self.results["differences"])


def history_drift(
    corpus: Corpus,
    *,
    retriever: str = "bm25",
    made_on: date | None = None,
    days: int | Sequence[date] = DAYS,
    n: int | None = None,
    seed: int = 0,
    base: str | Profile = "cpu",
    out: str | Path = "results",
    embedder: EmbedsTexts | None = None,
    progress: bool = True,
) -> History:
    """Ask an index made on one day, and a refreshed one, on later days.

    A question is a heading or a sentence of a passage in force on the day it is asked; an index
    is right where it finds, among the first 10, a passage of the same file that held the same
    words. The words are cut out of both indexes. An index that never held them (the file or the
    passage came later) has missed it, and `held` says how often that is so.

    Parameters
    ----------
    corpus : Corpus
        With dates, such as `Corpus.from_git(...)`.
    retriever : {'bm25', 'dense', 'hybrid'}
        BM25 needs no model.
    made_on : date, optional
        When the index is made; by default the first day that is asked.
    days : int or sequence of date
        The days on which questions are asked. A number takes so many, evenly spread over the
        days on which something changed, the last one included; the first is `made_on`, where
        given, and else lies a quarter into them.
    n : int, optional
        Questions on each day, at most; the profile's `questions` where None.
    seed : int
        Of the draw; a sentence drawn on one day is drawn again on the next, where it still
        stands.
    base : Profile or its name
        Gives sizes; passages never overlap.
    out : path
        Folder of the records.
    embedder : Embedder, optional
        With a `model_hash`; the profile's embedding model where None, never with BM25.
    progress : bool
        Show a bar over the cells.

    Returns
    -------
    History
        Intervals resample files, see `evaluation.statistics.mean_interval`.

    Raises
    ------
    RagftError
        No dates in the corpus, a day on which nothing held or that lies before the index was
        made, fewer than two days, or nothing to ask about on a day.
    """
    sizes = profile(base, retriever=retriever)
    sizes = replace(sizes, questions=n or sizes.questions, seeds=(seed,))
    chosen = asked_days(corpus, days, made_on)
    work = Work(corpus, made_on or chosen[0], sizes, embedder)
    records = Records(out, smoke=sizes.name == "smoke")
    origin = corpus.origin.to_dict() if corpus.origin else {}
    return run_cells(
        History,
        "history",
        [(day, index) for day in chosen for index in INDEXES],
        work.key,
        work.compute,
        lambda frames, notes: _summed_up(frames, notes, work.made_on, sizes),
        records=records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "version": VERSION},
        parameters={
            "corpus": corpus.name,
            "origin": {k: v for k, v in origin.items() if k not in ("skipped", "hidden")},
            "made_on": work.made_on.isoformat(),
            "days": [day.isoformat() for day in chosen],
            "questions": sizes.questions,
        },
        hashes={"corpus": corpus.content_hash, "embedding_model": work.model_hash},
        progress=progress,
    )


def _summed_up(
    frames: Sequence[pd.DataFrame],
    notes: Sequence[dict[str, Any]],
    made_on: date,
    sizes: Profile,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return all answers, and the results: a row per day and index, a difference per day."""
    import pandas as pd

    from ragft.evaluation.statistics import paired_difference

    options = {"level": sizes.level, "n_boot": sizes.n_boot}
    summary, differences, rows = [], [], []
    for place in range(0, len(frames), len(INDEXES)):
        pair, told = frames[place : place + 2], notes[place : place + 2]
        day = pair[0]["day"].iloc[0]
        for index, frame, note in zip(INDEXES, pair, told, strict=True):
            summary.append({"day": day, "index": index, **_measured(frame, options), **note})
            rows.append(frame.assign(index=index))
        clusters = pair[0]["cluster"].tolist()
        gap = paired_difference(pair[1]["recall"], pair[0]["recall"], clusters, **options)
        differences.append({"day": day, "measure": "recall@10", **gap.to_dict()})
    results = {
        "made_on": made_on.isoformat(),
        "retriever": sizes.retriever,
        "summary": summary,
        "differences": differences,
    }
    return pd.concat(rows, ignore_index=True), results


def _measured(frame: pd.DataFrame, options: dict[str, Any]) -> dict[str, Any]:
    from ragft.evaluation.statistics import mean_interval

    clusters = frame["cluster"].tolist()
    named = {"recall": "recall@10", "rr": "mrr", "held": "held"}
    return {"n": len(frame)} | {
        named[measure]: mean_interval(frame[measure], clusters, **options).to_dict()
        for measure in MEASURES
    }


def _dated(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return rows of a record as a frame, an interval as three columns, days as dates."""
    import pandas as pd

    flat = [
        {
            column: part
            for name, value in row.items()
            for column, part in _columns(name, value).items()
        }
        for row in rows
    ]
    frame = pd.DataFrame(flat)
    return frame.assign(day=pd.to_datetime(frame["day"]))


def _columns(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    if "mean" not in value:
        return {}
    return {name: value["mean"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
