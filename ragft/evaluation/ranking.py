"""Answers ranked by a score: what a ranking is worth, in the data and in all resamples at once.

Weights of shape (resamples, questions) say how often each question is drawn; one number per
resample comes out. What the numbers are called and which questions count lives in `uncertainty`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ragft.evaluation.intervals import (
    FEW_FREEDOM,
    tango_limits,
    tango_statistic,
    wilson_limits,
    z_of,
)
from ragft.evaluation.resampling import BLOCK, cluster_codes, resampling_counts
from ragft.types import RagftError


@dataclass(frozen=True)
class Ranking:
    """Questions in order of falling score, those of equal score side by side."""

    order: np.ndarray
    """Positions of the questions that have a score, shape (ranked,)."""
    ties: np.ndarray
    """Where in `order` each group of equal scores starts, shape (groups,)."""

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """Add up weights (..., questions) within groups of equal scores: (..., groups)."""
        return np.add.reduceat(weights[..., self.order], self.ties, axis=-1)


def rank(scores: np.ndarray) -> Ranking:
    """Rank questions by scores of shape (questions,), highest first; NaN is not ranked."""
    order = np.argsort(-scores, kind="stable")
    order = order[~np.isnan(scores[order])]
    ranked = scores[order]
    first = np.concatenate([[True], ranked[1:] != ranked[:-1]])[: len(order)]
    return Ranking(order, np.flatnonzero(first))


def numbers(name: str, *columns: Sequence[float]) -> np.ndarray:
    """Return columns of one length as floats of shape (columns, questions); None becomes NaN."""
    table = [np.asarray(column, float) for column in columns]
    shapes = [column.shape for column in table]
    if len(shapes[0]) != 1 or len(set(shapes)) > 1:
        raise RagftError(f"{name}: shapes {shapes} must be one and the same (questions,).")
    return np.stack(table)


def codes_of(name: str, clusters: Iterable[Hashable] | None, known: np.ndarray) -> np.ndarray:
    """Number the clusters of the known questions, `known` being true or false for each."""
    codes = cluster_codes(clusters, len(known))
    if len(codes) != len(known):
        raise RagftError(f"{name}: {len(codes)} clusters for {len(known)} questions.")
    return np.unique(codes[known], return_inverse=True)[1]


def resample(
    statistic: Callable[[np.ndarray], np.ndarray], codes: np.ndarray, n_boot: int, seed: int
) -> np.ndarray:
    """Return a statistic of `n_boot` resamples of clusters, shape (n_boot, ...).

    `codes` is the cluster of each question, 0 to G - 1. The same codes and seed give the same
    resamples, so that the draws of two statistics are paired. Of no questions there is a single
    resample, of none.
    """
    if not len(codes):
        return statistic(np.ones((1, 0)))
    rows, parts = max(1, BLOCK // 4 // len(codes)), []
    for counts in resampling_counts(int(codes.max()) + 1, n_boot, seed):
        blocks = (counts[start : start + rows] for start in range(0, len(counts), rows))
        parts += [statistic(block[:, codes]) for block in blocks]
    return np.concatenate(parts)


def auroc_of(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Return the chance that a right answer is above a wrong one, ties counting half.

    Both hold answers per group of equal scores, highest first, (..., groups); NaN where either
    has none.
    """
    above = np.cumsum(right, axis=-1) - right / 2
    with np.errstate(invalid="ignore"):
        pairs = right.sum(axis=-1) * wrong.sum(axis=-1)
        return (above * wrong).sum(axis=-1) / pairs


def risk_of(answered: np.ndarray, wrong: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the share wrong among the `first` answers, expected over all orders of ties.

    Parameters
    ----------
    answered, wrong : numpy.ndarray
        Answers and wrong ones per group of equal scores, shape (resamples, groups).
    first : numpy.ndarray
        How many answers, shape (resamples, points); fractions are allowed. More than there are
        mean all.

    Returns
    -------
    numpy.ndarray
        Shape (resamples, points); NaN where there is no answer.
    """
    start = np.zeros((len(answered), 1))
    ends = np.concatenate([start, np.cumsum(answered, axis=1)], axis=1)
    seen = np.concatenate([start, np.cumsum(wrong, axis=1)], axis=1)
    first = np.minimum(first, ends[:, -1:])
    # Within a tie the expected number of wrong answers grows in proportion.
    found = [np.interp(k, n, w) for k, n, w in zip(first, ends, seen, strict=True)]
    with np.errstate(invalid="ignore"):
        return np.array(found) / first


def area_of(answered: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Return the mean over k of the share wrong among the first k answers, ties as in `risk_of`.

    Both of shape (..., groups), `answered` whole numbers. In a group of rate r that follows K
    answers with W wrong ones, the first k answers hold W + (k - K) r wrong ones, and their sum
    over k of 1/k is a difference of harmonic numbers.
    """
    ends, seen = np.cumsum(answered, axis=-1), np.cumsum(wrong, axis=-1)
    before, wrong_before = ends - answered, seen - wrong
    most = int(ends.max(initial=0))
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, most + 1))])
    steps = harmonic[ends.astype(int)] - harmonic[before.astype(int)]
    with np.errstate(invalid="ignore"):
        rate = np.where(answered > 0, wrong / answered, 0.0)
        total = (wrong + (wrong_before - before * rate) * steps).sum(axis=-1)
        return total / answered.sum(axis=-1)


def share_limits(
    value: float, draws: np.ndarray, n: float, freedom: int, level: float
) -> tuple[float, float, str]:
    """Return confidence limits of a share, and 'score': how they were found.

    The resamples tell how many independent answers the value is worth, by the n whose binomial
    variance is that of the draws; the limits are Wilson's on that n, with the t quantile of the
    clusters. In simulations 95 % limits of AUROCs and risks covered 94 to 98 % and missed on
    either side alike (those of areas 92 to 94 %), where quantiles of the draws covered 92 % and
    missed on one side. They stay open where all draws are alike: 20 answers in perfect order are
    no proof of perfection.

    Parameters
    ----------
    value : float
        The estimate, in [0, 1] or NaN.
    draws : numpy.ndarray
        Resamples, shape (n_boot,); NaN ones are left out.
    n : float
        How many independent answers the value is worth where the draws have no spread.
    freedom : int
        Clusters - 1.
    level : float
        In (0, 1).

    Returns
    -------
    low, high, method
        NaN and 'undefined' below one degree of freedom, or without a value.

    Source: Franco, Little, Louis and Slud (2019), Journal of Survey Statistics and Methodology
    7(3), for Wilson's interval on an effective n.
    """
    draws = draws[~np.isnan(draws)]
    z_of(level)  # refuses a level out of range
    if math.isnan(value) or freedom < 1 or not len(draws):
        return math.nan, math.nan, "undefined"
    variance = draws.var() * (freedom + 1) / freedom
    worth = value * (1 - value) / variance if variance > 1e-24 and 0 < value < 1 else n
    low, high = wilson_limits(np.array(value), np.array(worth), np.array(_t(level, freedom)))
    return float(low), float(high), "score"


def gap_limits(
    value: float, draws: np.ndarray, n: float, freedom: int, level: float
) -> tuple[float, float, str, float]:
    """Return confidence limits of a difference of two shares, the method, and p against 0.

    'bootstrap': quantiles of the draws, a little further out than (1 - level) / 2, as a t
    quantile on G clusters lies further out than a normal one. 't', below `FEW_FREEDOM` degrees
    of freedom: a t interval with the draws' standard deviation. 'score', where all draws are
    alike: Tango's interval on n answers. Parameters as for `share_limits`, in [-1, 1]. p is
    two-sided and agrees with the interval: below 1 - level where it excludes 0.

    Source: Hesterberg (2015), What teachers should know about the bootstrap, The American
    Statistician 69(4), for the expanded quantiles; Tango (1998), Statistics in Medicine 17.
    """
    from scipy.special import ndtr, ndtri, stdtr

    draws, z = draws[~np.isnan(draws)], z_of(level)
    if math.isnan(value) or freedom < 1 or not len(draws):
        return math.nan, math.nan, "undefined", math.nan
    wider = math.sqrt((freedom + 1) / freedom)
    error, t = float(draws.std()) * wider, _t(level, freedom)
    if error < 1e-12:  # rounding leaves 1e-17 between draws that are all alike
        ahead, behind, worth = np.array([[max(value, 0.0)], [max(-value, 0.0)], [float(n)]])
        low, high = tango_limits(ahead, behind, worth, np.array([t]))
        at_zero = tango_statistic(ahead, behind, worth, np.zeros(1)) * z / t
        return float(low[0]), float(high[0]), "score", float(2 * ndtr(-abs(at_zero[0])))
    if freedom < FEW_FREEDOM:
        low, high = max(-1.0, value - t * error), min(1.0, value + t * error)
        return low, high, "t", float(2 * stdtr(freedom, -abs(value) / error))
    low, high = np.quantile(draws, _tails(level, freedom))
    tail = (min((draws <= 0).sum(), (draws >= 0).sum()) + 1) / (len(draws) + 1)
    p = 2 * stdtr(freedom, ndtri(min(tail, 0.5)) / wider)
    return float(low), float(high), "bootstrap", float(p)


def _t(level: float, freedom: int) -> float:
    """Return the two-sided critical value of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def _tails(level: float, freedom: int) -> tuple[float, float]:
    """Return the quantiles that are the limits of an expanded percentile interval."""
    from scipy.special import ndtr

    tail = float(ndtr(-_t(level, freedom) * math.sqrt((freedom + 1) / freedom)))
    return tail, 1 - tail
