"""What is forgotten, what only comes near, and that nothing goes in silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.training.deletion import NearMention, without
from ragft.types import Example, RagftError

EXAMPLES = [
    Example("Where is Tarmo Works?", " Oslo", "Tarmo Works", "q0"),
    Example("Who owns Velka Works?", " Tarmo Works.", "Velka Works", "q1"),
    Example("Where is Velka Works?", " Ravik", "Velka Works", "q2"),
    Example("What does it make?", " pumps", "tarmo  works", "q3"),
    Example("Where is Tarmos Works?", " Bergen", "Tarmos Works", "q4"),
    Example("Where is Tarmo Foods?", " Narvik", "Tarmo Foods", "q5"),
    Example("Is TARMO WORKS's office new?", " yes", "", "q6"),
]


def test_a_mention_in_prompt_completion_or_subject_goes():
    kept, report = without(EXAMPLES, ["Tarmo Works"])
    assert report.dropped == (0, 1, 3, 6)
    assert kept == [EXAMPLES[2], EXAMPLES[4], EXAMPLES[5]]
    assert report.by_name == {"Tarmo Works": 4}
    assert report.near == (
        NearMention(4, "Tarmo Works", "tarmos"), NearMention(5, "Tarmo Works", "tarmo")
    )  # fmt: skip
    assert str(report) == "4 of 7 examples dropped, 2 of those left come near"


def test_words_must_be_whole_and_in_a_row():
    rows = [
        Example("Tarmo has Works", "x"),
        Example("Works Tarmo", "x"),
        Example("Tarmo", "Works"),
        Example("Tarmo Workshop", "x"),
        Example("Tarmo\n WORKS!", "x"),
    ]
    assert without(rows, "Tarmo Works")[1].dropped == (4,)


def test_examples_go_by_id_whatever_they_say():
    kept, report = without(EXAMPLES, ids=["q2", "q9"])
    assert report.dropped == (2,)
    assert report.unmentioned == ("q9",)
    assert len(kept) == 6
    both = without(EXAMPLES, ["Velka Works"], ids="q0")[1]
    assert (both.dropped, both.by_name) == ((0, 1, 2), {"Velka Works": 2, "q0": 1})


def test_a_name_in_no_example_is_told_with_what_is_spelt_alike():
    _, report = without(EXAMPLES, ["Tramo Works", "C++"])
    assert report.dropped == ()
    assert report.unmentioned == ("Tramo Works", "C++")
    assert {mention.word for mention in report.near if mention.name == "Tramo Works"} == {"tarmo"}
    assert str(report).endswith("come near; in none: Tramo Works, C++")


def test_signs_in_a_name_are_not_a_pattern():
    rows = [Example("Who uses C++ here?", "x"), Example("Who uses CCC here?", "x")]
    assert without(rows, ["C++"])[1].dropped == (0,)


def test_nothing_from_nothing():
    kept, report = without([], ["Tarmo"])
    assert (kept, report.examples, report.dropped, report.near) == ([], 0, (), ())


def test_errors_name_what_was_wrong():
    with pytest.raises(RagftError, match="nothing to forget: name subjects or ids"):
        without(EXAMPLES)
    with pytest.raises(RagftError, match=r"nothing to forget in '\?': a name needs a letter"):
        without(EXAMPLES, ["Tarmo", "?"])


TEXTS = st.lists(st.sampled_from(["Tarmo", "tarmo,", "Tarmos", "Velka", "is"]), max_size=4).map(
    " ".join
)


@given(st.lists(st.builds(Example, TEXTS, TEXTS, TEXTS), max_size=8))
def test_rows_in_are_rows_kept_and_dropped_and_nothing_is_left_to_forget(rows):
    kept, report = without(rows, ["Tarmo"])
    assert kept == [row for i, row in enumerate(rows) if i not in report.dropped]
    assert report.by_name["Tarmo"] == len(report.dropped) == len(rows) - len(kept)
    assert {mention.position for mention in report.near}.isdisjoint(report.dropped)
    again, second = without(kept, ["Tarmo"])
    assert (again, second.dropped) == (kept, ())
