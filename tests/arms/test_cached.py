"""A memory before an arm: what counts as the same question, what is forgotten, what goes stale."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.arms.cached import STAGE, Cached, from_memory
from ragft.corpora.corpus import Corpus
from ragft.types import Answer, Changes, Document, Question, RagftError, RefreshCost


class Counting:
    """An arm that answers with the number of its answers so far."""

    name, teaches = "rag", "reading"

    def __init__(self):
        self.asked, self.refreshed = [], 0

    def prepare(self, corpus, examples=()):
        return RefreshCost(seconds=1.0)

    def refresh(self, changes):
        self.refreshed += 1
        return RefreshCost(seconds=2.0)

    def answer(self, questions):
        self.asked += [q.text for q in questions]
        return [Answer(str(len(self.asked)), stage_ms={"decode": 5.0}) for _ in questions]


class Lengths:
    """Texts on a circle by their length: 10 letters more are a right angle."""

    embedded = 0

    def embed(self, texts, cached=True):
        angles = np.array([len(t) for t in texts]) * np.pi / 20
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


class OneHot:
    """Every number has a direction of its own."""

    embedded = 0

    def embed(self, texts, cached=True):
        return np.eye(400, dtype=np.float32)[[int(t) for t in texts]]


def ask(arm, *texts):
    return [a.text for a in arm.answer([Question(str(n), t) for n, t in enumerate(texts)])]


def test_the_same_words_are_answered_once():
    arm = Cached(Counting())
    assert ask(arm, "Who leads?", "who  LEADS? ", "Who led?", "Who leads?") == ["1", "1", "2", "1"]
    assert (arm.hits, arm.misses) == (2, 2) and arm.arm.asked == ["Who leads?", "Who led?"]
    assert (arm.name, arm.teaches) == ("rag", "reading")


def test_an_answer_tells_where_it_came_from_and_what_looking_took():
    first, again = Cached(Counting()).answer([Question("a", "x"), Question("b", "x")])
    assert not from_memory(first) and from_memory(again)
    assert set(first.stage_ms) == {STAGE, "decode"} and set(again.stage_ms) == {STAGE}
    assert again.latency_ms < 5 <= first.latency_ms
    assert not from_memory(Answer("x"))


@pytest.mark.parametrize(("threshold", "expected"), [(0.98, ["1", "1", "2", "2"]), (1, "1234")])
def test_what_is_near_enough_counts_as_the_same(threshold, expected):
    arm = Cached(Counting(), Lengths(), threshold=threshold)
    assert ask(arm, "a" * 10, "b" * 11, "c" * 13, "d" * 14) == list(expected)


def test_the_nearest_of_several_answers():
    arm = Cached(Counting(), Lengths(), threshold=0.9)
    assert ask(arm, "a" * 10, "b" * 20, "c" * 12, "d" * 18) == ["1", "2", "1", "2"]


def test_a_refresh_empties_the_memory_unless_told_not_to():
    for forgets, expected in ((True, "2"), (False, "1")):
        arm = Cached(Counting(), forgets=forgets)
        ask(arm, "x")
        assert arm.refresh(Changes()).seconds == 2.0 and arm.arm.refreshed == 1
        assert ask(arm, "x") == [expected]
        arm.prepare(Corpus([Document("d", "x")]))
        assert ask(arm, "x") == [str(int(expected) + 1)]


def test_the_day_plays_no_part():
    arm = Cached(Counting())
    question = Question("q", "Who leads?", asked_on=date(2020, 1, 1))
    later = replace(question, asked_on=date(2024, 1, 1))
    assert [a.text for a in arm.answer([question, later])] == ["1", "1"]


def test_what_was_not_used_for_longest_is_forgotten_first():
    arm = Cached(Counting(), size=2)
    assert ask(arm, "a", "b", "a", "c", "a", "b") == ["1", "2", "1", "3", "1", "4"]
    near = Cached(Counting(), Lengths(), size=1, threshold=1)
    assert ask(near, "a", "bbbbb", "c") == ["1", "2", "3"] and near._keys == ["c"]


def test_many_questions_find_their_way_into_the_memory_and_out_of_it():
    arm = Cached(Counting(), Lengths(), size=150, threshold=0.9999)
    texts = ["x" * n for n in range(1, 11)] * 3
    assert ask(arm, *texts) == [str(n) for n in range(1, 11)] * 3
    many = Cached(Counting(), OneHot(), size=150)
    names = [str(n) for n in range(400)]
    assert ask(many, *names) == [str(n + 1) for n in range(400)]
    assert ask(many, *names[250:]) == [str(n + 1) for n in range(250, 400)]
    assert many.misses == 400 and ask(many, "0") == ["401"]


@given(st.lists(st.sampled_from("abcdef"), max_size=30), st.integers(1, 7))
def test_it_answers_as_the_arm_did_and_asks_no_more_than_needed(texts, size):
    arm = Cached(Counting(), size=size)
    ask(arm, *texts)
    assert arm.hits + arm.misses == len(texts) == arm.hits + len(arm.arm.asked)
    assert arm.misses >= len(set(texts))
    if size >= 6:
        assert arm.misses == len(set(texts))


@pytest.mark.parametrize("options", [{"threshold": 1.1}, {"threshold": -2}, {"size": 0}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(RagftError, match=r"Cached: threshold=.* must lie from -1 to 1, size="):
        Cached(Counting(), **options)
