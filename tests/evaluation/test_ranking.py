"""The arithmetic of rankings and resamples, and the coverage of the limits made from them."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from ragft.evaluation.ranking import (
    area_of,
    auroc_of,
    gap_limits,
    rank,
    resample,
    risk_of,
    share_limits,
)
from ragft.evaluation.resampling import resampling_counts
from ragft.evaluation.statistics import wilson
from ragft.evaluation.uncertainty import auroc, auroc_difference, risk_at_coverage
from ragft.types import RagftError


def of(scores, values):
    """Sum values within groups of equal scores."""
    return rank(np.array(scores, float)).sums(np.array(values, float)[None])


def test_ties_stand_in_one_group_and_nan_in_none():
    ranking = rank(np.array([1.0, math.nan, math.inf, 1.0, -math.inf, math.inf]))
    assert ranking.order.tolist() == [2, 5, 0, 3, 4]
    assert ranking.ties.tolist() == [0, 2, 4]
    assert ranking.sums(np.arange(6.0)).tolist() == [7, 3, 4]


def test_a_ranking_of_nothing_is_empty():
    ranking = rank(np.array([math.nan]))
    assert ranking.sums(np.ones((2, 1))).shape == (2, 0)
    assert np.isnan(auroc_of(np.ones((2, 0)), np.ones((2, 0)))).all()


def test_risk_within_a_tie_is_that_of_all_orders():
    scores, wrong = [3, 2, 2, 2, 1], [1, 0, 1, 0, 1]
    orders = [[1, *middle, 1] for middle in permutations([0, 1, 0])]
    expected = [np.mean([np.mean(order[:k]) for order in orders]) for k in (1, 2, 3, 4, 5)]
    found = risk_of(of(scores, [1] * 5), of(scores, wrong), np.array([[1, 2, 3, 4, 5]]))
    np.testing.assert_allclose(found[0], expected)
    area = area_of(of(scores, [1] * 5), of(scores, wrong))
    assert area[0] == pytest.approx(np.mean(expected))


def test_more_answers_than_there_are_mean_all():
    counts, wrong = of([3, 2, 1], [1, 1, 2]), of([3, 2, 1], [0, 1, 2])
    assert risk_of(counts, wrong, np.array([[4.0, 5.0, 99.0]])).tolist() == [[0.75] * 3]


def test_drawing_a_question_twice_is_having_it_twice():
    rng = np.random.default_rng(0)
    scores, wrong = rng.integers(0, 9, 30).astype(float), rng.integers(0, 2, 30).astype(float)
    times = rng.integers(0, 4, 30)
    drawn, copied = rank(scores), rank(np.repeat(scores, times))
    ones, errors = np.ones((1, times.sum())), np.repeat(wrong, times)[None]
    weighted = (drawn.sums(times[None]), drawn.sums(times[None] * wrong))
    repeated = (copied.sums(ones), copied.sums(errors))
    first = np.array([[1.0, 5.5, 17.0, 99.0]])
    np.testing.assert_allclose(risk_of(*weighted, first), risk_of(*repeated, first))
    np.testing.assert_allclose(area_of(*weighted), area_of(*repeated))
    right = [answered - errors for answered, errors in (weighted, repeated)]
    np.testing.assert_allclose(auroc_of(right[0], weighted[1]), auroc_of(right[1], repeated[1]))


def test_clusters_are_drawn_whole(monkeypatch):
    codes = np.array([0, 0, 1, 2, 2, 2])
    counts = np.concatenate(list(resampling_counts(3, 50, seed=4)))
    np.testing.assert_array_equal(resample(lambda w: w, codes, 50, seed=4), counts[:, codes])
    # However small the blocks are in which resamples are held.
    monkeypatch.setattr("ragft.evaluation.ranking.BLOCK", 40)
    np.testing.assert_array_equal(resample(lambda w: w, codes, 50, seed=4), counts[:, codes])


def test_limits_of_a_share_are_wilsons_on_the_effective_n():
    # A standard deviation of .05 at .5: .25 / .0025 = 100 independent answers.
    draws = np.tile([0.45, 0.55], 500)
    low, high, method = share_limits(0.5, draws, 9, 10**6, 0.95)
    assert (low, high) == pytest.approx(wilson(50, 100), abs=1e-5)
    assert method == "score"
    # 30 clusters: t(29) = 2.045 for 1.960, and the variance times 30 / 29.
    fewer = share_limits(0.5, draws, 9, 29, 0.95)
    assert (fewer[1] - fewer[0]) / (high - low) == pytest.approx(2.080 / 1.960, rel=0.005)


def test_resamples_that_agree_leave_the_doubt_of_n_answers():
    alike = np.ones(100)
    low, high, _ = share_limits(1.0, alike, 20, 10**6, 0.95)
    assert (low, high) == pytest.approx(wilson(20, 20), abs=1e-5)
    low, high, method, p = gap_limits(0.0, 0 * alike, 50, 10**6, 0.95)
    # Tango's limits with nothing discordant: z^2 / (n + z^2).
    assert (-low, high) == pytest.approx([1.96**2 / (50 + 1.96**2)] * 2, abs=1e-4)
    assert (method, p) == ("score", 1.0)


def test_undefined_resamples_are_left_out():
    draws = np.array([0.4, math.nan, 0.6])
    assert share_limits(0.5, draws, 9, 9, 0.95) == share_limits(0.5, draws[[0, 2]], 9, 9, 0.95)
    assert share_limits(0.5, draws[1:2], 9, 9, 0.95)[2] == "undefined"


def test_limits_of_a_difference_are_quantiles_and_of_few_clusters_lie_further_out():
    draws = np.random.default_rng(0).normal(0.1, 0.03, 4000)
    low, high, method, _ = gap_limits(0.1, draws, 9, 10**6, 0.95)
    assert method == "bootstrap"
    np.testing.assert_allclose((low, high), np.quantile(draws, [0.025, 0.975]), atol=1e-4)
    fewer = gap_limits(0.1, draws, 9, 29, 0.95)
    assert (fewer[1] - fewer[0]) / (high - low) == pytest.approx(2.080 / 1.960, rel=0.03)
    # t(5) is 2.571, times sqrt(6 / 5).
    few = gap_limits(0.1, draws, 9, 5, 0.95)
    assert few[2] == "t" and few[1] - 0.1 == pytest.approx(2.571 * 0.03 * 1.2**0.5, rel=0.05)


def test_p_and_interval_of_a_difference_agree():
    rng = np.random.default_rng(1)
    for value in np.linspace(0, 0.2, 21):
        for freedom in (5, 20, 200):
            draws = rng.normal(value, 0.05, 2000)
            low, _, method, p = gap_limits(value, draws, 99, freedom, 0.95)
            assert method == ("t" if freedom == 5 else "bootstrap")
            assert (low > 0) == (p < 0.05) or abs(p - 0.05) < 0.004


def test_one_cluster_has_no_limits_and_a_level_out_of_range_is_refused():
    assert share_limits(0.5, np.ones(3), 3, 0, 0.95)[2] == "undefined"
    assert all(math.isnan(x) for x in share_limits(0.5, np.ones(3), 3, 0, 0.95)[:2])
    assert gap_limits(0.5, np.ones(3), 3, 0, 0.95)[2] == "undefined"
    with pytest.raises(RagftError, match="level must lie between 0 and 1, not 95"):
        share_limits(0.5, np.ones(3), 3, 9, 95)


# Coverage: normal scores, whose AUROC is known; half of their variance is their cluster's.

SIMULATIONS, RESAMPLES = 300, 200


def normal_cdf(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def draw(seed, clusters, size, rate):
    rng = np.random.default_rng([clusters, size, seed])
    codes = np.repeat(np.arange(clusters), size)
    right = (rng.random(len(codes)) < rate).astype(float)
    shared = rng.standard_normal(clusters)[codes] * math.sqrt(0.5)
    noise = [rng.standard_normal(len(codes)) * math.sqrt(0.5) for _ in range(2)]
    return codes, right, shared, noise


def assert_covers(truth, intervals):
    covered = np.mean([x.low <= truth <= x.high for x in intervals])
    # 95 % of 300 have a standard error of 1.3 points; intervals half as wide cover 67 %.
    assert len(intervals) == SIMULATIONS and 0.915 <= covered <= 0.985, f"covered {covered:.3f}"


@pytest.mark.parametrize(
    ("clusters", "size", "rate", "shift"), [(40, 1, 0.5, 1), (60, 3, 0.7, 1), (60, 2, 0.8, 2)]
)
def test_aurocs_are_covered(clusters, size, rate, shift):
    found = []
    for seed in range(SIMULATIONS):
        codes, right, shared, noise = draw(seed, clusters, size, rate)
        scores = shift * right + shared + noise[0]
        found.append(auroc(scores, right, codes, n_boot=RESAMPLES, seed=seed))
    assert_covers(normal_cdf(shift / math.sqrt(2)), found)


def test_differences_of_aurocs_are_covered():
    found = []
    for seed in range(SIMULATIONS):
        codes, right, shared, noise = draw(seed, 60, 2, 0.6)
        one, other = 1.5 * right + shared + noise[0], 0.5 * right + shared + noise[1]
        found.append(auroc_difference(one, other, right, codes, n_boot=RESAMPLES, seed=seed))
    assert_covers(normal_cdf(1.5 / math.sqrt(2)) - normal_cdf(0.5 / math.sqrt(2)), found)


def test_risks_are_covered():
    # Uniform confidence c, wrong with chance 1 - c: the surer half is wrong in 1/4 of all cases.
    found = []
    for seed in range(SIMULATIONS):
        rng = np.random.default_rng(seed)
        confidence = rng.random(120)
        wrong = (rng.random(120) > confidence).astype(float)
        clusters = np.arange(120) // 2
        found.append(
            risk_at_coverage(confidence, wrong, 0.5, clusters, n_boot=RESAMPLES, seed=seed)
        )
    assert_covers(0.25, found)
