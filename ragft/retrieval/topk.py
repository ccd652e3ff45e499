"""Picking the best of many scores, with ties broken by position.

Shared by BM25 and dense search; what a score means lives with them.
"""

from __future__ import annotations

import numpy as np


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
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= threshold)
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]
