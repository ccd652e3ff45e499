"""Differences of differences by hand, their algebra, and how often their intervals are right."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.evaluation.groups import difference_of_differences
from ragft.evaluation.statistics import paired_difference
from ragft.types import RagftError

FLAGS = st.lists(st.sampled_from([0.0, 1.0]), min_size=24, max_size=24)


def test_by_hand():
    # 1 - 0.25 in the first group, 0.5 - 1 in the second
    a, b = [1, 1, 1, 1, 1, 0], [1, 0, 0, 0, 1, 1]
    found = difference_of_differences(a, b, [True] * 4 + [False] * 2)
    assert found.mean == pytest.approx(0.75 - -0.5)
    assert (found.n, found.clusters, found.seeds, found.method) == (6, 6, 1, "mover")
    one, two = paired_difference(a[:4], b[:4], range(4)), paired_difference(a[4:], b[4:], range(2))
    low = 1.25 - math.sqrt((one.mean - one.low) ** 2 + (two.high - two.mean) ** 2)
    high = 1.25 + math.sqrt((one.high - one.mean) ** 2 + (two.mean - two.low) ** 2)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@settings(max_examples=30)
@given(FLAGS, FLAGS, st.integers(2, 22))
def test_groups_and_sides_turned_round_change_the_sign_alone(a, b, size):
    first = np.arange(24) < size
    found = difference_of_differences(a, b, first, n_boot=50)
    assert found.low <= found.mean <= found.high
    for other in (
        difference_of_differences(b, a, first, n_boot=50),
        difference_of_differences(a, b, ~first, n_boot=50),
    ):
        assert other.mean == pytest.approx(-found.mean)
        assert (other.low, other.high) == pytest.approx((-found.high, -found.low))


def test_no_difference_anywhere_is_still_no_certainty():
    found = difference_of_differences([1] * 60, [1] * 60, [True] * 30 + [False] * 30)
    assert found.mean == 0 and found.low == pytest.approx(-found.high) and found.high > 0.1


def test_questions_of_one_cluster_count_once():
    a, b = np.random.default_rng(0).integers(0, 2, (2, 40))
    first, clusters = np.arange(40) < 20, np.arange(40)
    alone = difference_of_differences(a, b, first, clusters)
    repeated = (np.repeat(x, 5) for x in (a, b, first, clusters))
    fivefold = difference_of_differences(*repeated)
    assert (fivefold.n, fivefold.clusters) == (200, 40)
    assert fivefold.high - fivefold.low == pytest.approx(alone.high - alone.low, rel=0.1)


def test_what_seeds_share_in_both_groups_cancels_and_what_they_do_not_widens():
    a, first = np.ones(80), np.arange(80) < 40
    b = 0.3 + 0.6 * np.random.default_rng(1).integers(0, 2, 80)
    worse = np.array([[0.0], [0.1], [0.2]])
    same = difference_of_differences(a, b - worse, first)
    once = difference_of_differences(a, b - 0.1, first)
    assert (same.seeds, once.seeds) == (3, 1) and math.isnan(once.se_seed)
    assert (same.mean, same.low, same.high) == pytest.approx((once.mean, once.low, once.high))
    assert same.se_seed == pytest.approx(0)
    apart = difference_of_differences(a, b - worse * first, first)
    once = difference_of_differences(a, b - 0.1 * first, first)
    assert apart.se_seed == pytest.approx(0.1 / math.sqrt(3))
    reach = 4.3027 * 0.1 / math.sqrt(3)  # Student's t on two degrees of freedom
    # Not quite all of it: that the seeds move 40 questions is in the variance over these.
    assert apart.high - apart.mean == pytest.approx(math.hypot(once.high - once.mean, reach), 0.01)
    assert apart.mean - apart.low == pytest.approx(math.hypot(once.mean - once.low, reach), 0.01)


def test_seeds_by_hand():
    # Every question of the first group is missed by one seed of two, none of the second: the
    # differences of the seeds are 1 and 0, which differ by no more than a seed.
    a, first = np.ones(8), np.arange(8) < 4
    b = np.vstack([np.where(first, 0.0, 1.0), np.ones(8)])
    found = difference_of_differences(a, b, first)
    assert found.mean == pytest.approx(0.5)
    assert found.se_seed == pytest.approx(np.std([1, 0], ddof=1) / math.sqrt(2))


def test_what_has_no_value_is_left_out_and_counted():
    a, b = [1, 1, math.nan, 0, 1, 1], [0, 1, 1, 0, math.nan, 1]
    found = difference_of_differences(a, b, [True] * 3 + [False] * 3)
    assert (found.mean, found.n, found.missing) == (pytest.approx(0.5), 4, 2)
    for first in ([True] * 3, [False] * 3):
        none = difference_of_differences([1, 0, 1], [0, 0, 1], first)
        assert math.isnan(none.mean) and math.isnan(none.low) and none.method == "undefined"
    alone = difference_of_differences([1, 0, 1, 1], [0, 0, 1, 0], [True] + [False] * 3)
    assert alone.mean == pytest.approx(1 - 1 / 3) and math.isnan(alone.low)


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng, hits = np.random.default_rng(0), 0
    first = np.arange(100) < 40
    truth = (0.95 - 0.6) - (0.7 - 0.8)
    for seed in range(200):
        shift = rng.normal(0, 0.05, (3, 2))
        rates = np.where(first, 0.6 + shift[:, :1], 0.8 + shift[:, 1:])
        a = rng.random(100) < np.where(first, 0.95, 0.7)
        b = rng.random((3, 100)) < rates
        found = difference_of_differences(a, b, first, n_boot=100, seed=seed)
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / 200 <= 0.995


def test_groups_that_do_not_fit_are_errors():
    with pytest.raises(RagftError, match="a cluster has questions in both groups"):
        difference_of_differences([1, 0], [0, 0], [True, False], ["x", "x"])
    with pytest.raises(RagftError, match="3 marks of the first group do not fit"):
        difference_of_differences([1, 0], [0, 0], [True, False, True])
    with pytest.raises(RagftError, match=r"shapes \(2, 2\) and \(3, 2\)"):
        difference_of_differences(np.ones((2, 2)), np.ones((3, 2)), [True, False])
