"""One searchable index over passages: BM25, dense vectors, or both fused, and a reranker.

`upsert / delete / search` is the seam where a server could take over. How a search goes through
its stages lives in `searching`; what is done with the hits in `arms`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import numpy as np

from ragft.retrieval.bm25 import BM25, tokenize
from ragft.retrieval.dense import Embedder, inner_product_search
from ragft.retrieval.filters import Filter
from ragft.retrieval.fusion import Fusion
from ragft.retrieval.parts import (
    RETRIEVERS,
    EmbedsTexts,
    Found,
    ScoresPairs,
    Timings,
    searched_text,
    timed,
)
from ragft.retrieval.searching import Searching
from ragft.retrieval.topk import top_k as best
from ragft.runtime import cache_dir
from ragft.types import Passage, RagftError, RefreshCost

__all__ = ["RETRIEVERS", "EmbedsTexts", "HybridIndex", "searched_text"]


class HybridIndex(Searching):
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
        See `Fusion.k`; only where `fusion` is None.
    fusion : Fusion, optional
        None fuses by ranks, both of equal weight.
    reranker : Reranker, optional
        Orders the first candidates anew.
    rerank_depth, rerank_weight
        How many of them, and how much its scores count beside those before; see `Searching`.

    Raises
    ------
    RagftError
        Unknown retriever, a depth below 1, a weight out of range.

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
        fusion: Fusion | None = None,
        reranker: ScoresPairs | None = None,
        rerank_depth: int = 50,
        rerank_weight: float = 1.0,
    ) -> None:
        super().__init__(
            retriever,
            depth,
            Fusion(k=rrf_k) if fusion is None else fusion,
            reranker,
            rerank_depth,
            rerank_weight,
        )
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

    def _prepare(self, timings: Timings) -> None:
        if self._stale:
            with timed(timings, "build"):
                self.build()

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

    def _lexical(self, queries: Sequence[str], k: int, rows: np.ndarray | None) -> Found:
        room = np.empty(len(self._bm25))  # for all queries: what is yielded is copied out of it
        for query in queries:
            scores = self._bm25.scores(tokenize(query), room)
            allowed = scores if rows is None else scores[rows]
            found = best(allowed, k)
            yield (found if rows is None else rows[found]), allowed[found]

    def _nearest(self, vectors: np.ndarray, k: int, rows: np.ndarray | None) -> Found:
        return inner_product_search(vectors, self._vectors, k, rows)
