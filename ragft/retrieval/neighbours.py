"""Approximate search behind the rows of an index: what is built when, and how good it is.

The kinds themselves live in `ann`; passages whose text is gone, passages that share a vector and
filters are dealt with here, so that a search finds as many as exact search would.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec

import numpy as np

from ragft.retrieval.ann import KINDS, MEMORY_SHARE, VectorIndex, free_memory, index_bytes
from ragft.retrieval.candidates import Ranking
from ragft.retrieval.exact_search import inner_product_search, rows_of
from ragft.retrieval.first_look import Codes
from ragft.types import RagftError

AUTO = "auto"
CHOICES = (AUTO, *KINDS)
EXACT_UP_TO = 300_000
"""Vectors up to which 'auto' compares every one: 440 MiB at 384 dimensions, which two cores read
in 11 to 15 ms (and a quarter of it as codes, see `first_look`), a small part of what a language
model takes to answer. Beyond, 'auto' takes IVF: it is built in a small part of the time of HNSW, in
less memory, and finds as much in less time (see `bench nearest`); HNSW is taken where it is asked
for."""
RECALL_WANTED = 0.99
"""Share of the true neighbours below which a search is made to look wider."""
SAMPLE, TOP = 200, 10
"""Vectors whose neighbours are looked for to measure that, and how many of each."""
_ALIKE = 1e-6
"""Scores that differ by less are the same, added up in another order."""
_WIDEST = 6
"""Doublings of a search's width, at most: 64 times the work."""


def chosen_kind(kind: str, count: int, dimension: int) -> str:
    """Return the kind of index for so many vectors.

    'auto' is exact up to `EXACT_UP_TO` vectors, where faiss is missing, and where an approximate
    index would not fit the free memory; else 'ivf'.

    Raises
    ------
    RagftError
        An unknown kind, or faiss is missing and a kind that needs it was asked for by name.
    """
    check_kind(kind)
    if kind != AUTO:
        return kind
    if count <= EXACT_UP_TO or find_spec("faiss") is None:
        return "exact"
    fits = index_bytes(count, dimension, "ivf") <= MEMORY_SHARE * free_memory()
    return "ivf" if fits else "exact"


def check_kind(kind: str) -> None:
    """Refuse a kind of index that is unknown or cannot be had.

    Raises
    ------
    RagftError
        See `chosen_kind`.
    """
    if kind not in CHOICES:
        raise RagftError(f"index: unknown kind {kind!r}; choose one of {CHOICES}.")
    if kind not in (AUTO, "exact") and find_spec("faiss") is None:
        raise RagftError(
            f"index: kind={kind!r} needs faiss, which is not installed: pip install faiss-cpu; or "
            "choose 'exact'."
        )


class Neighbours:
    """An approximate index over the rows of several arrays that follow each other.

    Parameters
    ----------
    index : VectorIndex
        Over the first rows; `extend` takes in the rest.
    recall : float
        What `measure` found; NaN before.
    """

    def __init__(self, index: VectorIndex, recall: float = math.nan) -> None:
        self.index, self.recall = index, recall
        self._built = len(index)
        self._order, self._starts = np.empty(0, np.int64), np.zeros(1, np.int64)

    @classmethod
    def of(cls, blocks: Sequence[np.ndarray], kind: str) -> Neighbours:
        """Build an index of a kind."""
        vectors = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return cls(VectorIndex(vectors, kind))

    def fits(self, kind: str, rows: int) -> bool:
        """Tell whether it can be extended to so many rows, or had better be built again.

        Its centres and codes are those of the rows it was built from: no more than are added later.
        """
        return self.index.kind == kind and len(self.index) <= rows <= 2 * self._built

    def extend(self, blocks: Sequence[np.ndarray]) -> None:
        """Take in the rows that came after those that are here."""
        begin = 0
        for block in blocks:
            new = block[max(0, len(self.index) - begin) :]
            begin += len(block)
            if len(new):
                self.index.add(new)

    def arrange(self, at: np.ndarray) -> None:
        """Take the row of each passage: a row may have none, one or several."""
        self._order = np.argsort(at, kind="stable")
        self._starts = np.searchsorted(at[self._order], np.arange(len(self.index) + 1))

    def search(
        self, queries: np.ndarray, k: int, blocks: Sequence[np.ndarray], at: np.ndarray
    ) -> Iterator[Ranking]:
        """Yield the passages nearest to each query, `k` of them or all there are.

        Where too few of the rows found have a passage, that query is searched exactly.
        """
        found = self._found(queries, k)
        for query, one in zip(queries, found, strict=True):
            if len(one[0]) < min(k, len(at)):
                yield next(inner_product_search(query[None], blocks, k, None, at))
            else:
                yield one

    def _found(self, queries: np.ndarray, k: int) -> Iterator[Ranking]:
        alive = np.count_nonzero(np.diff(self._starts))
        if alive < len(self.index):
            # Rows without a passage are found too: as many more as make up for their share.
            wanted = math.ceil(1.5 * k * len(self.index) / max(1, alive))
        else:
            wanted = k
        rows, scores = self.index.search(queries, wanted)
        for one, values in zip(rows, scores, strict=True):
            yield self._passages(one[one >= 0], values[one >= 0], k)

    def _passages(self, rows: np.ndarray, scores: np.ndarray, k: int) -> Ranking:
        counts = self._starts[rows + 1] - self._starts[rows]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        passages = self._order[np.repeat(self._starts[rows], counts) + within]
        scores = np.repeat(scores, counts)
        order = np.lexsort((passages, -scores))[:k]
        return passages[order], scores[order]

    def measure(self, blocks: Sequence[np.ndarray], at: np.ndarray) -> float:
        """Measure the recall, looking twice as wide as gives `RECALL_WANTED`, and return it.

        It is the mean share of the `TOP` nearest passages besides itself that a search for a
        passage's own vector finds, over a seeded sample of `SAMPLE` passages. Questions lie
        farther from the passages than these do from each other, hence twice as wide; still their
        recall may be lower.
        """
        chosen = np.random.default_rng(0).permutation(len(at))[:SAMPLE]
        own = rows_of(blocks, at[chosen])
        truth = list(inner_product_search(own, blocks, TOP + 1, None, at, Codes()))

        def share() -> float:
            return _share(self._found(own, TOP + 1), truth, chosen)

        self.recall = self.index.widen_until(share, RECALL_WANTED, _WIDEST)
        if self.recall >= RECALL_WANTED:
            self.index.widen()
            self.recall = share()
        if self.recall < RECALL_WANTED:
            warnings.warn(
                f"index: its {self.index.kind} search finds {self.recall:.1%} of the nearest "
                f"passages, less than the {RECALL_WANTED:.0%} wanted; kind='exact' finds them all.",
                stacklevel=2,
            )
        return self.recall

    @property
    def about(self) -> dict[str, object]:
        """What a manifest says of it."""
        tuning = asdict(self.index.tuning)
        return {
            "kind": self.index.kind,
            "rows": len(self.index),
            "recall": self.recall,
            "tuning": tuning,
        }


def _share(found: Iterable[Ranking], truth: Iterable[Ranking], own: np.ndarray) -> float:
    """Return the mean share of the true neighbours that were found, oneself left out.

    One that is as near as the last of the true ones counts as one of them.
    """
    shares = []
    for (got, near), (true, nearest), me in zip(found, truth, own, strict=True):
        others = nearest[true != me][:TOP]
        if len(others):
            hits = np.count_nonzero(near[got != me] >= others[-1] - _ALIKE)
            shares.append(min(1.0, hits / len(others)))
    return float(np.mean(shares)) if shares else math.nan
