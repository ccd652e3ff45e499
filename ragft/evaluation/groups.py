"""Is a difference between two ways of answering larger for some questions than for others?

The two groups of questions have no cluster in common. Differences over one and the same
questions live in `statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from ragft.evaluation.resampling import cluster_codes, cluster_sums, seed_variance
from ragft.evaluation.statistics import Interval, paired_difference
from ragft.types import RagftError


def difference_of_differences(
    a: Sequence,
    b: Sequence,
    first: Iterable[bool],
    clusters: Iterable[Hashable] | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return mean(a - b) over one group of questions minus the same over the others.

    Each group has the interval of `paired_difference`, seeds averaged; the two are independent,
    so their distances from the mean add up as squares, each end with the ends that make it
    extreme. The seeds are shared by the groups: what they add is found from the difference of
    every seed, not from the two groups apart, and is added likewise.

    Parameters
    ----------
    a, b : array_like
        Shape (questions,) or (seeds, questions); one without seeds may stand against one with
        seeds. A question where either is NaN is left out and counted in `missing`.
    first : iterable of bool
        Whether a question belongs to the first group; same length as there are questions.
    clusters, level, n_boot, seed
        As for `statistics.mean_interval`.

    Returns
    -------
    Interval
        Of method 'mover'. Its `n` counts the questions of both groups; NaN where a group has no
        question with a value, NaN limits where it has a single cluster.

    Raises
    ------
    RagftError
        Shapes do not fit, or a cluster has questions in both groups.

    Source: method of variance estimates recovery, Zou and Donner (2008), Construction of
    confidence limits about effect measures, Statistics in Medicine 27; for two proportions
    Newcombe (1998), Statistics in Medicine 17, method 10.
    """
    a, b = (np.atleast_2d(np.asarray(x, float)) for x in (a, b))
    first = np.fromiter(first, bool)
    if a.shape[1] != b.shape[1] or a.shape[1] != len(first) or len({len(a), len(b), 1}) > 2:
        raise RagftError(
            f"difference_of_differences: shapes {a.shape} and {b.shape} and {len(first)} marks "
            "of the first group do not fit together"
        )
    codes = _separate(cluster_codes(clusters, len(first)), first)
    sides = _without_seeds(a, b)
    one, two = (
        paired_difference(*(x[group] for x in sides), codes[group], level, n_boot, seed)
        for group in (first, ~first)
    )
    added, se_seed, seeds = _seeds(a - b, codes, first)
    reach = _critical(level, seeds) * math.sqrt(added) if seeds > 1 else 0.0
    gap = one.mean - two.mean
    low = gap - math.hypot(one.mean - one.low, two.high - two.mean, reach)
    high = gap + math.hypot(one.high - one.mean, two.mean - two.low, reach)
    method = "undefined" if math.isnan(low) else "mover"
    missing, count = one.missing + two.missing, one.clusters + two.clusters
    return Interval(gap, low, high, one.n + two.n, method, seeds, se_seed, missing, count)


def _separate(codes: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the clusters, none of which may be in both groups."""
    if np.intersect1d(codes[first], codes[~first]).size:
        raise RagftError(
            "difference_of_differences: a cluster has questions in both groups, which are then "
            "not independent; compare them question by question (paired_difference)"
        )
    return codes


def _without_seeds(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both sides averaged over the seeds in which both have a value, shape (questions,)."""
    a, b = np.broadcast_arrays(a, b)
    kept = ~np.isnan(a + b)
    with np.errstate(invalid="ignore"):
        one, two = (np.where(kept, x, 0).sum(axis=0) / kept.sum(axis=0) for x in (a, b))
    return one, two


def _seeds(gap: np.ndarray, codes: np.ndarray, first: np.ndarray) -> tuple[float, float, int]:
    """Return the variance that seeds add, the standard error from them alone, and their number."""
    kept = ~np.isnan(gap)
    ran = kept.any(axis=1)
    gap, kept = gap[ran], kept[ran]
    answered = kept.any(axis=0)
    if len(gap) < 2 or not (answered & first).any() or not (answered & ~first).any():
        return 0.0, math.nan, len(gap)
    # Weighted so that the mean over all questions is the difference of the two groups.
    weights = np.where(first, 1 / (answered & first).sum(), -1 / (answered & ~first).sum())
    weights = weights * answered.sum()
    with np.errstate(invalid="ignore"):
        centre = np.where(kept, gap, 0).sum(axis=0) / kept.sum(axis=0)
    parts = [cluster_sums((weights * (row - centre))[:, None], codes) for row in gap]
    added, raw = seed_variance(
        np.stack([part.totals for part in parts]), np.stack([part.sizes for part in parts])
    )
    return float(added[0]), float(np.sqrt(raw[0])), len(gap)


def _critical(level: float, seeds: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(seeds - 1, (1 + level) / 2))
