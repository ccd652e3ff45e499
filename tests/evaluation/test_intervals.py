"""Coverage of the intervals, simulated with the code that `statistics` calls."""

from __future__ import annotations

import numpy as np
import pytest

from ragft.evaluation.intervals import (
    difference_limits,
    estimate,
    plain_limits,
    rate_limits,
    tango_limits,
    tango_statistic,
    wilson_limits,
    z_of,
)
from ragft.types import RagftError

SIMULATIONS = 4000
EVEN = (1, 2, 3, 4)
UNEVEN = (1, 1, 2, 3, 5, 8)
ONES = (1,)


def codes_of(clusters: int, sizes: tuple[int, ...]) -> np.ndarray:
    return np.repeat(np.arange(clusters), np.resize(sizes, clusters))


def assert_covers(truth: float, scores: np.ndarray, codes: np.ndarray, limits_of) -> None:
    """Count over batches, each with resamples of its own, as every use has its own."""
    hits = []
    for batch in range(4):
        part = scores[..., batch::4]
        limits = limits_of(estimate(part, codes), part, batch)
        hits.append((limits.low <= truth) & (truth <= limits.high))
    covered = np.mean(hits)
    assert np.size(hits) == SIMULATIONS
    assert 0.93 <= covered <= 0.97, f"covered {covered:.3f}"


def of_rates(found, _, seed):
    return rate_limits(found, 0.95, 1000, seed)


def of_any(found, _, seed):
    return plain_limits(found, 0.95, 1000, seed)


def of_differences(found, gap, seed):
    ahead, behind = (np.maximum(s * gap[0], 0).mean(axis=0) for s in (1, -1))
    return difference_limits(found, ahead, behind, 0.95, 1000, seed)


def normal(rng, *shape):
    return rng.standard_normal((*shape, SIMULATIONS))


@pytest.mark.parametrize(
    ("clusters", "sizes", "rate", "correlation"),
    [
        (30, ONES, 0.5, 0),
        (100, ONES, 0.1, 0),
        (1000, ONES, 0.01, 0),
        (30, UNEVEN, 0.5, 0),
        (30, UNEVEN, 0.5, 0.3),
        (30, UNEVEN, 0.1, 0.1),
        (60, UNEVEN, 0.2, 0.3),
        (60, UNEVEN, 0.05, 0.1),
        (100, UNEVEN, 0.9, 0.2),
        (30, (20, 3, 11, 17, 6), 0.5, 0.1),
        (200, (1, 1, 1, 2, 2, 20), 0.5, 0.3),
        (15, UNEVEN, 0.5, 0.1),
    ],
)
def test_rates_of_single_runs_are_covered(clusters, sizes, rate, correlation):
    rng, codes = np.random.default_rng(1), codes_of(clusters, sizes)
    chance = np.full((clusters, SIMULATIONS), rate)
    if correlation:
        strength = (1 - correlation) / correlation
        chance = rng.beta(rate * strength, (1 - rate) * strength, chance.shape)
    right = (rng.random((len(codes), SIMULATIONS)) < chance[codes]).astype(float)
    assert_covers(rate, right[None], codes, of_rates)


@pytest.mark.parametrize(
    ("clusters", "sizes", "a", "b"),
    [
        (60, ONES, 0.5, 0.4),
        (100, ONES, 0.9, 0.8),
        (300, ONES, 0.99, 0.97),
        (30, UNEVEN, 0.5, 0.3),
        (60, UNEVEN, 0.9, 0.85),
        (30, (20, 3, 11, 17, 6), 0.5, 0.4),
        (12, UNEVEN, 0.5, 0.3),
    ],
)
def test_paired_differences_are_covered(clusters, sizes, a, b):
    # Both arms share what is hard about a cluster (0.2) and about a question (0.3).
    from scipy.special import ndtri

    rng, codes = np.random.default_rng(2), codes_of(clusters, sizes)
    hard = np.sqrt(0.2) * normal(rng, clusters)[codes] + np.sqrt(0.3) * normal(rng, len(codes))
    gap = sum(
        sign * (hard + np.sqrt(0.5) * normal(rng, len(codes)) < ndtri(rate)).astype(float)
        for sign, rate in ((1, a), (-1, b))
    )
    assert_covers(a - b, gap[None], codes, of_differences)
    limits = of_differences(estimate(gap[None, :, :500], codes), gap[None, :, :500], 0)
    excluded = (limits.low > 0) | (limits.high < 0)
    assert np.mean(excluded == (limits.p < 0.05)) > 0.99  # p and interval are one statement


@pytest.mark.parametrize(
    ("seeds", "clusters", "sizes", "rate", "of_seed", "noise"),
    [
        (3, 60, EVEN, 0.5, 0.0, 0.5),
        (3, 60, EVEN, 0.5, 0.02, 0.3),
        (3, 60, UNEVEN, 0.8, 0.05, 0.3),
        (5, 60, EVEN, 0.5, 0.2, 0.2),
        (5, 60, UNEVEN, 0.8, 0.05, 0.3),
        (5, 100, ONES, 0.8, 0.02, 0.3),
    ],
)
def test_rates_over_seeds_are_covered(seeds, clusters, sizes, rate, of_seed, noise):
    # Shares of the variance on the normal scale: cluster 0.1, seed, noise, the rest the question.
    from scipy.special import ndtri

    rng, codes = np.random.default_rng(3), codes_of(clusters, sizes)
    fixed = np.sqrt(0.1) * normal(rng, clusters)[codes]
    fixed += np.sqrt(0.9 - of_seed - noise) * normal(rng, len(codes))
    scores = np.stack(
        [
            fixed + np.sqrt(of_seed) * normal(rng) + np.sqrt(noise) * normal(rng, len(codes))
            < ndtri(rate)
            for _ in range(seeds)
        ]
    ).astype(float)
    assert_covers(rate, scores, codes, of_rates)


@pytest.mark.parametrize(("clusters", "sizes"), [(30, UNEVEN), (15, UNEVEN), (60, ONES)])
def test_means_of_any_range_are_covered(clusters, sizes):
    # Skewed like latencies: gamma with shape 4, half of the variance shared in a cluster.
    rng, codes = np.random.default_rng(4), codes_of(clusters, sizes)
    values = rng.gamma(2, 1, (clusters, SIMULATIONS))[codes]
    values = values + rng.gamma(2, 1, (len(codes), SIMULATIONS))
    assert_covers(4.0, values[None], codes, of_any)


def test_differences_over_seeds_are_covered():
    rng, codes = np.random.default_rng(5), codes_of(60, UNEVEN)
    fixed = 0.3 + 0.5 * normal(rng, 60)[codes] + normal(rng, len(codes))
    gap = np.stack([fixed + 0.1 * normal(rng) + normal(rng, len(codes)) for _ in range(4)])
    assert_covers(0.3, gap, codes, of_any)


def test_methods_follow_clusters_evenness_and_counts():
    def method(values, codes):
        return str(rate_limits(estimate(values[None, :, None], codes), 0.95, 100, 0).method[0])

    half = np.tile([0.0, 1.0], 60)
    assert method(half, np.arange(120)) == "bootstrap"
    assert method(half, np.arange(120) // 4) == "bootstrap"  # 30 clusters of 4
    assert method(half[:116], np.arange(116) // 4) == "score"  # 29 clusters
    rare = np.zeros(120)
    rare[:5] = 1
    assert method(rare, np.arange(120)) == "score"
    lopsided = np.minimum(np.arange(120), 40)  # one cluster holds 80 of 120 questions
    assert method(half, lopsided) == "score"
    assert method(half, np.zeros(120)) == "undefined"


def test_tango_limits_solve_the_score_equation():
    ahead, behind = np.array([0.2, 0.1, 0.0, 1.0]), np.array([0.05, 0.1, 0.0, 0.0])
    n, z = np.array([40.0, 25.0, 30.0, 10.0]), np.full(4, z_of(0.95))
    low, high = tango_limits(ahead, behind, n, z)
    inner = [0, 1]
    np.testing.assert_allclose(tango_statistic(ahead, behind, n, low)[inner], z[inner], atol=1e-6)
    np.testing.assert_allclose(tango_statistic(ahead, behind, n, high)[inner], -z[inner], atol=1e-6)
    # With no discordant pair the limits are +-z^2 / (n + z^2): hand-solved.
    bound = z_of(0.95) ** 2 / (30 + z_of(0.95) ** 2)
    np.testing.assert_allclose([low[2], high[2]], [-bound, bound], atol=1e-9)
    assert high[3] == pytest.approx(1.0)


def test_tango_statistic_at_zero_is_mcnemars():
    # (b - c) / sqrt(b + c) with b = 8, c = 2: 6 / sqrt(10).
    found = tango_statistic(np.array([0.2]), np.array([0.05]), np.array([40.0]), np.array([0.0]))
    assert found[0] == pytest.approx(6 / np.sqrt(10))


def test_wilson_limits_by_hand():
    # n = 10, 5 right, z = 2: centre 0.5, half = 2 / 1.4 * sqrt(0.025 + 0.01).
    low, high = wilson_limits(np.array([0.5]), np.array([10.0]), np.array([2.0]))
    half = 2 / 1.4 * np.sqrt(0.035)
    np.testing.assert_allclose([low[0], high[0]], [0.5 - half, 0.5 + half])


def test_level_out_of_range_is_refused():
    with pytest.raises(RagftError, match="level must lie between 0 and 1, not 95"):
        z_of(95)
