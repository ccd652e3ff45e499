"""Ratios of times and counts with intervals: one way of answering over another.

Both sides are measured on the same questions. Differences live in `statistics`, quantiles of one
side in `quantiles`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from ragft.evaluation.quantiles import FEW, check_share, redrawn, weighted_quantile
from ragft.evaluation.resampling import cluster_codes
from ragft.evaluation.statistics import Comparison, Interval, paired_difference
from ragft.types import RagftError

Statistic = Callable[[np.ndarray, np.ndarray], float]
"""A number of values (n,) and their weights (n,)."""


def mean_ratio(
    a: Iterable[float],
    b: Iterable[float],
    clusters: Iterable[Hashable] | None = None,
    **options: int,
) -> Comparison:
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
    Comparison
        Percentile bootstrap over clusters; `mean` is the ratio. NaN without questions or where b
        is 0; its limits also with fewer than `quantiles.FEW` clusters.
    """
    return _ratio(a, b, clusters, _mean, **options)


def seed_ratio(a: Sequence, b: Sequence, clusters: Any = None, **options: Any) -> Comparison:
    """Return mean(a) / mean(b) over questions and training seeds, with both sources of error.

    The ratio R is linear in its sides to first order: mean(a) / mean(b) - R is the mean of
    (a - R b) / mean(b), so its interval is that of this paired difference.

    Parameters
    ----------
    a, b : array_like
        Shape (questions,) or (seeds, questions), as for `paired_difference`; not below 0.
    clusters, **options
        As for `paired_difference`.

    Returns
    -------
    Comparison
        NaN without questions or where b is 0; where a is the same multiple of b everywhere,
        without width.

    Raises
    ------
    RagftError
        If shapes do not fit.

    Source: the linearised ratio, Saerndal, Swensson and Wretman (1992), Model Assisted Survey
    Sampling, section 5.6.

    Examples
    --------
    >>> seed_ratio([[2.0, 4.0], [4.0, 6.0]], [1.0, 3.0]).mean
    2.0
    """
    a, b = (np.asarray(values, float) for values in (a, b))
    gap = paired_difference(a, b, clusters, **options)
    if not gap.two > 0:
        return Comparison(math.nan, math.nan, math.nan, gap.n, "undefined", gap.seeds)
    ratio = gap.one / gap.two
    # Moved by 2, which a difference does not feel: within [0, 1] they would pass for shares.
    found = paired_difference(a / gap.two + 2, ratio * b / gap.two + 2, clusters, **options)
    fields = {**vars(found), "mean": ratio, "low": ratio + found.low, "high": ratio + found.high}
    del fields["p"]  # of 'no difference' between the two that were subtracted
    return Comparison(**{**fields, "one": gap.one, "two": gap.two})


def ratio_of_rates(a: Interval, b: Interval) -> Comparison:
    """Return a / b of two rates that each have an interval of their own.

    Where all answers of a side are right or wrong a bootstrap has nothing to resample; the
    intervals of rates are wide there, and so is this. Ties between the sides are not used, which
    makes it wider than need be where they go together.

    Parameters
    ----------
    a, b : Interval
        Means in [0, 1], over the same questions.

    Returns
    -------
    Comparison
        NaN where b, or the lower end of its interval, is 0. Its `n` is the smaller of the two.

    Source: Donner and Zou (2012), Closed-form confidence intervals for functions of the normal
    mean and standard deviation, Statistical Methods in Medical Research (MOVER for ratios).

    Examples
    --------
    >>> ratio_of_rates(Interval(0.25, 0.25, 0.25, 8), Interval(0.5, 0.5, 0.5, 8)).mean
    0.5
    """
    n, seeds = min(a.n, b.n), max(a.seeds, b.seeds)
    if not b.low > 0 or math.isnan(a.mean):
        return Comparison(math.nan, math.nan, math.nan, n, "undefined", seeds)
    product = a.mean * b.mean

    def end(mine: float, other: float, sign: int) -> float:
        below = other * (2 * b.mean - other)
        if below <= 0:  # b may be twice its mean: nothing is known of the lower end
            return 0.0
        root = product**2 - mine * (2 * a.mean - mine) * below
        return (product + sign * math.sqrt(max(0.0, root))) / below

    low, high = end(a.low, b.high, -1), end(a.high, b.low, 1)
    sides = {"one": a.mean, "two": b.mean}
    return Comparison(product / b.mean**2, low, high, n, "mover", seeds, **sides)


def quantile_ratio(
    a: Iterable[float],
    b: Iterable[float],
    q: float = 0.5,
    clusters: Iterable[Hashable] | None = None,
    **options: int,
) -> Comparison:
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
) -> Comparison:
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

    once = np.ones(len(a))
    ratio = at(once) if len(a) else math.nan
    one, two = (float(of(x, once)) if len(a) else math.nan for x in (a, b))
    low = high = math.nan
    if count >= FEW and not math.isnan(ratio):
        draws = redrawn(at, codes, n_boot, seed)
        tail = (1 - level) / 2
        low, high = map(float, np.nanquantile(draws, [tail, 1 - tail]))
    method = "undefined" if math.isnan(low) else "bootstrap"
    counts = {"missing": missing, "clusters": count}
    return Comparison(ratio, low, high, len(a), method, **counts, one=one, two=two)


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return values @ weights / weights.sum()
