"""One searchable index over passages: BM25, dense vectors, or both fused by their ranks.

Filters on dates and collections apply before ranking. `upsert / delete / search` is the seam
where a server could take over; what is done with the hits lives in `arms`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Protocol

import numpy as np

from ragft.retrieval.bm25 import BM25, tokenize
from ragft.retrieval.candidates import Candidate, Ranking, merged
from ragft.retrieval.dense import Embedder, inner_product_search
from ragft.retrieval.filters import Filter
from ragft.retrieval.fusion import reciprocal_rank_fusion
from ragft.retrieval.topk import top_k as best
from ragft.runtime import cache_dir
from ragft.types import Hit, Passage, RagftError, RefreshCost

RETRIEVERS = ("hybrid", "bm25", "dense")
Timings = MutableMapping[str, float]
Found = Iterator[Ranking]


class EmbedsTexts(Protocol):
    """What the index needs of an embedder: unit vectors, and how many texts it really embedded."""

    embedded: int

    def embed(self, texts: Sequence[str], cached: bool = True) -> np.ndarray:
        """Return unit vectors, float32 of shape (texts, dimension)."""
        ...


class HybridIndex:
    """Passages that can be searched, replaced and removed.

    Parameters
    ----------
    passages : iterable of Passage
        Taken in as by `upsert`.
    retriever : {'hybrid', 'bm25', 'dense'}
        'hybrid' fuses the rankings of the other two.
    embedder : Embedder, optional
        None makes one when first needed (never with 'bm25'), which keeps its vectors in the
        cache folder.
    depth : int
        Passages of each ranking that enter the fusion.
    rrf_k : int
        See `reciprocal_rank_fusion`. The usual 60 is so flat that a passage which one retriever
        puts first and the other misses loses to any that both put at rank 60 (2/120 > 1/61); with
        10 it keeps its place against all that both put below rank 12.

    Raises
    ------
    RagftError
        Unknown retriever, depth below 1.

    Examples
    --------
    >>> one = Passage("a#0", "a", "Ada wrote programs.", 0, 19)
    >>> index = HybridIndex([one], retriever="bm25")
    >>> index.search("programs")[0].passage.id
    'a#0'
    """

    def __init__(
        self,
        passages: Iterable[Passage] = (),
        *,
        retriever: str = "hybrid",
        embedder: EmbedsTexts | None = None,
        depth: int = 100,
        rrf_k: int = 10,
    ) -> None:
        if retriever not in RETRIEVERS:
            raise RagftError(f"index: unknown retriever {retriever!r}; choose one of {RETRIEVERS}.")
        if depth < 1:
            raise RagftError(f"index: depth must be at least 1, not {depth}.")
        self.retriever, self.depth, self.rrf_k = retriever, depth, rrf_k
        self._embedder = embedder
        self._passages: dict[str, Passage] = {}
        self._vectors = np.empty((0, 0), dtype=np.float32)
        self._row_of: dict[str, int] = {}
        self._bm25: BM25 | None = None
        self._stale = True
        self.upsert(passages)

    def __len__(self) -> int:
        return len(self._passages)

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages, in the order in which their ids first came."""
        return tuple(self._passages.values())

    @property
    def bytes(self) -> float:
        """Memory of vectors and postings; NaN where the postings' is not known."""
        postings = 0.0 if self._bm25 is None else self._bm25.bytes
        return self._vectors.nbytes + postings

    @property
    def embedder(self) -> EmbedsTexts:
        """The embedder, made now if there was none."""
        if self._embedder is None:
            self._embedder = Embedder(cache=cache_dir() / "vectors")
        return self._embedder

    def upsert(self, passages: Iterable[Passage]) -> RefreshCost:
        """Take in passages; one with a known id replaces the old one.

        Only texts that the index does not hold are embedded. To replace a document by a shorter
        version of the same id, `delete` it first: passages of it that are not given stay.

        Returns
        -------
        RefreshCost
            Bytes are those of new texts and of their vectors.

        Raises
        ------
        RagftError
            One id twice in the same call; then nothing is taken in.
        """
        start = time.perf_counter()
        given = list(passages)
        new = {p.id: p for p in given if self._passages.get(p.id) != p}
        if len({p.id for p in given}) < len(given):
            raise RagftError("index: upsert was given two passages with one id.")
        embedded, size = 0, sum(len(p.text.encode()) for p in new.values())
        if self.retriever != "bm25":
            embedded, vector_bytes = self._embed(searched_text(p) for p in new.values())
            size += vector_bytes
        self._passages.update(new)
        self._stale |= bool(new)
        return RefreshCost(time.perf_counter() - start, embedded, bytes_written=size)

    def delete(self, doc_ids: str | Iterable[str]) -> RefreshCost:
        """Remove all passages of some documents; ids without any passage here change nothing."""
        start = time.perf_counter()
        gone = {doc_ids} if isinstance(doc_ids, str) else set(doc_ids)
        kept = {i: p for i, p in self._passages.items() if p.doc_id not in gone}
        self._stale |= len(kept) < len(self._passages)
        self._passages = kept
        return RefreshCost(time.perf_counter() - start)

    def build(self) -> RefreshCost:
        """Make the index ready for searching, which the next search would otherwise do.

        Costs nothing where nothing changed. An arm calls it in its refresh, so that the time is
        counted there and not with the first question.
        """
        start = time.perf_counter()
        if self._stale:
            passages = self.passages
            if self.retriever != "bm25" and passages:
                self._compact(passages)
            if self.retriever != "dense":
                self._bm25 = BM25().fit(tokenize(searched_text(p)) for p in passages)
            self._ordered, self._filter = passages, Filter(passages)
            self._stale = False
        return RefreshCost(time.perf_counter() - start)

    def search(
        self,
        query: str | Sequence[str],
        top_k: int = 10,
        as_of: date | str | None = None,
        collection: str | None = None,
        timings: Timings | None = None,
    ) -> list[Hit] | list[list[Hit]]:
        """Find the best passages for a query, or for each of a list of queries.

        Parameters
        ----------
        query : str or sequence of str
            Not blank. A list is searched at once, which is faster.
        top_k : int
            At least 1; more than there are gives all there are.
        as_of : date or ISO string, optional
            Only passages in force on that day are ranked.
        collection : str, optional
            Only passages of that collection are ranked.
        timings : mutable mapping, optional
            The milliseconds of this call are added under 'build' (only if the index had
            changed), 'embed' (only with vectors) and 'search'.

        Returns
        -------
        list of Hit, or one such list per query
            Best first, equal scores in the order of the passages; `stage` is the retriever. The
            score is BM25's, the cosine, or the fusion's. Empty where nothing may be found.

        Raises
        ------
        RagftError
            A blank query, a top_k below 1, a day that is not one.
        """
        queries = _checked(query, top_k)
        if not queries:
            return []
        timings = {} if timings is None else timings
        if self._stale:
            with _timed(timings, "build"):
                self.build()
        vectors = None
        if self.retriever != "bm25" and self._passages:
            with _timed(timings, "embed"):
                vectors = self.embedder.embed(queries, cached=False)
        with _timed(timings, "search"):
            rows = self._filter.rows(as_of, collection)
            found = self._rankings(queries, vectors, top_k, rows) if self._passages else ()
            hits = [self._hits(*pair) for pair in found] or [[] for _ in queries]
        return hits[0] if isinstance(query, str) else hits

    def explain(
        self,
        query: str | Sequence[str],
        as_of: date | str | None = None,
        collection: str | None = None,
        depth: int | None = None,
    ) -> list[Candidate] | list[list[Candidate]]:
        """Show what a search considers: the candidates of every stage, with ranks and scores.

        Parameters
        ----------
        query, as_of, collection
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
        queries = _checked(query, depth, "depth")
        self.build()
        rows = self._filter.rows(as_of, collection)
        found: list[list[Candidate]] = [[] for _ in queries]
        if queries and self._passages:
            dense = self.retriever != "bm25"
            vectors = self.embedder.embed(queries, cached=False) if dense else None
            for n, stages in enumerate(self._staged(queries, vectors, depth, rows)):
                considered = merged(self._ordered, stages)
                found[n] = [c for c in considered if c.scores.get("bm25") != 0]
        return found[0] if isinstance(query, str) else found

    def _embed(self, texts: Iterable[str]) -> tuple[int, int]:
        unseen = list(dict.fromkeys(t for t in texts if t not in self._row_of))
        if not unseen:
            return 0, 0
        before = self.embedder.embedded
        vectors = self.embedder.embed(unseen)
        self._row_of.update((t, len(self._vectors) + i) for i, t in enumerate(unseen))
        self._vectors = np.vstack([self._vectors.reshape(-1, vectors.shape[1]), vectors])
        return self.embedder.embedded - before, vectors.nbytes

    def _compact(self, passages: Sequence[Passage]) -> None:
        """Bring the vectors into the order of the passages; those of texts that are gone go."""
        texts = [searched_text(p) for p in passages]
        self._vectors = self._vectors[[self._row_of[t] for t in texts]]
        self._row_of = {t: i for i, t in enumerate(texts)}

    def _rankings(
        self, queries: list[str], vectors: np.ndarray | None, k: int, rows: np.ndarray | None
    ) -> Found:
        if self.retriever == "bm25":
            return self._lexical(queries, k, rows)
        if self.retriever == "dense":
            return inner_product_search(vectors, self._vectors, k, rows)
        return self._fused(queries, vectors, k, rows)

    def _lexical(self, queries: list[str], k: int, rows: np.ndarray | None) -> Found:
        for query in queries:
            scores = self._bm25.scores(tokenize(query))
            allowed = scores if rows is None else scores[rows]
            found = best(allowed, k)
            yield (found if rows is None else rows[found]), allowed[found]

    def _fused(
        self, queries: list[str], vectors: np.ndarray, k: int, rows: np.ndarray | None
    ) -> Found:
        for stages in self._staged(queries, vectors, max(k, self.depth), rows):
            found, scores = stages["hybrid"]
            yield found[:k], scores[:k]

    def _staged(
        self, queries: list[str], vectors: np.ndarray | None, depth: int, rows: np.ndarray | None
    ) -> Iterator[dict[str, Ranking]]:
        """Yield for each query the ranking of every stage, the one that decides last."""
        parts: dict[str, Found] = {}
        if self.retriever != "dense":
            lexical = self._lexical(queries, depth, rows)
            parts["bm25"] = lexical if self.retriever == "bm25" else map(_telling, lexical)
        if self.retriever != "bm25":
            parts["dense"] = inner_product_search(vectors, self._vectors, depth, rows)
        for found in zip(*parts.values(), strict=True):
            stages = dict(zip(parts, found, strict=True))
            if self.retriever == "hybrid":
                rankings = [positions.tolist() for positions, _ in found]
                fused = reciprocal_rank_fusion(rankings, k=self.rrf_k)
                order = np.array([i for i, _ in fused], dtype=np.int64)
                stages["hybrid"] = order, np.array([score for _, score in fused])
            yield stages

    def _hits(self, indices: np.ndarray, scores: np.ndarray) -> list[Hit]:
        pairs = zip(indices.tolist(), scores.tolist(), strict=True)
        return [
            Hit(self._ordered[i], score, rank, self.retriever)
            for rank, (i, score) in enumerate(pairs, start=1)
        ]


def searched_text(passage: Passage) -> str:
    """Return what is indexed of a passage: its document's title, if it has one, and its text."""
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def _telling(ranking: Ranking) -> Ranking:
    # A score of exactly 0 means that no telling word is shared: such passages come in the
    # order of the index, which must not count as a vote. Dense search fills the places.
    positions, scores = ranking
    return positions[scores != 0], scores[scores != 0]


def _checked(query: str | Sequence[str], count: int, name: str = "top_k") -> list[str]:
    queries = [query] if isinstance(query, str) else list(query)
    for number, text in enumerate(queries):
        if not text.strip():
            raise RagftError(f"search: query {number} is empty; give it some words.")
    if not isinstance(count, int) or count < 1:
        raise RagftError(f"search: {name} must be a whole number of at least 1, not {count!r}.")
    return queries


@contextmanager
def _timed(timings: Timings, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    timings[stage] = timings.get(stage, 0.0) + 1000 * (time.perf_counter() - start)
