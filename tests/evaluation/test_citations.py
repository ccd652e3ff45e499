"""Precision and recall of citations by hand, on a timeline, and spans a reader can open."""

from __future__ import annotations

import math
from datetime import date

import pytest

from ragft.chunking import chunk
from ragft.evaluation.citations import Span, citation_scores, cited_spans
from ragft.types import Answer, DatedAnswer, Document, Hit, Passage, Question, RagftError

OLD, CHANGE, NEW = date(2024, 1, 1), date(2024, 6, 1), date(2024, 9, 1)
QUESTION = Question(
    "q",
    "Who leads Tarmo?",
    (
        DatedAnswer("Ada", None, CHANGE, ("v1",)),
        DatedAnswer("Bo", CHANGE, None, ("v2", "note")),
    ),
    asked_on=NEW,
    supporting=("v2",),
)


def answer(*cited, text="Bo", shown=("v1", "v2", "note", "other")):
    passages = [Passage(f"{d}#{n}", d, "x", 0, 1) for d in shown for n in (0, 1)]
    hits = tuple(Hit(p, 1.0, rank) for rank, p in enumerate(passages, 1))
    return Answer(text, cited, hits)


def scores(*cited, question=QUESTION, day=NEW, **options):
    found = citation_scores(question, answer(*cited, **options), day)
    return found.precision, found.recall


def test_precision_and_recall_by_hand():
    assert scores("v2#0") == (1.0, 1.0)
    assert scores("v2#0", "other#0", "v1#0") == (pytest.approx(1 / 3), 1.0)
    assert scores("other#0", "v1#1") == (0.0, 0.0)
    # Another passage of a right document, and another document that states it.
    assert scores("v2#1", "note#0") == (1.0, 1.0)


def test_a_passage_cited_twice_counts_once():
    assert scores("v2#0", "other#0", "v2#0") == (0.5, 1.0)


def test_what_is_right_depends_on_the_day():
    assert scores("v1#0", day=OLD) == (1.0, 1.0)
    assert scores("v2#0", day=OLD) == (0.0, 0.0)
    assert scores("v1#0", day=CHANGE) == (0.0, 0.0)
    assert scores("v1#0", "v2#0", day=None) == (1.0, 1.0)


def test_an_answer_that_cites_nothing_has_recall_0_and_no_precision():
    for options in ({}, {"shown": ()}):
        precision, recall = scores(**options)
        assert math.isnan(precision) and recall == 0


@pytest.mark.parametrize("text", ["unknown", "", "Unknown.", "refused"])
def test_an_abstention_asserts_nothing(text):
    assert all(map(math.isnan, scores("v2#0", text=text)))
    assert all(map(math.isnan, scores(text=text)))


def test_where_no_document_states_an_answer_every_citation_is_wrong():
    unanswerable = Question("u", "?", answerable=False)
    precision, recall = scores("v1#0", question=unanswerable)
    assert precision == 0 and math.isnan(recall)
    assert all(map(math.isnan, scores(question=unanswerable)))
    # The documents of the day it was asked on say nothing of a day on which nothing holds.
    ended = Question("e", "?", (DatedAnswer("Ada", OLD, CHANGE, ("v1",)),), supporting=("v1",))
    precision, recall = scores("v1#0", question=ended, day=NEW)
    assert precision == 0 and math.isnan(recall)


def test_where_the_documents_are_not_known_nothing_can_be_judged():
    unknown = Question("k", "?", (DatedAnswer("Bo"),))
    assert all(map(math.isnan, scores("v2#0", question=unknown)))


def test_supporting_documents_stand_in_for_those_of_the_answers():
    plain = Question("p", "?", (DatedAnswer("Bo"),), supporting=("note",))
    assert scores("note#0", "v2#0", question=plain) == (0.5, 1.0)


def test_a_citation_of_a_passage_not_shown_is_refused():
    with pytest.raises(RagftError, match="cites 'v9#0', which is not among its 8 hits"):
        scores("v9#0")
    with pytest.raises(RagftError, match="cites 'v9#0'"):
        cited_spans(answer("v9#0"))


def test_a_span_opens_in_its_document():
    document = Document(
        "d", "  Ada leads Tarmo.  She was born in Oslo.\n\nBo — “the second” — leads Velka.",
        title="Tarmo", valid_from=OLD,
    )  # fmt: skip
    passages = chunk(document, size=6)
    assert len(passages) > 2
    hits = tuple(Hit(p, 1.0, rank) for rank, p in enumerate(passages, 1))
    ids = (passages[2].id, passages[0].id, passages[2].id)
    spans = cited_spans(Answer("Bo", ids, hits))
    assert [span.text for span in spans] == [passages[2].text, passages[0].text]
    assert all(document.text[span.start : span.end] == span.text for span in spans)
    first = passages[2]
    assert spans[0] == Span("d", first.start, first.end, first.text, "Tarmo", OLD)
    assert first.start > 0


def test_nothing_cited_has_no_spans():
    assert cited_spans(answer()) == ()
