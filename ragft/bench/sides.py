"""What both sides of a comparison share: texts, queries, vectors, cores, and how they are timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ragft.experiments.crowd import crowd, drawn_around
from ragft.retrieval.dense import Embedder
from ragft.runtime import cache_dir, stopwatch, threads
from ragft.types import RagftError

DIMENSION = 384
"""Of the vectors, which are those of all-MiniLM-L6-v2."""
TOP = 10
"""Passages wanted."""
REAL = 5_000
"""Vectors that are those of texts, at most: embedding more takes longer than what is timed."""
QUERY_WORDS = 8
"""Words of a query."""


def texts_and_queries(count: int, queries: int) -> tuple[list[str], list[str]]:
    """Return texts of a crowd and beginnings of some as queries, no two of them the same."""
    documents = crowd(count)
    texts = [f"{d.title} {d.text} {number}" for number, d in enumerate(documents)]
    step = max(1, count // queries)
    asked = dict.fromkeys(" ".join(text.split()[:QUERY_WORDS]) for text in texts[::step])
    return texts, list(asked)[:queries]


def vectors_of(
    texts: Sequence[str], queries: Sequence[str], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return so many unit vectors, those of the texts and others, and those of the queries.

    The others are drawn to lie as those of texts do, see `drawn_around`.
    """
    embedder = Embedder(cache=cache_dir() / "vectors")
    real = embedder.embed(list(texts))
    drawn = drawn_around(real, count - len(real))
    return np.concatenate([real, drawn]), embedder.embed(list(queries))


class Known:
    """An embedder that knows all vectors beforehand: embedding is timed for nobody.

    Parameters
    ----------
    texts : sequence of str
        No two the same.
    vectors : ndarray of float32, shape (texts, dimension)
    """

    def __init__(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        self.row = {text: n for n, text in enumerate(texts)}
        self.vectors, self.embedded = vectors, 0

    def embed(self, texts: Sequence[str], cached: bool = True) -> np.ndarray:
        """Return the vectors, float32 of shape (texts, dimension)."""
        return self.vectors[[self.row[text] for text in texts]]


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Let torch and faiss use so many cores inside a `with` block.

    numpy reads OMP_NUM_THREADS when it is loaded, which `make bench` sets to 1; of what is timed
    here only single vectors go through it.
    """
    import faiss
    import torch  # noqa: F401  # `threads` sets those of a torch that is loaded

    before = faiss.omp_get_max_threads()
    with threads(count):
        faiss.omp_set_num_threads(count)
        try:
            yield
        finally:
            faiss.omp_set_num_threads(before)


def ratios(
    ours: Callable[[], Any], other: Callable[[], Any], repeats: int, part: float = 1.0
) -> list[float]:
    """Return seconds of the other / ours, both timed in turn after a warm-up.

    Parameters
    ----------
    ours, other : callable
    repeats : int
    part : float
        What the other does, as a share of what ours does: a slow one answers fewer queries.
    """
    ours()
    other()
    found = []
    for _ in range(repeats):
        with stopwatch() as mine:
            ours()
        with stopwatch() as theirs:
            other()
        found.append(theirs.seconds / part / mine.seconds)
    return found


def shared(one: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]]) -> float:
    """Return the mean share of what one side found that the other found too."""
    pairs = zip(one, other, strict=True)
    return float(np.mean([len({*mine} & {*theirs}) / max(1, len(mine)) for mine, theirs in pairs]))


def agreement(
    one: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]], least: float, what: str
) -> float:
    """Return `shared`, where it shows that both sides did the same work.

    Raises
    ------
    RagftError
        It is below `least`.
    """
    alike = shared(one, other)
    if alike < least:
        raise RagftError(
            f"bench retrieval: {what} finds {alike:.0%} of the passages that ours finds, and at "
            f"least {least:.0%} must be the same, or the times say nothing"
        )
    return alike


def on(count: int) -> str:
    """Say on how many cores."""
    return f"{count} core" if count == 1 else f"{count} cores"
