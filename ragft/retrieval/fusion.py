"""Merging several rankings into one, by their ranks or by their scores made comparable.

Scores of different retrievers cannot be compared as they are; what is ranked does not matter here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ragft.types import Passage, RagftError

Id = TypeVar("Id", bound=Hashable)
Scored = Sequence[tuple[Id, float]]
"""Items with their scores, best first."""
METHODS = ("rrf", "minmax", "zscore")
"""By ranks; by scores from 0 to 1 in each ranking; by scores in standard deviations."""


@dataclass(frozen=True)
class Fusion:
    """How the rankings of BM25 and of the vectors become one.

    Raises
    ------
    RagftError
        An unknown method, weights that are not two finite numbers >= 0 (not both 0), `k` below 0,
        a priority that is not a finite number >= 0.
    """

    method: str = "rrf"
    """Of `METHODS`; see `reciprocal_rank_fusion` and `score_fusion`."""
    weights: tuple[float, float] = (1.0, 1.0)
    """Of BM25 and of the vectors."""
    k: int = 10
    """See `reciprocal_rank_fusion`. The usual 60 is so flat that a passage which one retriever
    puts first and the other misses loses to any that both put at rank 60 (2/120 > 1/61); with 10
    it keeps its place against all that both put below rank 12."""
    priority: Mapping[str, float] = field(default_factory=dict, hash=False)
    """What the fused score of a passage is multiplied by, by its source, else by its collection;
    1 where neither is named. 0 puts a passage last and does not hide it: a filter does that."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise RagftError(
                f"fusion: unknown method {self.method!r}; choose {', '.join(METHODS)}."
            )
        object.__setattr__(self, "weights", tuple(self.weights))
        _check_numbers("weights", self.weights)
        if len(self.weights) != 2 or not any(self.weights):
            raise RagftError(
                f"fusion: weights={self.weights}: give one for BM25 and one for the vectors, "
                "one of them above 0."
            )
        if not isinstance(self.k, int) or self.k < 0:
            raise RagftError(f"fusion: k must be a whole number of at least 0, not {self.k!r}.")
        _check_numbers("priority", self.priority.values())

    def fuse(
        self, rankings: Sequence[tuple[np.ndarray, np.ndarray]], passages: Sequence[Passage]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return positions in `passages` and their fused scores, best first.

        Parameters
        ----------
        rankings : two pairs of ndarrays
            Positions, best first, and their scores: by BM25, and by the vectors.
        passages : sequence of Passage
            What the positions refer to; only their sources and collections are looked at.
        """
        if self.method == "rrf":
            order, scores = _by_ranks([places for places, _ in rankings], self.k, self.weights)
        else:
            scored = [
                list(zip(*(part.tolist() for part in pair), strict=True)) for pair in rankings
            ]
            order, scores = _arrays(score_fusion(scored, self.method, self.weights))
        if self.priority:
            scores = scores * [self.weight_of(passages[i]) for i in order]
            best = np.argsort(-scores, kind="stable")
            order, scores = order[best], scores[best]
        return order, scores

    def weight_of(self, passage: Passage) -> float:
        """Return the priority of a passage: its source's, else its collection's, else 1."""
        for name in (passage.source, passage.collection):
            if name in self.priority:
                return self.priority[name]
        return 1.0


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
    weights = _weights(weights, len(rankings))
    if k < 0:
        raise RagftError(f"fusion: k must be at least 0, not {k}.")
    numbers: dict[Id, int] = {}
    places = [
        np.array([numbers.setdefault(item, len(numbers)) for item in _distinct(ranking)], np.int64)
        for ranking in rankings
    ]
    order, scores = _by_ranks(places, k, weights)
    items = list(numbers)
    return [(items[n], score) for n, score in zip(order.tolist(), scores.tolist(), strict=True)]


def _by_ranks(
    rankings: Sequence[np.ndarray], k: int, weights: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `reciprocal_rank_fusion` does, of rankings of numbers and as two arrays."""
    found, scores = np.empty(0, np.int64), np.empty(0)
    for ranking, weight in zip(rankings, weights, strict=True):
        shares = weight / (k + np.arange(1, len(ranking) + 1))
        if not len(found):
            found, scores = ranking, shares
            continue
        ascending = found.argsort()
        at = ascending[np.minimum(found.searchsorted(ranking, sorter=ascending), len(found) - 1)]
        known = found[at] == ranking
        scores[at[known]] += shares[known]
        found = np.concatenate([found, ranking[~known]])
        scores = np.concatenate([scores, shares[~known]])
    order = np.argsort(-scores, kind="stable")
    return found[order], scores[order]


def score_fusion(
    rankings: Sequence[Scored], method: str = "minmax", weights: Sequence[float] | None = None
) -> list[tuple[Id, float]]:
    """Fuse rankings: an item's score is the weighted sum of its normalised scores.

    Each ranking is normalised by itself, over the items that it holds: (s - min) / (max - min)
    for 'minmax', (s - min) / standard deviation for 'zscore', which is the z-score moved so that
    the least is 0. Where all scores are equal every item gets 1, as all are equally the best.

    Parameters
    ----------
    rankings : sequence of sequences of (item, score)
        No item twice in one ranking; finite scores. An item missing in a ranking gets 0 from it,
        as its last one does: the deeper the rankings, the less that costs.
    method : {'minmax', 'zscore'}
    weights : sequence of float, optional
        One per ranking, >= 0; 1 each by default.

    Returns
    -------
    list of (item, score)
        Best first; equal scores in the order of the heaviest ranking that has them. All scores
        are >= 0. Empty without items.

    Raises
    ------
    RagftError
        An unknown method, an item twice, a score that is not finite, weights as above.

    Notes
    -----
    Source: Bruch, Gai, Ingber, 'An Analysis of Fusion Functions for Hybrid Retrieval' (ACM TOIS
    2023), section 4.

    Examples
    --------
    >>> score_fusion([[("a", 9), ("b", 5), ("c", 1)], [("b", 0.2), ("c", 0.1)]])
    [('b', 1.5), ('a', 1.0), ('c', 0.0)]
    """
    if method not in METHODS[1:]:
        raise RagftError(f"fusion: unknown method {method!r}; choose {', '.join(METHODS[1:])}.")
    weights = _weights(weights, len(rankings))
    scores: dict[Id, float] = {}
    # The heaviest first: what it ranks last scores 0, and so does what it does not hold at all.
    for place in sorted(range(len(rankings)), key=lambda n: -weights[n]):
        items = _distinct(item for item, _ in rankings[place])
        values = _normalised([score for _, score in rankings[place]], method)
        for item, value in zip(items, values, strict=True):
            scores[item] = scores.get(item, 0.0) + weights[place] * value
    return sorted(scores.items(), key=lambda pair: -pair[1])


def blended(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return two rankings of the same items as one.

    Parameters
    ----------
    before, after : pairs of ndarrays
        Positions, best first, and their scores.
    weight : float
        Of `after`, from 0 to 1; that of `before` is 1 - weight. With 1 `after` stays as it is.
    """
    if weight == 1:
        return after
    rankings = [list(zip(*(part.tolist() for part in one), strict=True)) for one in (before, after)]
    return _arrays(score_fusion(rankings, "zscore", [1 - weight, weight]))


def _arrays(fused: Sequence[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    order = np.array([i for i, _ in fused], dtype=np.int64)
    return order, np.array([score for _, score in fused], dtype=np.float64)


def _normalised(scores: Sequence[float], method: str) -> list[float]:
    values = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise RagftError("fusion: a score is not finite; the index or its vectors are damaged.")
    if not len(values):
        return []
    above = values - values.min()
    scale = above.max() if method == "minmax" else values.std()
    # Rounding leaves a deviation of 1e-17 among scores that are all alike.
    return (above / scale if above.max() > 0 and scale > 0 else np.ones(len(values))).tolist()


def _distinct(ranking: Iterable[Id]) -> list[Id]:
    seen: dict[Id, None] = {}
    for item in ranking:
        if item in seen:
            raise RagftError(f"fusion: {item!r} is twice in one ranking.")
        seen[item] = None
    return list(seen)


def _weights(weights: Sequence[float] | None, count: int) -> list[float]:
    weights = [1.0] * count if weights is None else list(weights)
    if len(weights) != count or any(w < 0 for w in weights):
        raise RagftError(
            f"fusion: weights must be {count} numbers >= 0, one per ranking, not {weights}."
        )
    return weights


def _check_numbers(name: str, values: Iterable[float]) -> None:
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            raise RagftError(f"fusion: {name} must be finite numbers >= 0, not {value!r}.")
