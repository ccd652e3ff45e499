"""Reciprocal rank fusion, the sums written out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.retrieval.fusion import reciprocal_rank_fusion
from ragft.types import RagftError


def test_scores_by_hand():
    fused = dict(reciprocal_rank_fusion([["a", "b", "c"], ["c", "a"]]))
    assert fused == pytest.approx({"a": 1 / 61 + 1 / 62, "b": 1 / 62, "c": 1 / 63 + 1 / 61})


def test_weights_by_hand():
    fused = dict(reciprocal_rank_fusion([["a"], ["b", "a"]], k=0, weights=[2, 0.5]))
    assert fused == pytest.approx({"a": 2 / 1 + 0.5 / 2, "b": 0.5})


def test_ties_keep_the_order_of_first_appearance():
    assert [i for i, _ in reciprocal_rank_fusion([["b", "a"], ["a", "b"]])] == ["b", "a"]


@given(st.permutations(range(8)))
def test_one_ranking_stays_as_it_is(ranking):
    assert [i for i, _ in reciprocal_rank_fusion([ranking])] == list(ranking)


@given(st.lists(st.lists(st.integers(0, 9), unique=True), max_size=4))
def test_every_item_appears_once_and_scores_fall(rankings):
    fused = reciprocal_rank_fusion(rankings)
    assert {i for i, _ in fused} == {i for r in rankings for i in r}
    scores = [s for _, s in fused]
    assert scores == sorted(scores, reverse=True) and len(fused) == len(dict(fused))


def test_nothing_to_fuse():
    assert reciprocal_rank_fusion([]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([["a"]], -1), "k must be at least 0, not -1"),
        (([["a"]], 60, [1, 2]), "weights must be 1 numbers"),
        (([["a"]], 60, [-1]), "weights must be 1 numbers"),
        (([["a", "a"]],), "'a' is twice in one ranking"),
    ],
)
def test_misuse_is_named(arguments, message):
    with pytest.raises(RagftError, match=message):
        reciprocal_rank_fusion(*arguments)
