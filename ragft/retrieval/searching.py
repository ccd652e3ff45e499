"""How a search goes through its stages, whatever holds the passages: filter, rank, fuse, rerank.

What is in an index and how it gets there lives in `index` and `shards`; what a caller may see in
`access`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from ragft.retrieval.access import CallerView
from ragft.retrieval.candidates import RERANK, Candidate, Ranking, merged
from ragft.retrieval.filters import Days, Filter, Names
from ragft.retrieval.fusion import Fusion, blended
from ragft.retrieval.parts import (
    RETRIEVERS,
    EmbedsTexts,
    Found,
    ScoresPairs,
    Timings,
    checked,
    checked_vectors,
    hits_of,
    searched_text,
    telling,
    timed,
)
from ragft.types import Hit, Passage, RagftError

_TOGETHER = 64
"""Queries that one ranking is made of before the next: what it reads stays in the cache."""


class Searching(ABC):
    """The stages of a search; what holds the passages says how each single ranking is made.

    Parameters
    ----------
    retriever : {'hybrid', 'bm25', 'dense'}
    depth : int
        Passages of each ranking that enter the fusion.
    fusion : Fusion
    reranker : Reranker, optional
        Orders the first candidates anew.
    rerank_depth : int
        How many of them.
    rerank_weight : float
        Of the reranker's scores, from 0 to 1; the rest is that of the scores before. Both are
        normalised first (`score_fusion` by 'zscore'). 1 takes the reranker's as they are.

    Raises
    ------
    RagftError
        Unknown retriever, a depth below 1, a weight out of range.
    """

    def __init__(
        self,
        retriever: str,
        depth: int,
        fusion: Fusion,
        reranker: ScoresPairs | None,
        rerank_depth: int,
        rerank_weight: float,
    ) -> None:
        if retriever not in RETRIEVERS:
            raise RagftError(f"index: unknown retriever {retriever!r}; choose one of {RETRIEVERS}.")
        for name, value in (("depth", depth), ("rerank_depth", rerank_depth)):
            if value < 1:
                raise RagftError(f"index: {name} must be at least 1, not {value}.")
        if not 0 <= rerank_weight <= 1:
            raise RagftError(f"index: rerank_weight must be from 0 to 1, not {rerank_weight!r}.")
        self.retriever, self.depth, self.fusion = retriever, depth, fusion
        self.reranker, self.rerank_depth = reranker, rerank_depth
        self.rerank_weight = rerank_weight
        self._ordered: tuple[Passage, ...] = ()
        self._filter = Filter(())

    @property
    @abstractmethod
    def passages(self) -> tuple[Passage, ...]:
        """The passages, in the order in which their ids first came."""

    @property
    @abstractmethod
    def embedder(self) -> EmbedsTexts:
        """What turns queries into vectors; not asked for with 'bm25'."""

    @abstractmethod
    def _prepare(self, timings: Timings) -> None:
        """Make `_ordered`, `_filter` and the rankings ready."""

    @abstractmethod
    def _lexical(self, queries: Sequence[str], k: int, rows: np.ndarray | None) -> Found:
        """Yield BM25's ranking of each query, of the allowed rows."""

    @abstractmethod
    def _nearest(self, vectors: np.ndarray, k: int, rows: np.ndarray | None) -> Found:
        """Yield the ranking of each query's vector, of the allowed rows."""

    def search(
        self,
        query: str | Sequence[str],
        top_k: int = 10,
        as_of: Days = None,
        collection: Names = None,
        timings: Timings | None = None,
        *,
        source: Names = None,
        allowed: Names = None,
    ) -> list[Hit] | list[list[Hit]]:
        """Find the best passages for a query, or for each of a list of queries.

        Parameters
        ----------
        query : str or sequence of str
            Not blank. A list is searched at once, which is faster.
        top_k : int
            At least 1; more than there are gives all there are.
        as_of : date, ISO string or several, optional
            Only passages in force on that day (on one of these days) are ranked.
        collection, source : str or several, optional
            Only passages of that collection or source (of one of these) are ranked.
        timings : mutable mapping, optional
            The milliseconds of this call are added under 'build' (only if the index had
            changed), 'embed' (only with vectors), 'search' and 'rerank' (only with a reranker).
        allowed : str or several, optional
            The collections that the caller may see; see `for_caller`.

        Returns
        -------
        list of Hit, or one such list per query
            Best first, equal scores in the order of the passages; `stage` is the retriever, or
            'rerank' for the first `rerank_depth` where there is a reranker. The score is that
            stage's own: BM25's, the cosine, the fusion's or the reranker's. Empty where nothing
            may be found.

        Raises
        ------
        RagftError
            A blank query, a top_k below 1, a day that is not one.
        """
        queries = checked(query, top_k)
        if not queries:
            return []
        timings = {} if timings is None else timings
        self._prepare(timings)
        vectors = self._embedded(queries, timings) if self._ordered else None
        depth = max(top_k, self.rerank_depth) if self.reranker else top_k
        with timed(timings, "search"):
            rows = self._filter.rows(as_of, collection, source, allowed)
            found = list(self._rankings(queries, vectors, depth, rows)) if self._ordered else []
        hits = [hits_of(self._ordered, {self.retriever: one}, top_k) for one in found]
        if found and self.reranker is not None:
            with timed(timings, RERANK):
                hits = self._reranked_hits(queries, found, top_k)
        hits = hits or [[] for _ in queries]
        return hits[0] if isinstance(query, str) else hits

    def explain(
        self,
        query: str | Sequence[str],
        as_of: Days = None,
        collection: Names = None,
        depth: int | None = None,
        *,
        source: Names = None,
        allowed: Names = None,
    ) -> list[Candidate] | list[list[Candidate]]:
        """Show what a search considers: the candidates of every stage, with ranks and scores.

        Parameters
        ----------
        query, as_of, collection, source, allowed
            As for `search`.
        depth : int, optional
            Passages of each ranking that are candidates; the index's own `depth` where None. A
            search goes deeper only for a larger `top_k`: give that here to see what it saw.

        Returns
        -------
        list of Candidate, or one such list per query
            In the order in which `search` returns them. A BM25 score of exactly 0 makes no
            candidate: no telling word is shared (a search by BM25 alone still lists and counts
            such passages). Empty where nothing may be found.

        Raises
        ------
        RagftError
            A blank query, a depth below 1, a day that is not one.
        """
        depth = self.depth if depth is None else depth
        queries = checked(query, depth, "depth")
        self._prepare({})
        rows = self._filter.rows(as_of, collection, source, allowed)
        found: list[list[Candidate]] = [[] for _ in queries]
        if queries and self._ordered:
            vectors = self._embedded(queries, {})
            staged = list(self._staged(queries, vectors, depth, rows))
            if self.reranker is not None:
                orders = self._reranked(queries, [stages[self.retriever] for stages in staged])
                for stages, order in zip(staged, orders, strict=True):
                    stages[RERANK] = order
            for n, stages in enumerate(staged):
                considered = merged(self._ordered, stages)
                found[n] = [c for c in considered if c.scores.get("bm25") != 0]
        return found[0] if isinstance(query, str) else found

    def for_caller(self, allowed: str | Iterable[str]) -> CallerView:
        """Return the index as a caller sees it who may see some collections only.

        Parameters
        ----------
        allowed : str or iterable of str
            Names of collections; none of them shows nothing.
        """
        return CallerView(self, allowed)

    def _embedded(self, queries: Sequence[str], timings: Timings) -> np.ndarray | None:
        if self.retriever == "bm25":
            return None
        with timed(timings, "embed"):
            return checked_vectors(self.embedder.embed(queries, cached=False), queries)

    def _rankings(
        self, queries: Sequence[str], vectors: np.ndarray | None, k: int, rows: np.ndarray | None
    ) -> Found:
        if self.retriever == "bm25":
            return self._lexical(queries, k, rows)
        if self.retriever == "dense":
            return self._nearest(vectors, k, rows)
        staged = self._staged(queries, vectors, max(k, self.depth), rows)
        return (tuple(part[:k] for part in stages["hybrid"]) for stages in staged)

    def _staged(
        self,
        queries: Sequence[str],
        vectors: np.ndarray | None,
        depth: int,
        rows: np.ndarray | None,
    ) -> Iterator[dict[str, Ranking]]:
        """Yield for each query the ranking of every stage, the one that decides last."""
        parts: dict[str, Found] = {}
        if self.retriever != "dense":
            lexical = self._lexical(queries, depth, rows)
            parts["bm25"] = lexical if self.retriever == "bm25" else map(telling, lexical)
        if self.retriever != "bm25":
            parts["dense"] = self._nearest(vectors, depth, rows)
        for some in zip(*map(_together, parts.values()), strict=True):
            for found in zip(*some, strict=True):
                stages = dict(zip(parts, found, strict=True))
                if self.retriever == "hybrid":
                    stages["hybrid"] = self.fusion.fuse(found, self._ordered)
                yield stages

    def _reranked(self, queries: Sequence[str], found: Sequence[Ranking]) -> list[Ranking]:
        """Return the first candidates of each query in the reranker's order, with its scores."""
        first = [(places[: self.rerank_depth], s[: self.rerank_depth]) for places, s in found]
        pairs = [
            (query, searched_text(self._ordered[i]))
            for query, (places, _) in zip(queries, first, strict=True)
            for i in places.tolist()
        ]
        # All queries at once: pairs of like length then share a batch.
        scores = np.asarray(self.reranker.scores(pairs) if pairs else [], dtype=np.float64)
        if scores.shape != (len(pairs),) or np.isnan(scores).any():
            raise RagftError(
                f"reranker: {len(pairs)} pairs need as many scores and none NaN; it gave an array "
                f"of shape {scores.shape}. Is its model damaged?"
            )
        ends = np.cumsum([len(places) for places, _ in first])[:-1]
        parts = zip(first, np.split(scores, ends), strict=True)
        return [
            blended(before, (before[0][order], values[order]), self.rerank_weight)
            for before, values in parts
            for order in [np.argsort(-values, kind="stable")]
        ]

    def _reranked_hits(
        self, queries: Sequence[str], found: Sequence[Ranking], top_k: int
    ) -> list[list[Hit]]:
        parts = zip(self._reranked(queries, found), found, strict=True)
        size = self.rerank_depth
        return [
            hits_of(
                self._ordered,
                {RERANK: order, self.retriever: (positions[size:], scores[size:])},
                top_k,
            )
            for order, (positions, scores) in parts
        ]


def _together(rankings: Found) -> Iterator[list[Ranking]]:
    """Yield the rankings of some queries at a time."""
    while some := list(islice(rankings, _TOGETHER)):
        yield some
