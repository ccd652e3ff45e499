"""The share that is spoilt is exact, all else stays, and precision and recall by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.training.noise import KINDS, filter_quality, inject
from ragft.types import Example, RagftError

FACTS = [
    Example(f"{ask} Name{n}?", f" {kind}{n % 7}", f"Name{n}", f"{kind}-{n}")
    for n in range(20)
    for ask, kind in (("Who leads", "Person"), ("In which town lies", "Town"))
]
RATES = st.floats(0, 0.9)


@given(st.sampled_from(KINDS[:3]), RATES, st.integers(0, 5))
def test_the_share_spoilt_is_exact_and_all_else_stays(kind, rate, seed):
    count = round(rate * len(FACTS))
    if kind == "swapped" and count in range(1, 20):
        return  # few drawn may all say the same, see below
    rows, noise = inject(FACTS, rate, kind, seed)
    changed = [i for i, (old, new) in enumerate(zip(FACTS, rows, strict=True)) if old != new]
    assert tuple(changed) == noise.positions
    assert len(changed) == count
    assert all(row.completion.strip() for row in rows)
    for old, new in zip(FACTS, rows, strict=True):
        assert (old.prompt, old.subject, old.question_id) == (
            new.prompt, new.subject, new.question_id,
        )  # fmt: skip


@given(st.sampled_from(KINDS[3:]), st.floats(0, 1), st.integers(0, 5))
def test_copies_are_added_behind_their_originals(kind, rate, seed):
    rows, noise = inject(FACTS, rate, kind, seed)
    assert len(rows) == len(FACTS) + round(rate * len(FACTS))
    assert [row for i, row in enumerate(rows) if i not in noise.positions] == FACTS
    for position in noise.positions:
        before = [r for r in rows[:position] if r.question_id == rows[position].question_id]
        assert len(before) == 1
        assert before[0].completion == rows[position].completion
        assert (before[0].prompt == rows[position].prompt) is (kind == "duplicate")


def test_a_near_duplicate_is_in_small_letters_and_without_its_last_mark():
    rows, _ = inject([Example("Who Leads?", " Ida"), Example("?", " Ida")], 1.0, "near_duplicate")
    assert sorted(row.prompt for row in rows) == ["?", "?", "Who Leads?", "who leads"]


@given(st.sampled_from(KINDS), st.integers(0, 9))
def test_a_smaller_rate_spoils_some_of_the_same_rows(kind, seed):
    def spoilt(rate: float) -> set[str]:
        rows, noise = inject(FACTS, rate, kind, seed)
        return {rows[i].question_id for i in noise.positions}

    assert spoilt(0.5) < spoilt(0.75)
    assert inject(FACTS, 0.5, kind, seed) == inject(FACTS, 0.5, kind, seed)


def test_a_wrong_value_is_another_subjects_of_the_same_form():
    rows, noise = inject(FACTS, 1.0, "wrong_value")
    assert len(noise.positions) == len(FACTS)
    for old, new in zip(FACTS, rows, strict=True):
        assert new.completion != old.completion
        assert new.completion[:4] == old.completion[:4]  # a person for a person


def test_a_form_that_no_other_subject_has_takes_a_value_of_any():
    rows = [
        Example("Who leads Tarmo?", " Ida", "Tarmo"),
        Example("Where is Velka?", " Ravik", "Velka"),
    ]
    spoilt, _ = inject(rows, 1.0, "wrong_value")
    assert [row.completion for row in spoilt] == [" Ravik", " Ida"]
    own = [
        Example("Who leads Tarmo?", " Ida", "Tarmo"),
        Example("Where is Tarmo?", " Oslo", "Tarmo"),
    ]
    with pytest.raises(
        RagftError, match="wrong_value: 2 examples .* only 0 can be; lower the rate"
    ):
        inject(own, 1.0, "wrong_value")


def test_swapped_completions_are_the_same_ones_in_other_places():
    rows, noise = inject(FACTS, 0.6, "swapped", seed=3)
    olds = sorted(FACTS[i].completion for i in noise.positions)
    assert sorted(rows[i].completion for i in noise.positions) == olds


def test_what_all_say_cannot_be_swapped():
    rows = [Example(f"Who is {n}?", " Ida" if n else " Oskar") for n in range(4)]
    with pytest.raises(RagftError, match="swapped: 3 of the 4 examples drawn have the same"):
        inject(rows, 1.0, "swapped")


def test_a_truncated_completion_is_the_beginning_of_it():
    rows, noise = inject(FACTS, 0.5, "truncated", seed=2)
    for i in noise.positions:
        old, new = FACTS[i].completion, rows[i].completion
        assert old.startswith(new) and 1 < len(new) < len(old)  # more than the space before it
    short = [Example("a", " 1"), Example("b", " 12")]
    assert inject(short, 0.5, "truncated")[0] == [short[0], Example("b", " 1")]
    with pytest.raises(RagftError, match="truncated: 2 examples are to be spoilt, but only 1 can"):
        inject(short, 1.0, "truncated")


@pytest.mark.parametrize("kind", KINDS)
def test_no_examples_and_a_rate_of_nought_spoil_nothing(kind):
    assert inject([], 1.0, kind)[0] == []
    rows, noise = inject(FACTS, 0.0, kind)
    assert (rows, noise.positions) == (FACTS, ())


@pytest.mark.parametrize(
    ("rate", "kind", "message"),
    [
        (0.1, "typos", "kind='typos': choose one of wrong_value, swapped"),
        (1.1, "swapped", "rate=1.1: must lie between 0 and 1"),
        (float("nan"), "swapped", "rate=nan: must lie between 0 and 1"),
    ],
)
def test_errors_name_what_was_wrong(rate, kind, message):
    with pytest.raises(RagftError, match=message):
        inject(FACTS, rate, kind)


def test_precision_and_recall_by_hand_and_where_they_are_undefined():
    found = filter_quality([0, 1, 2, 2, 9], [2, 9, 7])
    assert (found.precision, found.recall) == (2 / 4, 2 / 3)
    assert (found.dropped, found.spoilt, found.both) == (4, 3, 2)
    nothing = filter_quality([], [1])
    assert math.isnan(nothing.precision) and nothing.recall == 0.0
    clean = filter_quality([1], [])
    assert clean.precision == 0.0 and math.isnan(clean.recall)
