"""Retrieval metrics by hand, and equal to ranx' on random runs with ties."""

import math

import numpy as np
import pytest

from ragft.evaluation.retrieval_metrics import ndcg_at_k, recall_at_k, reciprocal_rank
from ragft.types import RagftError


def test_recall_by_hand():
    found = [["a", "b", "c"], ["a", "b", "c"], []]
    values = recall_at_k(found, [{"c", "x"}, {"a", "b"}, {"a"}], k=2)
    assert values.tolist() == [0.0, 1.0, 0.0]


def test_ndcg_by_hand():
    # Relevant at ranks 2 and 3 of three, three relevant: (1/log2 3 + 1/log2 4) over the ideal.
    value = ndcg_at_k([["x", "a", "b"]], [{"a", "b", "c"}], k=10)[0]
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert value == pytest.approx((1 / math.log2(3) + 1 / 2) / ideal)


def test_the_ideal_of_ndcg_stops_at_k():
    assert ndcg_at_k([["a", "b"]], [{"a", "b", "c", "d"}], k=2)[0] == 1.0


def test_reciprocal_rank_by_hand():
    found = [["x", "y", "a"], ["a"], ["x"], []]
    assert reciprocal_rank(found, [{"a"}] * 4).tolist() == [1 / 3, 1.0, 0.0, 0.0]
    assert reciprocal_rank(found, [{"a"}] * 4, k=2).tolist() == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("metric", [recall_at_k, ndcg_at_k, reciprocal_rank])
def test_nothing_relevant_is_undefined_not_zero(metric):
    values = metric([["a"], ["a"]], [set(), {"b"}])
    assert np.isnan(values[0]) and values[1] == 0.0
    assert metric([], []).shape == (0,)


@pytest.mark.parametrize("seed", range(5))
def test_equals_ranx_on_random_runs_with_ties(seed):
    from ranx import Qrels, Run, evaluate

    rng = np.random.default_rng(seed)
    scored, qrels = {}, {}
    for q in range(40):
        found = rng.permutation(30)[: int(rng.integers(1, 25))]
        # Few values, so that there are many ties; ids with zeros, as ranx sorts them by name.
        scored[f"q{q:02}"] = {f"d{i}": float(rng.integers(0, 6) / 4) for i in found}
        wanted = rng.permutation(30)[: int(rng.integers(1, 15))]
        qrels[f"q{q:02}"] = {f"d{i}": 1 for i in wanted}
    run = Run(scored)
    run.sort()  # ranx' own order of ties
    rankings = [list(run.run[name]) for name in scored]
    relevant = [set(wanted) for wanted in qrels.values()]
    assert all(
        [scored[name][i] for i in ranking] == sorted(scored[name].values(), reverse=True)
        for name, ranking in zip(scored, rankings, strict=True)
    )
    for k in (1, 5, 10, 20):
        names = [f"recall@{k}", f"ndcg@{k}", f"mrr@{k}"]
        expected = evaluate(Qrels(qrels), run, names, return_mean=False)
        for name, metric in zip(names, (recall_at_k, ndcg_at_k, reciprocal_rank), strict=True):
            np.testing.assert_allclose(metric(rankings, relevant, k), expected[name], atol=1e-12)
    whole = evaluate(Qrels(qrels), run, "mrr", return_mean=False)
    np.testing.assert_allclose(reciprocal_rank(rankings, relevant), whole, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([["a"]], []), "1 rankings for 0 questions"),
        (([["a"]], [{"a"}], 0), "k must be at least 1, not 0"),
        (([["a", "b", "a"]], [{"a"}]), "ranking 0 holds one id twice"),
    ],
)
@pytest.mark.parametrize("metric", [recall_at_k, ndcg_at_k, reciprocal_rank])
def test_misuse_is_named(metric, arguments, message):
    with pytest.raises(RagftError, match=message):
        metric(*arguments)
