"""Which vectors can be among the nearest, by codes of 8 bits a number: a few, which float32 ranks.

Codes are a quarter of the bytes, and many processors multiply them several times as fast as
float32. How far off such a product can be is known, so that nothing is missed that exact search
would find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ragft.runtime import multiplies_int8

FEWEST_VECTORS, FEWEST_PRODUCTS = 4096, 2**15
"""Vectors, and vectors times queries: with fewer, all are compared before the few are found."""
MANY = 200
"""Vectors to each one wanted, at least; with fewer, too many are left over."""
_HIGHEST = 127
"""The highest code; the lowest is its negative."""
_SLAB = 4096
"""Vectors looked at at once: what is computed of them stays in a processor's cache meanwhile."""
_TOGETHER, _ROOM = 64, 2**22
"""Queries looked for at once, and products that there is room for: one of the two may be more."""


@dataclass(frozen=True)
class Coded:
    """Codes of one array of vectors: each number is a whole multiple of its vector's step."""

    codes: Any
    """Tensor of int8, shape (n, d)."""
    steps: Any
    """Tensor of float32, shape (n,)."""
    off: float
    """Length of the largest difference between a vector and what its codes stand for."""
    longest: float
    """Length of the longest vector."""

    @property
    def bytes(self) -> int:
        """Memory of the codes and steps."""
        return self.codes.nbytes + self.steps.nbytes


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
        known = {id(array): coded for array, coded in self._known}
        found = [
            (array, known.get(id(array)) or coded(vectors))
            for array, vectors in zip(arrays, held, strict=True)
        ]
        self._known = found
        return [coded for _, coded in found]


def pays(queries: int, vectors: int, k: int) -> bool:
    """Tell whether a first look for the k best is worth its while here."""
    enough = vectors >= max(FEWEST_VECTORS, MANY * k) and queries * vectors >= FEWEST_PRODUCTS
    return enough and multiplies_int8()


def code_bytes(vectors: int, dimension: int) -> int:
    """Return the bytes that a look at so many vectors reads."""
    return vectors * (dimension + 4)


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
    return Coded(codes, steps, off, longest)


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


def looks(asked: Any, held: Sequence[Coded]) -> Iterator[tuple[np.ndarray, float]]:
    """Yield for each query its inner products with all vectors, by their codes.

    Parameters
    ----------
    asked : tensor of float32, shape (q, d)
    held : sequence of Coded
        Their rows follow each other.

    Yields
    ------
    scores : ndarray of float32, shape (n,)
        Until the next is taken.
    off : float
        How far these are off at most, from what float32 gives.
    """
    import torch

    count = sum(len(part.codes) for part in held)
    # Memory asked for anew is as slow to write as all of this is to compute.
    room = torch.empty(min(len(asked), max(_TOGETHER, _ROOM // max(1, count))), count)
    for some in asked.split(max(1, len(room))):
        scores = room[: len(some)]
        furthest = _look(some, held, scores)
        yield from zip(scores.numpy(), furthest.tolist(), strict=True)


def _look(asked: Any, held: Sequence[Coded], scores: Any) -> Any:
    """Fill in the products of the codes, (q, n), and return how far they are off at most, (q,).

    With x = x' + e and q = q' + f, where x' and q' are what the codes stand for, the product q·x
    differs from q'·x' by q'·e + f·x, which by the inequality of Cauchy and Schwarz is no longer
    than |q'||e| + |f||x|.
    """
    import torch

    codes, steps, stood_for = _rounded(asked)
    codes = codes.to(torch.int8)
    begin = 0
    for part in (part for part in held if len(part.codes)):
        size = len(part.codes) if len(asked) == 1 else _SLAB
        for some, of in zip(part.codes.split(size), part.steps.split(size), strict=True):
            end = begin + len(some)
            # Converted first: torch multiplies whole numbers with fractions more slowly.
            scores[:, begin:end].copy_(_products(codes, some)).mul_(of).mul_(steps[:, None])
            begin = end
    off = max(part.off for part in held)
    longest = max(part.longest for part in held)
    # Sums of float32 are rounded too, here and where the candidates are compared.
    rounding = (asked.shape[1] + 8) * 2.0**-23 * longest * _lengths(asked) + 2.0**-126
    left = _lengths(stood_for) * off + _lengths(asked - stood_for) * longest
    return 1.001 * left + rounding


def _products(asked: Any, codes: Any) -> Any:
    """Return the products of codes (q, d) and (n, d): int32, shape (q, n)."""
    import torch

    if len(asked) == 1:  # the other way round torch 2.13 returns wrong numbers
        return torch._int_mm(codes, asked.T).view(1, -1)
    return torch._int_mm(asked, codes.T)
