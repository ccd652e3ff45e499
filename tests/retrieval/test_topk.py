"""The best k, with ties in the order of positions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragft.retrieval.topk import top_k


@given(st.lists(st.integers(-3, 3), max_size=40), st.integers(0, 50))
def test_equals_a_stable_sort(scores, k):
    slow = sorted(range(len(scores)), key=lambda i: -scores[i])[:k]
    assert top_k(np.array(scores, dtype=float), k).tolist() == slow


def test_negative_and_zero_scores_are_ranked_like_any_other():
    assert top_k(np.array([-1.0, 0.0, -2.0]), 5).tolist() == [1, 0, 2]
