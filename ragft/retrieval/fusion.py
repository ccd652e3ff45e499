"""Merging several rankings into one by their ranks alone.

Scores of different retrievers cannot be compared, ranks can; what is ranked does not matter here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from ragft.types import RagftError

Id = TypeVar("Id", bound=Hashable)


def reciprocal_rank_fusion(
    rankings: Sequence[Iterable[Id]], k: int = 60, weights: Sequence[float] | None = None
) -> list[tuple[Id, float]]:
    """Fuse rankings: an item's score is the sum of `weight / (k + rank)`, ranks from 1.

    Parameters
    ----------
    rankings : sequence of iterables
        Each best first and without repetition. Items missing in a ranking get nothing from it.
    k : int
        Damps the first ranks, >= 0; with 0 the first place alone nearly decides.
    weights : sequence of float, optional
        One per ranking, >= 0; 1 each by default.

    Returns
    -------
    list of (item, score)
        Best first; equal scores in the order in which items first appear. Empty without items.

    Raises
    ------
    RagftError
        A negative `k` or weight, another number of weights than of rankings, an item that
        is twice in one ranking.

    Notes
    -----
    Source: Cormack, Clarke, Büttcher, 'Reciprocal Rank Fusion Outperforms Condorcet and
    Individual Rank Learning Methods' (SIGIR 2009).

    Examples
    --------
    >>> [item for item, _ in reciprocal_rank_fusion([["a", "b"], ["b", "c"]])]
    ['b', 'a', 'c']
    """
    weights = [1.0] * len(rankings) if weights is None else list(weights)
    if k < 0:
        raise RagftError(f"fusion: k must be at least 0, not {k}.")
    if len(weights) != len(rankings) or any(w < 0 for w in weights):
        raise RagftError(
            f"fusion: weights must be {len(rankings)} numbers >= 0, one per ranking, not {weights}."
        )
    scores: dict[Id, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        seen = set()
        for rank, item in enumerate(ranking, start=1):
            if item in seen:
                raise RagftError(f"fusion: {item!r} is twice in one ranking.")
            seen.add(item)
            scores[item] = scores.get(item, 0.0) + weight / (k + rank)
    return sorted(scores.items(), key=lambda pair: -pair[1])
