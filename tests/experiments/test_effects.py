"""Means and paired differences of judged answers, by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.experiments.cells import frame
from ragft.experiments.effects import averaged, difference, mean, quantity, summary
from ragft.profiles import profile
from ragft.types import RagftError

SIZES = profile("smoke", n_boot=100)
NAN = math.nan


def rows(scores, condition="asked", seed=0):
    """One row a question: scores by question id, each a cluster of its own."""
    found = [
        {"condition": condition, "seed": seed, "question_id": i, "cluster": i, "score": float(s)}
        for i, s in scores.items()
    ]
    return pd.DataFrame(found, columns=["condition", "seed", "question_id", "cluster", "score"])


def seeds(*runs, condition="asked"):
    return pd.concat([rows(run, condition, seed) for seed, run in enumerate(runs)])


# mean


def test_a_mean_is_over_questions_of_means_over_seeds():
    part = seeds({"a": 1, "b": 0}, {"a": 1, "b": 1})
    found = mean(part, "score", SIZES)
    assert found.mean == pytest.approx((1 + 0.5) / 2)
    assert (found.n, found.seeds) == (2, 2)


def test_a_question_without_a_value_is_counted_as_missing():
    found = mean(rows({"a": 1, "b": NAN, "c": 0}), "score", SIZES)
    assert (found.mean, found.n, found.missing) == (0.5, 2, 1)


def test_clusters_are_those_of_the_rows():
    part = rows({"a": 1, "b": 0, "c": 1}).assign(cluster=["x", "x", "y"])
    assert mean(part, "score", SIZES).clusters == 2


@pytest.mark.parametrize("part", [rows({}), rows({"a": NAN, "b": NAN})])
def test_a_mean_of_nothing_is_none_and_not_0(part):
    assert mean(part, "score", SIZES) is None
    assert quantity(mean(part, "score", SIZES)) is None


# summary


def test_a_summary_has_a_row_where_a_measure_is_defined():
    parts = [
        rows({"a": 1, "b": 0}).assign(arm="rag", canary=NAN),
        rows({"a": NAN}, "planted").assign(arm="rag", canary=1.0),
    ]
    found = summary(pd.concat(parts), ("arm", "condition"), ("score", "canary"), SIZES)
    assert [(r["condition"], r["measure"], r["mean"]) for r in found] == [
        ("asked", "score", 0.5),
        ("planted", "canary", 1.0),
    ]
    assert list(found[0])[:3] == ["arm", "condition", "measure"]


def test_the_frame_of_a_summary_has_numbers_where_a_record_has_none():
    found = summary(rows({"a": 1}), ("condition",), ("score",), SIZES)
    assert found[0]["low"] is None  # a single cluster
    table = frame(found)
    assert table["low"].isna().all() and table["low"].dtype == table["mean"].dtype == float


# difference


def test_a_difference_is_of_the_questions_that_both_have():
    one, two = rows({"a": 1, "b": 1, "c": 1}), rows({"b": 0, "c": 1, "d": 0})
    found = difference(one, two, "score", SIZES)
    assert found.mean == pytest.approx(((1 - 0) + (1 - 1)) / 2)
    assert found.n == 2
    assert difference(two, one, "score", SIZES).mean == pytest.approx(-0.5)


def test_questions_are_paired_by_id_and_not_by_order():
    one = rows({"a": 1, "b": 0})
    two = rows({"b": 0, "a": 1})
    found = difference(one, two, "score", SIZES)
    assert (found.mean, found.low, found.high) == (0, pytest.approx(-found.high), found.high)
    reversed_scores = difference(one, rows({"b": 1, "a": 0}), "score", SIZES)
    assert reversed_scores.mean == 0
    assert reversed_scores.high > found.high  # both pairs differ, in opposite directions


@pytest.mark.parametrize("swapped", [False, True])
def test_a_single_run_stands_against_every_seed(swapped):
    single = rows({"a": 1, "b": 0})
    many = seeds({"a": 1, "b": 0}, {"a": 0, "b": 0}, {"a": 0, "b": 1})
    sides = (many, single) if swapped else (single, many)
    found = difference(*sides, "score", SIZES)
    # a: 1 - 1/3; b: 0 - 1/3
    assert found.mean == pytest.approx((-1 if swapped else 1) * (2 / 3 - 1 / 3) / 2)
    assert (found.n, found.seeds) == (2, 3)


def test_seeds_of_both_sides_are_paired():
    one, two = seeds({"a": 1, "b": 1}, {"a": 0, "b": 0}), seeds({"a": 1, "b": 1}, {"a": 0, "b": 0})
    found = difference(one, two, "score", SIZES)
    # Seed by seed nothing differs; crossed, it would.
    assert (found.mean, found.seeds, found.se_seed) == (0, 2, 0)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"a": 1}, {"b": 1}),
        ({}, {"a": 1}),
        ({"a": 1}, {}),
        ({"a": NAN}, {"a": 1}),
        ({"a": 1}, {"a": NAN}),
        ({"a": 1, "b": NAN}, {"b": 1}),
    ],
)
def test_without_anything_shared_there_is_no_difference(one, two):
    assert difference(rows(one), rows(two), "score", SIZES) is None


def test_without_a_question_that_both_have_a_value_for_there_is_no_difference():
    one, two = rows({"a": 1, "b": NAN}), rows({"a": NAN, "b": 1})
    assert difference(one, two, "score", SIZES) is None


def test_two_and_three_seeds_do_not_pair_up_in_silence():
    two, three = seeds({"a": 1}, {"a": 0}), seeds({"a": 1}, {"a": 1}, {"a": 1})
    with pytest.raises(RagftError, match="do not pair up"):
        difference(three, two, "score", SIZES)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 1.0]), min_size=1),
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 1.0]), min_size=1),
)
def test_a_difference_is_that_of_the_shared_means_and_turns_round(one, two):
    shared = sorted(one.keys() & two.keys())
    found, turned = (
        difference(*map(rows, pair), "score", SIZES) for pair in ((one, two), (two, one))
    )
    if not shared:
        assert found is turned is None
        return
    expected = np.mean([one[i] for i in shared]) - np.mean([two[i] for i in shared])
    assert found.mean == pytest.approx(expected) == pytest.approx(-turned.mean)
    assert found.n == len(shared)


# averaged


def test_an_average_keeps_only_questions_that_all_conditions_have():
    one = rows({"a": 1, "b": 1, "c": 0}, "one")
    two = rows({"b": 0, "c": 0, "d": 1}, "two")
    found = averaged([one, two], "score").set_index("question_id")["score"]
    assert found.to_dict() == {"b": 0.5, "c": 0.0}


def test_an_average_is_within_the_seed():
    one = seeds({"a": 1}, {"a": 0}, condition="one")
    two = seeds({"a": 1}, {"a": 1}, condition="two")
    found = averaged(iter([one, two]), "score")
    assert found.set_index("seed")["score"].to_dict() == {0: 1.0, 1: 0.5}
    assert set(found.columns) == {"seed", "question_id", "cluster", "score"}


def test_an_average_of_three_takes_each_a_third():
    parts = [rows({"a": s}, name) for s, name in ((1, "x"), (0, "y"), (0, "z"))]
    assert averaged(parts, "score")["score"].tolist() == [pytest.approx(1 / 3)]


def test_an_average_over_conditions_without_a_common_question_is_empty_and_has_no_effect():
    found = averaged([rows({"a": 1}, "one"), rows({"b": 1}, "two")], "score")
    assert found.empty
    assert difference(found, rows({"a": 1}), "score", SIZES) is None


def test_a_condition_without_rows_counts_as_one_that_nobody_has():
    assert averaged([rows({"a": 1}, "one"), rows({}, "two")], "score").empty


def test_an_average_of_what_is_undefined_in_one_condition_is_undefined():
    found = averaged([rows({"a": 1}, "one"), rows({"a": NAN}, "two")], "score")
    assert found["score"].isna().all()


# quantity


def test_a_quantity_is_what_a_record_holds():
    found = quantity(mean(rows({"a": 1, "b": 0}), "score", SIZES), "tokens", day=30)
    assert (found["mean"], found["n"], found["unit"], found["day"]) == (0.5, 2, "tokens", 30)
    assert found["se_seed"] is None  # NaN has no JSON form
    assert quantity(mean(rows({"a": 1}), "score", SIZES))["unit"] == "share"
