"""AUROC, risk-coverage and entropies: hand arithmetic, sklearn's numbers, invariants, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ragft.evaluation.statistics import mean_interval
from ragft.evaluation.uncertainty import (
    auroc,
    auroc_difference,
    naive_entropy,
    risk_at_coverage,
    risk_coverage,
    risk_difference,
    semantic_entropy,
    value_groups,
)
from ragft.types import RagftError

NAN = math.nan
QUICK = {"n_boot": 20}
# Few values, so that there are many ties.
ANSWERS = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=1, max_size=40)


def split(answers):
    scores, flags = np.array(answers, float).T
    return scores, flags


# AUROC


def test_auroc_by_hand():
    # Right .9 .5 .4, wrong .5 .1: wins 1 + 1, tie .5 + 1, loss 0 + 1, of 6 pairs.
    found = auroc([0.9, 0.5, 0.4, 0.5, 0.1], [1, 1, 1, 0, 0])
    assert found.mean == pytest.approx(4.5 / 6)
    assert (found.n, found.missing, found.clusters) == (5, 0, 5)


@settings(deadline=None, max_examples=40)
@given(ANSWERS)
def test_auroc_equals_sklearns(answers):
    metrics = pytest.importorskip("sklearn.metrics")
    scores, right = split(answers)
    assume(0 < right.sum() < len(right))
    found = auroc(scores, right, **QUICK).mean
    assert found == pytest.approx(metrics.roc_auc_score(right, scores), abs=1e-12)


@settings(deadline=None)
@given(ANSWERS)
def test_negated_scores_have_one_minus_the_auroc_and_any_order_the_same(answers):
    scores, right = split(answers)
    found = auroc(scores, right, **QUICK).mean
    turned, shuffled = (
        auroc(-scores, right, **QUICK).mean,
        auroc(scores[::-1], right[::-1], **QUICK).mean,
    )
    if 0 < right.sum() < len(right):
        assert turned == pytest.approx(1 - found, abs=1e-12)
        assert shuffled == pytest.approx(found, abs=1e-12)
    else:
        assert all(map(math.isnan, (found, turned, shuffled)))


@settings(deadline=None)
@given(ANSWERS)
def test_limits_hold_the_auroc_and_stay_between_0_and_1(answers):
    found = auroc(*split(answers), n_boot=100)
    if not math.isnan(found.low):
        assert 0 <= found.low <= found.mean <= found.high <= 1


def test_infinite_scores_are_ranked_and_equal_ones_tie():
    assert auroc([math.inf, math.inf, -math.inf], [1, 0, 0]).mean == pytest.approx(1.5 / 2)


def test_undefined_scores_and_truths_are_left_out_and_counted():
    found = auroc([0.9, NAN, 0.1, 0.3], [1, 1, 0, NAN], ["a", "b", "c", "d"])
    assert (found.mean, found.n, found.missing, found.clusters) == (1.0, 2, 2, 2)


@pytest.mark.parametrize("right", [[], [1, 1, 1], [0, 0], [NAN]])
def test_one_kind_of_answers_is_undefined_not_one_half(right):
    scores = list(range(len(right)))
    for found in (auroc(scores, right), auroc_difference(scores, scores, right)):
        assert math.isnan(found.mean) and math.isnan(found.low) and math.isnan(found.high)
        assert found.method == "undefined"
        assert found.n + found.missing == len(right)
    assert math.isnan(auroc_difference(scores, scores, right).p)


def test_perfect_order_leaves_doubt_and_the_more_the_fewer_are_wrong():
    many = auroc(range(100), [0] * 50 + [1] * 50)
    few = auroc(range(100), [0] * 5 + [1] * 95)
    assert many.mean == few.mean == many.high == few.high == 1.0
    assert 0.90 < many.low < 0.95
    assert 0.3 < few.low < 0.6
    assert many.method == few.method == "score"


def test_all_wrong_answers_in_one_cluster_give_no_limits():
    found = auroc([1, 2, 3, 4], [0, 0, 1, 1], ["a", "a", "b", "c"])
    assert found.mean == 1.0
    assert math.isnan(found.low) and found.method == "undefined"


def noisy(n=300, seed=0):
    rng = np.random.default_rng(seed)
    right = (rng.random(n) < 0.5).astype(float)
    return right + rng.standard_normal(n), right


def test_copies_of_questions_in_clusters_do_not_narrow_the_interval():
    scores, right = noisy()
    alone = auroc(scores, right)
    copied = auroc(np.repeat(scores, 4), np.repeat(right, 4), np.repeat(np.arange(300), 4))
    assert alone.method == copied.method == "score"
    assert copied.mean == pytest.approx(alone.mean)
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.1)


def test_same_seed_same_interval_other_seed_another():
    scores, right = noisy()
    assert auroc(scores, right, seed=1) == auroc(scores, right, seed=1)
    assert auroc(scores, right, seed=1) != auroc(scores, right, seed=2)


def test_a_difference_is_that_of_the_aurocs_and_its_pairing_narrows_it():
    scores, right = noisy()
    close = scores + 0.1 * np.random.default_rng(1).standard_normal(300)
    found = auroc_difference(scores, close, right)
    one, other = auroc(scores, right), auroc(close, right)
    assert (found.one, found.two) == (one.mean, other.mean)
    assert found.mean == pytest.approx(one.mean - other.mean)
    assert found.high - found.low < 0.3 * (one.high - one.low)
    assert found.low <= found.mean <= found.high


def test_a_real_difference_has_a_small_p_and_its_turned_one_the_same():
    scores, right = noisy()
    chance = np.random.default_rng(2).standard_normal(300)
    found, turned = auroc_difference(scores, chance, right), auroc_difference(chance, scores, right)
    assert found.p < 0.01 and found.low > 0
    assert turned.mean == -found.mean and turned.p == pytest.approx(found.p, rel=0.05)


def test_two_signals_of_one_order_do_not_differ_and_leave_doubt():
    scores, right = noisy()
    found = auroc_difference(scores, np.exp(scores), right)
    assert (found.mean, found.p, found.method) == (0, 1, "score")
    assert -0.04 < found.low < -0.01 and found.high == pytest.approx(-found.low)


def test_a_question_without_one_of_the_signals_is_left_out_of_both():
    a, b, right = [3, 2, 1, 0], [0, 1, NAN, 2], [1, 0, 1, 0]
    found = auroc_difference(a, b, right)
    assert (found.n, found.missing) == (3, 1)
    assert found.mean == pytest.approx(1.0 - 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1]), r"auroc: shapes \[\(1,\), \(2,\)\] must be one and the same"),
        (([1, 2], [1, 0.5]), "`right` must be 0, 1 or NaN"),
        (([1, 2], [1, 0], ["a"]), "1 clusters for 2 questions"),
        (([[1, 2]], [[1, 0]]), "must be one and the same"),
        (([1, 2], [1, 0], None, 95), "level must lie between 0 and 1, not 95"),
    ],
)
def test_misuse_of_auroc_is_named(arguments, message):
    with pytest.raises(RagftError, match=message):
        auroc(*arguments)


# Risk-coverage


def test_risk_coverage_by_hand():
    # Surest first: right, wrong, (abstained), right, wrong.
    found = risk_coverage([0.9, 0.8, NAN, 0.5, 0.1], [0, 1, 0, 0, 1], **QUICK)
    assert found.curve["coverage"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert found.curve["risk"].tolist() == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert found.curve["n"].tolist() == [1, 2, 3, 4]
    assert found.area.mean == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert (found.asked, found.answered, found.coverage) == (5, 4, 0.8)
    assert (found.risk.mean, found.risk.n, found.area.n) == (0.5, 4, 4)


@settings(deadline=None, max_examples=30)
@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(answers, random):
    shuffled = list(answers)
    random.shuffle(shuffled)
    one, other = (risk_coverage(*split(x), **QUICK) for x in (answers, shuffled))
    np.testing.assert_allclose(one.curve["risk"], other.curve["risk"], atol=1e-12)
    assert one.area.mean == pytest.approx(other.area.mean, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(ANSWERS)
def test_full_coverage_has_the_overall_risk_and_perfect_order_the_least_area(answers):
    confidence, wrong = split(answers)
    found = risk_coverage(confidence, wrong, **QUICK)
    assert found.curve["risk"].iloc[-1] == pytest.approx(wrong.mean())
    assert found.curve["coverage"].iloc[-1] == found.coverage == 1
    assert found.area.mean == pytest.approx(found.curve["risk"].mean())
    best = risk_coverage(1 - wrong + confidence / 10, wrong, **QUICK).area.mean
    worst = risk_coverage(wrong, wrong, **QUICK).area.mean
    assert best - 1e-12 <= found.area.mean <= worst + 1e-12
    assert risk_coverage(1 - wrong, wrong, **QUICK).area.mean == pytest.approx(best)


def test_no_order_at_all_has_the_overall_risk_everywhere():
    found = risk_coverage([7.0] * 8, [1, 0, 0, 0, 1, 0, 0, 0], **QUICK)
    assert found.curve["risk"].tolist() == pytest.approx([0.25] * 8)
    assert found.area.mean == pytest.approx(0.25)


def test_a_long_curve_has_a_hundred_points_and_ends_at_the_own_coverage():
    rng = np.random.default_rng(0)
    confidence = np.where(rng.random(700) < 0.3, NAN, rng.random(700))
    found = risk_coverage(confidence, rng.integers(0, 2, 700), **QUICK)
    assert len(found.curve) == 100
    assert found.curve["coverage"].is_monotonic_increasing
    assert found.curve["n"].iloc[-1] == found.answered == int((~np.isnan(confidence)).sum())
    assert found.curve["coverage"].iloc[-1] == pytest.approx(found.coverage)
    assert found.curve["risk"].iloc[-1] == pytest.approx(found.risk.mean)
    points = found.curve
    assert ((points["low"] <= points["risk"]) & (points["risk"] <= points["high"])).all()


def test_what_the_arm_abstained_from_is_asked_and_never_looked_at():
    confidence, wrong = [0.9, 0.8, 0.7], [0, 1, 1]
    told = risk_coverage(confidence, wrong, abstained=[False, False, True], **QUICK)
    as_nan = risk_coverage([0.9, 0.8, NAN], [0, 1, NAN], **QUICK)
    assert told.curve.equals(as_nan.curve)
    assert (told.coverage, told.risk.missing) == (2 / 3, 0)
    assert risk_coverage([0.9, 0.8, NAN], [0, 1, -7], **QUICK).curve.equals(told.curve)


def test_unknown_truth_and_unknown_confidence_are_left_out_and_counted():
    found = risk_coverage([0.9, 0.8, NAN], [NAN, 1, 0], abstained=[0, 0, 0], **QUICK)
    assert (found.asked, found.answered) == (1, 1)
    assert found.area.missing == found.risk.missing == 2
    assert risk_coverage([0.9, 0.8], [NAN, 1], **QUICK).asked == 1


@pytest.mark.parametrize("confidence", [[], [NAN, NAN]])
def test_an_arm_that_answers_nothing_has_no_risk(confidence):
    found = risk_coverage(confidence, [1] * len(confidence), **QUICK)
    assert list(found.curve) == ["coverage", "risk", "low", "high", "n"] and found.curve.empty
    assert math.isnan(found.area.mean) and math.isnan(found.risk.mean)
    assert (found.area.n, found.area.method, found.answered) == (0, "undefined", 0)
    assert math.isnan(found.coverage) if not confidence else found.coverage == 0


def test_no_error_leaves_doubt_and_the_more_the_fewer_are_answered():
    curve = risk_coverage(np.arange(60.0), np.zeros(60)).curve
    assert (curve["risk"] == 0).all() and (curve["high"] > 0).all()
    assert curve["high"].is_monotonic_decreasing
    # Wilson's upper limit of 0 in 60 is .060; t on 59 degrees of freedom is a little wider.
    assert 0.060 < curve["high"].iloc[-1] < 0.064


def test_the_own_risk_has_the_interval_of_a_mean():
    rng = np.random.default_rng(3)
    wrong, clusters = rng.integers(0, 2, 90).astype(float), np.arange(90) // 3
    confidence = rng.random(90)
    found, expected = (
        risk_coverage(confidence, wrong, clusters).risk,
        mean_interval(wrong, clusters),
    )
    assert (found.mean, found.clusters) == (pytest.approx(expected.mean), 30)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)
    assert risk_coverage(confidence, wrong).risk == mean_interval(wrong)


def test_risk_at_a_coverage_is_the_curves():
    confidence, wrong = noisy(200)[0], 1 - noisy(200)[1]
    confidence[:40] = NAN
    curve = risk_coverage(confidence, wrong).curve
    row = curve[np.isclose(curve["coverage"], 0.4)].iloc[0]
    found = risk_at_coverage(confidence, wrong, 0.4)
    assert (found.mean, found.n) == (pytest.approx(row["risk"]), 80)
    assert (found.low, found.high) == pytest.approx((row["low"], row["high"]))


def test_risk_within_a_question_counts_in_part():
    # 2.5 of 5: one wrong and half a wrong.
    found = risk_at_coverage([5, 4, 3, 2, 1], [1, 0, 1, 0, 0], 0.5)
    assert (found.mean, found.n) == (pytest.approx(1.5 / 2.5), 2)


def test_what_an_arm_does_not_answer_cannot_be_compared():
    silent = ([0.9, NAN, NAN, 0.1], [1, 0, 0, 0])
    found = risk_at_coverage(*silent, 0.75)
    assert math.isnan(found.mean) and (found.n, found.method) == (0, "undefined")
    assert math.isnan(risk_at_coverage(*silent, 0.2).mean)  # less than one question
    assert risk_at_coverage(*silent, 0.5).mean == 0.5
    gap = risk_difference(silent, ([4, 3, 2, 1], [0, 0, 1, 1]), 0.75)
    assert math.isnan(gap.mean) and math.isnan(gap.p) and gap.n == 0


def test_arms_are_compared_at_the_lesser_coverage():
    rare, ready = ([0.9, 0.8, NAN, NAN], [1, 0, 0, 0]), ([4, 3, 2, 1], [0, 0, 1, 1])
    found = risk_difference(rare, ready)
    assert (found.mean, found.n) == (pytest.approx(1 / 2 - 0 / 2), 2)
    assert risk_difference(ready, rare).mean == pytest.approx(-found.mean)
    assert risk_difference(rare, ready, 0.25).mean == pytest.approx(1.0)


def test_risks_are_paired():
    scores, right = noisy(300)
    same = risk_difference((scores, 1 - right), (scores, 1 - right), 0.5)
    assert (same.mean, same.p) == (0, 1)
    chance = np.random.default_rng(1).random(300)
    better = risk_difference((scores, 1 - right), (chance, 1 - right), 0.5)
    assert better.high < 0 and better.p < 0.01


def test_a_question_missing_in_one_arm_is_left_out_of_both():
    gap = risk_difference(([3, 2, 1], [NAN, 1, 0]), ([3, 2, 1], [1, 0, 0]), 1.0)
    assert (gap.mean, gap.n, gap.missing) == (pytest.approx(1 / 2 - 0), 2, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: risk_coverage([1, 2], [0]), "must be one and the same"),
        (lambda: risk_coverage([1, 2], [0, 2]), r"`wrong` must lie in \[0, 1\]"),
        (lambda: risk_coverage([1], [0], abstained=[NAN]), "`abstained` must be true or false"),
        (lambda: risk_coverage([1, 2], [0, 1], ["a"]), "1 clusters for 2 questions"),
        (lambda: risk_at_coverage([1], [0], 0), r"coverage must lie in \(0, 1\], not 0"),
        (lambda: risk_difference(([1], [0]), ([1], [0]), 1.5), r"not 1.5"),
        (lambda: risk_difference(([1], [0]), ([1, 2], [0, 1])), "arms of 1 and 2 questions"),
    ],
)
def test_misuse_of_risk_coverage_is_named(call, message):
    with pytest.raises(RagftError, match=message):
        call()


# Entropies


def test_semantic_entropy_by_hand():
    samples = ["Oslo", "oslo.", "Bergen", "Oslo"]
    expected = -(3 / 4 * math.log(3 / 4) + 1 / 4 * math.log(1 / 4))
    assert semantic_entropy(samples) == pytest.approx(expected)


def test_semantic_entropy_weighted_by_hand():
    # Probabilities .3, .1 and .2 of .6 in all: Oslo .4 / .6, Bergen .2 / .6.
    logprobs = np.log([0.3, 0.1, 0.2])
    expected = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert semantic_entropy(["Oslo", "oslo", "Bergen"], logprobs) == pytest.approx(expected)
    per_token = semantic_entropy(["Oslo", "oslo", "Bergen"], logprobs * [2, 1, 3], [2, 1, 3])
    assert per_token == pytest.approx(expected)


def test_probabilities_too_small_for_a_float_are_weighed_all_the_same():
    assert semantic_entropy(["a1", "b1"], [-2000.0, -2000.0]) == pytest.approx(math.log(2))
    assert semantic_entropy(["a1", "b1"], [-1.0, -math.inf]) == 0


def test_abstentions_are_one_meaning_and_values_in_other_spellings_one():
    assert semantic_entropy(["unknown", "", "Unknown.", "refused"]) == 0
    assert semantic_entropy(["0.001", "1e-3"]) == 0
    assert semantic_entropy(["1", "2", "unknown", ""]) == pytest.approx(1.5 * math.log(2))


@settings(deadline=None)
@given(st.lists(st.sampled_from(["auto", "'auto'", "Auto", "1", "1.0", "True", ""]), max_size=12))
def test_semantic_entropy_is_bounded_and_knows_no_order(samples):
    found = semantic_entropy(samples)
    if not samples:
        assert math.isnan(found)
        return
    assert 0 <= found <= math.log(len(samples)) + 1e-12
    assert semantic_entropy(samples[::-1]) == pytest.approx(found, abs=1e-12)
    equal = semantic_entropy(samples, [-3.0] * len(samples))
    assert equal == pytest.approx(found, abs=1e-12)


def test_groups_join_where_a_third_answer_says_what_both_say():
    assert value_groups(["'auto'", "Auto", "unknown", "auto", "", "7"]) == [0, 0, 1, 0, 1, 2]
    assert value_groups(["'auto'", "Auto"]) == [0, 1]
    assert value_groups([]) == []


def test_naive_entropy_by_hand():
    assert naive_entropy([-1.0, -3.0]) == pytest.approx(2.0)
    assert naive_entropy([-2.0, -6.0], [1, 3]) == pytest.approx(2.0)
    # Two wordings of one value: certain in meaning, not in words.
    assert semantic_entropy(["Oslo", "oslo"], [-0.7, -0.7]) == 0 < naive_entropy([-0.7, -0.7])


def test_entropies_of_nothing_and_of_nan_are_undefined():
    assert math.isnan(semantic_entropy([])) and math.isnan(semantic_entropy([], []))
    assert math.isnan(naive_entropy([])) and math.isnan(naive_entropy([-1.0, NAN]))
    assert math.isnan(naive_entropy([-1.0, -1.0], [1, NAN]))  # a server may not count
    assert math.isnan(semantic_entropy(["a1", "b1"], [-1.0, NAN]))
    assert math.isnan(semantic_entropy(["a1"], [-math.inf]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: semantic_entropy(["a"], [-1, -2]), "2 logprobs for 1 samples"),
        (lambda: semantic_entropy(["a"], tokens=[1]), "of use with `logprobs` only"),
        (lambda: naive_entropy([-1.0], [0]), "one number of 1 or more for each of 1 logprobs"),
        (lambda: naive_entropy([-1.0], [1, 2]), "for each of 1 logprobs"),
    ],
)
def test_misuse_of_entropies_is_named(call, message):
    with pytest.raises(RagftError, match=message):
        call()
