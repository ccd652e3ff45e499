"""Means over a collection from questions that were not drawn from it evenly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.evaluation.statistics import paired_difference, seed_interval
from ragft.evaluation.strata import standing_for
from ragft.types import RagftError


def test_each_stratum_counts_by_its_size_in_the_collection():
    scores = np.array([[1.0, 0.0, 1.0, 0.0, 0.0]])
    found = standing_for(scores, "aaabb", {"a": 30, "b": 70})
    assert found.mean() == pytest.approx(0.3 * 2 / 3)
    # w is (30 / 100) / (3 / 5) = .5, and the mean of the stratum 2 / 3.
    assert found[0, 0] == pytest.approx(0.2 + 0.5 / 3)
    assert found[0, 1] == pytest.approx(0.2 - 0.5 * 2 / 3)
    assert found[0, 3:] == pytest.approx(0.2)


def test_what_is_undefined_stands_for_nothing():
    scores = np.array([[1.0, np.nan, 0.0, 0.0], [np.nan] * 4])
    found = standing_for(scores, "aabb", {"a": 50, "b": 50})
    assert np.isnan(found[0]).tolist() == [False, True, False, False]
    assert np.nanmean(found[0]) == pytest.approx(25 / 75)
    assert np.isnan(found[1]).all()


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.integers(1, 9))
def test_one_stratum_is_as_given(scores, size):
    found = standing_for(np.array([scores]), "a" * len(scores), {"a": size})
    assert found[0] == pytest.approx(scores)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(-1, 1)), min_size=1, max_size=30),
    st.tuples(st.integers(1, 99), st.integers(1, 99)),
)
def test_the_mean_is_that_of_the_strata_by_size(rows, sizes):
    size = dict(zip("ab", sizes, strict=True))
    parts = {k: [x for label, x in rows if label == k] for k in "ab"}
    parts = {k: part for k, part in parts.items() if part}
    expected = sum(size[k] * np.mean(part) for k, part in parts.items())
    expected /= sum(size[k] for k in parts)
    scores = np.array([[x for _, x in rows]])
    found = standing_for(scores, [k for k, _ in rows], size)
    assert found.mean() == pytest.approx(expected, abs=1e-12)


def test_its_interval_covers_the_collection():
    """Nine of ten questions of a stratum that is a tenth of the collection."""
    draw, rates, hits, widths, errors = np.random.default_rng(0), (0.7, 0.2), 0, [], []
    truth = 0.1 * rates[0] + 0.9 * rates[1]
    for _ in range(200):
        scores = np.concatenate([draw.random(180) < rates[0], draw.random(40) < rates[1]]) * 1.0
        z = standing_for(scores[None], "a" * 180 + "b" * 40, {"a": 1, "b": 9})
        found = paired_difference(z, np.zeros_like(z), n_boot=200)
        hits += found.low <= truth <= found.high
        widths.append(found.high - found.low)
        errors.append(found.mean - truth)
    assert 180 <= hits <= 198  # 95 %, within what 200 draws tell
    assert np.mean(widths) / (2 * 1.96 * np.std(errors)) == pytest.approx(1, abs=0.15)


def test_seeds_stay_apart():
    scores = np.array([[1.0, 1, 0, 0], [0.0, 0, 0, 0]])
    found = seed_interval(standing_for(scores, "aabb", {"a": 1, "b": 3}))
    assert found.mean == pytest.approx(0.125) and found.se_seed == pytest.approx(
        np.std([0.25, 0], ddof=1) / math.sqrt(2)
    )


def test_a_stratum_must_have_a_size():
    with pytest.raises(RagftError, match="no size above 0 for b, c"):
        standing_for(np.zeros((1, 3)), "abc", {"a": 1, "b": 0})
    with pytest.raises(RagftError, match="strata: 2 of them for 3 questions"):
        standing_for(np.zeros((1, 3)), "ab", {"a": 1, "b": 1})
