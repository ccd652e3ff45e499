"""Approximate indexes as faiss makes them: what they learn, how they are filled, what they hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

KEPT_DIMENSIONS = 192
"""Of vectors, at most, in which approximate kinds compare codes: those that vary most."""
CODED_FROM = 1_000
"""Vectors from which on they compare codes first: fewer are too few to learn codes from."""
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


def empty(vectors: np.ndarray, kind: str, tuning: Tuning) -> Any:
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
    refined, inner = inside(index)
    if kind == "hnsw":
        inner.hnsw.efConstruction = tuning.build_width
    else:
        inner.cp.max_points_per_centroid, inner.cp.min_points_per_centroid = _SAMPLE, 1
    if not count:
        return index
    drawn = _shuffled(vectors)[: max(_SAMPLE * lists, CODED_FROM)]
    sample = floats(vectors[np.sort(drawn)])
    if coded:
        turned = faiss.downcast_index(refined.base_index)
        turn = faiss.downcast_VectorTransform(turned.chain.at(0))
        turn.train(sample)
        # Centred vectors would have other inner products.
        turn.have_bias = False
    index.train(sample)
    return index


def take_in(index: Any, kind: str, vectors: np.ndarray) -> None:
    """Add vectors, whose row numbers follow; what was learnt from the first ones stays."""
    refined, _ = inside(index)
    begin = index.ntotal
    if refined is None:
        for _, some in _slabs(vectors, np.arange(len(vectors))):
            index.add(some)
    elif kind == "hnsw" and not begin:
        _link(index, vectors)
    else:
        order = _shuffled(vectors) if kind == "hnsw" else _side_by_side(vectors)
        for rows, some in _slabs(vectors, order):
            index.add_with_ids(some, begin + rows)


def _link(index: Any, vectors: np.ndarray) -> None:
    """Fill an empty HNSW index.

    Vectors are linked in no order: where they were linked in that in which they then lie in
    memory, searches of the same width found fewer (.985 instead of .990 of 100,000).
    """
    import faiss

    refined, graph = inside(index)
    linked, laid = _shuffled(vectors), _side_by_side(vectors)
    for _, some in _slabs(vectors, linked):
        refined.base_index.add(some)
    graph.permute_entries(np.argsort(linked)[laid])
    for _, some in _slabs(vectors, laid):
        refined.refine_index.add(some)
    refined.ntotal = index.ntotal = len(vectors)
    faiss.copy_array_to_vector(laid, index.id_map)


def _slabs(vectors: np.ndarray, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows in an order and their vectors, as float32, some at a time."""
    for start in range(0, len(order), _SLAB):
        rows = order[start : start + _SLAB]
        yield rows, floats(vectors[rows])


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
    few.add(floats(vectors[drawn]))
    slabs = _slabs(vectors, np.arange(len(vectors)))
    nearest = [few.search(some, 1)[1][:, 0] for _, some in slabs]
    return np.argsort(np.concatenate([[], *nearest]), kind="stable")


def inside(index: Any) -> tuple[Any, Any]:
    """Return what compares vectors themselves, None where no codes are, and the graph or lists."""
    import faiss

    if not isinstance(index, faiss.IndexIDMap):
        return None, index
    refined = faiss.downcast_index(index.index)
    coding = faiss.downcast_index(refined.base_index)
    return refined, faiss.downcast_index(coding.index)


def is_halved(index: Any) -> bool:
    """Tell whether an index of faiss compares vectors of float16 anew."""
    import faiss

    refined, _ = inside(index)
    if refined is None:
        return False
    return isinstance(faiss.downcast_index(refined.refine_index), faiss.IndexScalarQuantizer)


def floats(vectors: np.ndarray) -> np.ndarray:
    """Return vectors as faiss takes them."""
    return np.ascontiguousarray(vectors, np.float32)


def centres(count: int) -> int:
    """Return the number of lists of an IVF index: about twice the root of the vectors."""
    return max(1, min(count, round(2 * math.sqrt(count))))
