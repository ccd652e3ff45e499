"""Ratios of times and counts with intervals: one way of answering over another.

Both sides are measured on the same questions. Differences live in `statistics`, quantiles of one
side in `quantiles`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable

import numpy as np

from ragft.evaluation.quantiles import FEW, check_share, redrawn, weighted_quantile
from ragft.evaluation.resampling import cluster_codes
from ragft.evaluation.statistics import Interval
from ragft.types import RagftError

Statistic = Callable[[np.ndarray, np.ndarray], float]
"""A number of values (n,) and their weights (n,)."""


def mean_ratio(
    a: Iterable[float],
    b: Iterable[float],
    clusters: Iterable[Hashable] | None = None,
    **options: int,
) -> Interval:
    """Return mean(a) / mean(b), paired by question.

    Parameters
    ----------
    a, b : iterables of float, shape (n,)
        Not below 0; a question that lacks one of the two (NaN) is left out.
    clusters : iterable, optional
        What was sampled, one for each question; None: each question by itself.
    **options
        `level`, `n_boot` and `seed`, as for `quantile_ratio`.

    Returns
    -------
    Interval
        Percentile bootstrap over clusters; `mean` is the ratio. NaN without questions or where b
        is 0; its limits also with fewer than `quantiles.FEW` clusters.
    """
    return _ratio(a, b, clusters, lambda values, weights: values @ weights, **options)


def quantile_ratio(
    a: Iterable[float],
    b: Iterable[float],
    q: float = 0.5,
    clusters: Iterable[Hashable] | None = None,
    **options: int,
) -> Interval:
    """Return quantile(a) / quantile(b), paired by question; see `mean_ratio`.

    Parameters
    ----------
    a, b, clusters
        As for `mean_ratio`.
    q : float
        Above 0, at most 1.
    **options
        level : float, 0.95; n_boot : int, 1000; seed : int, 0.

    Raises
    ------
    RagftError
        `q` is out of range.
    """
    check_share(q, "quantile_ratio")

    def of(values: np.ndarray, weights: np.ndarray) -> float:
        order = np.argsort(values, kind="stable")
        return weighted_quantile(values[order], weights[order], q)

    return _ratio(a, b, clusters, of, **options)


def _ratio(
    a: Iterable[float],
    b: Iterable[float],
    clusters: Iterable[Hashable] | None,
    of: Statistic,
    level: float = 0.95,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    a, b = (np.asarray(list(values), float) for values in (a, b))
    if len(a) != len(b):
        raise RagftError(f"ratio: {len(a)} values over {len(b)}; both need one for each question")
    codes, kept = cluster_codes(clusters, len(a)), ~(np.isnan(a) | np.isnan(b))
    missing = int((~kept).sum())
    a, b, codes = a[kept], b[kept], np.unique(codes[kept], return_inverse=True)[1]
    count = int(codes.max(initial=-1)) + 1

    def at(weights: np.ndarray) -> float:
        below = of(b, weights)
        return float(of(a, weights) / below) if below else math.nan

    ratio = at(np.ones(len(a))) if len(a) else math.nan
    low = high = math.nan
    if count >= FEW and not math.isnan(ratio):
        draws = redrawn(at, codes, n_boot, seed)
        tail = (1 - level) / 2
        low, high = map(float, np.nanquantile(draws, [tail, 1 - tail]))
    method = "undefined" if math.isnan(low) else "bootstrap"
    return Interval(ratio, low, high, len(a), method, missing=missing, clusters=count)
