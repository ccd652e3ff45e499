"""Which vectors can be among the nearest, by products in bfloat16: a few, which float32 decides.

Many processors multiply numbers of 16 bits several times as fast as those of 32. How far off
such a product can be is known, so that nothing is missed that exact search would find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ragft.retrieval.topk import contenders
from ragft.runtime import multiplies_bf16

FEWEST_QUERIES, FEWEST_VECTORS = 12, 4096
"""With fewer, the vectors are compared in float32 before they are made ready for this."""
MANY = 200
"""Vectors to each one wanted, at least; with fewer, too many are left over."""
_SLAB = 2048
"""Vectors looked at at once: they stay in a processor's cache while they are."""
_ROUNDING = 2.0**-8
"""What rounding to bfloat16 changes in a number at most, as a share of it."""


def pays(queries: int, vectors: int, k: int) -> bool:
    """Tell whether a first look for the k best is worth its while here."""
    enough = vectors >= max(FEWEST_VECTORS, MANY * k)
    return queries >= FEWEST_QUERIES and enough and multiplies_bf16("cpu")


def candidates(
    asked: Any, held: Sequence[Any], k: int, chosen: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Yield for each query the items of which its k best are a part.

    Parameters
    ----------
    asked : tensor of float32, shape (q, d)
    held : sequence of tensors of float32, shape (n, d)
        Their rows follow each other.
    k : int
        More than there are items gives all.
    chosen : ndarray of int, optional
        The row of each item; None: every row is one.

    Yields
    ------
    ndarray of int64
        Ascending.
    """
    scores, longest = _looked_at(asked, held)
    reach = 2 * error(asked.shape[1]) * longest * asked.norm(dim=1).numpy()
    for row, far in zip(scores, reach, strict=True):
        seen = row.float().numpy()
        seen = seen if chosen is None else seen[chosen]
        # An item of the k best is off by half the reach at most, and so are those that beat it.
        yield contenders(seen, min(k, len(seen)), far) if len(seen) and k else np.arange(0)


def error(dimension: int) -> float:
    """Return how far a product in bfloat16 is off at most, as a share of both vectors' lengths.

    Both factors and the result are rounded, and the sum is in float32. By the inequality of Cauchy
    and Schwarz the products add up to no more than the product of the lengths.
    """
    factors = 2 * _ROUNDING + _ROUNDING**2
    summed = dimension * 2.0**-23
    return (1 + factors + summed) * (1 + _ROUNDING) - 1


def _looked_at(asked: Any, held: Sequence[Any]) -> tuple[Any, float]:
    """Return the products in bfloat16, shape (q, n), and the length of the longest vector."""
    import torch

    count, size = sum(map(len, held)), asked.shape[1]
    scores = torch.empty(len(asked), count, dtype=torch.bfloat16)
    room = torch.empty(_SLAB, size, dtype=torch.bfloat16)
    half, longest, begin = asked.bfloat16(), 0.0, 0
    for slab in (slab for part in held for slab in part.split(_SLAB)):
        # Copied slab by slab: a second copy of all vectors would cost half their memory again.
        made = room[: len(slab)].copy_(slab)
        scores[:, begin : begin + len(slab)] = half @ made.T
        longest = max(longest, float(torch.linalg.vector_norm(slab, dim=1).max()))
        begin += len(slab)
    return scores, longest
