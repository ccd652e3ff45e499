"""Vector indexes of several kinds behind one search: exact, HNSW and IVF, with their recall.

Approximate kinds give up a little recall for time. Which passages, filters and days there are
lives in `index`, which searches exactly; exact search itself lives in `dense`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ragft.retrieval.dense import inner_product_search
from ragft.types import RagftError

KINDS = ("exact", "hnsw", "ivf")
"""Every vector compared; a graph of near neighbours; lists around centres, some of them read."""
MEMORY_SHARE = 0.8
"""Share of the memory that is free which an index may fill."""


@dataclass(frozen=True)
class Tuning:
    """How much work an approximate index does: more finds more and takes longer."""

    links: int = 32
    """HNSW: neighbours that each vector is linked to (M)."""
    build_width: int = 80
    """HNSW: candidates looked at when a vector is linked (efConstruction)."""
    search_width: int = 64
    """HNSW: candidates looked at in a search (efSearch)."""
    probes: int = 16
    """IVF: lists that a search reads; there are about 4 times the root of n."""


class VectorIndex:
    """Unit vectors behind an index of one kind; what it finds are their row numbers.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Kept as they are by 'exact', copied by the others.
    kind : {'exact', 'hnsw', 'ivf'}
    tuning : Tuning, optional

    Attributes
    ----------
    bytes : int
        Memory that the index takes, vectors included; for 'hnsw' and 'ivf' computed from its
        shape.

    Raises
    ------
    RagftError
        An unknown kind, vectors of another shape, or more memory than is free, told before any
        of it is filled.
    """

    def __init__(
        self, vectors: np.ndarray, kind: str = "exact", tuning: Tuning | None = None
    ) -> None:
        if kind not in KINDS:
            raise RagftError(f"vector index: unknown kind {kind!r}; choose {', '.join(KINDS)}")
        if vectors.ndim != 2:
            raise RagftError(
                f"vector index: vectors must have the shape (n, d), not {vectors.shape}"
            )
        self.kind, self.tuning = kind, tuning or Tuning()
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self.bytes = index_bytes(len(vectors), vectors.shape[1], kind, self.tuning)
        if kind != "exact":
            check_memory(self.bytes, f"an {kind} index of {len(vectors):,} vectors")
            self._index = self._build()

    def _build(self) -> Any:
        import faiss

        count, dimension = self.vectors.shape
        if self.kind == "hnsw":
            index = faiss.IndexHNSWFlat(dimension, self.tuning.links, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = self.tuning.build_width
            index.hnsw.efSearch = self.tuning.search_width
        else:
            lists = centres(count)
            flat = faiss.IndexFlatIP(dimension)
            index = faiss.IndexIVFFlat(flat, dimension, lists, faiss.METRIC_INNER_PRODUCT)
            # The centres need no more than faiss's own least sample; all of a million take minutes.
            index.cp.max_points_per_centroid = 64
            index.cp.min_points_per_centroid = 1
            index.nprobe = min(self.tuning.probes, lists)
            if count:
                index.train(self.vectors)
        if count:
            index.add(self.vectors)
        return index

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows with the highest inner products, best first, and these.

        Parameters
        ----------
        queries : ndarray of float32, shape (q, d)
        k : int
            At least 1.

        Returns
        -------
        rows : ndarray of int64, shape (q, min(k, n))
            −1 where an approximate index found fewer.
        scores : ndarray of float32, the same shape
        """
        k = min(k, len(self.vectors))
        if not k or not len(queries):
            return np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        if self.kind == "exact":
            found = list(inner_product_search(queries, self.vectors, k))
            return np.stack([rows for rows, _ in found]), np.stack([s for _, s in found])
        scores, rows = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        return rows, scores


def centres(count: int) -> int:
    """Return the number of lists of an IVF index: about 4 times the root of the vectors."""
    return max(1, min(count, round(4 * math.sqrt(count))))


def index_bytes(
    count: int, dimension: int, kind: str = "exact", tuning: Tuning | None = None
) -> int:
    """Return the memory that an index takes, in bytes, its vectors included.

    HNSW keeps 2 M links of 4 bytes on the lowest layer and M on each of the few higher ones (a
    share 1 / M of the vectors is on each next one); IVF an 8-byte number for every vector, and the
    centres.
    """
    flat, tuning = 4 * count * dimension, tuning or Tuning()
    if kind == "hnsw":
        higher = 1 / max(tuning.links - 1, 1)
        return flat + round(4 * count * tuning.links * (2 + higher)) + 12 * count
    if kind == "ivf":
        return flat + 8 * count + 4 * dimension * centres(count)
    return flat


def check_memory(needed: int, what: str) -> None:
    """Refuse what does not fit into the memory that is free.

    Raises
    ------
    RagftError
        Naming both sizes. Where the system does not tell, nothing is refused.
    """
    free = free_memory()
    if needed > MEMORY_SHARE * free:
        raise RagftError(
            f"{what} takes {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free; "
            "choose fewer vectors"
        )


def free_memory() -> float:
    """Return the memory that can be had without swapping, in bytes; inf where nothing tells."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            rows = dict(line.split(":", 1) for line in file)
        return 1024.0 * int(rows["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return math.inf


def recall(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return for each query the share of the exact neighbours that were found.

    Parameters
    ----------
    found, exact : ndarray of int, shapes (q, k') and (q, k)

    Returns
    -------
    ndarray of float64, shape (q,)
        NaN where there is no exact neighbour.
    """
    if not exact.shape[1]:
        return np.full(len(exact), np.nan)
    pairs = zip(found, exact, strict=True)
    return np.array([np.isin(truth, rows).mean() for rows, truth in pairs])
