"""What a search costs, against the libraries that people would call in its place.

All sides get the same words and the same vectors, and answer the same queries; what is timed is
searching alone, on as many cores as torch and faiss have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from ragft.bench import row
from ragft.experiments.crowd import crowd, drawn_around
from ragft.experiments.rates import measure_rates
from ragft.retrieval import embedding_model
from ragft.retrieval.ann import VectorIndex, recall
from ragft.retrieval.bm25 import BM25, tokenize
from ragft.retrieval.dense import Embedder, inner_product_search
from ragft.retrieval.fusion import reciprocal_rank_fusion
from ragft.retrieval.index import HybridIndex
from ragft.runtime import stopwatch
from ragft.types import Passage, RagftError

DIMENSION = 384
"""Of the vectors, as those of all-MiniLM-L6-v2."""
TOP, DEPTH = 10, 100
"""Passages wanted, and those of each ranking that enter the fusion."""
RRF_K = 60
EMBEDDED = 256
"""Texts that are embedded, of about a hundred tokens each."""


def retrieval(
    passages: int = 100_000, hybrid: int = 20_000, queries: int = 200, repeats: int = 3
) -> list[dict[str, Any]]:
    """Time searches side by side.

    Parameters
    ----------
    passages : int
        That BM25 and exact vector search go through; at least 1,000.
    hybrid : int
        That the hybrid search goes through; at least 1,000.
    queries, repeats : int
        At least 10 and at least 1.

    Returns
    -------
    list of dict
        One row a stage and other side; the ratio is seconds of the other / ours, so more is
        better, but for a floor, where it is ours / the floor.

    Raises
    ------
    RagftError
        A number is out of range, or a side finds something else, so that it did other work.
    """
    if min(passages, hybrid) < 1000 or queries < 10 or repeats < 1:
        raise RagftError(
            f"bench retrieval: {passages} and {hybrid} passages, {queries} queries, {repeats} "
            "repeats; at least 1,000 of the first two, 10 of the third, 1 of the last"
        )
    rows = _words(passages, queries, repeats)
    rows += _vectors(passages, queries, repeats)
    rows += _hybrid(hybrid, queries, repeats)
    return rows + _embedding(EMBEDDED, repeats)


def _texts(count: int, queries: int) -> tuple[list[str], list[str]]:
    """Return texts of a crowd, and beginnings of some as queries."""
    documents = crowd(count)
    texts = [f"{document.title} {document.text}" for document in documents]
    step = max(1, count // queries)
    asked = [" ".join(text.split()[:8]) for text in texts[::step]][:queries]
    return texts, asked


def _ratios(ours: Callable[[], Any], other: Callable[[], Any], repeats: int) -> list[float]:
    """Return seconds of the other / ours, both timed in turn after a warm-up."""
    ours()
    other()
    found = []
    for _ in range(repeats):
        with stopwatch() as mine:
            ours()
        with stopwatch() as theirs:
            other()
        found.append(theirs.seconds / mine.seconds)
    return found


def _words(count: int, queries: int, repeats: int) -> list[dict[str, Any]]:
    """Time BM25 against rank-bm25 and against bm25s' quickest backend here."""
    import bm25s
    from rank_bm25 import BM25Okapi

    texts, asked = _texts(count, queries)
    words, wanted = [tokenize(text) for text in texts], [tokenize(query) for query in asked]
    ours, slow = BM25().fit(words), BM25Okapi(words)
    few = wanted[:3]  # each takes it about a second
    for query in few:
        if not np.allclose(ours.scores(query), slow.get_scores(query)):
            raise RagftError("bench retrieval: BM25 scores differ from rank-bm25's")

    def theirs() -> None:
        for query in few:
            np.argsort(slow.get_scores(query))[::-1][:TOP]

    note = f"{len(few)} queries, the {TOP} best of {count:,}; equal scores"
    rows = [row("BM25 query", count, "rank-bm25",
                _ratios(lambda: ours.search(few, TOP), theirs, repeats), note)]  # fmt: skip
    backend = "numba" if find_spec("numba") else "numpy"
    quick = bm25s.BM25(backend=backend)
    quick.index(words, show_progress=False)
    options = {"k": TOP, "show_progress": False, "n_threads": 0}
    note = f"{queries} queries at once, float32 in bm25s and float64 in ours"
    ratios = _ratios(
        lambda: ours.search(wanted, TOP), lambda: quick.retrieve(wanted, **options), repeats
    )
    return [*rows, row("BM25 query", count, f"bm25s ({backend})", ratios, note)]


def _drawn(count: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    centres = np.random.default_rng(0).standard_normal((1000, DIMENSION)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return drawn_around(centres, count, 0.7), drawn_around(centres, queries, 0.7, seed=1)


def _vectors(count: int, queries: int, repeats: int) -> list[dict[str, Any]]:
    """Time exact search against its floor and against faiss, and approximate ones against it."""
    import faiss

    vectors, asked = _drawn(count, queries)
    alone = [query[None] for query in asked[:50]]

    def ours() -> list[Any]:
        return [next(inner_product_search(query, vectors, TOP)) for query in alone]

    rates, ratios = measure_rates(sizes=(vectors.nbytes,)), []
    floor = rates.floor_seconds(0, vectors.nbytes, vectors.nbytes) * len(alone)
    ours()
    for _ in range(repeats):
        with stopwatch() as watch:
            ours()
        ratios.append(watch.seconds / floor)
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(vectors)
    note = f"one query at a time, {vectors.nbytes / 2**20:,.0f} MiB of vectors"
    rows = [row("exact search", count, "floor: reading all vectors once", ratios, note)]
    rows.append(
        row("exact search", count, "faiss IndexFlatIP",
            _ratios(ours, lambda: [flat.search(query, TOP) for query in alone], repeats), note)
    )  # fmt: skip
    truth, _ = VectorIndex(vectors).search(np.concatenate(alone), TOP)
    for kind in ("hnsw", "ivf"):
        with stopwatch() as building:
            index = VectorIndex(vectors, kind)
        found, _ = index.search(np.concatenate(alone), TOP)
        ratios = _ratios(lambda index=index: [index.search(q, TOP) for q in alone], ours, repeats)
        told = f"built in {building.seconds:.1f} s; vectors drawn around 1,000 centres"
        share = float(recall(found, truth).mean())
        rows.append(row(f"{kind} search", count, "exact search", ratios, told, share))
    return rows


class _Known:
    """An embedder that knows all vectors beforehand: embedding is timed for nobody."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors, self.embedded = vectors, 0

    def embed(self, texts: Sequence[str], cached: bool = True) -> np.ndarray:
        """Return the vectors, float32 of shape (texts, dimension)."""
        return np.stack([self.vectors[text] for text in texts])


def _hybrid(count: int, queries: int, repeats: int) -> list[dict[str, Any]]:
    """Time a batch of hybrid searches against bm25s, faiss and a fusion called directly."""
    import bm25s
    import faiss

    texts, asked = _texts(count, queries)
    texts = [f"{text} {number}" for number, text in enumerate(texts)]  # no two are the same
    vectors, wanted = _drawn(count, queries)
    known = dict(zip([*texts, *asked], np.concatenate([vectors, wanted]), strict=True))
    made = [Passage(f"{n}", f"{n}", text, 0, len(text)) for n, text in enumerate(texts)]
    index = HybridIndex(made, embedder=_Known(known), depth=DEPTH, rrf_k=RRF_K)
    index.build()
    backend = "numba" if find_spec("numba") else "numpy"
    sparse = bm25s.BM25(method="robertson", backend=backend)
    sparse.index([tokenize(text) for text in texts], show_progress=False)
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(vectors)

    def direct() -> list[list[int]]:
        words = [tokenize(query) for query in asked]
        options = {"k": DEPTH, "show_progress": False, "n_threads": 0}
        one = sparse.retrieve(words, return_as="documents", **options).tolist()
        two = flat.search(wanted, DEPTH)[1].tolist()
        pairs = zip(one, two, strict=True)
        return [[n for n, _ in reciprocal_rank_fusion(pair, RRF_K)[:TOP]] for pair in pairs]

    ratios = _ratios(lambda: index.search(asked, TOP), direct, repeats)
    alike = np.mean(
        [len({hit.passage.id for hit in hits} & set(map(str, theirs))) / TOP
         for hits, theirs in zip(index.search(asked, TOP), direct(), strict=True)]
    )  # fmt: skip
    note = f"{queries} queries at once; {alike:.0%} of the passages found are the same"
    against = f"bm25s ({backend}) + faiss + fusion called directly"
    return [row("hybrid search", count, against, ratios, note)]


def _embedding(count: int, repeats: int) -> list[dict[str, Any]]:
    """Time embedding in both precisions against sentence-transformers as it comes."""
    documents = [document.text for document in crowd(2 * count)]
    texts = [" ".join(documents[2 * n : 2 * n + 2]) for n in range(count)]
    exact = Embedder(cache=None)
    model = embedding_model.load(exact.folder.resolve())
    options = {"normalize_embeddings": True, "show_progress_bar": False}

    def theirs() -> np.ndarray:
        return model.encode(texts, **options)

    rows, truth = [], theirs()
    _, tokens = exact.counted(texts)
    for embedder in (exact, Embedder(cache=None, dtype="bfloat16")):
        ratios = _ratios(lambda embedder=embedder: embedder.embed(texts), theirs, repeats)
        least = float((embedder.embed(texts) * truth).sum(axis=1).min())
        note = f"{tokens:.0f} tokens a text; lowest cosine {least:.5f}; {_matrix_units()}"
        rows.append(row(f"embedding {embedder.dtype}", count, "encode with its defaults",
                        ratios, note))  # fmt: skip
    return rows


def _matrix_units() -> str:
    """Say whether the processor multiplies matrices of bfloat16 by itself."""
    import torch

    known = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return "AMX" if known else "no AMX"
