"""Who followed a document marked wrong, and what was shown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.evaluation.marks import SCORES, mark_scores
from ragft.types import MARKS, Answer, Hit, Passage

MARKED = {"r": "right", "w": "wrong", "n": "noise"}
TEXTS = {
    "r": "Tarmo was built in 1902.",
    "w": "Tarmo was built in 1885.",
    "n": "Tarmo has a park of 1850.",
    "u": "In 1885 nothing was built.",
}


def answer(text, *shown):
    passages = [Passage(f"{d}#0", d, TEXTS[d], 0, len(TEXTS[d])) for d in shown]
    return Answer(text, hits=tuple(Hit(p, 1.0, n) for n, p in enumerate(passages, 1)))


@pytest.mark.parametrize(
    ("text", "outcome", "shown", "misled", "right", "wrong", "noise"),
    [
        ("1885", "wrong", "rw", 1, 1 / 2, 1 / 2, 0),
        ("1885", "wrong", "rwwn", 1, 1 / 4, 1 / 2, 1 / 4),
        ("1885", "fabricated", "r", 0, 1, 0, 0),  # no wrong document was shown
        ("1850", "wrong", "wn", 0, 0, 1 / 2, 1 / 2),  # taken from noise
        ("1902", "correct", "rw", 0, 1 / 2, 1 / 2, 0),
        ("unknown", "abstained", "w", 0, 0, 1, 0),
        ("1885", "correct", "w", 0, 0, 1, 0),  # right after all
        ("1885", "wrong", "ru", 0, 1, 0, 0),  # what is not marked does not count
    ],
)
def test_by_hand(text, outcome, shown, misled, right, wrong, noise):
    found = mark_scores(answer(text, *shown), outcome, MARKED)
    assert tuple(found) == SCORES
    assert tuple(found.values()) == pytest.approx((misled, right, wrong, noise))


@pytest.mark.parametrize("shown", ["", "u"])
def test_without_a_marked_passage_nothing_is_defined(shown):
    assert all(map(math.isnan, mark_scores(answer("1885", *shown), "wrong", MARKED).values()))


@given(st.lists(st.sampled_from("rwn"), min_size=1), st.sampled_from(["1885", "1902", "x"]))
def test_shares_sum_to_one_and_nobody_is_misled_without_a_wrong_document(shown, text):
    found = mark_scores(answer(text, *shown), "wrong", MARKED)
    assert sum(found[f"shown_{mark}"] for mark in MARKS) == pytest.approx(1)
    assert not found["misled"] or found["shown_wrong"]
