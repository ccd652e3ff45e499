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
    candidates = _contenders(scores, k)
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]


def reached(scores: np.ndarray, k: int) -> np.ndarray:
    """Return scores that at least k of each row reach, each one the k-th highest or a little lower.

    Parameters
    ----------
    scores : ndarray, shape (..., n)
        No NaN.
    k : int
        From 1 to `n`.

    Returns
    -------
    ndarray, shape (...)
    """
    highest = _maxima(scores, k)
    return np.partition(highest, -k, axis=-1)[..., -k]


def _maxima(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the highest of each group, (..., groups), or all scores where groups are too small.

    At least k scores reach the k-th highest of the maxima: k maxima do. Which scores are a group
    is of no matter; the n-th of every so many are, as such are compared the fastest.
    """
    count = scores.shape[-1]
    size = min(_GROUP, count // (_MANY * k))
    if size < _SMALLEST:
        return scores
    groups = count // size
    grouped = scores[..., : groups * size].reshape(*scores.shape[:-1], size, groups)
    return np.maximum.reduce(grouped, axis=-2)


def _contenders(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the positions, ascending, of the `k` highest scores and of a few more."""
    highest = _maxima(scores, k)
    groups, size = len(highest), len(scores) // len(highest)
    least = np.partition(highest, -k)[-k]
    near = np.flatnonzero(highest >= least)
    if size == 1:
        return near
    if len(near) * _FEW > groups:
        return np.flatnonzero(scores >= least)
    inside = (near + groups * np.arange(size)[:, None]).ravel()
    places = np.concatenate([inside, np.arange(groups * size, len(scores))])
    return places[scores[places] >= least]
