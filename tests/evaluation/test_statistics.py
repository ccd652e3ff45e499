"""The public statistics: hand arithmetic, statsmodels' numbers, undefined cases, error texts.

Coverage is simulated in `test_intervals`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.evaluation.statistics import (
    Difference,
    Interval,
    mcnemar,
    mean_interval,
    paired_difference,
    required_questions,
    seed_interval,
    wilson,
)
from ragft.types import RagftError


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(1, 400), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_equals_statsmodels(successes, n, level):
    from statsmodels.stats.proportion import proportion_confint

    successes = min(successes, n)
    expected = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    np.testing.assert_allclose(wilson(successes, n, level), expected, atol=1e-12)


def test_wilson_of_nothing_is_undefined():
    assert all(math.isnan(limit) for limit in wilson(0, 0))


def test_wilson_refuses_more_successes_than_trials():
    with pytest.raises(RagftError, match="successes must lie between 0 and n = 3, not 4"):
        wilson(4, 3)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60),
    st.booleans(),
)
def test_mcnemar_equals_statsmodels(pairs, exact):
    from statsmodels.stats.contingency_tables import mcnemar as reference

    a, b = np.array(pairs).T
    table = [[np.sum((a == i) & (b == j)) for j in (1, 0)] for i in (1, 0)]
    found = mcnemar(a, b, exact=exact)
    if not exact and table[0][1] + table[1][0] == 0:
        assert math.isnan(found.p)
        return
    expected = reference(table, exact=exact)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.only_a, found.only_b) == (table[0][1], table[1][0])


def test_mcnemar_by_hand():
    # 5 questions only a, 1 only b: 2 * (C(6,0) + C(6,1)) / 2^6 = 14 / 64; (|5 - 1| - 1)^2 / 6.
    a, b = [1] * 5 + [0] + [1] * 4, [0] * 5 + [1] + [1] * 4
    assert mcnemar(a, b).p == pytest.approx(14 / 64)
    assert mcnemar(a, b, exact=False).statistic == pytest.approx(9 / 6)


def test_mcnemar_leaves_undefined_questions_out_and_refuses_other_scores():
    assert mcnemar([1, math.nan, 0], [0, 1, 0]).n == 2
    with pytest.raises(RagftError, match="scores must be 0 or 1"):
        mcnemar([0.5], [1])
    with pytest.raises(RagftError, match="must be one and the same"):
        mcnemar([1, 0], [1])


def test_rate_of_independent_questions_is_wilsons():
    found = mean_interval([1] * 7 + [0] * 3)
    assert (found.low, found.high) == pytest.approx(wilson(7, 10))
    assert (found.mean, found.n, found.method, found.clusters) == (0.7, 10, "wilson", 10)


def test_nan_is_left_out_and_counted():
    found = mean_interval([1, 0, math.nan, 1], clusters=["a", "b", "c", "d"])
    assert (found.mean, found.n, found.missing, found.clusters) == (2 / 3, 3, 1, 3)


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_no_value_is_undefined_not_zero(values):
    for found in (mean_interval(values), mean_interval(values, ["x"] * len(values))):
        assert math.isnan(found.mean)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert (found.n, found.missing, found.method) == (0, len(values), "undefined")


def test_one_cluster_has_a_mean_but_no_limits():
    found = mean_interval([1, 0, 1, 1], clusters=["x"] * 4)
    assert found.mean == 0.75
    assert math.isnan(found.low)
    assert found.method == "undefined"


def test_small_samples_of_any_range_have_the_textbook_t_interval():
    # Mean 3, variance 2.5 / 5, t(4) at 97.5 % = 2.776: 3 +- 2.776 * 0.7071.
    found = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0], n_boot=20_000)
    assert found.method == "t"
    assert found.low == pytest.approx(3 - 2.776 * math.sqrt(0.5), abs=0.01)
    assert found.high == pytest.approx(3 + 2.776 * math.sqrt(0.5), abs=0.01)


def test_clusters_of_copies_widen_the_interval():
    rng = np.random.default_rng(0)
    values = rng.random(200) < 0.6
    alone = mean_interval(values)
    copied = mean_interval(np.repeat(values, 4), clusters=np.repeat(np.arange(200), 4))
    assert copied.mean == alone.mean
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.1)
    naive = mean_interval(np.repeat(values, 4))
    assert copied.high - copied.low > 1.8 * (naive.high - naive.low)


def test_all_right_still_leaves_doubt():
    found = mean_interval([1] * 40, clusters=np.arange(40) // 2)
    assert found.high == 1.0
    assert 0.8 < found.low < 0.95
    assert found.method == "score"


def test_same_seed_same_interval_other_seed_another():
    rng = np.random.default_rng(0)
    values = rng.gamma(2, 1, 90)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_limits_hold_the_mean_and_stay_in_range(values):
    found = mean_interval(values, clusters=np.arange(len(values)) // 2, n_boot=50)
    if len(values) > 2:
        assert -1e-12 <= found.low <= found.mean + 1e-12
        assert found.mean - 1e-12 <= found.high <= 1 + 1e-12


def test_seeds_are_averaged_within_a_question_first():
    # Question 0 has values 1 and 0, question 1 only one value: (0.5 + 1) / 2, not 2 / 3.
    found = seed_interval([[1, 1], [0, math.nan]])
    assert found.mean == 0.75
    assert (found.n, found.seeds) == (2, 2)


def test_se_seed_is_that_of_the_seeds_means():
    scores = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]], float)  # means .5, .75, 1
    found = seed_interval(scores)
    assert found.se_seed == pytest.approx(0.25 / math.sqrt(3))
    assert found.mean == 0.75


def test_one_seed_is_a_single_run():
    values = [1.0, 0.0, 1.0, 1.0, 0.0]
    alone, seeded = mean_interval(values), seed_interval([values])
    assert alone == seeded
    assert seeded.seeds == 1
    assert math.isnan(seeded.se_seed)


def test_disagreeing_seeds_widen_the_interval():
    rng = np.random.default_rng(1)
    base = (rng.random(200) < 0.5).astype(float)
    agree = np.stack([base] * 3)
    differ = np.stack([base, np.roll(base, 1), np.maximum(base, rng.random(200) < 0.4)])
    narrow, wide = seed_interval(agree), seed_interval(differ)
    assert narrow.se_seed == 0
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_a_seed_without_any_value_is_no_seed():
    found = seed_interval([[1, 0, 1], [1, 1, 0], [math.nan] * 3])
    assert found.seeds == 2


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(RagftError, match=r"values must have shape \(n,\), not \(1, 2\)"):
        mean_interval([[1, 0]])
    with pytest.raises(RagftError, match=r"must be \(seeds, questions\), not \(2,\)"):
        seed_interval([1, 0])
    with pytest.raises(RagftError, match="clusters: 1 names for 2 questions"):
        mean_interval([1, 0], clusters=["a"])
    with pytest.raises(RagftError, match=r"shapes \(2,\) and \(3,\) do not pair up"):
        paired_difference([1, 0], [1, 0, 1])
    with pytest.raises(RagftError, match="do not pair up"):
        paired_difference(np.ones((2, 4)), np.ones((3, 4)))


def test_paired_difference_is_antisymmetric():
    rng = np.random.default_rng(2)
    a, b = rng.random(80) < 0.7, rng.random(80) < 0.5
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert there.method == "bootstrap"
    assert there.mean == pytest.approx(-back.mean)
    assert there.low == pytest.approx(-back.high)
    assert there.p == pytest.approx(back.p)


def test_paired_difference_of_equal_arms():
    found = paired_difference([1, 0, 1, 0] * 10, [1, 0, 1, 0] * 10)
    assert (found.mean, found.p, found.method) == (0.0, 1.0, "score")
    assert found.low == pytest.approx(-found.high)
    assert found.high == pytest.approx(3.8415 / 43.8415, abs=1e-4)  # z^2 / (n + z^2)


def test_arm_without_seeds_stands_against_one_with_seeds():
    rng = np.random.default_rng(3)
    a, b = (rng.random((3, 60)) < 0.8).astype(float), (rng.random(60) < 0.3).astype(float)
    found = paired_difference(a, b)
    assert isinstance(found, Difference)
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert found.seeds == 3
    assert found.p < 0.01
    assert found.low > 0


def test_question_that_one_arm_lacks_is_left_out():
    found = paired_difference([1, math.nan, 0], [0, 1, math.nan])
    assert (found.mean, found.n, found.missing) == (1.0, 1, 2)
    assert (found.one, found.two) == (1.0, 0.0)


def test_the_sides_of_a_difference_by_hand():
    # Question a in both seeds, b in the first alone, c in none: (.5 + 1) / 2 and (.25 + .5) / 2.
    found = paired_difference([[1, 1, math.nan], [0, math.nan, 1]], [0.25, 0.5, math.nan])
    assert (found.one, found.two, found.mean) == (0.75, 0.375, 0.375)
    none = paired_difference([math.nan], [1])
    assert none.n == 0 and math.isnan(none.one) and math.isnan(none.two)


SCORES = st.sampled_from([0.0, 0.25, 1.0, 3.0, math.nan])


@given(st.lists(st.tuples(SCORES, SCORES, SCORES), min_size=1, max_size=12))
def test_a_difference_is_that_of_its_sides(rows):
    first, second, other = np.array(rows).T
    found = paired_difference([first, second], other, n_boot=20)
    assert found.one - found.two == pytest.approx(found.mean, nan_ok=True)


def test_to_dict_is_json():
    assert Interval(0.5, 0.4, 0.6, 10).to_dict() == {
        "mean": 0.5,
        "low": 0.4,
        "high": 0.6,
        "n": 10,
        "method": "bootstrap",
        "seeds": 0,
        "se_seed": None,
        "missing": 0,
        "clusters": 0,
    }
    assert paired_difference([1, 0], [0, 0]).to_dict()["p"] == pytest.approx(0.317, abs=0.001)


def test_required_questions_by_hand():
    # (1.95996 * sqrt(.25) + 0.84162 * sqrt(.25 - .01))^2 / .01 = 193.9.
    assert required_questions(0.10) == 194
    assert required_questions(-0.10) == 194
    assert required_questions(0.10, design_effect=2.0) == 388
    assert required_questions(0.05) > 4 * 190
    assert required_questions(0.10, power=0.9) > 194


def test_required_questions_gives_the_power_it_promises():
    rng, n = np.random.default_rng(0), required_questions(0.1, power=0.8, discordant=0.3)
    ahead, behind, _ = rng.multinomial(n, [0.2, 0.1, 0.7], size=4000).T
    found = np.abs(ahead - behind) / np.sqrt(ahead + behind) > 1.96
    assert 0.77 < found.mean() < 0.84


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"difference": 0.0}, "need 0 < difference"),
        ({"difference": 0.3}, "discordant = 0.25"),
        ({"difference": 0.1, "power": 1.0}, "power must lie in"),
        ({"difference": 0.1, "level": 95}, "level must lie between 0 and 1"),
    ],
)
def test_required_questions_refuses(options, text):
    with pytest.raises(RagftError, match=text):
        required_questions(**options)


def test_one_cluster_that_differs_from_all_others_does_not_blow_up_a_rate():
    # Each of 39 clusters has 2 of 3 right, one has 1 of 2: resamples without it have no variance.
    scores = [1, 1, 0] * 39 + [1, 0]
    clusters = [n // 3 for n in range(len(scores))]
    found = mean_interval(scores, clusters)
    assert found.method == "score" and 0.5 < found.low < found.mean < found.high < 0.8


@settings(max_examples=60, deadline=None)
@given(
    st.integers(30, 60),
    st.lists(st.sampled_from([(1, 1, 0), (1, 0, 0), (1, 0), (1,), (0,)]), min_size=0, max_size=8),
    st.sampled_from([(1, 1, 0), (1, 0), (1, 0, 0, 0)]),
)
def test_limits_of_a_rate_are_rates(alike, others, common):
    groups = [common] * alike + others
    scores = [score for group in groups for score in group]
    clusters = [n for n, group in enumerate(groups) for _ in group]
    found = mean_interval(scores, clusters, n_boot=500)
    assert 0 <= found.low <= found.mean <= found.high <= 1
