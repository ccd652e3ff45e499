"""One searchable index over passages: BM25, dense vectors, or both fused, and a reranker.

`upsert / delete / search` is the seam where a server could take over. How a search goes through
its stages lives in `searching`, the vectors in `vectors`, an index in a folder in `saved`; what is
done with the hits in `arms`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.retrieval.bm25 import BM25, Postings, tokenize
from ragft.retrieval.counting import Numbered, numbered, renumbered
from ragft.retrieval.dense import Embedder
from ragft.retrieval.filters import Filter
from ragft.retrieval.fusion import Fusion
from ragft.retrieval.neighbours import AUTO
from ragft.retrieval.parts import (
    RETRIEVERS,
    EmbedsTexts,
    Found,
    ScoresPairs,
    Timings,
    check_model,
    searched_text,
    timed,
)
from ragft.retrieval.searching import Searching
from ragft.retrieval.slabs import embed_in_slabs
from ragft.retrieval.topk import top_k as best
from ragft.retrieval.vector_cache import VectorCache
from ragft.retrieval.vectors import Vectors
from ragft.runtime import cache_dir
from ragft.types import Passage, RagftError, RefreshCost

if TYPE_CHECKING:
    from ragft.retrieval.saved import SavedIndex

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
    kind : {'auto', 'exact', 'hnsw', 'ivf'}
        How vectors are searched. 'auto' compares every one up to `neighbours.EXACT_UP_TO` of
        them, and is 'ivf' beyond; `recall` says what an approximate kind finds. Where a filter
        leaves a part of the passages, each of those is compared, whatever the kind.
    dtype : {'float32', 'float16'}
        What vectors are kept in. 'float16' takes half the memory and half the disk; scores then
        differ in about the fourth digit. Approximate kinds keep a copy of the same dtype; of
        fewer than `faiss_index.CODED_FROM` vectors, one of float32.

    Attributes
    ----------
    about : dict
        What is known of how the passages were made, such as the parameters of chunking; see
        `save`.

    Raises
    ------
    RagftError
        Unknown retriever, kind or dtype, a depth below 1, a weight out of range; a kind that needs
        faiss where it is not installed.

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
        kind: str = AUTO,
        dtype: str = "float32",
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
        self.about: dict[str, Any] = {}
        self.vectors = Vectors(kind, dtype=dtype)
        self._model = ""  # that made the vectors which were read; '' for none
        self._passages: dict[str, Passage] = {}
        self._bm25: BM25 | None = None
        self._numbered: Numbered | None = None  # the passages that were last built from
        self._stale = True
        self.upsert(passages)

    @classmethod
    def load(
        cls, folder: str | Path, *, embedder: EmbedsTexts | None = None, **options: Any
    ) -> HybridIndex:
        """Read an index that `save` wrote; later changes of it stay in memory.

        Parameters
        ----------
        folder : str or path
        embedder : Embedder, optional
            Of the model that its vectors were made with; made when first needed where None.
        **options
            depth, rrf_k, fusion, reranker, rerank_depth, rerank_weight and kind, as for a new
            index; retriever and dtype are those of the folder.

        Raises
        ------
        RagftError
            There is no index; a file of it is missing or was changed, which is named; it was made
            with another embedding model or by another version: then it says how to build it again.
        """
        from ragft.retrieval.saved import load

        return load(folder, embedder, options)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        embedder: EmbedsTexts | None = None,
        about: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> SavedIndex:
        """Open an index that lives in a folder, or begin one there: each change is written.

        Parameters
        ----------
        folder : str or path
        embedder
            As for `load`.
        about : mapping, optional
            How the passages are made; refused where the index was begun with something else.
        **options
            As for `load`, and retriever and dtype, which are refused where they are not the
            folder's.

        Raises
        ------
        RagftError
            As for `load`; files that are no index lie there.
        """
        from ragft.retrieval.saved import SavedIndex

        return SavedIndex(folder, embedder=embedder, about=about, **options)

    def save(self, folder: str | Path, about: Mapping[str, Any] | None = None) -> Path:
        """Write the index into a folder; one that is there already is replaced as a whole.

        Parameters
        ----------
        folder : str or path
        about : mapping, optional
            How the passages were made, such as the parameters of chunking; None: `self.about`.

        Returns
        -------
        Path
            The folder, for `load` and `open`.

        Raises
        ------
        RagftError
            It holds something else, another process is writing it, or the disk is full.
        """
        from ragft.retrieval.saved import save

        return save(self, folder, self.about if about is None else about)

    def __len__(self) -> int:
        return len(self._passages)

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages, in the order in which their ids first came."""
        return tuple(self._passages.values())

    @property
    def bytes(self) -> float:
        """Memory of vectors, postings, and the words that these are counted from."""
        postings = 0.0 if self._bm25 is None else self._bm25.bytes
        words = 0 if self._numbered is None else self._numbered.bytes
        return self.vectors.bytes + postings + words

    @property
    def recall(self) -> float:
        """Share of the true neighbours that the search among vectors finds; 1.0 where exact.

        Measured when an approximate index is built, see `neighbours.Neighbours.measure`.
        """
        self.build()
        return self.vectors.recall

    @property
    def embedder(self) -> EmbedsTexts:
        """The embedder, made now if there was none."""
        if self._embedder is None:
            made = Embedder(cache=cache_dir() / "vectors")
            check_model(made, self._model, "index")
            self._embedder = made
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
        return self._change((), passages)

    def delete(self, doc_ids: str | Iterable[str]) -> RefreshCost:
        """Remove all passages of some documents; ids without any passage here change nothing."""
        return self._change(doc_ids, ())

    def replace(self, doc_ids: str | Iterable[str], passages: Iterable[Passage]) -> RefreshCost:
        """Remove documents and take in passages, in one step: no search sees the one alone.

        Raises
        ------
        RagftError
            As `upsert`; then nothing is removed either.
        """
        return self._change(doc_ids, passages)

    def _change(self, doc_ids: str | Iterable[str], passages: Iterable[Passage]) -> RefreshCost:
        start = time.perf_counter()
        given, gone = list(passages), {doc_ids} if isinstance(doc_ids, str) else set(doc_ids)
        if len({p.id for p in given}) < len(given):
            raise RagftError("index: upsert was given two passages with one id.")
        left = {p.doc_id for p in self._passages.values() if p.doc_id in gone} if gone else set()
        kept = self._passages
        if left:
            kept = {i: p for i, p in kept.items() if p.doc_id not in left}
        new = {p.id: p for p in given if kept.get(p.id) != p}
        if not left and not new:
            return RefreshCost(time.perf_counter() - start)
        texts, vectors, embedded = self._embed(new.values())
        self._written(left, new, texts, vectors)
        if texts:
            self.vectors.add(texts, vectors)
        self._passages = kept
        self._passages.update(new)
        self._bm25, self._stale = None, True
        size = sum(len(p.text.encode("utf-8", "surrogatepass")) for p in new.values())
        seconds = time.perf_counter() - start
        return RefreshCost(seconds, embedded, bytes_written=size + vectors.nbytes)

    def _embed(self, passages: Iterable[Passage]) -> tuple[list[str], np.ndarray, int]:
        """Return the texts that have no vector yet, theirs, and how many were really embedded."""
        texts = []
        if self.retriever != "bm25":
            texts = self.vectors.missing(searched_text(p) for p in passages)
        if not texts:
            return texts, np.empty((0, self.vectors.dimension), dtype=self.vectors.dtype), 0
        before = self.embedder.embedded
        vectors = embed_in_slabs(self.embedder, texts, self._unfinished(len(texts)))
        return texts, self.vectors.kept(vectors), self.embedder.embedded - before

    def _unfinished(self, count: int) -> VectorCache | None:
        """Return where so many vectors are kept until their change is whole; here nowhere."""
        return None

    def _written(
        self,
        gone: Iterable[str],
        new: Mapping[str, Passage],
        texts: Sequence[str],
        vectors: np.ndarray,
    ) -> None:
        """Write a change down before it is taken in; in memory alone there is nothing to do."""

    def build(self) -> RefreshCost:
        """Make the index ready for searching, which the next search would otherwise do.

        Costs nothing where nothing changed. An arm calls it in its refresh, so that the time is
        counted there and not with the first question.
        """
        start = time.perf_counter()
        if self._stale:
            passages = self.passages
            if self.retriever != "bm25" and passages:
                self.vectors.arrange([searched_text(p) for p in passages])
            if self.retriever != "dense" and self._bm25 is None:
                known = self._number(passages)
                self._bm25 = BM25().fit_numbered(known)
                self._numbered, self._ordered = known, passages  # whose rows are these
            self._ordered, self._filter = passages, Filter(passages)
            self._stale = False
            self._built()
        return RefreshCost(time.perf_counter() - start)

    def _number(self, passages: Sequence[Passage]) -> Numbered:
        """Return passages as numbers of their words; only those that are new are split."""
        if self._numbered is None:
            return numbered(tokenize(searched_text(p)) for p in passages)
        row_of = {id(p): row for row, p in enumerate(self._ordered)}
        rows = np.array([row_of.get(id(p), -1) for p in passages], np.int64)
        new = (tokenize(searched_text(p)) for p, row in zip(passages, rows, strict=True) if row < 0)
        return renumbered(self._numbered, rows, new)

    def _built(self) -> None:
        """Write down what building made; in memory alone there is nothing to do."""

    def _prepare(self, timings: Timings) -> None:
        if self._stale:
            with timed(timings, "build"):
                self.build()

    def postings(self) -> Postings:
        """Return the words of the index and their scores; without any word for 'dense'."""
        self.build()
        return (self._bm25 or BM25().fit([])).postings()

    def _lexical(self, queries: Sequence[str], k: int, rows: np.ndarray | None) -> Found:
        room = np.empty(len(self._bm25))  # for all queries: what is yielded is copied out of it
        for query in queries:
            scores = self._bm25.scores(tokenize(query), room)
            allowed = scores if rows is None else scores[rows]
            found = best(allowed, k)
            yield (found if rows is None else rows[found]), allowed[found]

    def _nearest(self, vectors: np.ndarray, k: int, rows: np.ndarray | None) -> Found:
        self.vectors.check(vectors)
        return self.vectors.search(vectors, k, rows)
