"""What a search costs, against the libraries that people would call in its place.

All sides get the same words and the same vectors, answer the same queries in the same run, and use
as many cores. What is timed lives in `words`, `nearest`, `hybrid` and `embedding`.
"""

from __future__ import annotations

from typing import Any

from ragft.bench.embedding import embedding
from ragft.bench.hybrid import hybrid
from ragft.bench.nearest import by_vectors
from ragft.bench.sides import cores as used_cores
from ragft.bench.words import by_words
from ragft.types import RagftError


def retrieval(
    passages: int = 100_000,
    mixed: int = 20_000,
    queries: int = 200,
    repeats: int = 3,
    cores: int = 1,
) -> list[dict[str, Any]]:
    """Time searches side by side.

    Parameters
    ----------
    passages : int
        That BM25 and exact vector search go through; at least 1,000.
    mixed : int
        That the hybrid search goes through; at least 1,000.
    queries, repeats : int
        At least 10 and at least 1.
    cores : int
        That each side may use; at least 1.

    Returns
    -------
    list of dict
        One row a stage and other side; the ratio is seconds (of memory: bytes) of the other /
        ours, so more is better, but for a floor, where it is ours / the floor. NaN where the
        other side is not installed.

    Raises
    ------
    RagftError
        A number is out of range, or a side finds something else, so that it did other work.
    """
    if min(passages, mixed) < 1000 or queries < 10 or min(repeats, cores) < 1:
        raise RagftError(
            f"bench retrieval: {passages} and {mixed} passages, {queries} queries, {repeats} "
            f"repeats, {cores} cores; at least 1,000 of the first two, 10 of the third, 1 of the "
            "others"
        )
    with used_cores(cores):
        rows = by_words(passages, queries, repeats, cores)
        rows += by_vectors(passages, queries, repeats, cores)
        rows += hybrid(mixed, queries, repeats, cores)
        return rows + embedding(repeats, cores)
