"""Questions about defaults: changed facts first, dated answers, what does not exist."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from ragft.corpora.corpus import Corpus, read_questions, write_questions
from ragft.corpora.package_questions import (
    HELD_OUT_WORDINGS,
    TRAINING_WORDINGS,
    WORDINGS,
    package_questions,
)
from ragft.corpora.packages import history_of
from ragft.corpora.releases import Release
from ragft.corpora.signatures import Entry
from ragft.types import RagftError

ONE, TWO, THREE = date(2020, 1, 1), date(2021, 1, 1), date(2022, 1, 1)


def entry(signature, **defaults):
    return Entry(signature, "", defaults)


@pytest.fixture(scope="module")
def corpus():
    """`cv` changes twice, `n_jobs` never, `old` vanishes, `req` loses its default."""
    first = {
        "p.f": entry(
            "f(cv=3, old=1, req=None, n_jobs=None)", cv="3", old="1", req="None", n_jobs="None"
        ),
        "p.g": entry("g(cv=3)", cv="3"),
        "p.dead": entry("dead(x=9)", x="9"),
        "p.later": entry("later(...)"),
    }
    second = {
        "p.f": entry("f(req, cv='warn', n_jobs=None)", cv="'warn'", n_jobs="None"),
        "p.g": entry("g(cv='warn')", cv="'warn'"),
        "p.later": entry("later(z=1)", z="1"),
    }
    third = {
        "p.f": entry("f(req, cv=5, n_jobs=None)", cv="5", n_jobs="None"),
        "p.g": entry("g(cv=5)", cv="5"),
        "p.later": entry("later(...)"),
    }
    days = (ONE, TWO, THREE)
    apis = (first, second, third)
    return history_of(
        [Release("p", str(n), d, a) for n, (d, a) in enumerate(zip(days, apis, strict=True))]
    )


def by_key(questions):
    return {q.metadata["key"]: q for q in questions}


def test_changed_facts_come_first_with_their_campaign(corpus):
    questions = package_questions(corpus, THREE, unanswerable=0)
    assert {q.metadata["key"] for q in questions[:2]} == {"p.f:cv", "p.g:cv"}
    assert [q.metadata["changed"] for q in questions] == [True, True, False]
    assert {q.cluster for q in questions[:2]} == {"cv:'warn'->5"}
    assert questions[2].cluster == questions[2].subject == "p.f"


def test_answers_are_dated_and_name_the_documents_that_state_them(corpus):
    question = by_key(package_questions(corpus, THREE))["p.g:cv"]
    assert question.text == "What is the default of `cv` in `p.g`?"
    assert [question.answers_on(day) for day in (ONE, TWO, THREE)] == [("3",), ("'warn'",), ("5",)]
    assert question.former_answers(THREE) == ("3", "'warn'")
    assert question.supporting == question.supporting_on(THREE) == ("p.g@2",)
    assert question.supporting_on(TWO) == ("p.g@1",)
    assert (question.asked_on, question.subject, question.relation) == (THREE, "p.g", "cv")
    assert (question.kind, question.answerable) == ("default", True)


def test_a_fact_stated_by_several_versions_is_supported_by_the_one_of_the_day(corpus):
    question = by_key(package_questions(corpus, THREE))["p.f:n_jobs"]
    assert question.answers[0].documents == ("p.f@0", "p.f@1", "p.f@2")
    assert question.supporting == ("p.f@2",)


def test_previous_says_since_when_a_change_counts(corpus):
    def changed(day, previous):
        questions = package_questions(corpus, day, previous=previous)
        return {q.cluster for q in questions if q.metadata["changed"]}

    assert changed(TWO, ONE) == {"cv:3->'warn'"}
    assert changed(THREE, ONE) == {"cv:3->5"}
    assert changed(THREE, TWO) == {"cv:'warn'->5"}
    assert changed(THREE, THREE) == changed(ONE, None) == set()


def test_unanswerable_questions_ask_for_what_no_signature_has_on_the_day(corpus):
    questions = package_questions(corpus, THREE, n=20, unanswerable=0.5)
    refused = [q for q in questions if not q.answerable]
    # p.f:req is required by now and p.later's constructor is unknown: neither is absent.
    assert [q.metadata["key"] for q in refused] == ["p.f:old", "p.dead:x"]
    assert all(q.kind == "unanswerable" and q.supporting == () for q in refused)
    assert refused[0].answers_on(THREE) == ()
    assert refused[0].former_answers(THREE) == ("1",)
    assert refused[0].cluster == "old:absent"


def test_parameters_that_do_not_exist_yet_are_unanswerable_too():
    made = [entry("f(a=1)", a="1"), entry("f(a=1, b=2)", a="1", b="2")]
    corpus = history_of(
        [
            Release("p", str(n), d, {"p.f": e})
            for n, (d, e) in enumerate(zip((ONE, TWO), made, strict=True))
        ]
    )
    (_, refused) = package_questions(corpus, ONE, n=2, unanswerable=0.5)
    assert refused.metadata["key"] == "p.f:b"
    assert refused.answers_on(ONE) == refused.former_answers(ONE) == ()


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [("1.0", "1", False), ("1e-06", "1.0e-06", False), ("True", "1", True), ("'1.0'", "1", True)],
)
def test_another_spelling_of_a_number_is_no_change(old, new, changed):
    made = [entry(f"f(a={value})", a=value) for value in (old, new)]
    releases = [
        Release("p", v, d, {"p.f": e}) for v, d, e in zip("12", (ONE, TWO), made, strict=True)
    ]
    (question,) = package_questions(history_of(releases), TWO)
    assert question.metadata["changed"] is changed


def big_history():
    def made(n, shift):
        values = {f"a{i}": str(i + shift * (i % 3 == 0)) for i in range(n)}
        return {"p.f": entry(f"f({', '.join(values)})", **values)}

    return history_of([Release("p", "1", ONE, made(90, 0)), Release("p", "2", TWO, made(60, 1))])


def test_shares_counts_and_seeds():
    corpus = big_history()
    questions = package_questions(corpus, TWO, n=50, seed=3)
    assert Counter(q.kind for q in questions) == {"default": 45, "unanswerable": 5}
    assert sum(q.metadata["changed"] for q in questions) == 20  # every third of 60
    assert len({q.id for q in questions}) == 50
    assert package_questions(corpus, TWO, n=50, seed=3) == questions
    assert package_questions(corpus, TWO, n=50, seed=4) != questions
    assert len(package_questions(corpus, TWO, n=1000)) == 60 + 30


def test_wordings_ask_for_the_same_facts_and_some_are_held_out():
    corpus = big_history()
    asked = [package_questions(corpus, TWO, n=9, wording=w) for w in range(len(WORDINGS))]
    assert len({tuple(q.metadata["key"] for q in questions) for questions in asked}) == 1
    assert len({questions[0].text for questions in asked}) == len(WORDINGS)
    assert len({questions[0].id for questions in asked}) == len(WORDINGS)
    assert sorted(HELD_OUT_WORDINGS + TRAINING_WORDINGS) == list(range(len(WORDINGS)))


def test_questions_survive_their_file(corpus, tmp_path):
    questions = tuple(package_questions(corpus, THREE, unanswerable=0.5))
    path = write_questions(tmp_path / "q.jsonl", questions)
    assert read_questions(path, corpus, answers_required=True) == questions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"wording": len(WORDINGS)}, "wording must lie in 0..5"),
        ({"wording": -1}, "wording must lie in 0..5"),
        ({"unanswerable": 1.5}, r"unanswerable must lie in \[0, 1\]"),
        ({"day": date(2019, 1, 1)}, "p: no default is known on 2019-01-01.*2020-01-01"),
    ],
)
def test_faults_are_named(corpus, arguments, message):
    with pytest.raises(RagftError, match=message):
        package_questions(corpus, **{"day": THREE, **arguments})


def test_a_corpus_without_facts_is_refused():
    with pytest.raises(RagftError, match="no default is known"):
        package_questions(Corpus([]), ONE)
