"""The best k, with ties in the order of positions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.retrieval.topk import contenders, top_k


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
    st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(6, 3000), st.floats(0, 2),
    st.integers(1, 50),
)  # fmt: skip
def test_contenders_are_the_best_and_all_within_the_margin(seed, k, n, margin, spread):
    scores = np.random.default_rng(seed).integers(-spread, spread, n).astype(float)
    found = contenders(scores, k, margin)
    assert (np.diff(found) > 0).all()
    assert np.isin(np.flatnonzero(scores >= np.sort(scores)[-k] - margin), found).all()
