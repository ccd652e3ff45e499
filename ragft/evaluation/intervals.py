"""From scores to confidence limits: which method applies, and its limits and p-value.

Vectorised over K estimates side by side (the last axis), so that the coverage simulations run
the code that `statistics` calls with K = 1. Cluster sums and resampling live in `resampling`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from ragft.evaluation.resampling import (
    ClusterSums,
    cluster_codes,
    cluster_sums,
    plain_error,
    seed_draws,
    seed_variance,
    studentised,
    variance,
)
from ragft.types import RagftError

FEW = 20
"""Below so many effective successes or failures a score interval replaces the bootstrap."""
FEW_CLUSTERS = 30
"""Below so many clusters a score (or t) interval replaces the bootstrap."""
FEW_FREEDOM = 12
"""Below so many degrees of freedom (some clusters far larger than others), likewise."""
FEW_CARRIERS = 10
"""Where no more clusters than these carry the variance, likewise."""
MANY_CLUSTERS = 2000
"""Above so many clusters score and t intervals say the same as the bootstrap, 100 times faster."""


@dataclass(frozen=True)
class Estimate:
    """K means over questions and everything their intervals need; arrays of shape (K,)."""

    sums: ClusterSums
    variance: np.ndarray
    """Of the mean, over clusters; NaN below two clusters."""
    freedom: np.ndarray
    seeds: int
    added: np.ndarray
    """Variance that the seeds add; 0 for a single run."""
    se_seed: np.ndarray
    """Standard error from the seeds alone; NaN for a single run."""

    @property
    def mean(self) -> np.ndarray:
        """Mean over questions."""
        return self.sums.mean

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return len(self.sums.sizes)

    def critical(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the variance with the seeds in it and the critical value that goes with it.

        The mean of both t quantiles, weighted by their variances.

        Source: Cochran and Cox (1957), Experimental Designs, section 4.14.
        """
        from scipy.special import stdtrit

        total, upper = self.variance + self.added, (1 + level) / 2
        t = stdtrit(self.freedom, upper)
        if self.seeds > 1:
            share = np.where(total > 0, self.added / np.where(total > 0, total, 1), 0)
            t = (1 - share) * t + share * stdtrit(self.seeds - 1, upper)
        return total, t


@dataclass(frozen=True)
class Limits:
    """Confidence limits and two-sided p-value against 0, shape (K,), and how they were found."""

    low: np.ndarray
    high: np.ndarray
    method: np.ndarray
    p: np.ndarray


def estimate(scores: np.ndarray, clusters: Iterable[Hashable] | None) -> Estimate:
    """Average seeds within questions and work out both variances.

    Questions and seeds without any value are left out.

    Parameters
    ----------
    scores : numpy.ndarray
        Shape (S, n, K); NaN = undefined.
    clusters : iterable, optional
        Cluster of each of the n questions.
    """
    codes = cluster_codes(clusters, scores.shape[1])
    if len(codes) != scores.shape[1]:
        raise RagftError(f"clusters: {len(codes)} names for {scores.shape[1]} questions.")
    kept = ~np.isnan(scores)
    # A question without any value is no question, a seed without any is no seed.
    asked, ran = kept.any(axis=(0, 2)), kept.any(axis=(1, 2))
    scores, kept = scores[ran][:, asked], kept[ran][:, asked]
    _, codes = np.unique(codes[asked], return_inverse=True)
    with np.errstate(invalid="ignore"):
        averaged = np.where(kept, scores, 0.0).sum(axis=0) / kept.sum(axis=0)
    sums, seeds = cluster_sums(averaged, codes), len(scores)
    added, raw = np.zeros(scores.shape[2]), np.full(scores.shape[2], np.nan)
    if seeds > 1:
        parts = [cluster_sums(score - averaged, codes) for score in scores]
        added, raw = seed_variance(
            np.stack([part.totals for part in parts]), np.stack([part.sizes for part in parts])
        )
    return Estimate(sums, *variance(sums), seeds, added, np.sqrt(raw))


def effective_n(estimate: Estimate, spread: np.ndarray, level: float) -> tuple[np.ndarray, ...]:
    """Return how many independent questions the data are worth, and the critical value.

    `spread` is the variance of one question's score were it 0 or 1, so that spread / variance
    is the effective n; n itself where every score is the same and nothing can be estimated.
    """
    total, critical = estimate.critical(level)
    with np.errstate(invalid="ignore", divide="ignore"):
        n = np.where((total > 0) & (spread > 0), spread / total, estimate.sums.n)
    return np.where(np.isnan(estimate.variance), np.nan, n), critical


def enough(estimate: Estimate, events: np.ndarray, others: np.ndarray, few: int) -> np.ndarray:
    """Tell where a bootstrap can be trusted: clusters, their evenness, effective counts.

    And how many clusters carry the variance: where one or two differ from all others, many
    resamples hold neither, and a mean divided by an error of nearly 0 is any number.
    """
    residuals = (estimate.sums.totals - estimate.mean * estimate.sums.sizes) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        counts = np.minimum(events, others) >= few
        clusters = FEW_CLUSTERS <= estimate.clusters <= MANY_CLUSTERS
        squares = (residuals**2).sum(axis=0)
        carriers = np.where(squares > 0, residuals.sum(axis=0) ** 2 / squares, np.inf)
        even = (estimate.freedom >= FEW_FREEDOM) & (carriers >= FEW_CARRIERS)
        return counts & even & clusters


def rate_limits(estimate: Estimate, level: float, n_boot: int, seed: int) -> Limits:
    """Return limits for scores in [0, 1]: the bootstrap, or Wilson's on the effective n.

    Source of the effective n in Wilson's interval: Franco, Little, Louis and Slud (2019),
    Journal of Survey Statistics and Methodology 7(3).
    """
    mean = estimate.mean
    n, z = effective_n(estimate, mean * (1 - mean), level)

    def score() -> tuple[np.ndarray, ...]:
        return (*wilson_limits(mean, n, z), np.full_like(mean, np.nan))

    trusted = enough(estimate, n * mean, n * (1 - mean), FEW)
    return _choose(trusted, estimate, score, "score", level, n_boot, seed)


def difference_limits(
    estimate: Estimate,
    ahead: np.ndarray,
    behind: np.ndarray,
    level: float,
    n_boot: int,
    seed: int,
    independent: bool = False,
) -> Limits:
    """Return limits for differences of scores in [0, 1]: the bootstrap, or Tango's score.

    `ahead` and `behind` are the means of max(a - b, 0) and max(b - a, 0): for single runs the
    shares of questions that only one of the two answered right. `independent` says that nothing
    has to be estimated: single runs without clusters have n and z themselves.
    """
    from scipy.special import ndtr

    usual = np.full_like(ahead, z_of(level))
    n, z = effective_n(estimate, ahead + behind - estimate.mean**2, level)
    if independent:
        n, z = estimate.sums.n, usual

    def score() -> tuple[np.ndarray, ...]:
        at_zero = tango_statistic(ahead, behind, n, np.zeros_like(ahead)) * usual / z
        p = np.where(np.isnan(n + z), np.nan, 2 * ndtr(-np.abs(at_zero)))
        return (*tango_limits(ahead, behind, n, z), p)

    trusted = enough(estimate, n * (ahead + behind), n * (1 - np.maximum(ahead, behind)), FEW // 2)
    return _choose(trusted, estimate, score, "score", level, n_boot, seed)


def plain_limits(estimate: Estimate, level: float, n_boot: int, seed: int) -> Limits:
    """Return limits for scores of any range: the bootstrap, or a cluster-robust t interval."""
    from scipy.special import stdtrit

    def student() -> tuple[np.ndarray, ...]:
        t = stdtrit(estimate.freedom, (np.arange(n_boot) + 0.5)[:, None] / n_boot)
        return _from_draws(estimate, t * np.sqrt(estimate.variance), level, seed)

    many = np.full(estimate.mean.shape, np.inf)
    return _choose(enough(estimate, many, many, 0), estimate, student, "t", level, n_boot, seed)


def _choose(
    trusted: np.ndarray,
    estimate: Estimate,
    other: Callable[[], tuple[np.ndarray, ...]],
    name: str,
    level: float,
    n_boot: int,
    seed: int,
) -> Limits:
    """Return bootstrap limits where trusted, those of `other` elsewhere."""
    found = other() if not trusted.all() else (np.full(trusted.shape, np.nan),) * 3
    if trusted.any():
        errors = studentised(estimate.sums, n_boot, seed) * plain_error(estimate.sums)
        drawn = _from_draws(estimate, -errors, level, seed)
        found = tuple(np.where(trusted, x, y) for x, y in zip(drawn, found, strict=True))
    low, high, p = found
    method = np.where(np.isnan(low), "undefined", np.where(trusted, "bootstrap", name))
    return Limits(low, high, method, p)


def _from_draws(estimate: Estimate, errors: np.ndarray, level: float, seed: int) -> tuple:
    """Return low, high and p of mean + error over clusters + error over seeds, draw by draw.

    Adding draws of two estimated errors, each with its own degrees of freedom (Behrens-Fisher),
    keeps two or three seeds honest: adding variances (Satterthwaite) covered 85 to 93 % there.

    Source: Fisher (1935), The fiducial argument in statistical inference, Annals of Eugenics 6.
    """
    draws = estimate.mean + errors
    if estimate.seeds > 1:
        draws = draws + seed_draws(len(errors), estimate.seeds, seed) * np.sqrt(estimate.added)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    tail = np.minimum((draws <= 0).sum(axis=0), (draws >= 0).sum(axis=0))
    p = np.minimum(2 * (tail + 1) / (len(draws) + 1), 1.0)
    return low, high, np.where(np.isnan(low), np.nan, p)


def z_of(level: float) -> float:
    """Return the two-sided normal critical value, 1.96 for 0.95."""
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise RagftError(f"level must lie between 0 and 1, not {level}.")
    return float(ndtri((1 + level) / 2))


def wilson_limits(rate: np.ndarray, n: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's (1927) limits of a rate for the critical value `z`; NaN where n is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # Exactly 0 or 1 at the edges, where rounding could leave 1e-17.
    low, high = np.where(rate <= 0, 0.0, centre - half), np.where(rate >= 1, 1.0, centre + half)
    known = np.isfinite(half)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def tango_statistic(ahead: np.ndarray, behind: np.ndarray, n: np.ndarray, gap: np.ndarray):
    """Return Tango's score statistic of the hypothesis that the difference is `gap`.

    Source: Tango (1998), Equivalence test and confidence interval for the difference in
    proportions for the paired-sample design, Statistics in Medicine 17, equation 26.
    """
    linear = -ahead - behind + (2 - ahead + behind) * gap
    constant = -behind * gap * (1 - gap)
    root = (np.sqrt(np.maximum(linear**2 - 8 * constant, 0)) - linear) / 4
    spread = np.maximum(2 * root + gap * (1 - gap), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num((ahead - behind - gap) * np.sqrt(n) / np.sqrt(spread))


def tango_limits(ahead: np.ndarray, behind: np.ndarray, n: np.ndarray, z: np.ndarray):
    """Return the differences at which Tango's statistic is z and -z, by bisection."""
    difference, limits = ahead - behind, []
    for end, sign in ((-1.0, 1.0), (1.0, -1.0)):
        outside, inside = np.full_like(difference, end), difference
        for _ in range(50):
            middle = (outside + inside) / 2
            rejected = sign * tango_statistic(ahead, behind, n, middle) > z
            outside = np.where(rejected, middle, outside)
            inside = np.where(rejected, inside, middle)
        limits.append(np.where(np.isnan(n + z), np.nan, inside))
    return tuple(limits)
