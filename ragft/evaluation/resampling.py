"""Cluster sums and what can be computed from them alone: variances and studentised bootstraps.

Works on totals per cluster, of shape (G, K): K quantities side by side, so that `statistics`
(K = 1) and its coverage simulations (K = thousands) run the very same code.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

BLOCK = 4_000_000
"""Resampling counts held in memory at once (32 MB of float64)."""
EXTREME = 1e6
"""Stands for the studentised value of a resample that has no spread."""


@dataclass(frozen=True)
class ClusterSums:
    """What the data say about K means over questions, the clusters being what was sampled."""

    totals: np.ndarray
    """Sum of the scores in each cluster, shape (G, K)."""
    sizes: np.ndarray
    """Number of questions in each cluster, shape (G, K)."""
    squares: np.ndarray
    """Sum of the squared scores in each cluster, shape (G, K)."""

    @property
    def n(self) -> np.ndarray:
        """Number of questions, shape (K,)."""
        return self.sizes.sum(axis=0)

    @property
    def mean(self) -> np.ndarray:
        """Mean over questions, shape (K,); NaN without any."""
        with np.errstate(invalid="ignore"):
            return self.totals.sum(axis=0) / self.n


def cluster_codes(clusters: Iterable[Hashable] | None, n: int) -> np.ndarray:
    """Number the clusters 0, 1, ... in order of first appearance; None makes each its own.

    Returns
    -------
    numpy.ndarray
        Integers of shape (n,).
    """
    if clusters is None:
        return np.arange(n)
    index: dict[Hashable, int] = {}
    return np.array([index.setdefault(c, len(index)) for c in clusters], dtype=int)


def cluster_sums(values: np.ndarray, codes: np.ndarray) -> ClusterSums:
    """Add up the entries of `values`, shape (n, K), by cluster; NaN counts for nothing."""
    kept = ~np.isnan(values)
    groups = int(codes.max(initial=-1)) + 1

    def add_up(weights: np.ndarray) -> np.ndarray:
        columns = [np.bincount(codes, weights=w, minlength=groups) for w in weights.T]
        return np.stack(columns, axis=1)

    sizes = add_up(kept.astype(float))
    filled = np.where(kept, values, 0.0)
    return ClusterSums(add_up(filled), sizes, add_up(filled**2))


def variance(sums: ClusterSums) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of the mean over questions and its degrees of freedom, shape (K,).

    The linearised variance sum (total - mean size)^2 / n^2 is divided by its expectation under
    a working model (equal correlation within clusters, estimated from the data) and gets the
    Satterthwaite degrees of freedom of the same model: where a few large clusters hold most of
    the questions, G - 1 would promise far too much. NaN with fewer than two clusters.

    Source: Bell and McCaffrey (2002), Survey Methodology 28(2); Imbens and Kolesar (2016),
    Review of Economics and Statistics 98(4), section II.
    """
    sizes, n, groups = sums.sizes, sums.n, sums.sizes.shape[0]
    if groups < 2:
        nothing = np.full(sizes.shape[1:], np.nan)
        return nothing, nothing
    raw = ((sums.totals - sums.mean * sizes) ** 2).sum(axis=0) / n**2
    # The residuals are (I - a 1') totals with a = size / n and totals of variance w: the moments
    # of their sum of squares are traces of B = diag(w) - a w' - w a' + a a' sum(w).
    a, w = sizes / n, sizes * (1 + (sizes - 1) * correlation(sums))
    aa, aw, ww, all_w = ((x * y).sum(axis=0) for x, y in ((a, a), (a, w), (w, w), (w, 1)))
    trace = all_w - 2 * aw + aa * all_w
    trace_square = ww - 4 * (a * w * w).sum(axis=0) + 2 * all_w * (a * a * w).sum(axis=0)
    trace_square += 2 * aw**2 + 2 * aa * ww + (all_w * aa) ** 2 - 4 * all_w * aw * aa
    return raw * all_w / trace, trace**2 / trace_square


def correlation(sums: ClusterSums) -> np.ndarray:
    """Return the intraclass correlation in [0, 1], shape (K,); 0 where nothing can be said.

    One-way analysis of variance; source: Donner (1986), International Statistical Review 54(1).
    """
    sizes, n, groups = sums.sizes, sums.n, sums.sizes.shape[0]
    typical = (n - (sizes**2).sum(axis=0) / n) / (groups - 1)
    between = ((sums.totals - sums.mean * sizes) ** 2 / sizes).sum(axis=0) / (groups - 1)
    within = (sums.squares - sums.totals**2 / sizes).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        within = within / (n - groups)
        rho = (between - within) / (between + (typical - 1) * within)
    return np.clip(np.nan_to_num(rho), 0.0, 1.0)


def resampling_counts(n_clusters: int, n_boot: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of multinomial counts, shape (block, n_clusters), `n_boot` rows in all.

    A row says how often each cluster is drawn when as many are drawn, with replacement,
    as there are. Counting drawn indices is faster than a multinomial sampler.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, BLOCK // max(n_clusters, 1))
    for start in range(0, n_boot, rows):
        block = min(rows, n_boot - start)
        drawn = rng.integers(0, n_clusters, size=(block, n_clusters))
        drawn += np.arange(block)[:, None] * n_clusters
        counts = np.bincount(drawn.ravel(), minlength=block * n_clusters)
        yield counts.reshape(block, n_clusters).astype(float)


def studentised(sums: ClusterSums, n_boot: int = 2000, seed: int = 0) -> np.ndarray:
    """Return bootstrap draws of (mean* - mean) / se*, shape (n_boot, K), clusters resampled.

    se* is the linearised standard error of the resample with G / (G - 1); the same
    `plain_error` scales the draws back.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 12.5;
    for clusters Cameron, Gelbach and Miller (2008), Review of Economics and Statistics 90(3).
    """
    sizes, groups = sums.sizes, sums.sizes.shape[0]
    # Centred first: the three products below would otherwise cancel badly.
    centred = sums.totals - sums.mean * sizes
    parts = []
    for counts in resampling_counts(groups, n_boot, seed):
        n = counts @ sizes
        shift = (counts @ centred) / n
        squares = counts @ centred**2 - 2 * shift * (counts @ (centred * sizes))
        squares += shift**2 * (counts @ sizes**2)
        error = np.sqrt(np.maximum(squares, 0) * groups / (groups - 1)) / n
        with np.errstate(divide="ignore", invalid="ignore"):
            t = shift / error
        parts.append(np.clip(np.nan_to_num(t, posinf=EXTREME, neginf=-EXTREME), -EXTREME, EXTREME))
    return np.concatenate(parts)


def plain_error(sums: ClusterSums) -> np.ndarray:
    """Return the linearised standard error of the mean with G / (G - 1), shape (K,)."""
    groups = sums.sizes.shape[0]
    squares = ((sums.totals - sums.mean * sums.sizes) ** 2).sum(axis=0)
    return np.sqrt(squares * groups / (groups - 1)) / sums.n


def seed_variance(totals: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance that seeds add to the mean over S seeds, and all of it.

    Parameters
    ----------
    totals : numpy.ndarray
        Shape (S, G, K): per seed and cluster the sum of (score - the question's mean over
        seeds), so that a question which one seed lacks shifts nothing.
    sizes : numpy.ndarray
        Questions counted, same shape.

    Returns
    -------
    added, raw : numpy.ndarray
        Shape (K,). `raw` is var(mean of a seed) / S. The part of it that comes from seeds
        disagreeing about single questions is already in the variance over clusters of the
        averaged scores; `added` = raw minus that part, at least 0. NaN with a single seed.

    Source: the components V_seed + V_cluster - V_both of Cameron, Gelbach and Miller (2011),
    Robust inference with multiway clustering, Journal of Business & Economic Statistics 29(2).
    """
    seeds, groups = totals.shape[:2]
    if seeds < 2:
        nothing = np.full(totals.shape[2:], np.nan)
        return nothing, nothing
    n = sizes.sum(axis=1)
    shift = totals.sum(axis=1) / n
    raw = shift.var(axis=0, ddof=1) / seeds
    residuals = (totals - shift[:, None] * sizes) / n[:, None]
    both = (residuals**2).sum(axis=(0, 1)) / (seeds - 1) / seeds * groups / max(groups - 1, 1)
    return np.maximum(raw - both, 0.0), raw


def seed_draws(n_boot: int, seeds: int, seed: int) -> np.ndarray:
    """Return draws of t on `seeds` - 1 degrees of freedom, shape (n_boot, 1).

    Stratified: every quantile once, in an order that has nothing to do with the bootstrap.
    """
    from scipy.special import stdtrit

    levels = (np.arange(n_boot) + 0.5) / n_boot
    return np.random.default_rng([seed, 1]).permutation(stdtrit(seeds - 1, levels))[:, None]
