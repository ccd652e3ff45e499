"""A crowd of passages that only make an index larger, for times at sizes nobody would embed.

Texts come from another made-up world. Vectors are drawn around real ones and spread as these do:
search takes as long over them, and how much an approximate index finds among them is an estimate,
as the record says.
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
SIDES = 40
"""Nearest others that a drawn vector spreads as: so many leave a local dimension like that of the
vectors they are drawn around, and as much for an approximate index to miss."""
_ROOM = 2**26
"""Cosines held at once."""
_NOTHING = 1e-6
"""Length below which a difference is rounding."""


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
    """Return unit vectors, each near one of the given ones, on the sides on which others lie.

    Around each vector they spread as its nearest others do (manifold Parzen windows, Vincent and
    Bengio 2002). Spread evenly over all dimensions they would lie as those of no text do, and what
    an approximate index finds among them would say nothing; see `local_dimension`.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Unit vectors; at least 2, in 2 dimensions or more.
    count : int
    likeness : float, optional
        Cosine between a drawn vector and the one it lies near, from -1 to 1; None: the mean
        cosine between a given vector and its nearest other one. One whose nearest others are all
        the same as itself is returned as it is.
    seed : int

    Returns
    -------
    ndarray of float32, shape (count, d)
    """
    if likeness is None:
        likeness = nearest_likeness(vectors)
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, len(vectors), count)
    order = np.argsort(centres, kind="stable")
    used, starts = np.unique(centres[order], return_index=True)
    sides, _ = nearest_others(vectors, SIDES, used)
    made = np.empty((count, vectors.shape[1]), np.float32)
    for row, near, start, end in zip(used, sides, starts, [*starts[1:], count], strict=False):
        centre, chosen = vectors[row], order[start:end]
        # Any sum of differences to neighbours has their covariance, where weights are normal.
        weights = rng.standard_normal((len(chosen), sides.shape[1]), dtype=np.float32)
        aside = weights @ (vectors[near] - centre)
        aside -= (aside @ centre)[:, None] * centre
        length = np.linalg.norm(aside, axis=1, keepdims=True)
        known = length[:, 0] > _NOTHING
        made[chosen] = centre
        aside = aside[known] / length[known]
        made[chosen[known]] = likeness * centre + np.sqrt(1 - likeness**2) * aside
    return made


def nearest_others(
    vectors: np.ndarray, count: int, of: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest other vectors of each, nearest first, and their cosines.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Unit vectors.
    count : int
        Others of each; all where there are fewer.
    of : ndarray of int, shape (m,), optional
        Rows of the vectors whose others are looked for; None: all.

    Returns
    -------
    rows : ndarray of int64, shape (m, min(count, n - 1))
    cosines : ndarray of float32, the same shape
    """
    of = np.arange(len(vectors)) if of is None else of
    count = min(count, len(vectors) - 1)
    rows = np.empty((len(of), count), np.int64)
    cosines = np.empty((len(of), count), np.float32)
    together = max(1, _ROOM // max(1, len(vectors)))
    for start in range(0, len(of), together):
        place = slice(start, start + together)
        near = vectors[of[place]] @ vectors.T
        near[np.arange(len(near)), of[place]] = -np.inf
        found = np.argpartition(near, -count, axis=1)[:, len(vectors) - count :]
        values = np.take_along_axis(near, found, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        rows[place] = np.take_along_axis(found, order, axis=1)
        cosines[place] = np.take_along_axis(values, order, axis=1)
    return rows, cosines


def nearest_likeness(vectors: np.ndarray, most: int = 2000) -> float:
    """Return the mean cosine between a vector and its nearest other one, over the first `most`."""
    _, cosines = nearest_others(vectors[:most], 1)
    return float(np.clip(cosines.mean(), -1, 1))


def local_dimension(vectors: np.ndarray, others: int = 20, most: int = 200) -> float:
    """Return in how many dimensions vectors spread around one of them.

    The maximum likelihood estimate of Levina and Bickel (2004), averaged as MacKay and Ghahramani
    (2005) say. The more there are, the less an approximate index finds in the same time.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Unit vectors, at least 3.
    others : int
        Nearest others of each that are looked at, from 2.
    most : int
        Vectors that are looked around, drawn from a seed.

    Returns
    -------
    float
        Above 0; NaN where no vector has two others at different distances.
    """
    of = np.random.default_rng(0).permutation(len(vectors))[:most]
    rows, _ = nearest_others(vectors, others, of)
    # From the vectors themselves: of equal ones, some processors round the cosine to less than 1.
    far = np.linalg.norm(vectors[rows].astype(np.float64) - vectors[of][:, None], axis=2)
    far.sort(axis=1)
    far = far[(far[:, 0] > 0) & (far[:, 0] < far[:, -1])]
    if not len(far):
        return float("nan")
    return float(1 / np.log(far[:, -1:] / far[:, :-1]).mean())


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
