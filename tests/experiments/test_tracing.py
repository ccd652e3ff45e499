"""Failures of every kind, planted in a small corpus, are found and shown for what they are."""

import json
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pandas as pd
import pytest

from ragft.arms.library import Library
from ragft.arms.prompt import Prompt
from ragft.arms.rag import RAG
from ragft.corpora.corpus import Corpus
from ragft.evaluation.tracing import UNTRACEABLE, causes
from ragft.experiments.explanation import NO_KEY
from ragft.experiments.tasks import Task
from ragft.experiments.tracing import explain, find_question, trace
from ragft.generation.local import Completion
from ragft.report import explanation_html, explanation_text, printable
from ragft.types import Answer, DatedAnswer, Document, Fact, Question, RagftError
from tests.retrieval.conftest import WordEmbedder

OLD, NEW = date(2020, 1, 1), date(2024, 1, 1)
DOCUMENTS = (
    Document("lamp@0", "The lamp costs 5 coins.", "lamp", "lamp", "", OLD, NEW),
    Document("lamp@1", "The lamp costs 7 coins.", "lamp", "lamp", "", NEW),
    Document("chair", "The chair costs 9 coins.", "chair", valid_from=OLD),
    Document("table", "A table: 4 coins.", valid_from=OLD),
    Document("ad1", "Blue table, blue table.", valid_from=OLD),
    Document("ad2", "The blue table! Our blue table.", valid_from=OLD),
    Document("stone", "It weighs 12 pounds.", valid_from=OLD),
    Document("gravel1", "How heavy gravel can be.", valid_from=OLD),
    Document("gravel2", "Gravel, how heavy.", valid_from=OLD),
)


class Says:
    """A model that answers the questions it was given answers to, and shows its prompts."""

    has_chat_template, context_length, name = False, 10_000, "parrot"

    def __init__(self, **said):
        self.said = {asked(name).text: said for name, said in said.items()}

    def count_tokens(self, text):
        return len(text)

    def generate(self, texts, **options):
        found = [text.rsplit("Question: ", 1)[1].removesuffix("\nAnswer:") for text in texts]
        said = [self.said.get(question, "unknown") for question in found]
        return [Completion(s, 1, 1, 0.5, -1.0, 2.0, 3.0) for s in said]


def key(value, *documents):
    return (DatedAnswer(value, OLD, None, documents),)


QUESTIONS = {
    "lamp": Question(
        "lamp",
        "What does the lamp cost?",
        (
            DatedAnswer("5 coins", OLD, NEW, ("lamp@0",)),
            DatedAnswer("7 coins", NEW, None, ("lamp@1",)),
        ),
    ),
    "chair": Question("chair", "What does the chair cost?", key("9 coins", "chair")),
    "table": Question("table", "What does the blue table cost?", key("4 coins", "table")),
    "stone": Question("stone", "How heavy is gravel?", key("12 pounds", "stone")),
    "door": Question("door", "What does the door cost?", key("3 coins", "door")),
    "absent": Question("absent", "Who made the lamp?", answerable=False),
    "loose": Question("loose", "What is loose?", key("a screw")),
}
QUESTIONS = {name: replace(question, asked_on=NEW) for name, question in QUESTIONS.items()}
TASK = Task("coins", Corpus(DOCUMENTS), NEW, tuple(QUESTIONS.values()))


def asked(name):
    return QUESTIONS[name]


def rag(retriever="bm25", top_k=2, as_of=True, **said):
    library = Library(retriever=retriever, embedder=WordEmbedder(), as_of=as_of)
    arm = RAG(Says(**said), library=library, top_k=top_k)
    arm.prepare(TASK.corpus)
    return arm


def traced(arm, names, day=None):
    questions = [asked(name) for name in names]
    frame = trace(arm, questions, arm.answer(questions), day)
    return frame.set_index("question_id")


PLANTED = [
    ("lamp", "7 coins", None),
    ("lamp", "5 coins", "read wrongly"),
    ("chair", "unknown", "wrongly refused"),
    ("chair", "8 coins", "read wrongly"),
    ("table", "5 coins", "ranked too low"),
    ("table", "unknown", "ranked too low"),
    ("stone", "3 pounds", "not retrieved"),
    ("door", "5 coins", "not in the corpus"),
    ("absent", "Ann", "read wrongly"),
    ("absent", "unknown", None),
    ("loose", "Ann", UNTRACEABLE),
]


@pytest.mark.parametrize(("name", "said", "expected"), PLANTED)
def test_a_planted_failure_is_found(name, said, expected):
    arm = rag(**{name: said})
    row = traced(arm, [name]).loc[name]
    assert (None if pd.isna(row["cause"]) else row["cause"]) == expected
    assert (row["outcome"] == "correct") == (expected is None)
    shown = explain(asked(name), arm, TASK)
    assert (shown.cause, shown.outcome) == (expected, row["outcome"])


def test_many_questions_are_one_search_and_every_wrong_answer_is_counted(monkeypatch):
    planted = {name: said for name, said, _ in PLANTED}
    arm, searches = rag(**planted), []
    whole = arm.library.index.explain
    monkeypatch.setattr(
        arm.library.index, "explain", lambda *a, **k: searches.append(a) or whole(*a, **k)
    )
    frame = traced(arm, list(planted))
    assert len(searches) == 1 and len(frame) == len(planted)
    table = causes(frame.reset_index())
    assert table["count"].sum() == (frame["outcome"] != "correct").sum() == 6
    assert dict(zip(table["cause"], table["count"], strict=True)) == {
        "not in the corpus": 1,
        "not retrieved": 1,
        "ranked too low": 1,
        "read wrongly": 2,
        "wrongly refused": 0,
        "untraceable": 1,
    }


def test_ranks_are_those_of_the_first_right_passage_at_each_stage():
    by_words = traced(rag(), ["lamp", "table", "stone", "absent"])
    assert by_words["rank"].fillna(0).tolist() == [1, 3, 0, 0]
    assert by_words["rank"].equals(by_words["rank_bm25"])
    assert by_words[["rank_dense", "rank_hybrid"]].isna().all(axis=None)
    both = traced(rag("hybrid"), ["stone"]).loc["stone"]
    assert both["rank"] == both["rank_hybrid"] and both["rank_dense"] >= 3
    assert both[["rank_bm25"]].isna().all(), "it shares no word with its question"


def test_a_small_depth_makes_a_candidate_no_candidate():
    arm = rag("hybrid", stone="3 pounds")
    assert traced(arm, ["stone"])["cause"].tolist() == ["ranked too low"]
    arm.library.index.depth = 2
    assert traced(arm, ["stone"])["cause"].tolist() == ["not retrieved"]


def test_only_what_may_be_found_on_the_day_is_in_the_corpus():
    always = (DatedAnswer("5 coins", None, None, ("lamp@0",)),)
    early = replace(asked("lamp"), asked_on=date(2019, 1, 1), answers=always)
    arm = rag(lamp="6 coins")
    assert trace(arm, [early], arm.answer([early]))["cause"].tolist() == ["not in the corpus"]
    undated = rag(as_of=False, lamp="6 coins")
    frame = trace(undated, [early], undated.answer([early]))
    assert frame["cause"].tolist() == ["read wrongly"]


def test_what_the_prompt_had_no_room_for_was_ranked_too_low():
    # The chair's own advertisement comes first, and leaves no room for what states the price.
    long = Document("ad", "What does the chair cost? " * 10, valid_from=OLD)
    arm = rag(chair="8 coins")
    arm.prepare(Corpus((*DOCUMENTS, long)))
    arm.model.context_length = 48 + 425
    found = explain("chair", arm, TASK)
    assert found.cause == "ranked too low" and found.left_out == 1
    assert [p.passage.doc_id for p in found.shown] == ["ad"]
    assert found.ranks == {"bm25": 2} and found.right[0].number is None
    assert "left out: 1 passages" in explanation_text(found)


def test_an_arm_without_steps_is_untraceable():
    arm = Prompt(Says(lamp="7 coins", chair="8 coins"))
    frame = traced(arm, ["lamp", "chair", "absent"])
    assert frame["cause"].fillna("").tolist() == ["", UNTRACEABLE, ""]
    assert frame["rank"].isna().all() and frame["shown"].tolist() == [0, 0, 0]
    with pytest.raises(RagftError, match="arm 'prompt': it makes no search .* choose rag, raft"):
        explain("lamp", arm, TASK)


def test_facts_of_the_corpus_tell_confused_from_fabricated():
    arm = rag(chair="7 coins")
    facts = Corpus(DOCUMENTS, (Fact("lamp", "price", "7 coins"),))
    answers = arm.answer([asked("chair")])
    outcomes = [
        trace(arm, [asked("chair")], answers, corpus=corpus)["outcome"].item()
        for corpus in (None, facts)
    ]
    assert outcomes == ["wrong", "confused"]


def test_no_questions_give_an_empty_frame_with_its_columns():
    frame = trace(rag(), [], [])
    assert len(frame) == 0 and {"cause", "rank", "rank_bm25"} <= set(frame.columns)
    assert causes(frame).empty


def test_answers_must_match_their_questions():
    with pytest.raises(RagftError, match="trace: 0 answers to 1 questions; give one for each"):
        trace(rag(), [asked("lamp")], [])
    with pytest.raises(RagftError, match="has no answer key"):
        trace(rag(), [Question("new", "What?")], [Answer("Ann")])


def test_an_explanation_shows_every_step():
    found = explain("lamp", rag("hybrid", top_k=3, lamp=" lamp [3] 5 coins"), TASK)
    assert (found.answer.text, found.outcome, found.cause) == ("5 coins", "stale", "read wrongly")
    assert found.right_answers == ("7 coins",) and found.day == NEW
    shown = found.shown
    assert [p.number for p in shown] == [1, 2, 3] and len(shown) == 3
    (right,) = [p for p in shown if p.right]
    assert right.passage.doc_id == "lamp@1" and right.number == 3, "the newest comes last"
    assert right == found.right[0] and right.cited
    assert right.candidate.ranks == {"bm25": 1, "dense": 1, "hybrid": 1} == dict(found.ranks)
    assert right.candidate.scores["hybrid"] == pytest.approx(2 / 11)
    (span,) = found.citations
    document = TASK.corpus.by_id[span.doc_id]
    assert document.text[span.start : span.end] == "The lamp costs 7 coins."
    assert found.prompt.endswith("Question: What does the lamp cost?\nAnswer:")
    assert "lamp [3]: The lamp costs 7 coins. (2024-01-01)" in found.prompt
    assert found.candidates == 8, "the old lamp is out of force"


def test_an_explanation_is_json():
    made = json.loads(json.dumps(explain("stone", rag(stone="no idea"), TASK).to_dict()))
    assert made["ranks"] == {"bm25": None} and made["cause"] == "not retrieved"
    assert made["question"] == {"id": "stone", "text": "How heavy is gravel?", "day": "2024-01-01"}
    assert [row["doc_id"] for row in made["right"]] == ["stone"]
    assert made["right"][0]["ranks"] == {} and made["right"][0]["number"] is None
    assert {row["doc_id"] for row in made["shown"]} == {"gravel1", "gravel2"}


def test_a_question_is_found_by_id_or_text():
    assert find_question("lamp", TASK) is asked("lamp")
    assert find_question(" what does  the LAMP cost? ", TASK) is asked("lamp")
    new = find_question("Who sells\nlamps?", TASK)
    assert (new.text, new.asked_on, new.answers) == ("Who sells lamps?", NEW, ())
    with pytest.raises(RagftError, match="question: it is empty"):
        find_question(" \n", TASK)
    other = replace(TASK, asked=(), others=TASK.asked)
    assert find_question("lamp", other) is asked("lamp")


def test_a_question_that_nobody_has_the_answer_to_is_asked_without_a_verdict():
    found = explain("Who sells lamps?", rag(), TASK)
    assert (found.outcome, found.cause, found.right_answers) == (NO_KEY, NO_KEY, ())
    assert found.answer.text == "unknown" and len(found.shown) == 2
    text = explanation_text(found)
    assert "outcome: unknown: no answer key\ncause: unknown: no answer key" in text
    named = replace(asked("lamp"), answers=(), supporting=("lamp@1",))
    assert explain(named, rag(), TASK).right[0].number, "where it stood is known all the same"


def test_what_nothing_answers_has_unknown_for_an_answer():
    found = explain("absent", rag(absent="Ann"), TASK)
    assert found.right_answers == ("unknown",) and found.right == ()
    assert "Where the right passages stood; rank (score) among" in explanation_text(found)


@pytest.mark.parametrize("arm", ["prompt", "oracle", "magic"])
def test_an_arm_that_does_not_search_is_refused_before_anything_is_made(arm):
    with pytest.raises(RagftError, match=f"arm '{arm}': .* choose rag, raft, finetuned_rag"):
        explain("lamp", arm, "no such corpus")


EVIL = Document(
    "<img src=x onerror=alert(1)>",
    "The lamp costs <script>alert('7')</script> coins.\x1b[31m Red\x1b]0;title\x07 \x9b2J\r$x$",
    "</td><b>lamp</b>",
    valid_from=OLD,
)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.attributes, self.text = set(), set(), ""

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_data(self, data):
        self.text += data


def evil():
    arm = rag(lamp=" [1] <i>5</i>\x1b[1m")
    arm.prepare(Corpus((EVIL,)))
    question = replace(
        asked("lamp"), id="<u>", answers=key("<script>alert('7')</script> coins", EVIL.id)
    )
    return explain(question, arm, TASK)


def test_nothing_in_a_document_becomes_markup():
    html = explanation_html(evil())._repr_html_()
    page = Tags()
    page.feed(html)
    allowed = {"div", "table", "thead", "tbody", "tr", "td", "th", "p", "b", "details", "summary"}
    assert page.seen <= allowed | {"pre"} and page.attributes <= {"class", "style"}
    assert "<script" not in html and "&lt;script&gt;" in html
    assert EVIL.id in page.text and "<i>5</i>" in page.text and "(<u>)" in page.text
    assert 'class="tex2jax_ignore mathjax_ignore"' in html and "\x1b" not in html


def test_no_control_code_reaches_the_terminal():
    text = explanation_text(evil())
    assert "<script>" in text and "Red" in text and "title" not in text
    assert not [c for c in text if ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160]
    assert "[31m" not in text and "2J" not in text
    assert repr(explanation_html(evil())) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("a\rb\x08\x7f\x00", "ab"),
        ("\x1b", ""),
        ("\x1b]never ended", "]never ended"),
        ("left\u202eright\u2066", "leftright"),
        ("naïve 漢字 \u200d", "naïve 漢字 \u200d"),
    ],
)
def test_printable_keeps_text_and_drops_codes(text, kept):
    assert printable(text) == kept
