"""What the stages of a search need of each other: their models, their checks, their times.

How they follow each other lives in `searching`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from ragft.retrieval.candidates import Ranking
from ragft.types import Hit, Passage, RagftError

RETRIEVERS = ("hybrid", "bm25", "dense")
Timings = MutableMapping[str, float]
Found = Iterator[Ranking]


class EmbedsTexts(Protocol):
    """What the index needs of an embedder: unit vectors, and how many texts it really embedded."""

    embedded: int

    def embed(self, texts: Sequence[str], cached: bool = True) -> np.ndarray:
        """Return unit vectors, float32 of shape (texts, dimension)."""
        ...


class ScoresPairs(Protocol):
    """What a search needs of a reranker."""

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return how well each text answers its query, float of shape (pairs,); higher is better.

        A pair is (query, text).
        """
        ...


def model_of(embedder: EmbedsTexts) -> str:
    """Return what tells an embedder's vectors from another's: its model's hash, else its class."""
    return getattr(embedder, "model_hash", "") or type(embedder).__qualname__


def check_model(embedder: EmbedsTexts, expected: str, what: str) -> None:
    """Refuse an embedder whose vectors cannot be compared with those that are there.

    Raises
    ------
    RagftError
        Its model is not the expected one; '' expects none.
    """
    found = model_of(embedder)
    if expected and found != expected:
        raise RagftError(
            f"{what}: the vectors were made by the model {expected[:16]!r}, not by this embedder's "
            f"({found[:16]!r}); give that model's folder as Embedder(model=...), or build it again "
            "from the passages with this one."
        )


def checked_vectors(vectors: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """Return vectors as float32, if a search among them or with them can mean anything.

    Raises
    ------
    RagftError
        Not one vector a text; one that is not finite, which compares with nothing, or zero, which
        is equally far from everything. The message shows its text.
    """
    found = np.asarray(vectors, dtype=np.float32)
    if found.ndim != 2 or len(found) != len(texts):
        raise RagftError(
            f"embedder: {len(texts)} texts need an array of shape ({len(texts)}, dimension), and "
            f"it gave one of shape {found.shape}."
        )
    # One sum a row: it is not finite if any number is not, and 0 only for zeros.
    sums = np.einsum("ij,ij->i", found, found, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(sums) | (sums == 0))
    if len(bad):
        what = "zero" if sums[bad[0]] == 0 else "not finite"
        raise RagftError(
            f"embedder: the vectors of {len(bad)} of {len(texts)} texts are {what}, the first that "
            f"of {texts[bad[0]][:60]!r}; is its model damaged?"
        )
    return found


def searched_text(passage: Passage) -> str:
    """Return what is indexed of a passage: its document's title, if it has one, and its text."""
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def checked(query: str | Sequence[str], count: int, name: str = "top_k") -> list[str]:
    """Return a query, or several, as a list.

    Raises
    ------
    RagftError
        One of them is blank, or `count` is not a whole number of at least 1.
    """
    queries = [query] if isinstance(query, str) else list(query)
    for number, text in enumerate(queries):
        if not text.strip():
            raise RagftError(f"search: query {number} is empty; give it some words.")
    if not isinstance(count, int) or count < 1:
        raise RagftError(f"search: {name} must be a whole number of at least 1, not {count!r}.")
    return queries


@contextmanager
def timed(timings: Timings, stage: str) -> Iterator[None]:
    """Add the milliseconds of a `with` block to those of a stage."""
    start = time.perf_counter()
    yield
    timings[stage] = timings.get(stage, 0.0) + 1000 * (time.perf_counter() - start)


def telling(ranking: Ranking) -> Ranking:
    """Leave out the passages of a BM25 ranking that have no say."""
    # A score of exactly 0 means that no telling word is shared: such passages come in the
    # order of the index, which must not count as a vote. Dense search fills the places.
    positions, scores = ranking
    return positions[scores != 0], scores[scores != 0]


def hits_of(passages: Sequence[Passage], stages: Mapping[str, Ranking], top_k: int) -> list[Hit]:
    """Return the first hits of several stages that follow each other."""
    rows: Iterable[tuple[str, int, float]] = (
        (stage, i, score)
        for stage, (positions, scores) in stages.items()
        for i, score in zip(positions.tolist(), scores.tolist(), strict=True)
    )
    return [
        Hit(passages[i], score, rank, stage)
        for rank, (stage, i, score) in enumerate(rows, start=1)
        if rank <= top_k
    ]
