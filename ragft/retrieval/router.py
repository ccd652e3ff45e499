"""Sending a query to the collection that it is about, or to all of them where that is unsure.

A router only narrows: its choice is one more filter, and it chooses among what the caller may see.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence

import numpy as np

from ragft.retrieval.access import CallerView
from ragft.retrieval.filters import Days, Names, names
from ragft.retrieval.index import HybridIndex
from ragft.retrieval.parts import EmbedsTexts, checked, searched_text, timed
from ragft.types import Hit, RagftError

MARGIN = 0.05
"""By how much cosine the nearest collection must beat the next one, where nothing else is said."""


class CentroidRouter:
    """The collection whose mean vector is nearest to the query's, if it is clearly the nearest.

    Parameters
    ----------
    margin : float
        Cosine to the nearest centroid minus that to the second one, from 0 to 2; below it the
        router abstains, and all collections are searched. 0 never abstains.

    Raises
    ------
    RagftError
        A margin out of range.
    """

    def __init__(self, margin: float = MARGIN) -> None:
        if not 0 <= margin <= 2:
            raise RagftError(f"router: margin must lie between 0 and 2, not {margin!r}.")
        self.margin = margin
        self.collections: tuple[str, ...] = ()
        self._centroids = np.empty((0, 0), dtype=np.float32)

    def fit(self, vectors: np.ndarray, collections: Sequence[str]) -> CentroidRouter:
        """Learn the centroids.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, d)
            Unit vectors of passages, or of questions whose collections are known.
        collections : sequence of str, length n

        Raises
        ------
        RagftError
            No vectors, other lengths, or a collection whose vectors add up to nothing.
        """
        vectors = np.asarray(vectors, dtype=np.float32)
        if vectors.ndim != 2 or not len(vectors) or len(vectors) != len(collections):
            raise RagftError(
                f"router: vectors of shape {vectors.shape} for {len(collections)} collections; "
                "give one vector for each, and at least one."
            )
        self.collections = tuple(dict.fromkeys(collections))
        codes = np.array([self.collections.index(name) for name in collections])
        means = np.stack([vectors[codes == n].mean(axis=0) for n in range(len(self.collections))])
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        if not np.all(lengths > 1e-6):
            lost = self.collections[int(np.argmin(lengths))]
            raise RagftError(f"router: the vectors of collection {lost!r} have no direction.")
        self._centroids = means / lengths
        return self

    def calibrate(
        self, vectors: np.ndarray, collections: Sequence[str], precision: float = 0.95
    ) -> CentroidRouter:
        """Set the margin to the least one at which routed queries go right often enough.

        Parameters
        ----------
        vectors : ndarray, shape (n, d)
            Of queries, not of those that will be measured.
        collections : sequence of str, length n
            The right collection of each.
        precision : float
            Share of the routed queries that must go to the right one; in (0, 1].

        Returns
        -------
        CentroidRouter
            Itself. Where no margin is enough it is 2, which always abstains.
        """
        if not 0 < precision <= 1:
            raise RagftError(f"router: precision must lie between 0 and 1, not {precision!r}.")
        nearest, lead = self._nearest(vectors, range(len(self.collections)))
        right = np.array([self.collections[i] for i in nearest]) == np.asarray(collections)
        for margin in np.unique(np.clip(lead, 0, 2)).tolist():
            if right[lead >= margin].mean() >= precision:
                self.margin = margin
                return self
        self.margin = 2.0
        return self

    def route(self, vectors: np.ndarray, among: Names = None) -> list[str | None]:
        """Return the collection of each query, or None where the router abstains.

        Parameters
        ----------
        vectors : ndarray, shape (q, d)
            Unit vectors of the queries.
        among : str or several, optional
            Collections to choose from; None takes all that it knows. With none of them known it
            abstains always.

        Raises
        ------
        RagftError
            Before `fit`.
        """
        if not self.collections:
            raise RagftError("router: it knows no collection yet; call fit(vectors, collections).")
        wanted = None if among is None else names(among)
        known = [i for i, name in enumerate(self.collections) if wanted is None or name in wanted]
        if not known or not len(vectors):
            return [None] * len(vectors)
        nearest, lead = self._nearest(vectors, known)
        return [
            self.collections[i] if sure else None
            for i, sure in zip(nearest.tolist(), lead >= self.margin, strict=True)
        ]

    def _nearest(self, vectors: np.ndarray, known: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest of the known collections to each vector, and its lead; shape (q,)."""
        known = np.array(list(known))
        cosines = np.asarray(vectors, dtype=np.float32) @ self._centroids[known].T
        if len(known) == 1:
            return np.repeat(known, len(cosines)), np.full(len(cosines), 2.0)
        order = np.argsort(-cosines, axis=1, kind="stable")
        first, second = (np.take_along_axis(cosines, order[:, [n]], 1)[:, 0] for n in (0, 1))
        return known[order[:, 0]], first - second


class RoutedIndex:
    """An index behind a router.

    Parameters
    ----------
    index : HybridIndex or CallerView
        A view keeps its limits: the router chooses among the collections that are allowed, and
        where it abstains all of those are searched, and no other.
    router : CentroidRouter
    embedder : Embedder, optional
        The one that the router was fitted with; the index's own where None.
    """

    def __init__(
        self,
        index: HybridIndex | CallerView,
        router: CentroidRouter,
        embedder: EmbedsTexts | None = None,
    ) -> None:
        self.index, self.router = index, router
        self._embedder = embedder

    def search(
        self,
        query: str | Sequence[str],
        top_k: int = 10,
        as_of: Days = None,
        collection: Names = None,
        timings: MutableMapping[str, float] | None = None,
        *,
        source: Names = None,
    ) -> list[Hit] | list[list[Hit]]:
        """Find the best passages for a query, or for each of several; as `HybridIndex.search`.

        `collection` limits what the router may choose from. `timings` gets the milliseconds of
        'route' added, in which the queries are embedded once more.
        """
        queries = checked(query, top_k)
        timings = {} if timings is None else timings
        with timed(timings, "route"):
            chosen = self.routes(queries, collection)
        hits: list[list[Hit]] = [[] for _ in queries]
        for name in dict.fromkeys(chosen):
            rows = [n for n, one in enumerate(chosen) if one == name]
            where = collection if name is None else name
            texts = [queries[n] for n in rows]
            found = self.index.search(texts, top_k, as_of, where, timings, source=source)
            for n, mine in zip(rows, found, strict=True):
                hits[n] = mine
        return hits[0] if isinstance(query, str) else hits

    def routes(self, queries: Sequence[str], collection: Names = None) -> list[str | None]:
        """Return the collection that each query is sent to; None where all are searched."""
        embedder = self.index.embedder if self._embedder is None else self._embedder
        limits = [] if collection is None else [names(collection)]
        if isinstance(self.index, CallerView):
            limits.append(self.index.allowed)
        among = frozenset.intersection(*limits) if limits else None
        return self.router.route(embedder.embed(queries, cached=False), among)


def fit_router(
    index: HybridIndex, margin: float = MARGIN, embedder: EmbedsTexts | None = None
) -> CentroidRouter:
    """Return a router whose centroids are the mean passages of the index's collections.

    Raises
    ------
    RagftError
        The index is empty.
    """
    embedder = index.embedder if embedder is None else embedder
    vectors = embedder.embed([searched_text(p) for p in index.passages])
    return CentroidRouter(margin).fit(vectors, [p.collection for p in index.passages])
