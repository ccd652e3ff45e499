"""Vector indexes of several kinds behind one search: exact, HNSW and IVF, with their recall.

Approximate kinds give up a little recall for time. Which kind an index of passages takes, and what
of it may be found, lives in `neighbours`; how exact search works in `exact_search`, and how faiss
makes the others in `faiss_index`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ragft.retrieval import faiss_index
from ragft.retrieval.exact_search import inner_product_search
from ragft.retrieval.faiss_index import Tuning, centres, floats
from ragft.retrieval.first_look import Codes
from ragft.types import RagftError

KINDS = ("exact", "hnsw", "ivf")
"""Every vector compared; a graph of near neighbours; lists around centres, some of them read."""
MEMORY_SHARE = 0.8
"""Share of the memory that is free which an index may fill."""


class VectorIndex:
    """Unit vectors behind an index of one kind; what it finds are their row numbers.

    Parameters
    ----------
    vectors : ndarray of float32 or float16, shape (n, d)
        Kept by 'exact', copied by the others: as they are, or as float32 where there are fewer than
        `faiss_index.CODED_FROM`.
    kind : {'exact', 'hnsw', 'ivf'}
    tuning : Tuning, optional

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
        self.dimension = vectors.shape[1]
        if kind == "exact":
            self.vectors, self._codes = floats(vectors), Codes()
            return
        item = 2 if vectors.dtype == np.float16 else 4
        check_memory(
            index_bytes(len(vectors), self.dimension, kind, self.tuning, item),
            f"an {kind} index of {len(vectors):,} vectors",
        )
        self._index = faiss_index.empty(vectors, kind, self.tuning)
        self._set_width()
        self.add(vectors)

    def __len__(self) -> int:
        return len(self.vectors) if self.kind == "exact" else self._index.ntotal

    @property
    def bytes(self) -> int:
        """Memory that the index takes, vectors included; computed from its shape."""
        if self.kind == "exact":
            return index_bytes(len(self), self.dimension) + self._codes.bytes
        item = 2 if faiss_index.is_halved(self._index) else 4
        return index_bytes(len(self), self.dimension, self.kind, self.tuning, item)

    def _set_width(self) -> None:
        refined, inner = faiss_index.inside(self._index)
        if refined is not None:
            refined.k_factor = self.tuning.candidates
        if self.kind == "hnsw":
            inner.hnsw.efSearch = self.tuning.search_width
        else:
            inner.nprobe = min(self.tuning.probes, inner.nlist)

    def add(self, vectors: np.ndarray) -> None:
        """Take in further vectors, whose row numbers follow; only for 'hnsw' and 'ivf'.

        What was learnt from the first ones, centres and codes, stays as it is.
        """
        faiss_index.take_in(self._index, self.kind, vectors)

    def widen(self) -> None:
        """Let every search do twice the work from now on, and find more; not for 'exact'."""
        self.tuning = replace(
            self.tuning,
            search_width=2 * self.tuning.search_width,
            probes=2 * self.tuning.probes,
            candidates=2 * self.tuning.candidates,
        )
        self._set_width()

    def widen_until(self, share: Callable[[], float], wanted: float, doublings: int) -> float:
        """Widen until `share()` is as high as wanted, and return what it was last.

        At most so many times; a share that is not a number counts as high enough.
        """
        for _ in range(doublings):
            if not (found := share()) < wanted:
                return found
            self.widen()
        return share()

    def write(self, path: Path) -> None:
        """Write an approximate index, its vectors included, as faiss does."""
        import faiss

        faiss.write_index(self._index, str(path))

    @classmethod
    def read(cls, path: Path, kind: str, tuning: Tuning) -> VectorIndex:
        """Read what `write` wrote; the file must be known to be that, as faiss checks little.

        Raises
        ------
        RagftError
            faiss cannot read it, or it is none of this kind as this version makes them.
        """
        import faiss

        made = cls.__new__(cls)
        made.kind, made.tuning = kind, tuning
        try:
            made._index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise RagftError(f"{path}: faiss {faiss.__version__} cannot read it.") from error
        _, inner = faiss_index.inside(made._index)
        if not isinstance(inner, faiss.IndexHNSW if kind == "hnsw" else faiss.IndexIVF):
            raise RagftError(f"{path}: holds no {kind} index as this version of ragft makes them.")
        made.dimension = made._index.d
        made._set_width()
        return made

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
        k = min(k, len(self))
        if not k or not len(queries):
            return np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        if self.kind == "exact":
            found = list(inner_product_search(queries, self.vectors, k, codes=self._codes))
            return np.stack([rows for rows, _ in found]), np.stack([s for _, s in found])
        scores, rows = self._index.search(floats(queries), k)
        return rows, scores


def index_bytes(
    count: int,
    dimension: int,
    kind: str = "exact",
    tuning: Tuning | None = None,
    item: int = 4,
) -> int:
    """Return the memory that an index takes, in bytes, its vectors included.

    Each of their numbers takes `item` bytes, where codes are compared first; else 4.

    From `faiss_index.CODED_FROM` vectors on both approximate kinds keep a code and an 8-byte number
    for every vector, and what turns a query. HNSW keeps 2 M links of 4 bytes on the lowest layer
    and M on each of the few higher ones (a share 1 / M of the vectors is on each next one); IVF
    another 8-byte number of every vector, and the centres. The codes that 'exact' keeps once a
    search needs them do not count here.
    """
    tuning, coded = tuning or Tuning(), kind != "exact" and count >= faiss_index.CODED_FROM
    total = (item if coded else 4) * count * dimension
    kept, lists = min(dimension, faiss_index.KEPT_DIMENSIONS), centres(count)
    if coded:
        total += 8 * count + 4 * dimension * (dimension + kept)
    if kind == "hnsw":
        higher = 1 / max(tuning.links - 1, 1)
        total += round(4 * count * tuning.links * (2 + higher)) + 12 * count
        total += kept * count if coded else 0
    elif kind == "ivf":
        # Codes lie in blocks of 32, of which the last of each list is half full.
        codes = (kept + 1) // 2 * (count + 16 * lists) + 64 * kept
        total += 8 * count + (4 * kept * lists + codes if coded else 4 * dimension * lists)
    return total


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
