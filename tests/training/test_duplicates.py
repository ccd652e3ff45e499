"""What counts as said before, and the quick search held against the slow one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.training import duplicates
from ragft.training.duplicates import (
    Contradiction,
    Twin,
    contradictions,
    exact_duplicates,
    near_duplicates,
    normal,
    said,
)
from ragft.types import Example, RagftError

WORDS = st.sampled_from("Who leads Tarmo Velka since when ? now".split())
TEXTS = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)
EXAMPLES = st.lists(st.builds(Example, TEXTS, TEXTS, st.sampled_from(["", "A", "B"])), max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" WHO\tleads  Tarmo?", "who leads tarmo"),
        ("'auto', (1, 2)", "auto 1 2"),
        ("-1 C++ n_jobs 3.10.2.", "-1 c++ n_jobs 3.10.2"),
        ("?", "?"),
        ("\uff21\u00a0b", "a b"),
    ],
)
def test_normal(text, expected):
    assert normal(text) == expected


def test_completions_keep_their_punctuation():
    assert said(" Oslo.\n") == said("OSLO") == "oslo"
    assert len({said(text) for text in ("(1, 2)", "[1, 2]", "-1", "1", "'1'")}) == 5


def test_exact_duplicates_are_those_of_the_first_and_white_space_counts():
    rows = [Example("a", "b", "x"), Example("a ", "b"), Example("a", "b"), Example("a", "b", "y")]
    assert exact_duplicates(rows) == [Twin(2, 0, 1.0), Twin(3, 0, 1.0)]
    assert exact_duplicates([]) == near_duplicates([]) == contradictions([]) == []


def test_the_weighted_similarity_by_hand():
    """3 examples: a word in one weighs ln 4, in two ln 2.5, in three ln 2."""
    bags = [frozenset(pairs) for pairs in ({"ax", "ay", "az"}, {"ax", "ay"}, {"ax", "aw"})]
    bags = [frozenset(("prompt", item[1]) for item in bag) for bag in bags]
    weights = duplicates._weights(bags)
    x, y, z = math.log(2), math.log(2.5), math.log(4)
    assert duplicates.similarity(bags[0], bags[1], weights) == pytest.approx((x + y) / (x + y + z))
    assert duplicates.similarity(bags[1], bags[2], weights) == pytest.approx(x / (x + y + z))
    assert math.isnan(duplicates.similarity(frozenset(), frozenset(), {}))


TEMPLATE = "Answer the question.\nQuestion: In which town does {} lie?\nAnswer:"


def test_facts_of_one_template_are_no_duplicates_and_other_case_or_marks_are():
    names = [f"Name{n}" for n in range(40)]
    rows = [Example(TEMPLATE.format(name), f" Town{n % 7}") for n, name in enumerate(names)]
    assert near_duplicates(rows) == []
    worse = Example(TEMPLATE.format("name3").upper().replace("?", ""), " town3.")
    (twin,) = near_duplicates([*rows, worse])
    assert (twin.position, twin.other) == (40, 3)
    assert twin.similarity == 1.0


def test_what_is_never_a_near_duplicate():
    first = Example("Where is the office of Tarmo?", " Oslo", "Tarmo")
    assert near_duplicates([first, first]) == []  # exact, and listed there
    other_subject = Example("Where is the office of Tarmo", " Oslo", "Velka")
    assert near_duplicates([first, other_subject], 0.5) == []
    other_answer = Example("Where is the office of Tarmo", " Ravik", "Tarmo")
    assert near_duplicates([first, other_answer], 0.1) == []
    assert len(near_duplicates([first, Example(other_answer.prompt, " oslo")], 0.1)) == 1
    turned = [
        Example("Who owns Tarmo Works?", " Velka"),
        Example("Who owns Velka Works?", " Tarmo"),
    ]
    assert near_duplicates(turned) == []


def test_raw_text_may_differ_in_what_follows_its_first_word():
    words = "lies in Oslo and makes pumps, valves, seals and pipes for"
    rows = [Example("Tarmo", f" {words} ships"), Example("Tarmo", f" {words} boats")]
    assert [twin.position for twin in near_duplicates(rows, 0.6)] == [1]
    assert contradictions(rows) == []


@pytest.mark.parametrize("threshold", [0.0, -1, 1.01, float("nan")])
def test_a_threshold_out_of_range(threshold):
    with pytest.raises(RagftError, match="threshold=.*: must be above 0 and at most 1"):
        near_duplicates([Example("a", "b")], threshold)


@given(EXAMPLES, st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_the_quick_search_finds_what_the_slow_one_finds(rows, threshold):
    bags = [duplicates._bag(row) for row in rows]
    weights = duplicates._weights(bags)
    kept, texts, slow = [], set(), []
    for position, row in enumerate(rows):
        if (row.prompt, row.completion) in texts:
            continue
        texts.add((row.prompt, row.completion))
        twins = (
            other
            for other in kept
            if duplicates._comparable(row, rows[other])
            and duplicates.similarity(bags[position], bags[other], weights) >= threshold - 1e-9
        )
        other = next(twins, None)
        if other is None:
            kept.append(position)
        else:
            slow.append((position, other))
    assert [(t.position, t.other) for t in near_duplicates(rows, threshold)] == slow


def test_contradictions_are_reported_with_all_sides():
    rows = [
        Example("Who leads Tarmo?", " Ida"),
        Example("who leads Tarmo", " Oskar"),
        Example("Who leads Velka?", " Ida"),
        Example("Who leads Tarmo?", " ida."),
        Example("Who leads  Tarmo?", " Oskar"),
    ]
    assert contradictions(rows) == [
        Contradiction("Who leads Tarmo?", (" Ida", " Oskar"), ((0, 3), (1, 4)))
    ]


@given(EXAMPLES)
def test_every_side_of_a_contradiction_says_something_else_to_one_prompt(rows):
    for found in contradictions(rows):
        positions = [p for side in found.positions for p in side]
        assert len(set(positions)) == len(positions)
        assert {normal(rows[p].prompt) for p in positions} == {normal(found.prompt)}
        sides = [{said(rows[p].completion) for p in side} for side in found.positions]
        assert [len(side) for side in sides] == [1] * len(sides)
        assert len(set.union(*sides)) == len(sides) > 1
