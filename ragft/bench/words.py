"""Search by words: BM25's queries and its index, against rank-bm25 and bm25s."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from ragft.bench import row
from ragft.bench.sides import TOP, on, ratios, texts_and_queries
from ragft.retrieval.bm25 import BM25, tokenize
from ragft.types import RagftError

FEW = 3
"""Queries that rank-bm25 answers: each takes it a good part of a second."""


def by_words(count: int, queries: int, repeats: int, cores: int) -> list[dict[str, Any]]:
    """Time BM25 against rank-bm25 and against bm25s' quickest backend here."""
    texts, asked = texts_and_queries(count, queries)
    wanted = [tokenize(query) for query in asked]
    ours = BM25().fit(tokenize(text) for text in texts)
    return [
        _against_rank_bm25(ours, texts, wanted, repeats, cores),
        _against_bm25s(ours, texts, wanted, repeats, cores),
        _building(texts, repeats, cores),
    ]


def _against_rank_bm25(
    ours: BM25, texts: Sequence[str], wanted: list[list[str]], repeats: int, cores: int
) -> dict[str, Any]:
    from rank_bm25 import BM25Okapi

    slow, few = BM25Okapi([tokenize(text) for text in texts]), wanted[:FEW]
    for query in few:
        if not np.allclose(ours.scores(query), slow.get_scores(query), rtol=1e-9, atol=1e-9):
            raise RagftError("bench retrieval: BM25 scores differ from rank-bm25's")

    def theirs() -> None:
        for query in few:
            np.argsort(slow.get_scores(query))[::-1][:TOP]

    found = ratios(lambda: ours.search(few, TOP), theirs, repeats)
    note = f"{on(cores)}; {len(few)} queries, the {TOP} best; scores equal to 9 digits"
    return row("BM25 query", len(texts), "rank-bm25", found, note)


def bm25s_backend() -> str:
    """Return the name of bm25s' quickest backend that is installed."""
    return "numba" if find_spec("numba") else "numpy"


def _against_bm25s(
    ours: BM25, texts: Sequence[str], wanted: list[list[str]], repeats: int, cores: int
) -> dict[str, Any]:
    import bm25s

    quick = bm25s.BM25(backend=bm25s_backend())
    quick.index([tokenize(text) for text in texts], show_progress=False)
    options = {"k": TOP, "show_progress": False, "n_threads": 0}
    found = ratios(
        lambda: ours.search(wanted, TOP), lambda: quick.retrieve(wanted, **options), repeats
    )
    note = f"{on(cores)}; {len(wanted)} queries at once, float32 in bm25s and float64 in ours"
    return row("BM25 query", len(texts), f"bm25s ({bm25s_backend()})", found, note)


def _building(texts: Sequence[str], repeats: int, cores: int) -> dict[str, Any]:
    """Time an index from text; words are cut by the same function on both sides."""
    import bm25s

    def ours() -> BM25:
        return BM25().fit(tokenize(text) for text in texts)

    def theirs() -> Any:
        made = bm25s.BM25(method="atire", idf_method="lucene", backend=bm25s_backend())
        made.index([tokenize(text) for text in texts], show_progress=False)
        return made

    mine, other = ours().postings(), theirs()
    if len(mine.data) != len(other.scores["data"]):
        raise RagftError(
            f"bench retrieval: ours has {len(mine.data)} scores of words in documents and bm25s "
            f"{len(other.scores['data'])}; they counted something else"
        )
    note = f"{on(cores)}; the same tokeniser, {len(mine.data):,} postings on both sides"
    against = f"bm25s ({bm25s_backend()})"
    return row("BM25 build", len(texts), against, ratios(ours, theirs, repeats), note)
