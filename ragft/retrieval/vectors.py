"""The vectors of an index: one a text, in memory or mapped from files, and the search among them.

Vectors have rows; passages have places, and `at` leads from the one to the other, so that a change
of a few passages moves no vector. Which passages there are lives in `index`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ragft.retrieval.exact_search import inner_product_search, rows_of
from ragft.retrieval.first_look import Codes
from ragft.retrieval.neighbours import AUTO, Neighbours, check_kind, chosen_kind
from ragft.retrieval.parts import Found
from ragft.types import RagftError

DTYPES = ("float32", "float16")
"""What vectors can be kept in."""
MOST_BLOCKS = 64
"""Arrays that a search goes through; more are copied into one, all but the first and largest."""


class Vectors:
    """Vectors by text.

    Parameters
    ----------
    kind : {'auto', 'exact', 'hnsw', 'ivf'}
        How they are searched; see `neighbours.chosen_kind`.
    stay : bool
        Whether rows keep their numbers for good, because files refer to them.
    dtype : {'float32', 'float16'}
        What they are kept in; 'float16' halves memory and files.

    Attributes
    ----------
    blocks : list of ndarray of that dtype
        Arrays whose rows follow each other.
    row_of : dict of str to int
        The row of each text.
    mapped : bool
        Whether some of it lies in files, which are then not copied into memory.
    neighbours : Neighbours or None
        The approximate index; None while search is exact.

    Raises
    ------
    RagftError
        An unknown kind or dtype, or a kind that needs faiss where it is missing.
    """

    def __init__(self, kind: str = AUTO, stay: bool = False, dtype: str = "float32") -> None:
        check_kind(kind)
        if dtype not in DTYPES:
            raise RagftError(f"index: unknown dtype {dtype!r}; choose one of {DTYPES}.")
        self.kind, self.stay, self.dtype, self.mapped = kind, stay, dtype, False
        self.blocks: list[np.ndarray] = []
        self.row_of: dict[str, int] = {}
        self.neighbours: Neighbours | None = None
        self._at: np.ndarray | None = None
        self._codes = Codes()

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    @property
    def dimension(self) -> int:
        """Length of a vector; 0 before the first."""
        return self.blocks[0].shape[1] if self.blocks else 0

    @property
    def bytes(self) -> int:
        """Memory of the vectors, those mapped from files included, and of what finds them."""
        near = self.neighbours.index.bytes if self.neighbours else 0
        return sum(block.nbytes for block in self.blocks) + self._codes.bytes + near

    @property
    def searched(self) -> str:
        """The kind of search that there is now: 'exact', 'hnsw' or 'ivf'."""
        return self.neighbours.index.kind if self.neighbours else "exact"

    @property
    def recall(self) -> float:
        """Share of the true neighbours that a search finds, see `Neighbours.measure`."""
        return self.neighbours.recall if self.neighbours else 1.0

    def missing(self, texts: Iterable[str]) -> list[str]:
        """Return the texts that have no vector yet, each once."""
        return list(dict.fromkeys(text for text in texts if text not in self.row_of))

    def kept(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors as they are kept here.

        Raises
        ------
        RagftError
            They have another length than those that are here, or numbers that the dtype cannot
            hold.
        """
        self.check(vectors)
        with np.errstate(over="ignore"):  # told below, with what to do
            found = vectors.astype(self.dtype, copy=False)
        if found is not vectors and not np.isfinite(found).all():
            raise RagftError(
                f"index: {self.dtype} cannot hold the embedder's numbers, of which the largest is "
                f"{np.abs(vectors).max():.3g}; let it return unit vectors, or leave dtype out."
            )
        return found

    def add(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        """Take in the vectors, as `kept` returns them, of texts that have none.

        `arrange` makes them searchable.
        """
        begin = len(self)
        self.row_of.update((text, begin + n) for n, text in enumerate(texts))
        self.blocks.append(vectors)
        if len(self.blocks) > MOST_BLOCKS:
            self.blocks[1:] = [np.concatenate(self.blocks[1:])]

    def restore(self, blocks: Sequence[np.ndarray], row_of: Mapping[str, int]) -> None:
        """Take what was read from files, in place of all that is here."""
        self.blocks, self.row_of, self.mapped = list(blocks), dict(row_of), bool(blocks)
        self._at, self.neighbours = None, None

    def check(self, vectors: np.ndarray) -> None:
        """Refuse vectors of another length than those that are here.

        Raises
        ------
        RagftError
            Naming both lengths.
        """
        if self.blocks and vectors.shape[1] != self.dimension:
            raise RagftError(
                f"index: its vectors have {self.dimension} numbers and the embedder gave "
                f"{vectors.shape[1]}; use the embedder it was built with, or build it again."
            )

    def rows(self, texts: Iterable[str]) -> np.ndarray:
        """Return the row of each text."""
        return np.array([self.row_of[text] for text in texts], dtype=np.int64)

    def of(self, places: np.ndarray) -> np.ndarray:
        """Return the vectors of some passages, by their places; (0, 0) where there are none.

        As float32, whatever they are kept in.
        """
        if not self.blocks:
            return np.empty((0, 0), dtype=np.float32)
        return rows_of(self.blocks, places if self._at is None else self._at[places])

    def arrange(self, texts: Sequence[str]) -> None:
        """Make the vectors of these texts, one a passage and in their order, searchable."""
        rows, kind = self.rows(texts), chosen_kind(self.kind, len(texts), self.dimension)
        identical = len(rows) == len(self) and (rows == np.arange(len(rows))).all()
        # Copying into the order of the passages frees what is gone, and makes exact search read
        # only what it needs; not where that means reading files whole or building a graph again,
        # nor where one array is in order already.
        copied = (kind == "exact" and not self.mapped) or len(self) > 2 * len(rows)
        if copied and not self.stay and not (identical and len(self.blocks) == 1):
            self._compact(texts, rows)
        else:
            self._at = None if identical else rows
        self._approximate(kind, rows if self._at is not None else np.arange(len(rows)))

    def _compact(self, texts: Sequence[str], rows: np.ndarray) -> None:
        self.blocks, self.mapped = [rows_of(self.blocks, rows, self.dtype)], False
        self.row_of = {text: n for n, text in enumerate(texts)}
        self._at, self.neighbours = None, None

    def _approximate(self, kind: str, at: np.ndarray) -> None:
        """Build the approximate index, or take into it what is new."""
        if kind == "exact":
            self.neighbours = None
            return
        known = self.neighbours
        if known is None or not known.fits(kind, len(self)):
            self.neighbours = known = Neighbours.of(self.blocks, kind)
        known.extend(self.blocks)
        known.arrange(at)
        if math.isnan(known.recall):
            known.measure(self.blocks, at)

    def search(self, queries: np.ndarray, k: int, rows: np.ndarray | None) -> Found:
        """Yield the places of the passages nearest to each query, and their scores.

        Where only some places are allowed, all of those are compared.
        """
        if self.neighbours is None or rows is not None:
            return inner_product_search(queries, self.blocks, k, rows, self._at, self._codes)
        at = np.arange(len(self)) if self._at is None else self._at
        return self.neighbours.search(queries, k, self.blocks, at)
