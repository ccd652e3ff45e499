"""RAG metrics: verdicts worked by hand, one-value answers, what is undefined, summaries."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.evaluation.rag_metrics import (
    METRICS,
    TRUTH,
    answer_relevancy,
    context_precision,
    context_recall,
    context_utilization,
    faithfulness,
    hallucination,
    noise_sensitivity,
    rag_metrics,
    self_knowledge,
    summary,
)
from ragft.types import Answer, DatedAnswer, Fact, Hit, Passage, Question, RagftError

NAN = math.nan
DAY = date(2024, 1, 1)
NO, YES = False, True


def approx(value):
    return pytest.approx(value, nan_ok=True)


# Formulas over verdicts


@pytest.mark.parametrize(
    ("supported", "expected"),
    [
        ([[YES, NO], [NO, NO]], 1 / 2),  # one of two claims is in a passage
        ([[NO, YES], [YES, YES], [NO, NO]], 2 / 3),  # two passages for one claim count once
        ([[YES]], 1.0),
        ([[NO, NO]], 0.0),
        ([[], []], NAN),  # no context
        ([], NAN),  # no claim
        (np.zeros((0, 3)), NAN),
    ],
)
def test_faithfulness(supported, expected):
    assert faithfulness(supported) == approx(expected)


@pytest.mark.parametrize(
    ("supported", "correct", "invented", "known"),
    [
        ([[YES, NO], [NO, NO]], [YES, NO], 1 / 2, 0.0),
        ([[NO, NO], [NO, NO], [NO, NO]], [YES, YES, NO], 1 / 3, 2 / 3),
        ([[YES]], [NO], 0.0, 0.0),  # wrong, but the passage says so: noise, no hallucination
        ([[]], [NO], 1.0, 0.0),  # no context: RAGChecker says 0
        ([[]], [YES], 0.0, 1.0),
        ([], [], NAN, NAN),
        (np.zeros((0, 2)), [], NAN, NAN),
    ],
)
def test_hallucination_and_self_knowledge(supported, correct, invented, known):
    assert hallucination(supported, correct) == approx(invented)
    assert self_knowledge(supported, correct) == approx(known)


@pytest.mark.parametrize(
    ("supported", "correct", "relevant", "from_relevant", "from_others"),
    [
        ([[YES, NO]], [NO], [YES, NO], 1.0, 0.0),
        ([[NO, YES]], [NO], [YES, NO], 0.0, 1.0),
        ([[YES, YES]], [NO], [YES, NO], 1.0, 0.0),  # in both: counted for the relevant one only
        ([[NO, YES]], [YES], [YES, NO], 0.0, 0.0),  # right claims are no noise
        ([[YES, NO], [NO, YES], [NO, NO], [YES, YES]], [NO, NO, NO, YES], [YES, NO], 1 / 4, 1 / 4),
        ([[YES, NO]], [NO], [NO, NO], 0.0, 1.0),
        ([[]], [NO], [], NAN, NAN),
        (np.zeros((0, 1)), [], [YES], NAN, NAN),
    ],
)
def test_noise_sensitivity(supported, correct, relevant, from_relevant, from_others):
    assert noise_sensitivity(supported, correct, relevant) == approx(from_relevant)
    assert noise_sensitivity(supported, correct, relevant, "irrelevant") == approx(from_others)


@pytest.mark.parametrize(
    ("relevant", "expected"),
    [
        ([YES, NO, YES], (1 / 1 + 2 / 3) / 2),
        ([NO, YES], 1 / 2),
        ([NO, NO, YES, YES], (1 / 3 + 2 / 4) / 2),
        ([YES, YES, NO], 1.0),
        ([NO, NO], 0.0),
        ([], NAN),
    ],
)
def test_context_precision(relevant, expected):
    assert context_precision(relevant) == approx(expected)


@pytest.mark.parametrize(
    ("stated", "said", "recall", "used"),
    [
        ([[YES, NO], [NO, NO]], [YES, YES], 1 / 2, 1.0),
        ([[YES], [YES]], [YES, NO], 1.0, 1 / 2),
        ([[YES], [YES], [NO]], [NO, NO, YES], 2 / 3, 0.0),
        ([[NO, NO]], [YES], 0.0, NAN),  # nothing to use: RAGChecker says 0
        ([[]], [YES], 0.0, NAN),  # a search found nothing
        ([], [], NAN, NAN),
    ],
)
def test_context_recall_and_utilization(stated, said, recall, used):
    assert context_recall(stated) == approx(recall)
    assert context_utilization(stated, said) == approx(used)


@st.composite
def verdicts(draw):
    claims, passages = draw(st.integers(0, 4)), draw(st.integers(0, 4))

    def flags(n):
        return draw(st.lists(st.booleans(), min_size=n, max_size=n))

    table = np.array([flags(passages) for _ in range(claims)], bool).reshape(claims, passages)
    return table, flags(claims), flags(passages)


@given(verdicts())
def test_shares_lie_between_0_and_1_and_add_up(given_verdicts):
    supported, correct, relevant = given_verdicts
    values = [
        faithfulness(supported),
        hallucination(supported, correct),
        self_knowledge(supported, correct),
        noise_sensitivity(supported, correct, relevant),
        noise_sensitivity(supported, correct, relevant, "irrelevant"),
        context_precision(relevant),
        context_recall(supported),
        context_utilization(supported, correct),
    ]
    assert all(math.isnan(v) or 0 <= v <= 1 for v in values)
    faithful, invented, known, noise, other_noise = values[:5]
    claims, passages = supported.shape
    assert math.isnan(faithful) == (not claims or not passages)
    assert math.isnan(invented) == math.isnan(known) == (not claims)
    if claims:
        assert (faithful if passages else 0) + invented + known == pytest.approx(1)
    if claims and passages:  # every wrong claim is invented or noise
        assert invented + noise + other_noise == pytest.approx(1 - np.mean(correct))


@given(verdicts())
def test_context_precision_is_1_exactly_where_relevant_passages_come_first(given_verdicts):
    relevant = given_verdicts[2]
    if any(relevant):
        assert (context_precision(relevant) == 1) == (sorted(relevant, reverse=True) == relevant)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: faithfulness([YES, NO]), r"shape \(claims, passages\), not \(2,\)"),
        (lambda: hallucination([[YES], [NO]], [YES]), "1 flags for 2 claims"),
        (lambda: self_knowledge([[YES]], [YES, NO]), "2 flags for 1 claims"),
        (lambda: noise_sensitivity([[YES, NO]], [NO], [YES]), "1 flags for 2 passages"),
        (lambda: noise_sensitivity([[YES]], [NO], [YES], "both"), "'both' is not 'relevant'"),
        (lambda: context_utilization([[YES]], []), "0 flags for 1 right claims"),
    ],
)
def test_verdicts_that_do_not_fit_are_refused(call, message):
    with pytest.raises(RagftError, match=message):
        call()


# Answers


def passage(text, doc="d1"):
    return Passage(f"{doc}#0", doc, text, 0, len(text))


QUESTION = Question(
    "velka/ceo",
    "Who leads Velka?",
    (
        DatedAnswer("Tarmo Vex", date(2023, 1, 1), None, ("velka@1",)),
        DatedAnswer("Oda Lind", None, date(2023, 1, 1), ("velka@0",)),
    ),
    asked_on=DAY,
    subject="Velka",
    relation="ceo",
)
FACTS = (
    Fact("Velka", "ceo", "Tarmo Vex", date(2023, 1, 1), None, ("velka@1",), "company"),
    Fact("Velka", "ceo", "Oda Lind", None, date(2023, 1, 1), ("velka@0",), "company"),
    Fact("Zorbel", "ceo", "Pim Ruk", None, None, ("zorbel@0",), "company"),
)
NEW = passage("Velka is led by Tarmo Vex.", "velka@1")
OLD = passage("Velka is led by Oda Lind.", "velka@0")
OTHER = passage("Zorbel is led by Pim Ruk.", "zorbel@0")
NAMESAKE = passage("Tarmo Vex was born in Oslo.", "person@0")
NOTHING = dict.fromkeys(METRICS, NAN)


@pytest.mark.parametrize(
    ("answer", "passages", "expected"),
    [
        (
            "Tarmo Vex",
            [OTHER, NEW],
            {
                "faithfulness": 1.0,
                "context_precision": 1 / 2,
                "context_recall": 1.0,
                "noise_sensitivity": 0.0,
                "noise_sensitivity_irrelevant": 0.0,
                "hallucination": 0.0,
                "self_knowledge": 0.0,
                "context_utilization": 1.0,
            },
        ),
        (  # the old version is believed, though the new one is there
            "Oda Lind",
            [NEW, OLD],
            {
                "faithfulness": 1.0,
                "context_precision": 1.0,
                "context_recall": 1.0,
                "noise_sensitivity": 0.0,
                "noise_sensitivity_irrelevant": 1.0,
                "hallucination": 0.0,
                "self_knowledge": 0.0,
                "context_utilization": 0.0,
            },
        ),
        (  # right without help: a passage that names the value for another reason supports it
            "Tarmo Vex",
            [OTHER],
            {
                "faithfulness": 0.0,
                "context_precision": 0.0,
                "context_recall": 0.0,
                "noise_sensitivity": 0.0,
                "noise_sensitivity_irrelevant": 0.0,
                "hallucination": 0.0,
                "self_knowledge": 1.0,
            },
        ),
        (  # a namesake states the value but is not a document of the answer: not relevant
            "Tarmo Vex",
            [NAMESAKE],
            {
                "faithfulness": 1.0,
                "context_precision": 0.0,
                "context_recall": 0.0,
                "noise_sensitivity": 0.0,
                "noise_sensitivity_irrelevant": 0.0,
                "hallucination": 0.0,
                "self_knowledge": 0.0,
            },
        ),
        (
            "Nobody Known",
            [NEW],
            {
                "faithfulness": 0.0,
                "context_precision": 1.0,
                "context_recall": 1.0,
                "noise_sensitivity": 0.0,
                "noise_sensitivity_irrelevant": 0.0,
                "hallucination": 1.0,
                "self_knowledge": 0.0,
                "context_utilization": 0.0,
            },
        ),
        (  # an abstention makes no claim, but the context can still be judged
            "unknown",
            [NEW],
            {"context_precision": 1.0, "context_recall": 1.0, "context_utilization": 0.0},
        ),
        ("", [], {"context_recall": 0.0}),
        # closed book: an invented answer is hallucinated, a right one is self-knowledge
        ("Nobody Known", None, {"hallucination": 1.0, "self_knowledge": 0.0}),
        ("Tarmo Vex", None, {"hallucination": 0.0, "self_knowledge": 1.0}),
        ("unknown", None, {}),
        # a search that found nothing
        ("Oda Lind", [], {"hallucination": 1.0, "self_knowledge": 0.0, "context_recall": 0.0}),
    ],
)
def test_metrics_of_one_answer(answer, passages, expected):
    found = rag_metrics(QUESTION, answer, DAY, passages, FACTS)
    assert {name: found[name] for name in METRICS} == approx({**NOTHING, **expected})
    assert tuple(found) == METRICS + TRUTH


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("Tarmo Vex", (1, 0, 0, 0)),
        ("Oda Lind", (0, 1, 0, 0)),
        ("Pim Ruk", (0, 0, 1, 0)),
        ("Nobody Known", (0, 0, 0, 1)),
        ("unknown", (0, 0, 0, 0)),
    ],
)
def test_the_truth_stands_beside_the_metrics(answer, truth):
    found = rag_metrics(QUESTION, answer, DAY, None, FACTS)
    assert tuple(found[name] for name in TRUTH) == truth
    without = rag_metrics(QUESTION, answer, DAY)
    assert math.isnan(without["confused"]) and without["correct"] == truth[0]


def test_an_unanswerable_question_has_no_right_claim():
    question = Question("velka/motto?", "What is the motto of Velka?", answerable=False)
    guessed = rag_metrics(question, "Tarmo Vex", DAY, [NEW], FACTS)
    assert guessed["noise_sensitivity_irrelevant"] == guessed["faithfulness"] == 1.0
    assert guessed["correct"] == guessed["hallucination"] == 0.0
    silent = rag_metrics(question, "unknown", DAY, [NEW], FACTS)
    assert silent["correct"] == 1.0
    for found in (guessed, silent):
        assert math.isnan(found["context_recall"]) and math.isnan(found["context_precision"])


def test_an_answer_brings_its_own_hits():
    hits = (Hit(OTHER, 2.0, 1), Hit(NEW, 1.0, 2))
    found = rag_metrics(QUESTION, Answer("Tarmo Vex", hits=hits), DAY)
    assert found == approx(rag_metrics(QUESTION, "Tarmo Vex", DAY, [OTHER, NEW]))
    assert found["context_precision"] == 0.5
    closed = rag_metrics(QUESTION, Answer("Tarmo Vex"), DAY)
    assert math.isnan(closed["context_recall"]) and math.isnan(closed["faithfulness"])


def test_bare_texts_and_questions_without_documents_are_judged_by_the_value():
    assert rag_metrics(QUESTION, "Tarmo Vex", DAY, [NAMESAKE.text])["context_recall"] == 1.0
    undated = Question("q", "Who?", (DatedAnswer("Tarmo Vex"), DatedAnswer("T. Vex")))
    found = rag_metrics(undated, "T. Vex", None, [NAMESAKE, OTHER])
    assert found["context_recall"] == found["context_precision"] == 1.0
    assert found["context_utilization"] == 1.0 and found["self_knowledge"] == 1.0


@given(
    st.sampled_from(["Tarmo Vex", "Oda Lind", "Pim Ruk", "Nobody Known", "unknown", ""]),
    st.none() | st.lists(st.sampled_from([NEW, OLD, OTHER, NAMESAKE]), max_size=4),
)
def test_metrics_of_any_answer_lie_between_0_and_1(answer, passages):
    found = rag_metrics(QUESTION, answer, DAY, passages, FACTS)
    assert all(math.isnan(v) or 0 <= v <= 1 for v in found.values())
    if not passages:
        assert math.isnan(found["faithfulness"]) and math.isnan(found["context_precision"])
    attempted = answer not in ("unknown", "")
    assert math.isnan(found["hallucination"]) is not attempted


def test_a_question_without_an_answer_key_is_refused():
    with pytest.raises(RagftError, match="has no answer key"):
        rag_metrics(Question("q", "Who?"), "x", DAY)


# Relevancy


def letters(texts):
    return np.array([[text.count("a"), text.count("b")] for text in texts], float)


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("a", "aa", 1.0),
        ("a", "b", 0.0),
        ("aab", "ab", 3 / math.sqrt(10)),  # (2, 1) and (1, 1)
        ("a", "Unknown.", 0.0),  # as in ragas
        ("a", "", 0.0),
        ("a", "xyz", NAN),  # a vector without a length has no cosine
    ],
)
def test_answer_relevancy(question, answer, expected):
    assert answer_relevancy(question, answer, letters) == approx(expected)
    assert math.isnan(answer_relevancy(question, answer))


def test_relevancy_is_passed_through_and_a_failing_embedder_is_an_error():
    assert rag_metrics(QUESTION, "Tarmo Vex", DAY, embed=letters)["answer_relevancy"] == 1.0

    def broken(texts):
        raise ValueError("out of memory")

    with pytest.raises(RagftError, match=r"embed failed on 'Who leads Velka\?'.*out of memory"):
        rag_metrics(QUESTION, "Tarmo Vex", DAY, embed=broken)
    with pytest.raises(RagftError, match=r"shape \(2, d\), not \(2,\)"):
        answer_relevancy("a", "b", lambda texts: [0.0, 1.0])


# Summaries


def test_a_summary_counts_what_is_undefined():
    rows = [rag_metrics(QUESTION, a, DAY, [NEW], FACTS) for a in ("Tarmo Vex", "Oda Lind", "")]
    rows.append(rag_metrics(QUESTION, "Pim Ruk", DAY, None, FACTS))
    table = summary(pd.DataFrame(rows)).set_index("metric")
    assert list(table.index) == [*METRICS, *TRUTH]
    assert table.loc["faithfulness", ["mean", "n", "undefined"]].tolist() == [0.5, 2, 2]
    assert table.loc["hallucination", ["mean", "n", "undefined"]].tolist() == [2 / 3, 3, 1]
    assert table.loc["answer_relevancy", ["n", "undefined"]].tolist() == [0, 4]
    assert math.isnan(table.loc["answer_relevancy", "mean"])
    assert (table["n"] + table["undefined"] == 4).all()
    known = table[table["n"] > 0]
    assert ((known["low"] <= known["mean"]) & (known["mean"] <= known["high"])).all()


def test_a_summary_by_arm_keeps_leading_zeros_and_groups_apart():
    frame = pd.DataFrame(
        {"arm": ["rag", "rag", "prompt"], "faithfulness": [0.0, 1.0, NAN], "cluster": ["a"] * 3}
    )
    table = summary(frame, by=["arm"])
    assert table[["arm", "metric", "n", "undefined"]].values.tolist() == [
        ["rag", "faithfulness", 2, 0],
        ["prompt", "faithfulness", 0, 1],
    ]
    assert table.loc[0, "mean"] == 0.5 and math.isnan(table.loc[0, "low"])  # a single cluster
    assert summary(frame.iloc[:0], by=["arm"]).empty


@pytest.mark.parametrize(
    ("columns", "by", "message"),
    [
        ({"faithfulness": [1.0]}, ["arm"], "no column 'arm'"),
        ({"other": [1.0]}, [], "none of the columns faithfulness"),
        ({"faithfulness": [math.inf]}, [], "faithfulness is infinite"),
    ],
)
def test_a_summary_refuses(columns, by, message):
    with pytest.raises(RagftError, match=message):
        summary(pd.DataFrame(columns), by=by)
