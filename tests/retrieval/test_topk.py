"""The best k, with ties in the order of positions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.retrieval.topk import reached, top_k


@given(st.lists(st.integers(-3, 3), max_size=40), st.integers(0, 50))
def test_equals_a_stable_sort(scores, k):
    slow = sorted(range(len(scores)), key=lambda i: -scores[i])[:k]
    assert top_k(np.array(scores, dtype=float), k).tolist() == slow


def test_negative_and_zero_scores_are_ranked_like_any_other():
    assert top_k(np.array([-1.0, 0.0, -2.0]), 5).tolist() == [1, 0, 2]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 400), st.integers(1, 50))
def test_groups_change_nothing(seed, k, n, spread):
    scores = np.random.default_rng(seed).integers(-spread, spread, n).astype(float)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ragft.retrieval.topk._GROUP", 4)
        assert top_k(scores, k).tolist() == np.argsort(-scores, kind="stable")[:k].tolist()


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(6, 3000), st.integers(1, 50),
    st.sampled_from([np.uint8, np.float64]),
)  # fmt: skip
def test_k_of_each_row_reach_what_is_told_and_not_many_more(seed, k, n, spread, dtype):
    scores = np.random.default_rng(seed).integers(0, 2 * spread, (3, n)).astype(dtype)
    least = reached(scores, k)
    assert least.shape == (3,) and least.dtype == dtype
    assert (least <= np.sort(scores, axis=1)[:, -k]).all()
    # Below the k-th highest of the maxima there are, in as many groups as hold higher ones, others.
    assert ((scores > least[:, None]).sum(axis=1) < k * 64 + n % 64).all()
    assert reached(scores[0], k) == least[0]


def test_what_k_reach_is_the_kth_highest_where_groups_are_too_small():
    assert reached(np.array([[3, 9, 4], [5, 5, 1]]), 2).tolist() == [4, 5]
