"""Picking the best of many scores, with ties broken by position.

Shared by BM25 and dense search; what a score means lives with them.
"""

from __future__ import annotations

import numpy as np

_GROUP = 64
"""Scores in a group, of which only the highest is compared with those of other groups."""
_MANY = 8
"""Groups to every place, at least; with fewer, many scores would reach the threshold."""


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
    candidates = np.flatnonzero(scores >= _threshold(scores, k))
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]


def _threshold(scores: np.ndarray, k: int) -> float:
    """Return a score that at least k of the scores reach, and few more."""
    groups = len(scores) // _GROUP
    if groups < _MANY * k:
        return np.partition(scores, len(scores) - k)[len(scores) - k]
    # At least k scores reach the k-th highest of the groups' maxima: k maxima do.
    highest = np.maximum.reduce(scores[: groups * _GROUP].reshape(_GROUP, groups), axis=0)
    return np.partition(highest, groups - k)[groups - k]
