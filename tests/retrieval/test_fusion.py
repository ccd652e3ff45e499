"""Fusion by ranks and by scores, the sums written out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.retrieval.fusion import METHODS, Fusion, reciprocal_rank_fusion, score_fusion
from ragft.types import Passage, RagftError


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


def test_minmax_by_hand():
    fused = score_fusion([[("a", 9), ("b", 5), ("c", 1)], [("d", 4), ("b", 3), ("a", 2)]])
    assert dict(fused) == pytest.approx({"a": 1 + 0, "b": 0.5 + 0.5, "c": 0, "d": 1})
    assert [item for item, _ in fused] == ["a", "b", "d", "c"]


def test_zscore_by_hand():
    # mean 2, standard deviation sqrt(2/3): the scores above the least, in deviations.
    deviation = math.sqrt(2 / 3)
    fused = score_fusion([[("a", 3), ("b", 2), ("c", 1)]], "zscore", [2])
    assert dict(fused) == pytest.approx({"a": 4 / deviation, "b": 2 / deviation, "c": 0})


@pytest.mark.parametrize("method", METHODS[1:])
def test_equal_scores_are_all_the_best(method):
    assert score_fusion([[("a", 0.3), ("b", 0.3)], [("c", 7)]], method) == [
        ("a", 1.0),
        ("b", 1.0),
        ("c", 1.0),
    ]
    third = [("a", 0.1 + 0.2), ("b", 0.1 + 0.2), ("c", 0.1 + 0.2)]
    assert [score for _, score in score_fusion([third], method)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("method", METHODS[1:])
def test_nothing_has_no_scores_to_fuse(method):
    assert score_fusion([], method) == [] and score_fusion([[], []], method) == []


RANKING = st.dictionaries(st.integers(0, 9), st.integers(-50, 50), max_size=8).map(
    lambda found: sorted(found.items(), key=lambda pair: -pair[1])
)


@given(RANKING, RANKING, st.sampled_from(METHODS[1:]), st.integers(1, 9), st.integers(-9, 9))
def test_scores_may_be_in_any_unit(one, two, method, scale, shift):
    moved = [(item, scale * score + shift) for item, score in one]
    fused, same = score_fusion([one, two], method), score_fusion([moved, two], method)
    assert dict(fused) == pytest.approx(dict(same))


@given(RANKING, RANKING, st.sampled_from(METHODS[1:]))
def test_the_order_of_the_rankings_changes_no_score(one, two, method):
    fused = dict(score_fusion([one, two], method, [3, 1]))
    assert fused == pytest.approx(dict(score_fusion([two, one], method, [1, 3])))
    assert all(score >= 0 for score in fused.values())


def arrays(ranking):
    return (
        np.array([item for item, _ in ranking], dtype=np.int64),
        np.array([score for _, score in ranking], dtype=np.float64),
    )


def passages(sources=(), collections=()):
    sources = [*sources, *[""] * (10 - len(sources))]
    collections = [*collections, *[""] * (10 - len(collections))]
    return [
        Passage(f"{i}", f"{i}", "t", 0, 1, source=source, collection=collection)
        for i, (source, collection) in enumerate(zip(sources, collections, strict=True))
    ]


@given(RANKING, RANKING, st.sampled_from(METHODS), st.booleans())
def test_all_weight_on_one_ranking_is_that_ranking_alone(bm25, dense, method, first):
    fusion = Fusion(method, (1, 0) if first else (0, 1))
    order, scores = fusion.fuse([arrays(bm25), arrays(dense)], passages())
    alone, others = (bm25, dense) if first else (dense, bm25)
    kept = [item for item, _ in alone]
    assert order[: len(kept)].tolist() == kept
    # What only the other one holds is not lost; it comes last, without a score.
    assert set(order[len(kept) :].tolist()) == {item for item, _ in others} - set(kept)
    assert not scores[len(kept) :].any()


@given(RANKING, RANKING, st.sampled_from(METHODS), st.permutations(range(10)))
def test_renumbering_the_passages_changes_nothing_but_their_numbers(bm25, dense, method, to):
    fusion = Fusion(method, (1, 0.5), priority={"old": 0.5})
    sources = ["old" if i % 3 == 0 else "new" for i in range(10)]
    order, scores = fusion.fuse([arrays(bm25), arrays(dense)], passages(sources))
    renamed = [arrays([(to[item], score) for item, score in part]) for part in (bm25, dense)]
    moved = [sources[to.index(i)] for i in range(10)]
    again, same = fusion.fuse(renamed, passages(moved))
    assert [to[i] for i in order] == again.tolist() and scores.tolist() == same.tolist()


def test_priority_multiplies_by_source_else_by_collection():
    both = [arrays([(0, 9), (1, 8), (2, 7)]), arrays([(0, 0.9), (1, 0.8), (2, 0.7)])]
    held = passages(["archive", "", "wiki"], ["handbook", "handbook", "handbook"])
    fusion = Fusion(k=0, priority={"archive": 0.1, "handbook": 1.5})
    order, scores = fusion.fuse(both, held)
    # 2/1 × 0.1, 2/2 × 1.5 and 2/3 × 1.5
    assert order.tolist() == [1, 2, 0] and scores == pytest.approx([1.5, 1.0, 0.2])
    assert [fusion.weight_of(p) for p in held[:4]] == [0.1, 1.5, 1.5, 1.0]


def test_a_priority_of_nothing_puts_last_and_hides_nothing():
    both = [arrays([(0, 9), (1, 8)]), arrays([])]
    order, scores = Fusion(priority={"archive": 0}).fuse(both, passages(["archive"]))
    assert order.tolist() == [1, 0] and scores[1] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "borda"}, "unknown method 'borda'; choose rrf, minmax, zscore"),
        ({"weights": (1,)}, "give one for BM25 and one for the vectors"),
        ({"weights": (0, 0)}, "one of them above 0"),
        ({"weights": (1, -1)}, "weights must be finite numbers >= 0, not -1"),
        ({"weights": (1, math.nan)}, "weights must be finite numbers >= 0, not nan"),
        ({"k": -1}, "k must be a whole number of at least 0, not -1"),
        ({"k": 1.5}, "k must be a whole number of at least 0, not 1.5"),
        ({"priority": {"a": -2}}, "priority must be finite numbers >= 0, not -2"),
        ({"priority": {"a": True}}, "priority must be finite numbers >= 0, not True"),
    ],
)
def test_a_fusion_that_means_nothing_is_refused(arguments, message):
    with pytest.raises(RagftError, match=message):
        Fusion(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[("a", 1)]], "rrf"), "unknown method 'rrf'; choose minmax, zscore"),
        (([[("a", math.nan)]],), "a score is not finite"),
        (([[("a", 1), ("a", 0)]],), "'a' is twice in one ranking"),
        (([[("a", 1)]], "minmax", [1, 1]), "weights must be 1 numbers"),
    ],
)
def test_misuse_of_scores_is_named(arguments, message):
    with pytest.raises(RagftError, match=message):
        score_fusion(*arguments)
