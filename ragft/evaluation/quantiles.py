"""Quantiles of times with intervals: the median, p95 and p99 of what was measured.

Means and shares live in `statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ragft.evaluation.resampling import cluster_codes, resampling_counts
from ragft.types import RagftError

FEW = 10
"""Clusters below which no interval is given."""


@dataclass(frozen=True)
class Quantile:
    """A quantile, with its interval."""

    value: float
    """The smallest value that at least a share q lies at or below; NaN without values."""
    low: float
    high: float
    """NaN with fewer than `FEW` clusters."""
    n: int
    clusters: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, as a record holds them."""
        return asdict(self)


def quantile(
    values: Iterable[float],
    q: float,
    clusters: Iterable[Hashable] | None = None,
    *,
    level: float = 0.95,
    n_boot: int = 1000,
    seed: int = 0,
) -> Quantile:
    """Return a quantile of values; its interval resamples clusters.

    Parameters
    ----------
    values : iterable of float
        inf is larger than all others (never answered); NaN counts for nothing.
    q : float
        Between 0 and 1, 1 included.
    clusters : iterable, optional
        What was sampled, one for each value; None: each value by itself.
    level : float
    n_boot : int
        Resamples.
    seed : int

    Raises
    ------
    RagftError
        `q` is out of range.

    Notes
    -----
    The percentile bootstrap of an order statistic; high quantiles of few values cannot lie above
    the largest one, so below about 3 / (1 - q) values the upper limit is too low.
    """
    check_share(q, "quantile")
    values = np.asarray(list(values), float)
    codes = cluster_codes(clusters, len(values))
    kept = ~np.isnan(values)
    values, codes = values[kept], np.unique(codes[kept], return_inverse=True)[1]
    if not len(values):
        return Quantile(math.nan, math.nan, math.nan, 0, 0)
    order = np.argsort(values, kind="stable")
    ranked, codes, count = values[order], codes[order], int(codes.max()) + 1

    def at(weights: np.ndarray) -> float:
        return weighted_quantile(ranked, weights, q)

    value = at(np.ones(len(ranked)))
    if count < FEW:
        return Quantile(value, math.nan, math.nan, len(ranked), count)
    draws = redrawn(at, codes, n_boot, seed)
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], method="inverted_cdf")
    return Quantile(value, float(low), float(high), len(ranked), count)


def check_share(q: float, where: str) -> None:
    """Refuse a share that is no quantile's.

    Raises
    ------
    RagftError
        `q` is not above 0 and at most 1.
    """
    if not 0 < q <= 1:
        raise RagftError(f"{where}: q={q} must lie above 0 and be at most 1")


def weighted_quantile(ranked: np.ndarray, weights: np.ndarray, q: float) -> float:
    """Return the smallest of the values, in order, up to which lies a share q of the weight."""
    heights = np.cumsum(weights)
    # Less a rounding error, so that the half of 10 values is 5 of them.
    return float(ranked[np.searchsorted(heights, q * heights[-1] - 1e-9)])


def redrawn(
    statistic: Callable[[np.ndarray], float], codes: np.ndarray, n_boot: int, seed: int
) -> list[float]:
    """Return a statistic of every bootstrap resample of whole clusters.

    Parameters
    ----------
    statistic : callable
        Given the weight of every value, shape (n,): how often its cluster was drawn.
    codes : ndarray of int, shape (n,)
        The cluster of every value, numbered from 0.
    n_boot, seed : int
    """
    count = int(codes.max()) + 1
    blocks = resampling_counts(count, n_boot, seed)
    return [statistic(row[codes]) for rows in blocks for row in rows]
