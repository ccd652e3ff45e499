"""Picking the best of many scores, with ties broken by position.

Shared by BM25 and dense search; what a score means lives with them.
"""

from __future__ import annotations

import numpy as np

_GROUP, _SMALLEST = 64, 4
"""Scores in a group, at most and at least, of which only the highest is compared with those of
other groups; where groups would be smaller, all scores are compared."""
_MANY = 8
"""Groups to every place, at least; with fewer, many scores would reach the threshold."""
_FEW = 16
"""Where no more than one group of so many can hold any of the best, the others are not read."""


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the positions of the `k` highest scores, best first.

    Equal scores keep the order of their positions, so that a ranking never depends on the
    sorting algorithm. Scores of 0 and below are ranked like any other.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        No NaN.
    k : int
        At least 0; more than `n` gives all.

    Returns
    -------
    ndarray of int64, shape (min(k, n),)

    Examples
    --------
    >>> top_k(np.array([1.0, 3.0, 3.0, -2.0]), 3).tolist()
    [1, 2, 0]
    """
    k = min(k, len(scores))
    if k == 0:
        return np.empty(0, dtype=np.int64)
    candidates = contenders(scores, k)
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]


def contenders(scores: np.ndarray, k: int, margin: float = 0.0) -> np.ndarray:
    """Return the positions, ascending, of the `k` highest scores and of a few more.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        No NaN.
    k : int
        From 1 to `n`.
    margin : float
        Scores that are so much lower than the k-th highest are among them too.
    """
    size = min(_GROUP, len(scores) // (_MANY * k))
    if size < _SMALLEST:
        least = np.partition(scores, len(scores) - k)[len(scores) - k] - margin
        return np.flatnonzero(scores >= least)
    groups = len(scores) // size
    # At least k scores reach the k-th highest of the groups' maxima: k maxima do.
    highest = np.maximum.reduce(scores[: groups * size].reshape(size, groups), axis=0)
    least = np.partition(highest, groups - k)[groups - k] - margin
    near = np.flatnonzero(highest >= least)
    if len(near) * _FEW > groups:
        return np.flatnonzero(scores >= least)
    inside = (near + groups * np.arange(size)[:, None]).ravel()
    places = np.concatenate([inside, np.arange(groups * size, len(scores))])
    return places[scores[places] >= least]
