"""A crowd of passages that only make an index larger, for times at sizes nobody would embed.

Texts come from another made-up world. Vectors are drawn around real ones: search takes as long
over them, and how much an approximate index finds among them is a guess, as the record says.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from ragft.corpora.world import World
from ragft.retrieval.index import EmbedsTexts
from ragft.types import Document, RagftError

CROWD_SEED = 1_000_003
"""Of the world that the crowd comes from; no other world of ours has it."""
LARGEST = 1_000_000
"""Documents that a crowd has at most."""
_BLOCK = 65_536
"""Vectors drawn at once."""


def crowd(count: int) -> list[Document]:
    """Return documents of a world of their own, about subjects that nobody asks about.

    Parameters
    ----------
    count : int
        From 0 to `LARGEST`; a crowd is the beginning of every larger one.

    Raises
    ------
    RagftError
        `count` is out of range.
    """
    if not 0 <= count <= LARGEST:
        raise RagftError(f"crowd: {count} documents; give 0 to {LARGEST:,}")
    # Documents of one statement, like those that are asked about: others make longer prompts.
    world = World(subjects=LARGEST, seed=CROWD_SEED, days=0, former=1)
    documents = islice(world.iter_documents(), count)
    return [
        Document(f"crowd-{n}", d.text, d.title, collection="crowd") for n, d in enumerate(documents)
    ]


def drawn_around(
    vectors: np.ndarray, count: int, likeness: float | None = None, seed: int = 0
) -> np.ndarray:
    """Return unit vectors, each near one of the given ones.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Unit vectors; at least 2, in 2 dimensions or more.
    count : int
    likeness : float, optional
        Cosine between a drawn vector and the one it lies near, from -1 to 1; None: the mean
        cosine between a given vector and its nearest other one.
    seed : int

    Returns
    -------
    ndarray of float32, shape (count, d)
    """
    if likeness is None:
        likeness = nearest_likeness(vectors)
    rng = np.random.default_rng(seed)
    made = np.empty((count, vectors.shape[1]), np.float32)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        centre = vectors[rng.integers(0, len(vectors), size)]
        aside = rng.standard_normal(centre.shape, dtype=np.float32)
        aside -= np.einsum("nd,nd->n", aside, centre)[:, None] * centre
        aside /= np.linalg.norm(aside, axis=1, keepdims=True)
        made[start : start + size] = likeness * centre + np.sqrt(1 - likeness**2) * aside
    return made


def nearest_likeness(vectors: np.ndarray, most: int = 2000) -> float:
    """Return the mean cosine between a vector and its nearest other one, over the first `most`."""
    part = vectors[:most]
    cosines = part @ part.T
    np.fill_diagonal(cosines, -1)
    return float(np.clip(cosines.max(axis=1).mean(), -1, 1))


class CrowdEmbedder:
    """Real vectors for real texts, drawn ones for the crowd's.

    Parameters
    ----------
    embedder : EmbedsTexts
    real : sequence of str
        Texts that are embedded in earnest, and around whose vectors the others are drawn;
        questions are too, whatever they are.
    crowd : sequence of str
        Texts whose vectors are drawn.
    """

    def __init__(self, embedder: EmbedsTexts, real: Sequence[str], crowd: Sequence[str]) -> None:
        self.embedder = embedder
        self._row = {text: n for n, text in enumerate(dict.fromkeys(crowd))}
        for text in real:
            self._row.pop(text, None)
        self._drawn = drawn_around(embedder.embed(list(real)), len(crowd))

    @property
    def embedded(self) -> int:
        """Texts that were embedded in earnest."""
        return self.embedder.embedded

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._drawn.shape[1]

    def counted(self, texts: Sequence[str]) -> tuple[int, float]:
        """Return what embedding texts in earnest takes, see `Embedder.counted`."""
        return self.embedder.counted(texts)

    def embed(self, texts: Sequence[str], cached: bool = True) -> np.ndarray:
        """Return unit vectors, float32 of shape (texts, dimension)."""
        rows = [self._row.get(text) for text in texts]
        real = [text for text, row in zip(texts, rows, strict=True) if row is None]
        made = np.empty((len(texts), self._drawn.shape[1]), np.float32)
        if real:
            made[[n for n, row in enumerate(rows) if row is None]] = self.embedder.embed(
                real, cached=cached
            )
        known = [n for n, row in enumerate(rows) if row is not None]
        made[known] = self._drawn[[rows[n] for n in known]]
        return made
