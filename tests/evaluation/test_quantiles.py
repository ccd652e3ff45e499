"""Quantiles by hand, against numpy, and how often their intervals hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.evaluation.quantiles import FEW, quantile
from ragft.types import RagftError

FLOATS = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ([1, 2, 3, 4], 0.5, 2),
        ([1, 2, 3, 4], 0.51, 3),
        ([4, 3, 2, 1], 1.0, 4),
        (range(1, 101), 0.95, 95),
        (range(1, 101), 0.99, 99),
        ([5], 0.5, 5),
        ([1, math.nan, 3], 0.5, 1),
        ([1, math.inf, 3], 0.95, math.inf),
    ],
)
def test_by_hand(values, q, expected):
    assert quantile(values, q).value == expected


@given(st.lists(FLOATS, min_size=1, max_size=60), st.sampled_from([0.25, 0.5, 0.9, 0.95, 1.0]))
def test_agrees_with_numpy(values, q):
    assert quantile(values, q, n_boot=1).value == np.quantile(values, q, method="inverted_cdf")


@given(st.lists(FLOATS, min_size=FEW, max_size=40))
def test_the_interval_lies_among_the_values(values):
    found = quantile(values, 0.5, n_boot=50)
    assert min(values) <= found.low <= found.high <= max(values)
    assert found.n == found.clusters == len(values)


def test_nothing_and_little():
    nothing = quantile([], 0.5)
    assert math.isnan(nothing.value) and nothing.n == 0
    assert quantile([math.nan], 0.5).n == 0
    few = quantile(range(FEW - 1), 0.5)
    assert few.value == 4 and math.isnan(few.low) and math.isnan(few.high)
    clustered = quantile(range(100), 0.5, clusters=[n % 5 for n in range(100)])
    assert clustered.n == 100 and clustered.clusters == 5 and math.isnan(clustered.low)


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_intervals_cover_the_truth_as_often_as_they_say(q):
    rng = np.random.default_rng(0)
    truth = -math.log(1 - q)
    hits = 0
    for seed in range(300):
        found = quantile(rng.exponential(size=200), q, n_boot=200, seed=seed)
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / 300 <= 0.985


def test_clusters_that_agree_with_themselves_are_one_value_each():
    rng = np.random.default_rng(1)
    means = rng.normal(size=40)
    alone = quantile(means, 0.5)
    tenfold = quantile(np.repeat(means, 10), 0.5, clusters=np.repeat(np.arange(40), 10))
    assert (tenfold.value, tenfold.low, tenfold.high) == (alone.value, alone.low, alone.high)


@pytest.mark.parametrize("q", [0, -0.1, 1.1, math.nan])
def test_a_share_out_of_range_is_refused(q):
    with pytest.raises(RagftError, match="must lie above 0 and be at most 1"):
        quantile([1.0], q)
