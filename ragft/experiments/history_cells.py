"""The cells of a drift experiment: which days are asked, and what asking one takes.

A cell is a day and an index, the one as it was made or the one refreshed that day. What is made of
the cells lives in `history`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ragft.corpora.corpus import Corpus
from ragft.corpora.known_item import Item, KnownItems, cut, known_items
from ragft.experiments.embedder import embedder_of
from ragft.experiments.known_item import STRATEGY, nothing_to_ask, pieces
from ragft.experiments.retrieval import CUTOFF, retrieve
from ragft.profiles import Profile
from ragft.records import content_key
from ragft.types import Document, RagftError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ragft.retrieval.index import EmbedsTexts

INDEXES = ("as made", "refreshed")
"""The index of the first day, and that of the day of the questions."""
NOT_THERE = "not in the index"
"""Stands for the passage that an index made earlier does not have, so that it is missed."""
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


def asked_days(
    corpus: Corpus, days: int | Sequence[date], made_on: date | None = None
) -> tuple[date, ...]:
    """Return the days on which questions are asked, the first of them the index's own.

    Parameters
    ----------
    corpus : Corpus
        With dates.
    days : int or sequence of date
        How many, or which; see `history.history_drift`.
    made_on : date, optional

    Raises
    ------
    RagftError
        No dates, fewer than two days, or one on which no document was in force or that lies
        before the index is made.

    Examples
    --------
    >>> versions = [Document(f"a@{d}", "a", valid_from=date(2024, 1, d)) for d in range(1, 10)]
    >>> [day.day for day in asked_days(Corpus(versions), 3)]
    [3, 6, 9]
    """
    name, changed = corpus.name or "the corpus", corpus.days
    if not changed:
        raise RagftError(
            f"{name}: no document has a date, so there is no history; give a git repository, or "
            "documents with valid_from."
        )
    found = _spread(changed, days, made_on) if isinstance(days, int) else sorted(set(days))
    if made_on and found and found[0] < made_on:
        raise RagftError(f"days: {found[0]} lies before the day the index is made, {made_on}.")
    found = sorted({*found, *([made_on] if made_on else [])})
    if len(found) < 2:
        raise RagftError(
            f"{name}: drift needs 2 days or more, and there are {len(found)}; something changed on "
            f"{len(changed)} days, from {changed[0]} to {changed[-1]}."
        )
    for day in found:
        if not any(document.holds_on(day) for document in corpus.documents):
            raise RagftError(f"{name}: no document was in force on {day}; choose another day.")
    return tuple(found)


def _spread(changed: Sequence[date], count: int, made_on: date | None) -> list[date]:
    """Return `count` days on which something changed, evenly spread, the last one included."""
    if made_on:
        changed = [day for day in changed if day > made_on]
        count = min(count - 1, len(changed))
        return [changed[round((i + 1) * len(changed) / count) - 1] for i in range(count)]
    changed = changed[len(changed) // 4 :]
    count = min(count, len(changed))
    return [changed[round(i * (len(changed) - 1) / max(count - 1, 1))] for i in range(count)]


class Work:
    """The cells of one drift experiment: their keys, and what computing one takes."""

    def __init__(
        self, corpus: Corpus, made_on: date, sizes: Profile, embedder: EmbedsTexts | None
    ) -> None:
        self.corpus, self.made_on, self.sizes = corpus, made_on, sizes
        self._embedder = embedder
        self._asked: dict[date, KnownItems] = {}
        self._pieces: dict[date, list[Document]] = {}

    @cached_property
    def embedder(self) -> EmbedsTexts | None:
        """The embedder; None for BM25."""
        if self.sizes.retriever == "bm25" or self._embedder is not None:
            return self._embedder
        return embedder_of(self.sizes)

    @property
    def model_hash(self) -> str:
        """Hash of the embedding model; '' for BM25."""
        return "" if self.sizes.retriever == "bm25" else self.embedder.model_hash

    def key(self, day: date, index: str) -> str:
        """Return the key of a cell: on the day it is made an index is the refreshed one."""
        return content_key(
            {
                "cell": "history",
                "version": VERSION,
                "day": day,
                "made_on": day if index == "refreshed" else self.made_on,
                "retriever": self.sizes.retriever,
                "chunking": [STRATEGY, self.sizes.chunk_size],
                "questions": self.sizes.questions,
                "known": self.corpus.as_of(day).content_hash,
                "indexed": self.corpus.as_of(self._made(day, index)).content_hash,
            },
            model=self.model_hash,
            seed=self.sizes.seeds[0],
        )

    def compute(self, day: date, index: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Ask the questions of one day."""
        import numpy as np
        import pandas as pd

        asked = self._questions(day)
        documents, held = cut(self._cut(self._made(day, index)), asked.items)
        there = np.array([bool(held[item]) for item in asked.items])
        recall, rr = np.zeros(len(there)), np.zeros(len(there))
        if there.any():
            recall, rr = self._found(documents, asked, held)
        rows = {
            "day": day.isoformat(),
            "question_id": [q.id for q in asked.questions],
            "cluster": [q.cluster_key for q in asked.questions],
            "kind": [item.kind for item in asked.items],
            "recall": recall,
            "rr": rr,
            "held": there * 1.0,
        }
        return pd.DataFrame(rows), {"passages": len(documents), **asked.counts()}

    def _found(
        self,
        documents: Sequence[Document],
        asked: KnownItems,
        held: dict[Item, tuple[str, ...]],
    ) -> tuple[np.ndarray, np.ndarray]:
        # The first place is the one: a sentence that an old version said twice is one question.
        questions = [
            replace(question, supporting=held[item][:1] or (NOT_THERE,))
            for item, question in zip(asked.items, asked.questions, strict=True)
        ]
        whole = {"strategy": "whole"}
        found = retrieve(documents, questions, self.sizes.retriever, CUTOFF, whole, self.embedder)
        return found.recall, found.rr

    def _made(self, day: date, index: str) -> date:
        return day if index == "refreshed" else self.made_on

    def _cut(self, day: date) -> list[Document]:
        if day not in self._pieces:
            self._pieces[day] = pieces(self.corpus.as_of(day).documents, self.sizes.chunk_size)
        return self._pieces[day]

    def _questions(self, day: date) -> KnownItems:
        if day not in self._asked:
            asked = known_items(self._cut(day), self.sizes.questions, self.sizes.seeds[0])
            if not asked.questions:
                raise RagftError(nothing_to_ask(f"{self.corpus.name} on {day}", asked))
            self._asked[day] = asked
        return self._asked[day]
