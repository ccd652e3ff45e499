"""Robust z-scores by hand, and which lengths and forms are out of the ordinary."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.training.outliers import FORMS, format_outliers, length_outliers, robust_z
from ragft.types import Example, RagftError


def test_robust_z_by_hand():
    # median 4, deviations 3 1 0 1 6, MAD 1
    assert robust_z([1, 3, 4, 5, 10]) == pytest.approx(np.array([-3, -1, 0, 1, 6]) * 0.6745)
    # MAD 0: the mean deviation is 5 / 5 = 1
    assert robust_z([2, 2, 2, 2, 7])[-1] == pytest.approx(5 / math.sqrt(math.pi / 2))
    assert robust_z([3, 3, 3]).tolist() == [0, 0, 0]
    assert robust_z([]).shape == (0,)


def test_what_is_not_a_number_stays_so_and_moves_nothing():
    nothing = float("nan")
    found = robust_z([1, nothing, 3, 4, 5, 10])
    assert math.isnan(found[1])
    assert np.delete(found, 1).tolist() == robust_z([1, 3, 4, 5, 10]).tolist()
    assert np.isnan(robust_z([nothing, nothing])).all()


@given(st.lists(st.integers(-50, 50), min_size=1), st.integers(-9, 9), st.integers(1, 5))
def test_robust_z_does_not_depend_on_place_and_unit(values, shift, unit):
    moved = [unit * value + shift for value in values]
    assert robust_z(moved) == pytest.approx(robust_z(values))


def rows(*completions: str) -> list[Example]:
    return [Example(f"Who leads number {n:03d}?", text) for n, text in enumerate(completions)]


def test_a_length_out_of_the_ordinary_names_both_lengths():
    found = length_outliers(rows(*[" abcd"] * 9, " abcdef", " abcd" * 20))
    assert found == {10: "completion of length 100, the median is 5"}
    long_prompt = Example("Who leads number 999?" * 50, " abcd")
    found = length_outliers([*rows(*[" abcd"] * 9), long_prompt])
    assert found == {9: "prompt of length 1050, the median is 21"}
    both = Example("Who leads number 999?" * 50, " abcd" * 20)
    assert length_outliers([*rows(*[" abcd"] * 9), both])[9].count("; ") == 1


def test_within_a_factor_of_two_nothing_is_out_of_the_ordinary():
    assert length_outliers(rows(*["abcd"] * 50, "abcdefgh", "ab")) == {}
    assert set(length_outliers(rows(*["abcd"] * 50, "abcdefghi", "a"))) == {50, 51}


def test_lengths_are_counted_as_one_likes():
    words = rows(*["one two"] * 9, "a " * 20)
    assert length_outliers(words, count=lambda text: len(text.split())) == {
        9: "completion of length 20, the median is 2"
    }
    assert length_outliers([]) == length_outliers(rows("", "")) == {}


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_a_limit_out_of_range(limit):
    with pytest.raises(RagftError, match="limit=.*: must be above 0"):
        length_outliers(rows("a"), limit)


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ("Oslo", "not: begins with white space"),
        (" Oslo\nand Ravik", "has several lines"),
        (" Oslo.", "ends in a full stop"),
        (' {"answer": "Oslo"}', "is a JSON object or list"),
        (" [2] Oslo", "cites by a number in brackets"),
        (" **Oslo", "has marks of Markdown or HTML"),
        (" <b>Oslo", "has marks of Markdown or HTML"),
    ],
)
def test_a_form_unlike_nearly_all_others_is_named(odd, told):
    assert format_outliers(rows(*[" Ravik"] * 49, odd)) == {49: told}
    assert format_outliers(rows(*[" Ravik"] * 48, odd)) == {}  # 1 of 49 is more than 2 %
    assert format_outliers(rows(*[" Ravik"] * 49, odd), rare=0.0) == {}


def test_a_value_in_braces_is_no_json_and_empty_texts_have_no_form():
    assert not FORMS["json"][1](" {Oslo}")
    assert not FORMS["json"][1]("[" * 100_000)
    assert format_outliers([]) == format_outliers(rows("", " ")) == {}
    assert format_outliers(rows(*[" Ravik"] * 60, "")) == {}


@pytest.mark.parametrize("rare", [-0.1, 0.5, float("nan")])
def test_a_share_out_of_range(rare):
    with pytest.raises(RagftError, match="rare=.*: must be at least 0 and below 0.5"):
        format_outliers(rows("a"), rare)


@given(st.lists(st.sampled_from([" a", "a", " a.", " [1] a", " {}", "", " a\nb"]), max_size=120))
def test_no_more_than_the_rare_share_is_unlike_the_others_in_any_way(texts):
    found = format_outliers(rows(*texts), rare=0.1)
    assert set(found) <= set(range(len(texts)))
    assert len(found) <= 0.1 * len(texts) * len(FORMS)
    assert all(texts[n].strip() for n in found)
