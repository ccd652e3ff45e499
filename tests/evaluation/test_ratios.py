"""Ratios by hand, their algebra, and how often their intervals hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.evaluation.ratios import mean_ratio, quantile_ratio, ratio_of_rates, seed_ratio
from ragft.evaluation.statistics import Interval
from ragft.types import RagftError

TIMES = st.lists(st.floats(0.01, 100), min_size=12, max_size=30)


@pytest.mark.parametrize(
    ("a", "b", "mean", "median"),
    [
        ([2, 4, 6], [1, 2, 3], 2, 2),
        ([1, 1, 10], [1, 2, 3], 2, 0.5),
        ([1, math.nan, 3], [1, 5, 1], 2, 1),
        ([0, 0], [1, 3], 0, 0),
    ],
)
def test_by_hand(a, b, mean, median):
    found = mean_ratio(a, b)
    assert found.mean == mean and math.isnan(found.low) and found.method == "undefined"
    assert found.n + found.missing == len(a)
    assert quantile_ratio(a, b).mean == median


def test_both_sides_are_of_the_questions_that_both_have():
    a, b = [1, 2, math.nan, 6], [2, 4, 9, math.nan]
    for ratio, sides in ((mean_ratio, (1.5, 3)), (quantile_ratio, (1, 2)), (seed_ratio, (1.5, 3))):
        found = ratio(a, b)
        assert (found.one, found.two, found.mean) == (*sides, 0.5)
    rates = ratio_of_rates(Interval(0.2, 0.1, 0.3, 9), Interval(0.4, 0.3, 0.5, 9))
    assert (rates.one, rates.two) == (0.2, 0.4)
    for ratio in (mean_ratio, quantile_ratio, seed_ratio):
        assert math.isnan(ratio([], []).one) and math.isnan(ratio([math.nan], [1]).two)


def test_what_is_not_defined():
    for a, b in (([], []), ([1.0], [0.0]), ([math.nan], [1.0])):
        assert math.isnan(mean_ratio(a, b).mean) and math.isnan(quantile_ratio(a, b).mean)
    with pytest.raises(RagftError, match="2 values over 1"):
        mean_ratio([1, 2], [1])
    with pytest.raises(RagftError, match="q=0 must lie above 0"):
        quantile_ratio([1], [1], 0)


@pytest.mark.parametrize("ratio", [mean_ratio, quantile_ratio])
@given(TIMES, st.floats(0.1, 10))
def test_a_constant_ratio_has_no_spread(ratio, times, factor):
    found = ratio(np.multiply(times, factor), times, n_boot=50)
    assert found.mean == pytest.approx(factor)
    assert found.low == pytest.approx(factor) and found.high == pytest.approx(factor)


@given(TIMES, TIMES)
def test_turned_round_it_is_the_inverse(a, b):
    size = min(len(a), len(b))
    one, two = mean_ratio(a[:size], b[:size], n_boot=50), mean_ratio(b[:size], a[:size], n_boot=50)
    assert one.mean == pytest.approx(1 / two.mean)
    assert one.low <= one.high


@pytest.mark.parametrize("ratio", [mean_ratio, quantile_ratio])
def test_intervals_cover_the_truth_as_often_as_they_say(ratio):
    rng, hits = np.random.default_rng(0), 0
    for seed in range(300):
        ours = rng.lognormal(sigma=0.4, size=(2, 100))
        found = ratio(3 * ours[0], ours[1], n_boot=200, seed=seed)
        hits += found.low <= 3 <= found.high
    assert 0.91 <= hits / 300 <= 0.985


def test_questions_of_one_cluster_go_together():
    rng = np.random.default_rng(1)
    a, b = rng.lognormal(size=(2, 20))
    clusters = np.repeat(np.arange(20), 5)
    tenfold = mean_ratio(np.repeat(a, 5), np.repeat(b, 5), clusters)
    alone = mean_ratio(a, b)
    assert (tenfold.low, tenfold.high) == pytest.approx((alone.low, alone.high))
    assert tenfold.clusters == 20 and tenfold.n == 100


def test_a_ratio_of_rates_without_any_is_wide_where_a_bootstrap_has_no_width():
    none, some = Interval(0.0, 0.0, 0.18, 20), Interval(0.8, 0.6, 0.9, 20)
    found = ratio_of_rates(none, some)
    assert (found.mean, found.low) == (0.0, 0.0)
    # with a mean of 0 the upper end is u / sqrt(l (2 m - l))
    assert found.high == pytest.approx(0.18 / math.sqrt(0.6 * (1.6 - 0.6)))
    assert found.n == 20


def test_a_ratio_of_rates_without_width_is_the_ratio():
    one, two = (Interval(m, m, m, n) for m, n in ((0.3, 10), (0.6, 12)))
    found = ratio_of_rates(one, two)
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert found.n == 10


@given(st.floats(0.05, 0.95), st.floats(0.2, 0.95), st.floats(0, 0.04), st.floats(0, 0.1))
def test_a_ratio_of_rates_lies_within_its_ends(a, b, around_a, around_b):
    one = Interval(a, a - around_a, a + around_a, 50)
    two = Interval(b, b - around_b, b + around_b, 50)
    found = ratio_of_rates(one, two)
    assert found.low <= found.mean + 1e-6 and found.mean <= found.high + 1e-6
    assert found.low >= one.low / two.high - 1e-6
    assert found.high <= one.high / two.low + 1e-6


def test_a_ratio_over_a_rate_that_may_be_nothing_is_undefined():
    found = ratio_of_rates(Interval(0.5, 0.4, 0.6, 9), Interval(0.1, 0.0, 0.3, 9))
    assert math.isnan(found.mean) and math.isnan(found.high) and found.method == "undefined"


def test_a_ratio_with_seeds_by_hand():
    a, b = [[2, 4, 9], [4, 6, math.nan]], [1, 3, math.nan]
    found = seed_ratio(a, b)
    assert (found.mean, found.n, found.missing, found.seeds) == (2, 2, 1, 2)
    # A question whose run failed in one seed counts by the other.
    assert seed_ratio([[2, math.nan], [4, 5]], [1, 1]).mean == pytest.approx((3 + 5) / 2)
    for a, b in (([], []), ([1.0], [0.0]), ([math.nan], [1.0])):
        assert math.isnan(seed_ratio(a, b).mean)
    with pytest.raises(RagftError, match="do not pair up"):
        seed_ratio([1, 2], [1])


@given(TIMES, st.floats(0.1, 10))
def test_a_constant_ratio_of_seeds_has_no_spread(times, factor):
    found = seed_ratio([np.multiply(times, factor)] * 3, times, n_boot=50)
    assert found.mean == pytest.approx(factor)
    assert found.low == pytest.approx(factor) and found.high == pytest.approx(factor)


def test_a_single_seed_has_nearly_the_interval_of_the_plain_ratio():
    rng = np.random.default_rng(0)
    b = rng.lognormal(size=400)
    a = 1.3 * b * rng.lognormal(0, 0.2, 400)
    one, other = seed_ratio(a, b), mean_ratio(a, b)
    assert one.mean == pytest.approx(other.mean)
    assert one.high - one.low == pytest.approx(other.high - other.low, rel=0.15)


def test_intervals_with_seeds_cover_the_truth_as_often_as_they_say():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(300):
        questions = rng.uniform(0.2, 0.8, 60)
        seeds = rng.normal(0, 0.1, 5)
        a = questions * (1.2 + seeds[:, None]) + rng.normal(0, 0.05, (5, 60))
        found = seed_ratio(a, questions, n_boot=300)
        hits += found.low <= 1.2 <= found.high
    assert 0.92 <= hits / 300 <= 0.99
