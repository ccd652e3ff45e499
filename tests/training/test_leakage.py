"""What the leakage check finds, and what it must not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragft.training.leakage import leakage
from ragft.types import Example, Question

ASKED = [
    Question("q1", "Who leads Tarmo?", subject="Tarmo"),
    Question("q2", "What is the default of `alpha` in `veld.fit`?", subject="veld.fit"),
    Question("q3", "Where?", subject="Velka"),
]


def test_the_same_words_are_found_word_for_word():
    train = [Example("Answer.\n[1] Tarmo is led.\nQuestion: Who leads Tarmo?\nAnswer:", " Ida")]
    report = leakage(train, ASKED)
    assert report.exact == report.normalised == ((0, "q1"),)
    assert not report.wordings_clean


def test_case_punctuation_and_space_do_not_hide_a_question():
    train = [Example("what is the DEFAULT of alpha\nin veld.fit", " 1")]
    report = leakage(train, ASKED)
    assert report.exact == ()
    assert report.normalised == ((0, "q2"),)


def test_another_wording_is_none():
    train = [Example("Question: By whom is Tarmo led?", " Ida", "Tarmo")]
    report = leakage(train, ASKED)
    assert report.normalised == ()
    assert report.wordings_clean
    assert report.subjects == ("Tarmo",)
    assert not report.subjects_clean


def test_words_must_stand_in_a_row_and_be_whole():
    train = [Example("Who leads, Tarmo?", ""), Example("Who then leads Tarmo", "")]
    train += [Example("Who leads Tarmoland?", ""), Example("Who leads", "")]
    assert leakage(train, ASKED[:1]).normalised == ((0, "q1"),)


def test_subjects_are_compared_without_case_and_empty_ones_never_match():
    train = [Example("a", "b", " velka"), Example("c", "d", "")]
    assert leakage(train, [*ASKED, Question("q4", "Why so?")]).subjects == (" velka",)


def test_nothing_leaks_from_nothing():
    report = leakage([], ASKED)
    assert report.wordings_clean
    assert report.subjects_clean
    assert str(report) == (
        "0 of 3 questions occur in the 0 training prompts (0 word for word); 0 shared subjects"
    )
    assert leakage([Example("a", "b")], []).questions == 0


@given(st.lists(st.text("ab ?", min_size=1, max_size=8), min_size=1, max_size=6), st.text("ab ?"))
def test_the_quick_search_finds_what_the_slow_one_finds(texts, prompt):
    asked = [Question(str(i), text) for i, text in enumerate(texts)]
    found = {question for _, question in leakage([Example(prompt, "x")], asked).normalised}
    there = prompt.replace("?", " ").split()
    for question in asked:
        words = question.text.replace("?", " ").split()
        spans = [there[i : i + len(words)] for i in range(len(there) + 1)] if words else []
        assert (words in spans) == (question.id in found)
