"""Which vectors can be among the nearest, by codes of 8 bits a number: a few, which float32 ranks.

Codes are a quarter of the bytes, and many processors multiply them several times as fast as
float32. How far off such a product can be is known, so that nothing is missed that exact search
would find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ragft.retrieval.topk import reached
from ragft.runtime import multiplies_int8

FEWEST_VECTORS, FEWEST_PRODUCTS = 4096, 2**15
"""Vectors, and vectors times queries: with fewer, all are compared before the few are found."""
MANY = 200
"""Vectors to each one wanted, at least; with fewer, too many are left over."""
_FEW = 4
"""Of so many vectors one may be left; where more are, all are compared."""
_HIGHEST = 127
"""The highest code; the lowest is its negative."""
_LEVELS = 255
"""The highest level that a product is rounded to; the lowest is 0."""
_SLAB = 4096
"""Vectors coded at once: what is computed of them stays in a processor's cache meanwhile."""
_TOGETHER, _ROOM = 64, 2**24
"""Queries looked for at once, and products that there is room for: one of the two may be more."""


@dataclass(frozen=True)
class Coded:
    """Codes of one array of vectors: each number is a whole multiple of its vector's step."""

    packed: Any
    """Tensor of the codes, shape (d, n), laid out as the processor multiplies them."""
    steps: Any
    """Tensor of float32, shape (n,)."""
    off: float
    """Length of the largest difference between a vector and what its codes stand for."""
    longest: float
    """Length of the longest vector."""

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def bytes(self) -> int:
        """Memory of the codes and steps."""
        return code_bytes(len(self), len(self.packed))


@dataclass(frozen=True)
class Looks:
    """What the inner products of some queries with all vectors are about, by their codes."""

    levels: np.ndarray
    """Of uint8, shape (q, n): the products in whole steps, and 0 for those below 0."""
    steps: np.ndarray
    """What a level of each query is worth, shape (q,)."""
    offs: np.ndarray
    """How far a level's worth is off at most, from what float32 gives; for level 0, how far above
    0 that can be. Shape (q,)."""

    def few(self, k: int, chosen: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return which pairs of a query and an item can be among the query's k best.

        Parameters
        ----------
        k : int
        chosen : ndarray of int, optional
            The row of each item; None where items are rows.

        Returns
        -------
        owners, items : two ndarrays of int64, shape (pairs,)
            Ascending. None of a query that has too many, or is to have none.
        """
        seen = self.levels if chosen is None else self.levels.take(chosen, axis=1)
        count, none = seen.shape[1], np.empty(0, np.int64)
        wanted = min(k, count)
        if not wanted:
            return none, none
        # One of the k best may look worse than it is by `off`, the k-th look be better by as much.
        with np.errstate(divide="ignore", over="ignore"):  # of steps near 0
            margins = np.minimum(2 * self.offs / self.steps, _LEVELS).astype(int)
        least = np.maximum(reached(seen, wanted) - margins, 0).astype(np.uint8)
        owners, items = np.divmod(np.flatnonzero(seen >= least[:, None]), count)
        few = np.bincount(owners, minlength=len(seen)) * _FEW <= self.levels.shape[1]
        return (owners, items) if few.all() else (owners[few[owners]], items[few[owners]])

    def allow(self, owners: np.ndarray, rows: np.ndarray, products: np.ndarray) -> np.ndarray:
        """Tell of which queries some products are known, and are what their levels allow.

        By kernels that few use yet: whether they are right is seen here, and costs nothing.
        """
        told = self.levels[owners, rows] * self.steps[owners]
        right = np.abs(np.maximum(products, 0) - told) <= self.offs[owners]
        known = np.bincount(owners, minlength=len(self.levels))
        return (known > 0) & (np.bincount(owners, right, minlength=len(self.levels)) == known)


class Codes:
    """Codes of the arrays of an index, made when a search first needs them.

    An array is known again by its identity: none may be changed in place.
    """

    def __init__(self) -> None:
        self._known: list[tuple[np.ndarray, Coded]] = []

    @property
    def bytes(self) -> int:
        """Memory of the codes that there are now."""
        return sum(coded.bytes for _, coded in self._known)

    def of(self, arrays: Sequence[np.ndarray], held: Sequence[Any]) -> list[Coded]:
        """Return the codes of arrays; `held` are the same as tensors.

        Codes of arrays that are not among these are forgotten.
        """
        known = {id(array): codes for array, codes in self._known}
        found = [
            known[id(array)] if id(array) in known else coded(vectors)
            for array, vectors in zip(arrays, held, strict=True)
        ]
        self._known = list(zip(arrays, found, strict=True))
        return found


def pays(queries: int, vectors: int, k: int) -> bool:
    """Tell whether a first look for the k best is worth its while here."""
    enough = vectors >= max(FEWEST_VECTORS, MANY * k) and queries * vectors >= FEWEST_PRODUCTS
    return enough and multiplies_int8() and _can_look()


@cache
def _can_look() -> bool:
    """Tell whether torch has the kernel that a look takes: other releases may call it otherwise."""
    import torch

    vectors = torch.eye(64)
    try:
        (look,) = looks(vectors, [coded(vectors)])
    except (AttributeError, RuntimeError, TypeError):
        return False
    owners, rows = np.indices(vectors.shape).reshape(2, -1)
    right = look.allow(owners, rows, vectors.numpy().ravel()).all()
    # The few that are left are multiplied by a kernel that MKL brings.
    return bool(right) and torch.backends.mkl.is_available()


def code_bytes(vectors: int, dimension: int) -> int:
    """Return the bytes that a look at so many vectors reads."""
    return vectors * (dimension + 8)  # a step each, and a sum of the codes that packing adds


def coded(vectors: Any) -> Coded:
    """Return the codes of a tensor of float32 or float16, shape (n, d)."""
    import torch

    codes, steps = torch.empty(vectors.shape, dtype=torch.int8), torch.empty(len(vectors))
    off = longest = 0.0
    for begin in range(0, len(vectors), _SLAB):
        slab, at = vectors[begin : begin + _SLAB].float(), slice(begin, begin + _SLAB)
        codes[at], steps[at], stood_for = _rounded(slab)
        off = max(off, float(_lengths(slab - stood_for).max()))
        longest = max(longest, float(_lengths(slab).max()))
    packed = torch.ops.onednn.qlinear_prepack(codes, [_TOGETHER, codes.shape[1]])
    return Coded(packed, steps, off, longest)


def _rounded(vectors: Any) -> tuple[Any, Any, Any]:
    """Return codes as float32, the step of each vector, and what they stand for."""
    steps = vectors.abs().amax(dim=1) / _HIGHEST
    steps[steps == 0] = 1.0
    # Steps that are too small to be told apart may lead to higher codes.
    codes = (vectors / steps[:, None]).round_().clamp_(-_HIGHEST, _HIGHEST)
    return codes, steps, codes * steps[:, None]


def _lengths(vectors: Any) -> Any:
    import torch

    return torch.linalg.vector_norm(vectors, dim=1)


def looks(asked: Any, held: Sequence[Coded]) -> Iterator[Looks]:
    """Yield looks for many queries at a time.

    Parameters
    ----------
    asked : tensor of float32, shape (q, d)
    held : sequence of Coded
        Their rows follow each other.
    """
    together = max(_TOGETHER, _ROOM // max(1, sum(map(len, held))))
    for some in asked.split(together):
        yield _look(some, held)


def _look(asked: Any, held: Sequence[Coded]) -> Looks:
    """Return the levels of all products, (q, n), what they are worth and how far off.

    With x = x' + e and q = q' + f, where x' and q' are what the codes stand for, the product q·x
    differs from q'·x' by q'·e + f·x, which by the inequality of Cauchy and Schwarz is no longer
    than |q'||e| + |f||x|. By the same inequality no product is above the highest level.
    """
    import torch

    codes, steps, stood_for = _rounded(asked)
    off = max(part.off for part in held)
    longest = max(part.longest for part in held)
    # The kernel has one scale for all queries, each of which it takes in steps of its own.
    worth = max(float(_lengths(codes).max()) * (longest + off) / _LEVELS, 2.0**-100)
    raised = (codes + 128).to(torch.uint8)
    parts = [_levels(raised, part, worth) for part in held if len(part)]
    levels = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    # Sums of float32 are rounded too, here and where the candidates are compared.
    rounding = (asked.shape[1] + 8) * 2.0**-23 * longest * _lengths(asked) + 2.0**-126
    left = _lengths(stood_for) * off + _lengths(asked - stood_for) * longest
    offs = 1.001 * (left + steps * worth / 2) + rounding
    return Looks(levels.numpy(), (steps * worth).numpy(), offs.numpy())


def _levels(raised: Any, part: Coded, worth: float) -> Any:
    """Return products of codes, those of queries raised by 128, as levels: uint8, shape (q, n).

    One kernel multiplies, scales and rounds: what leaves the processor is a byte a product.
    """
    import torch

    zero, as_they_are = torch.zeros(1, dtype=torch.int64), ("none", [], "")
    return torch.ops.onednn.qlinear_pointwise(
        raised, 1.0, 128, part.packed, part.steps, zero, None, worth, 0, torch.uint8, *as_they_are
    )
