"""Vector indexes of several kinds behind one search: exact, HNSW and IVF, with their recall.

Approximate kinds give up a little recall for time. Which kind an index of passages takes, and what
of it may be found, lives in `neighbours`; exact search itself in `dense`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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
"""Of vectors, at most, in which approximate kinds compare codes: those that vary most."""
CODED_FROM = 1_000
"""Vectors from which on they compare codes first: fewer are too few to learn codes from."""
MEMORY_SHARE = 0.8
"""Share of the memory that is free which an index may fill."""
_SAMPLE = 64
"""Vectors for each list of IVF from which the lists are learnt: with more they are no better, and
all of a million take minutes."""
_SIDES = 1_000
"""Groups, at most, in which vectors lie in memory that are near each other."""
_SLAB = 65_536
"""Vectors that are taken in at a time: what faiss makes of all at once would fill the memory."""


@dataclass(frozen=True)
class Tuning:
    """How much work an approximate index does: more finds more and takes longer."""

    links: int = 32
    """HNSW: neighbours that each vector is linked to (M)."""
    build_width: int = 600
    """HNSW: candidates looked at when a vector is linked (efConstruction)."""
    search_width: int = 128
    """HNSW: candidates looked at in a search (efSearch)."""
    probes: int = 4
    """IVF: lists that a search reads; there are about twice the root of n."""
    candidates: int = 5
    """Both: vectors with the best codes that are compared themselves, for each one wanted."""


class VectorIndex:
    """Unit vectors behind an index of one kind; what it finds are their row numbers.

    Parameters
    ----------
    vectors : ndarray of float32 or float16, shape (n, d)
        Kept by 'exact', copied by the others: as they are, or as float32 where there are fewer than
        `CODED_FROM`.
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
        self._index = _new(vectors, kind, self.tuning)
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

    def _set_width(self) -> None:
        refined, inner = _inside(self._index)
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
        refined, _ = _inside(self._index)
        begin = len(self)
        if refined is None:
            for some in _slabs(vectors, np.arange(len(vectors))):
                self._index.add(some)
        elif self.kind == "hnsw" and not begin:
            _link(self._index, vectors)
        else:
            order = _shuffled(vectors) if self.kind == "hnsw" else _side_by_side(vectors)
            rows = iter(order + begin)
            for some in _slabs(vectors, order):
                self._index.add_with_ids(some, np.fromiter(rows, np.int64, len(some)))

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
        _, inner = _inside(made._index)
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
        scores, rows = self._index.search(_floats(queries), k)
        return rows, scores


def _new(vectors: np.ndarray, kind: str, tuning: Tuning) -> Any:
    """Return an approximate index that has learnt what it learns from vectors, and holds none yet.

    Codes are of the dimensions that vary most, turned so that each carries as much: 8 bits for
    each in the graph of HNSW; 4 bits for each in the lists of IVF, of the way from the centre of
    the list. The vectors with the best codes are then compared themselves. Sources: Malkov,
    Yashunin, 'Efficient and robust approximate nearest neighbor search using Hierarchical
    Navigable Small World graphs' (TPAMI 2018); Jégou, Douze, Schmid, 'Product Quantization for
    Nearest Neighbor Search' (TPAMI 2011), and for comparing 32 codes at once André, Kermarrec, Le
    Scouarnec, 'Cache locality is not enough' (VLDB 2015).
    """
    import faiss

    count, dimension = vectors.shape
    lists, coded = centres(count), count >= CODED_FROM
    kept = min(dimension, KEPT_DIMENSIONS) if coded else dimension
    if kind == "hnsw":
        plan = f"HNSW{tuning.links}" + ("_SQ8" if coded else ",Flat")
    else:
        plan = f"IVF{lists}," + (f"PQ{kept}x4fsr" if coded else "Flat")
    if coded:
        # A graph of vectors of one length is the better one; lists take them as they are.
        plan = f"PCAR{kept}," + ("L2norm," if kind == "hnsw" else "") + plan
        plan = f"IDMap,{plan}," + ("Refine(SQfp16)" if vectors.dtype == np.float16 else "RFlat")
    index = faiss.index_factory(dimension, plan, faiss.METRIC_INNER_PRODUCT)
    refined, inner = _inside(index)
    if kind == "hnsw":
        inner.hnsw.efConstruction = tuning.build_width
    else:
        inner.cp.max_points_per_centroid, inner.cp.min_points_per_centroid = _SAMPLE, 1
    if not count:
        return index
    drawn = _shuffled(vectors)[: max(_SAMPLE * lists, CODED_FROM)]
    sample = _floats(vectors[np.sort(drawn)])
    if coded:
        turned = faiss.downcast_index(refined.base_index)
        turn = faiss.downcast_VectorTransform(turned.chain.at(0))
        turn.train(sample)
        # Centred vectors would have other inner products.
        turn.have_bias = False
    index.train(sample)
    return index


def _link(index: Any, vectors: np.ndarray) -> None:
    """Fill an empty HNSW index.

    Vectors are linked in no order: linked side by side, as they then lie in memory, they would
    have few links to those far away, through which a search comes near.
    """
    import faiss

    refined, graph = _inside(index)
    linked, laid = _shuffled(vectors), _side_by_side(vectors)
    for some in _slabs(vectors, linked):
        refined.base_index.add(some)
    graph.permute_entries(np.argsort(linked)[laid])
    for some in _slabs(vectors, laid):
        refined.refine_index.add(some)
    refined.ntotal = index.ntotal = len(vectors)
    faiss.copy_array_to_vector(laid, index.id_map)


def _slabs(vectors: np.ndarray, order: np.ndarray) -> Iterator[np.ndarray]:
    """Yield vectors in an order, as float32, some at a time."""
    for start in range(0, len(order), _SLAB):
        yield _floats(vectors[order[start : start + _SLAB]])


def _shuffled(vectors: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permutation(len(vectors))


def _side_by_side(vectors: np.ndarray) -> np.ndarray:
    """Return an order in which vectors that are near each other mostly follow each other.

    So they lie in memory: what a search reads is then more often read already. They are ordered by
    which of a few of them is nearest.
    """
    import faiss

    drawn = _shuffled(vectors)[:_SIDES]
    few = faiss.IndexFlatIP(vectors.shape[1])
    few.add(_floats(vectors[drawn]))
    slabs = _slabs(vectors, np.arange(len(vectors)))
    nearest = [few.search(some, 1)[1][:, 0] for some in slabs]
    return np.argsort(np.concatenate([[], *nearest]), kind="stable")


def _inside(index: Any) -> tuple[Any, Any]:
    """Return what compares vectors themselves, None where no codes are, and the graph or lists."""
    import faiss

    if not isinstance(index, faiss.IndexIDMap):
        return None, index
    refined = faiss.downcast_index(index.index)
    coding = faiss.downcast_index(refined.base_index)
    return refined, faiss.downcast_index(coding.index)


def _is_halved(index: Any) -> bool:
    """Tell whether an index of faiss compares vectors of float16 anew."""
    import faiss

    refined, _ = _inside(index)
    if refined is None:
        return False
    return isinstance(faiss.downcast_index(refined.refine_index), faiss.IndexScalarQuantizer)


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

    Each of their numbers takes `item` bytes, where codes are compared first; else 4.

    From `CODED_FROM` vectors on both approximate kinds keep a code and an 8-byte number for every
    vector, and what turns a query. HNSW keeps 2 M links of 4 bytes on the lowest layer and M on
    each of the few higher ones (a share 1 / M of the vectors is on each next one); IVF another
    8-byte number of every vector, and the centres. The codes that 'exact' keeps once a search needs
    them do not count here.
    """
    tuning, coded = tuning or Tuning(), kind != "exact" and count >= CODED_FROM
    total = (item if coded else 4) * count * dimension
    kept, lists = min(dimension, KEPT_DIMENSIONS), centres(count)
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
