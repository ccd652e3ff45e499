"""The passages that retrieving arms share: one index, chunked, kept fresh, searched by day.

Sharing one library means that one refresh serves all arms that show passages, and that
they all see the same hits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from ragft.chunking import chunk
from ragft.corpora.corpus import Corpus
from ragft.retrieval.candidates import Candidate
from ragft.retrieval.index import EmbedsTexts, HybridIndex
from ragft.types import Changes, Document, Hit, Passage, Question, RefreshCost

if TYPE_CHECKING:
    from ragft.retrieval.router import RoutedIndex

Found = TypeVar("Found", list[Hit], list[Candidate])


class Library:
    """Passages of a corpus behind a `HybridIndex`.

    Parameters
    ----------
    retriever : {'hybrid', 'bm25', 'dense'}
    strategy, size, overlap
        How documents are chunked; see `ragft.chunk`.
    embedder : Embedder, optional
    as_of : bool
        Show only what is in force on the day a question is asked. Without it, old versions
        compete with new ones.
    """

    def __init__(
        self,
        *,
        retriever: str = "hybrid",
        strategy: str = "whole",
        size: int = 128,
        overlap: int = 0,
        embedder: EmbedsTexts | None = None,
        as_of: bool = True,
    ) -> None:
        self.chunking = {"strategy": strategy, "size": size, "overlap": overlap}
        self.index = HybridIndex(retriever=retriever, embedder=embedder)
        self.as_of = as_of
        self._held: str | None = None

    def prepare(self, corpus: Corpus) -> RefreshCost:
        """Chunk and index the corpus; costs nothing when it holds this corpus already."""
        if self._held == corpus.content_hash:
            return RefreshCost()
        known = {p.doc_id for p in self.index.passages}
        cost = self.index.delete(known - {d.id for d in corpus.documents})
        cost += self._take_in(corpus.documents)
        self._held = corpus.content_hash
        return cost

    def refresh(self, changes: Changes) -> RefreshCost:
        """Index new and changed documents, and forget removed ones."""
        self._held = None
        cost = self.index.delete(document.id for document in changes.removed)
        return cost + self._take_in((*changes.added, *changes.changed))

    def _take_in(self, documents: Iterable[Document]) -> RefreshCost:
        return self.index.upsert(chunk(documents, **self.chunking)) + self.index.build()

    def search(
        self,
        questions: Sequence[Question],
        top_k: int,
        timings: dict[str, float],
        through: RoutedIndex | None = None,
    ) -> list[list[Hit]]:
        """Return the best passages for each question, as of the day it is asked.

        `timings` gets the milliseconds of the stages 'embed' and 'search' added. `through` is
        what stands before the index, where anything does.
        """
        searched = through or self.index
        return self._by_day(
            questions,
            lambda texts, day: searched.search(texts, top_k=top_k, as_of=day, timings=timings),
        )

    def explain(self, questions: Sequence[Question], top_k: int) -> list[list[Candidate]]:
        """Return what a search for `top_k` passages considers for each question, stage by stage."""
        depth = max(top_k, self.index.depth)
        return self._by_day(
            questions, lambda texts, day: self.index.explain(texts, as_of=day, depth=depth)
        )

    def may_find(self, passage: Passage, question: Question) -> bool:
        """Tell whether a search for the question looks at a passage, were it in the index."""
        day = question.asked_on if self.as_of else None
        return day is None or passage.holds_on(day)

    def _by_day(
        self, questions: Sequence[Question], search: Callable[[list[str], date | None], list[Found]]
    ) -> list[Found]:
        """Search once for all questions that are asked on the same day."""
        found: list[Found] = [[] for _ in questions]
        days = dict.fromkeys(q.asked_on if self.as_of else None for q in questions)
        for day in days:
            rows = [n for n, q in enumerate(questions) if not self.as_of or q.asked_on == day]
            texts = [questions[n].text for n in rows]
            for n, mine in zip(rows, search(texts, day), strict=True):
                found[n] = mine
        return found
