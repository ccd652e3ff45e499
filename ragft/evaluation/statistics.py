"""Means with intervals, paired differences, and how many questions to ask.

Everything a table or a figure shows as 'mean [low, high] (n)' is made here. Outcomes and
metrics are computed elsewhere; this module only sees arrays of numbers and names of clusters.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from ragft.evaluation.intervals import (
    Estimate,
    Limits,
    difference_limits,
    estimate,
    plain_limits,
    rate_limits,
    wilson_limits,
    z_of,
)
from ragft.types import RagftError


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    """NaN where there is no value at all."""
    low: float
    high: float
    n: int
    """Questions that have a value."""
    method: str = "bootstrap"
    """'bootstrap', 'wilson', 'score' (Wilson or Tango on the effective n), 't', 'mover' (two
    differences' own intervals, put together), 'intersection-union' or 'undefined'."""
    seeds: int = 0
    """Number of training seeds averaged; 0 or 1 = a single run."""
    se_seed: float = math.nan
    """Standard error of the mean that comes from the seeds alone; NaN below two seeds."""
    missing: int = 0
    """Questions without a value (NaN), which are left out."""
    clusters: int = 0
    """Number of clusters."""

    def to_dict(self) -> dict[str, float | int | str | None]:
        """Return the fields as plain Python values that JSON can hold; NaN becomes None."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}


@dataclass(frozen=True)
class Comparison(Interval):
    """An `Interval` of one side against another: what both come to, over the same questions."""

    one: float = math.nan
    """The first side: minuend of a difference, numerator of a ratio. NaN where it is not told."""
    two: float = math.nan
    """The second side: `mean` is one - two, or one / two."""


@dataclass(frozen=True)
class Difference(Comparison):
    """A `Comparison` by a paired difference, with its p-value."""

    p: float = math.nan
    """Two-sided p-value of 'no difference', of the same method as the interval."""


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two single runs on the same questions."""

    statistic: float
    p: float
    only_a: int
    """Questions that only `a` answered right."""
    only_b: int
    n: int


def wilson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a rate.

    Parameters
    ----------
    successes, n : float
        0 <= successes <= n; fractions are allowed (effective counts).
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    low, high : float
        (NaN, NaN) where n is 0.

    Source: Wilson (1927), Journal of the American Statistical Association 22.

    >>> [round(x, 4) for x in wilson(5, 10)]
    [0.2366, 0.7634]
    """
    if n <= 0:
        return math.nan, math.nan
    if not 0 <= successes <= n:
        raise RagftError(f"wilson: successes must lie between 0 and n = {n}, not {successes}.")
    low, high = wilson_limits(np.array(successes / n), np.array(float(n)), np.array(z_of(level)))
    return float(low), float(high)


def mean_interval(
    values: Sequence[float],
    clusters: Iterable[Hashable] | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean over questions of a single run, with an interval that knows clusters.

    A bootstrap over clusters, studentised, because a percentile interval covers 87 to 93 % where
    clusters are uneven or correlated. It gives way, and `method` says so, below 30 clusters, 12
    degrees of freedom or (scores in [0, 1]) 20 effective successes or failures, and above 2,000
    clusters, where it would say the same slowly: to Wilson's interval on the effective n for
    scores in [0, 1] ('score'), to a cluster-robust t interval for others ('t'). A rate without
    clusters has Wilson's interval always. Where all scores are 0 (or all 1) nothing tells how
    alike the clusters are, and every question counts as independent.

    Parameters
    ----------
    values : sequence of float
        One score per question, shape (n,); NaN = undefined: left out and counted in `missing`.
    clusters : iterable of hashable, optional
        The cluster of each question, same length; None = every question by itself.
    level : float
        Confidence level in (0, 1).
    n_boot : int
        Number of resamples.
    seed : int
        Seed of the resampling; the same seed gives the same interval.

    Returns
    -------
    Interval
        NaN limits where there is no value, or a single cluster.

    Raises
    ------
    RagftError
        If shapes do not fit.

    Source: see `resampling.studentised` and `resampling.variance`; effective n: Franco, Little,
    Louis and Slud (2019), Journal of Survey Statistics and Methodology 7(3).
    """
    values = np.asarray(values, float)
    if values.ndim != 1:
        raise RagftError(f"mean_interval: values must have shape (n,), not {values.shape}.")
    return _interval(values[None], clusters, level, n_boot, seed)


def seed_interval(
    scores: Sequence[Sequence[float]],
    clusters: Iterable[Hashable] | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean over questions and training seeds, with both sources of error.

    Seeds are averaged within a question; clusters are bootstrapped as in `mean_interval`; then
    a t variable on S - 1 degrees of freedom, scaled by the standard error that the seeds add,
    is added draw by draw. Adding draws (Behrens-Fisher) and not variances keeps the few degrees
    of freedom of two or three seeds visible in the tails.

    Parameters
    ----------
    scores : array_like
        Shape (seeds, questions); NaN = undefined.
    clusters, level, n_boot, seed
        As in `mean_interval`; one cluster per question.

    Returns
    -------
    Interval
        `se_seed` is the standard error that the seeds alone give the mean (all of their
        spread, sqrt(var / S)); NaN below two seeds.

    Raises
    ------
    RagftError
        If shapes do not fit.

    Source: Fisher (1935), The fiducial argument in statistical inference, Annals of Eugenics 6;
    components of variance: see `resampling.seed_variance`.
    """
    scores = np.asarray(scores, float)
    if scores.ndim != 2:
        raise RagftError(f"seed_interval: scores must be (seeds, questions), not {scores.shape}.")
    return _interval(scores, clusters, level, n_boot, seed)


def paired_difference(
    a: Sequence,
    b: Sequence,
    clusters: Iterable[Hashable] | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
) -> Difference:
    """Return the mean of a - b over the same questions, with an interval and a p-value.

    Parameters
    ----------
    a, b : array_like
        Shape (questions,) or (seeds, questions); an arm without seeds may stand against one
        with seeds. A question where either is NaN is left out and counted in `missing`.
    clusters, level, n_boot, seed
        As in `mean_interval`.

    Returns
    -------
    Difference
        `one` and `two` are the means of a and b where both are known. Scores in [0, 1] with few
        differing questions or clusters get Tango's score interval on the effective n ('score').

    Raises
    ------
    RagftError
        If shapes do not fit.

    Source: Tango (1998), Statistics in Medicine 17, for the score interval; otherwise as
    `mean_interval` and `seed_interval`.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape[-1:] != b.shape[-1:] or (a.ndim == b.ndim == 2 and len(a) != len(b)):
        raise RagftError(f"paired_difference: shapes {a.shape} and {b.shape} do not pair up.")
    gap = np.atleast_2d(a - b)
    found = estimate(gap[..., None], clusters)
    if _in_unit(a) and _in_unit(b) and found.sums.n[0]:
        ahead, behind = (mean_over_questions(np.maximum(sign * gap, 0)) for sign in (1, -1))
        alone = clusters is None and found.seeds == 1
        limits = difference_limits(found, ahead, behind, level, n_boot, seed, alone)
    else:
        limits = plain_limits(found, level, n_boot, seed)
    one, two = (mean_over_questions(np.where(np.isnan(gap), np.nan, side)) for side in (a, b))
    fields = _fields(found, limits, gap.shape[1])
    return Difference(**fields, one=_number(one), two=_number(two), p=_number(limits.p))


def mcnemar(a: Sequence[float], b: Sequence[float], exact: bool = True) -> McNemar:
    """Return McNemar's test of two single runs with right (1) and wrong (0) answers.

    Parameters
    ----------
    a, b : sequence of 0 and 1
        Shape (questions,); a question where either is NaN is left out.
    exact : bool
        The binomial test; else chi-squared on one degree of freedom, continuity-corrected.

    Returns
    -------
    McNemar
        p is 1 where no question differs (exact) or NaN (chi-squared).

    Source: McNemar (1947), Psychometrika 12; numbers as statsmodels' `mcnemar`.
    """
    from scipy.special import bdtr, chdtrc

    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or a.ndim != 1:
        raise RagftError(f"mcnemar: shapes {a.shape} and {b.shape} must be one and the same (n,).")
    kept = ~np.isnan(a + b)
    a, b = a[kept], b[kept]
    if not np.isin([a, b], [0, 1]).all():
        raise RagftError("mcnemar: scores must be 0 or 1; use paired_difference for others.")
    only_a, only_b = int((a > b).sum()), int((b > a).sum())
    differing = only_a + only_b
    if exact:
        statistic = float(min(only_a, only_b))
        p = min(1.0, 2 * float(bdtr(statistic, differing, 0.5)))
    else:
        gap = abs(only_a - only_b) - 1
        statistic = gap**2 / differing if differing else math.nan
        p = float(chdtrc(1, statistic))
    return McNemar(statistic, p, only_a, only_b, len(a))


def required_questions(
    difference: float,
    power: float = 0.8,
    level: float = 0.95,
    discordant: float = 0.25,
    design_effect: float = 1.0,
) -> int:
    """Return how many questions a paired comparison of two arms needs.

    Parameters
    ----------
    difference : float
        The difference in accuracy worth finding, in (0, 1].
    power : float
        Chance of finding it, in (0, 1).
    level : float
        1 - the significance level, two-sided.
    discordant : float
        Share of questions on which the two arms are expected to differ, at least `difference`;
        0.25 is a guess to be replaced by a pilot's share.
    design_effect : float
        By how much clusters inflate the variance: 1 + (cluster size - 1) * correlation.

    Raises
    ------
    RagftError
        If an argument is out of range.

    Source: Connor (1987), Sample size for testing differences in proportions for the
    paired-sample design, Biometrics 43.

    >>> required_questions(0.10)
    194
    """
    from scipy.special import ndtri

    if not 0 < abs(difference) <= discordant <= 1:
        raise RagftError(
            f"required_questions: need 0 < difference <= discordant <= 1, not difference = "
            f"{difference} and discordant = {discordant}."
        )
    if not 0 < power < 1 or design_effect <= 0:
        raise RagftError("required_questions: power must lie in (0, 1), design_effect above 0.")
    beta = float(ndtri(power))
    root = z_of(level) * math.sqrt(discordant) + beta * math.sqrt(discordant - difference**2)
    return math.ceil(design_effect * (root / difference) ** 2)


def _interval(scores: np.ndarray, clusters, level: float, n_boot: int, seed: int) -> Interval:
    """Return the interval of scores of shape (seeds, questions)."""
    found, z = estimate(scores[..., None], clusters), z_of(level)
    if clusters is None and len(scores) == 1 and np.all(np.isnan(scores) | np.isin(scores, (0, 1))):
        # Independent rights and wrongs: the binomial itself, no variance to estimate.
        low, high = wilson_limits(found.mean, found.sums.n, np.array(z))
        name = np.where(np.isnan(low), "undefined", "wilson")
        return Interval(**_fields(found, Limits(low, high, name, low), scores.shape[1]))
    limits_of = rate_limits if _in_unit(scores) else plain_limits
    limits = limits_of(found, level, n_boot, seed)
    return Interval(**_fields(found, limits, scores.shape[1]))


def _fields(found: Estimate, limits: Limits, asked: int) -> dict[str, float | int | str]:
    """Return the fields of an `Interval` (the first of the K estimates)."""
    return {
        "mean": _number(found.mean),
        "low": _number(limits.low),
        "high": _number(limits.high),
        "n": int(found.sums.n[0]),
        "method": str(limits.method[0]),
        "seeds": found.seeds,
        "se_seed": _number(found.se_seed),
        "missing": asked - int(found.sums.n[0]),
        "clusters": found.clusters,
    }


def _number(values: np.ndarray) -> float:
    """Return the first value; always the same NaN, so that equal intervals compare equal."""
    return math.nan if np.isnan(values[0]) else float(values[0])


def _in_unit(scores: np.ndarray) -> bool:
    """Tell whether all scores that there are lie in [0, 1]."""
    return bool(np.all(np.isnan(scores) | ((scores >= 0) & (scores <= 1))))


def mean_over_questions(scores: np.ndarray) -> np.ndarray:
    """Average (seeds, questions) within questions, then over those with a value; (1,), or NaN."""
    kept = ~np.isnan(scores)
    counts = kept.sum(axis=0)
    sums = np.where(kept, scores, 0).sum(axis=0)[counts > 0]
    return np.array([np.mean(sums / counts[counts > 0]) if sums.size else math.nan])
