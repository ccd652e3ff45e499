"""Vector indexes of several kinds behind one search: exact, HNSW and IVF, with their recall.

Approximate kinds give up a little recall for time. Which kind an index of passages takes, and what
of it may be found, lives in `neighbours`; exact search itself in `dense`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ragft.retrieval.dense import inner_product_search
from ragft.retrieval.first_look import Codes
from ragft.types import RagftError

KINDS = ("exact", "hnsw", "ivf")
"""Every vector compared; a graph of near neighbours; lists around centres, some of them read."""
KEPT_DIMENSIONS = 192
"""Of vectors, at most, in which IVF finds its lists and compares codes: those that vary most."""
CODED_FROM = 1_000
"""Vectors from which on IVF compares codes first: fewer are too few to learn codes from."""
MEMORY_SHARE = 0.8
"""Share of the memory that is free which an index may fill."""
_SAMPLE = 64
"""Vectors for each list of IVF from which the lists are learnt: with more they are no better, and
all of a million take minutes."""
_SLAB = 65_536
"""Vectors that are taken in at a time: what faiss makes of all at once would fill the memory."""


@dataclass(frozen=True)
class Tuning:
    """How much work an approximate index does: more finds more and takes longer."""

    links: int = 32
    """HNSW: neighbours that each vector is linked to (M)."""
    build_width: int = 80
    """HNSW: candidates looked at when a vector is linked (efConstruction)."""
    search_width: int = 64
    """HNSW: candidates looked at in a search (efSearch)."""
    probes: int = 4
    """IVF: lists that a search reads; there are about twice the root of n."""
    candidates: int = 5
    """IVF: vectors with the best codes that are compared themselves, for each one wanted."""


class VectorIndex:
    """Unit vectors behind an index of one kind; what it finds are their row numbers.

    Parameters
    ----------
    vectors : ndarray of float32 or float16, shape (n, d)
        Kept by 'exact', copied by the others: as they are by 'ivf' (as float32 where they are
        few), as float32 by 'hnsw'.
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
            self.vectors, self._codes = _floats(vectors), Codes()
            return
        item = 2 if vectors.dtype == np.float16 else 4
        check_memory(
            index_bytes(len(vectors), self.dimension, kind, self.tuning, item),
            f"an {kind} index of {len(vectors):,} vectors",
        )
        self._index = self._build(vectors)
        self._set_width()
        self.add(vectors)

    def __len__(self) -> int:
        return len(self.vectors) if self.kind == "exact" else self._index.ntotal

    @property
    def bytes(self) -> int:
        """Memory that the index takes, vectors included; computed from its shape."""
        if self.kind == "exact":
            return index_bytes(len(self), self.dimension) + self._codes.bytes
        item = 2 if _is_halved(self._index) else 4
        return index_bytes(len(self), self.dimension, self.kind, self.tuning, item)

    def _build(self, vectors: np.ndarray) -> Any:
        """Return an index for such vectors, which holds none yet."""
        import faiss

        if self.kind == "ivf":
            return _new_ivf(vectors)
        links = self.tuning.links
        index = faiss.IndexHNSWFlat(self.dimension, links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.tuning.build_width
        return index

    def _set_width(self) -> None:
        import faiss

        if self.kind == "hnsw":
            self._index.hnsw.efSearch = self.tuning.search_width
            return
        lists = faiss.extract_index_ivf(self._index)
        lists.nprobe = min(self.tuning.probes, lists.nlist)
        if isinstance(self._index, faiss.IndexRefine):
            self._index.k_factor = self.tuning.candidates

    def add(self, vectors: np.ndarray) -> None:
        """Take in further vectors, whose row numbers follow; only for 'hnsw' and 'ivf'.

        The centres of 'ivf' stay where they are.
        """
        for start in range(0, len(vectors), _SLAB):
            self._index.add(_floats(vectors[start : start + _SLAB]))

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
            faiss cannot read it.
        """
        import faiss

        made = cls.__new__(cls)
        made.kind, made.tuning = kind, tuning
        try:
            made._index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise RagftError(f"{path}: faiss {faiss.__version__} cannot read it.") from error
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
        scores, rows = self._index.search(_floats(queries), k)
        return rows, scores


def _new_ivf(vectors: np.ndarray) -> Any:
    """Return an IVF index that has learnt its lists and codes, and holds nothing yet.

    It keeps the dimensions that vary most, turned so that each carries as much, and of the way
    from the centre of its list to a vector a code of 4 bits for each; the vectors with the best
    codes are then compared themselves. Source: Jégou, Douze, Schmid, 'Product Quantization for
    Nearest Neighbor Search' (TPAMI 2011), and for comparing 32 codes at once André, Kermarrec, Le
    Scouarnec, 'Cache locality is not enough' (VLDB 2015).
    """
    import faiss

    count, dimension = vectors.shape
    lists, kept, coded = centres(count), min(dimension, KEPT_DIMENSIONS), count >= CODED_FROM
    codes = f"PCAR{kept},IVF{lists},PQ{kept}x4fsr"
    whole = "Refine(SQfp16)" if vectors.dtype == np.float16 else "RFlat"
    parts = f"{codes},{whole}" if coded else f"IVF{lists},Flat"
    index = faiss.index_factory(dimension, parts, faiss.METRIC_INNER_PRODUCT)
    ivf = faiss.extract_index_ivf(index)
    ivf.cp.max_points_per_centroid, ivf.cp.min_points_per_centroid = _SAMPLE, 1
    if not count:
        return index
    drawn = np.random.default_rng(0).permutation(count)[: max(_SAMPLE * lists, CODED_FROM)]
    sample = _floats(vectors[np.sort(drawn)])
    if coded:
        turned = faiss.downcast_index(index.base_index)
        turn = faiss.downcast_VectorTransform(turned.chain.at(0))
        turn.train(sample)
        # Centred vectors would have other inner products.
        turn.have_bias = False
    index.train(sample)
    return index


def _is_halved(index: Any) -> bool:
    """Tell whether an index of faiss compares vectors of float16 anew."""
    import faiss

    if not isinstance(index, faiss.IndexRefine):
        return False
    return isinstance(faiss.downcast_index(index.refine_index), faiss.IndexScalarQuantizer)


def _floats(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors, np.float32)


def centres(count: int) -> int:
    """Return the number of lists of an IVF index: about twice the root of the vectors."""
    return max(1, min(count, round(2 * math.sqrt(count))))


def index_bytes(
    count: int,
    dimension: int,
    kind: str = "exact",
    tuning: Tuning | None = None,
    item: int = 4,
) -> int:
    """Return the memory that an index takes, in bytes, its vectors included.

    Each of their numbers takes `item` bytes, where IVF compares codes first; else 4.

    HNSW keeps 2 M links of 4 bytes on the lowest layer and M on each of the few higher ones (a
    share 1 / M of the vectors is on each next one); IVF an 8-byte number and, from `CODED_FROM`
    vectors on, a code for every vector, the centres, and what turns a query. The codes that
    'exact' keeps once a search needs them do not count here.
    """
    flat, tuning = 4 * count * dimension, tuning or Tuning()
    if kind == "hnsw":
        higher = 1 / max(tuning.links - 1, 1)
        return flat + round(4 * count * tuning.links * (2 + higher)) + 12 * count
    if kind == "ivf" and count < CODED_FROM:
        return flat + 8 * count + 4 * dimension * centres(count)
    if kind == "ivf":
        kept = min(dimension, KEPT_DIMENSIONS)
        lists = centres(count)
        # Codes lie in blocks of 32, of which the last of each list is half full.
        coded = (8 * count) + (kept + 1) // 2 * (count + 16 * lists)
        whole = item * count * dimension
        return whole + coded + 4 * kept * (lists + dimension + 16) + 4 * dimension**2
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
