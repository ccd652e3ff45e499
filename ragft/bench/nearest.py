"""Search by vectors: against its floor, against faiss, and approximate search against exact."""

from __future__ import annotations

from typing import Any

import numpy as np

from ragft.bench import row
from ragft.bench.sides import DIMENSION, REAL, TOP, on, ratios, texts_and_queries, vectors_of
from ragft.bench.sides import cores as used_cores
from ragft.experiments.crowd import local_dimension
from ragft.experiments.rates import measure_rates
from ragft.retrieval import first_look
from ragft.retrieval.ann import VectorIndex, check_memory, index_bytes, recall
from ragft.retrieval.faiss_index import Tuning, centres
from ragft.runtime import stopwatch
from ragft.types import RagftError

BATCHES = (32, 128)
"""Queries at once."""
ALONE = 50
"""Queries that come one by one."""
QUERIES = 1_000
"""By which approximate searches are timed and their recall is measured, at least."""
COPIES = 4
"""Of the vectors, at once: ours, faiss's flat ones, those of an approximate index, and codes."""
RECALL = 0.99
"""Least recall of an approximate search, which looks wider until then: with less, its time says
nothing."""
_DOUBLINGS = 6
"""Times that it may look twice as wide."""
TUNINGS = {"hnsw": Tuning(search_width=12, candidates=1), "ivf": Tuning()}
"""Approximate searches, and how wide they look at first."""


def nearest(vectors: int = 1_000_000, repeats: int = 3, cores: int = 1) -> list[dict[str, Any]]:
    """Time searches among more vectors than the benchmark of all retrieval goes through.

    Parameters
    ----------
    vectors : int
        At least 1,000.
    repeats, cores : int
        At least 1.

    Returns
    -------
    list of dict
        As of `retrieval.retrieval`.

    Raises
    ------
    RagftError
        A number is out of range, the vectors do not fit the free memory, or exact search finds
        something else than faiss.
    """
    if vectors < 1000 or min(repeats, cores) < 1:
        raise RagftError(
            f"bench nearest: {vectors} vectors, {repeats} repeats, {cores} cores; at least 1,000 "
            "of the first, 1 of the others"
        )
    check_memory(COPIES * index_bytes(vectors, DIMENSION), f"a benchmark of {vectors:,} vectors")
    with used_cores(cores):
        return by_vectors(vectors, QUERIES, repeats, cores)


def by_vectors(count: int, queries: int, repeats: int, cores: int) -> list[dict[str, Any]]:
    """Time exact search against its floor and against faiss, and approximate ones against it."""
    import faiss

    texts, wanted = texts_and_queries(min(count, REAL), max(queries, QUERIES))
    vectors, asked = vectors_of(texts, wanted, count)
    origin = (
        f"{len(texts):,} vectors of texts, the others drawn to lie as these do; local dimension "
        f"{local_dimension(vectors):.0f}"
    )
    flat, exact = faiss.IndexFlatIP(DIMENSION), VectorIndex(vectors)
    flat.add(vectors)
    alone, read = asked[:ALONE], {"vectors": vectors.nbytes}
    if first_look.pays(1, count, TOP):
        read["codes"] = first_look.code_bytes(*vectors.shape)
    rows = [_against_floor(exact, *part, alone, repeats, cores) for part in read.items()]
    rows.append(_against_faiss(flat, exact, alone, 1, repeats, cores))
    rows += [_against_faiss(flat, exact, asked[:n], n, repeats, cores) for n in BATCHES]
    for kind in TUNINGS:
        rows += _approximate(kind, flat, exact, asked, repeats, cores, origin)
    return rows


def _one_by_one(index: VectorIndex, asked: np.ndarray) -> list[np.ndarray]:
    return [index.search(query[None], TOP)[0][0] for query in asked]


def _against_floor(
    exact: VectorIndex, what: str, size: int, asked: np.ndarray, repeats: int, cores: int
) -> dict[str, Any]:
    found = []
    _one_by_one(exact, asked)
    for _ in range(repeats):
        # Measured anew for each ratio: how fast memory is read changes with what else is running.
        rates = measure_rates(sizes=(size,), side=64)
        floor = rates.floor_seconds(0, size, size) * len(asked)
        with stopwatch() as watch:
            _one_by_one(exact, asked)
        found.append(watch.seconds / floor)
    note = (
        f"{on(cores)}; one query at a time, {size / 2**20:,.0f} MiB of {what}, which a "
        f"sum of them reads in {1000 * floor / len(asked):.1f} ms"
    )
    return row("exact search", len(exact), f"floor: reading all {what} once", found, note)


def _against_faiss(
    flat: Any, exact: VectorIndex, asked: np.ndarray, batch: int, repeats: int, cores: int
) -> dict[str, Any]:
    import faiss

    def ours() -> list[np.ndarray]:
        return _one_by_one(exact, asked) if batch == 1 else list(exact.search(asked, TOP)[0])

    def theirs() -> list[np.ndarray]:
        parts = np.split(asked, len(asked) // batch)
        return [rows for part in parts for rows in flat.search(part, TOP)[1]]

    share = float(recall(np.stack(ours()), np.stack(theirs())).mean())
    if share < RECALL:
        raise RagftError(f"bench retrieval: exact search finds {share:.1%} of what faiss finds")
    threshold = getattr(faiss.cvar, "distance_compute_blas_threshold", float("nan"))
    looked = first_look.pays(batch, len(exact), TOP)
    how = "by codes of 8 bits, then float32" if looked else "in float32"
    note = (
        f"{on(cores)}; ours {how}; faiss {faiss.__version__} multiplies matrices from "
        f"{threshold:,} numbers in the queries on, here {batch * DIMENSION:,}"
    )
    stage = "exact search" if batch == 1 else f"exact search, {batch} at once"
    found = ratios(ours, theirs, repeats)
    return row(stage, len(exact), "faiss IndexFlatIP", found, note, share)


def _approximate(
    kind: str,
    flat: Any,
    exact: VectorIndex,
    asked: np.ndarray,
    repeats: int,
    cores: int,
    origin: str,
) -> list[dict[str, Any]]:
    vectors = exact.vectors
    truth, _ = exact.search(asked, TOP)
    with stopwatch() as building:
        index = VectorIndex(vectors, kind, TUNINGS[kind])
    share = index.widen_until(
        lambda: float(recall(index.search(asked, TOP)[0], truth).mean()), RECALL, _DOUBLINGS
    )
    compared = _comparisons(kind)
    index.search(asked, TOP)
    codes, anew = (_comparisons(kind) - compared) / len(asked), TOP * index.tuning.candidates
    compared = f"the codes of {codes:,.0f} of them, and {anew} anew,"
    if kind == "ivf":
        compared = f"{centres(len(vectors)):,} centres, {compared}"
    alone = asked[:ALONE]
    note = (
        f"{on(cores)}; one query at a time; built in {building.seconds:.1f} s with "
        f"{index.tuning}; {origin}; {compared} compared with a query"
    )
    others = {
        "exact search": lambda: _one_by_one(exact, alone),
        "faiss IndexFlatIP": lambda: [flat.search(query[None], TOP) for query in alone],
    }
    return [
        row(
            f"{kind} search",
            len(vectors),
            name,
            # Of what is so quick, more must be asked than of the other to be timed as well.
            ratios(lambda: _one_by_one(index, asked), other, repeats, len(alone) / len(asked)),
            note,
            share,
        )
        for name, other in others.items()
    ]


def _comparisons(kind: str) -> int:
    """Return how many vectors faiss has compared with queries so far."""
    import faiss

    stats = faiss.cvar.hnsw_stats if kind == "hnsw" else faiss.cvar.indexIVF_stats
    return stats.ndis
