"""Outcomes on a small world whose every answer can be judged by hand."""

from __future__ import annotations

import math
from datetime import date

import pandas as pd
import pytest

from ragft.evaluation.outcomes import (
    FactBook,
    abstains,
    judge,
    outcome_shares,
    score_columns,
)
from ragft.types import Answer, DatedAnswer, Fact, Hit, Passage, Question, RagftError

BEFORE, CHANGE, AFTER = date(2020, 1, 1), date(2021, 1, 1), date(2022, 1, 1)
FACTS = FactBook(
    [
        Fact("Zorbel", "ceo", "Tarmo Vex", None, CHANGE, kind="company"),
        Fact("Zorbel", "ceo", "Lina Orm", CHANGE, None, kind="company"),
        Fact("Quill", "ceo", "Ada Pym", None, None, kind="company"),
        Fact("Quill", "headquarters", "Norvik", None, None, kind="company"),
        Fact("Quill", "employees", "1234", None, None, kind="company"),
    ]
)
CEO = Question(
    "q1",
    "Who leads Zorbel?",
    (DatedAnswer("Tarmo Vex", None, CHANGE), DatedAnswer("Lina Orm", CHANGE, None)),
    subject="Zorbel",
    relation="ceo",
)
NOBODY = Question("q2", "Who supplies Zorbel?", (), relation="supplier", answerable=False)


@pytest.mark.parametrize(
    ("text", "day", "outcome"),
    [
        ("lina orm.", AFTER, "correct"),
        ("Tarmo Vex", AFTER, "stale"),
        ("Tarmo Vex", BEFORE, "correct"),
        ("Ada Pym", AFTER, "confused"),
        ("Norvik", AFTER, "confused"),
        ("1,234", AFTER, "fabricated"),
        ("Otto Nil", AFTER, "fabricated"),
        ("Unknown.", AFTER, "abstained"),
        ("refused", AFTER, "abstained"),
        ("Lina Orm", BEFORE, "confused"),
        ("Tarmo Vex", None, "correct"),
    ],
)
def test_outcomes_in_their_order(text, day, outcome):
    assert judge(CEO, text, day, facts=FACTS).outcome == outcome


def test_number_is_confused_only_within_its_relation():
    staff = Question("q", "How many?", (DatedAnswer("99"),), relation="employees")
    assert judge(staff, "1,234", AFTER, facts=FACTS).outcome == "confused"
    assert judge(staff, "98", AFTER, facts=FACTS).outcome == "fabricated"


def test_two_hop_relation_is_looked_up_in_all():
    hop = Question("q", "?", (DatedAnswer("Norvik"),), relation="maker_employees", kind="two_hop")
    assert judge(hop, "1234", AFTER, facts=FACTS).outcome == "confused"
    assert judge(hop, "4321", AFTER, facts=FACTS).outcome == "fabricated"


def test_unanswerable_questions():
    found = judge(NOBODY, "unknown", AFTER, facts=FACTS)
    assert (found.outcome, found.refused_rightly) == ("correct", 1.0)
    found = judge(NOBODY, "Ada Pym", AFTER, facts=FACTS)
    assert (found.outcome, found.refused_rightly) == ("confused", 0.0)
    assert math.isnan(judge(CEO, "Ada Pym", AFTER, facts=FACTS).refused_rightly)


def test_parameter_that_went_away():
    gone = Question(
        "q", "?", (DatedAnswer("5", None, CHANGE),), relation="cv", answerable=False, kind="default"
    )
    assert judge(gone, "unknown", AFTER, facts=FACTS).outcome == "correct"
    assert judge(gone, "5", AFTER, facts=FACTS).outcome == "stale"
    assert judge(gone, "5", BEFORE, facts=FACTS).outcome == "correct"
    assert judge(gone, "unknown", BEFORE, facts=FACTS).outcome == "abstained"


def test_package_history_confuses_same_parameter_or_shown_passage():
    book = FactBook(
        [
            Fact("p.F", "cv", "5", kind="default"),
            Fact("p.G", "cv", "'warn'", kind="default"),
            Fact("p.F", "tol", "0.001", kind="default"),
        ]
    )
    question = Question("q", "?", (DatedAnswer("5"),), relation="cv", kind="default")
    assert judge(question, "warn", AFTER, facts=book).outcome == "confused"
    assert judge(question, "0.001", AFTER, facts=book).outcome == "fabricated"
    shown = ["p.F(cv=5, tol=1e-3)"]
    assert judge(question, "0.001", AFTER, facts=book, passages=shown).outcome == "confused"


def test_passages_do_not_excuse_in_the_world():
    found = judge(CEO, "Otto Nil", AFTER, facts=FACTS, passages=["Otto Nil leads Blim."])
    assert (found.outcome, found.supported) == ("fabricated", 1.0)


def test_supported_is_undefined_without_passages_or_value():
    assert math.isnan(judge(CEO, "Ada Pym", AFTER, facts=FACTS).supported)
    assert math.isnan(judge(CEO, "unknown", AFTER, facts=FACTS, passages=["x"]).supported)
    assert judge(CEO, "Ada Pym", AFTER, facts=FACTS, passages=["x"]).supported == 0.0


def test_passages_of_an_answer_are_its_hits():
    passage = Passage("p", "d", "Zorbel is led by Lina Orm.", 0, 26)
    answer = Answer("Lina Orm", hits=(Hit(passage, 1.0, 1),))
    assert judge(CEO, answer, AFTER, facts=FACTS).supported == 1.0
    assert math.isnan(judge(CEO, answer, AFTER, facts=FACTS, passages=()).supported)


def test_without_facts_wrong_is_all_one_can_say():
    found = judge(CEO, "Ada Pym", AFTER)
    assert found.outcome == "wrong"
    assert found.stale == 0.0  # the answers are dated, so this is known
    assert math.isnan(found.confused)
    assert judge(CEO, "Tarmo Vex", AFTER).outcome == "stale"
    undated = judge(Question("q", "?", (DatedAnswer("x"),)), "y", AFTER)
    assert (undated.outcome, math.isnan(undated.stale)) == ("wrong", True)
    # Undefined for the question, so undefined for a right answer too: no share is diluted.
    assert math.isnan(judge(CEO, "Lina Orm", AFTER).fabricated)


def test_question_without_answer_key_is_refused():
    with pytest.raises(RagftError, match="question 'q9': has no answer key"):
        judge(Question("q9", "?"), "x", AFTER)


def test_empty_fact_book_holds_nothing():
    assert judge(CEO, "Ada Pym", AFTER, facts=[]).outcome == "fabricated"


@pytest.mark.parametrize(
    ("text", "silent"), [("", True), (" UNKNOWN. ", True), ("unknown x", False)]
)
def test_abstains(text, silent):
    assert abstains(text) is silent


def frame_of(*texts: str, arm: str = "rag", facts=FACTS) -> pd.DataFrame:
    rows = [judge(CEO, text, AFTER, facts=facts).to_dict() for text in texts]
    return pd.DataFrame(rows).assign(arm=arm)


def test_shares_by_hand():
    frame = frame_of("Lina Orm", "Tarmo Vex", "Ada Pym", "Otto Nil", "unknown")
    row = outcome_shares(frame, by=["arm"]).iloc[0]
    assert row["n"] == 5
    for name in ("correct", "stale", "confused", "fabricated", "abstained"):
        assert row[name] == pytest.approx(0.2)
    assert row["hallucination"] == pytest.approx(3 / 5)
    assert row["hallucination_attempted"] == pytest.approx(3 / 4)
    assert (row["n_hallucination_attempted"], row["n_supported"]) == (4, 0)
    assert math.isnan(row["supported"])


def test_right_refusal_is_no_attempt():
    rows = [judge(NOBODY, text, AFTER, facts=FACTS).to_dict() for text in ("unknown", "Ada Pym")]
    row = outcome_shares(pd.DataFrame(rows), by=[]).iloc[0]
    assert (row["correct"], row["refused_rightly"], row["hallucination"]) == (0.5, 0.5, 0.5)
    assert (row["hallucination_attempted"], row["n_hallucination_attempted"]) == (1.0, 1)


def test_shares_without_facts_are_nan_with_a_count_of_none():
    row = outcome_shares(frame_of("Lina Orm", "Ada Pym", "Tarmo Vex", facts=None)).iloc[0]
    assert math.isnan(row["confused"])
    assert (row["n_confused"], row["n_fabricated"], row["n_stale"]) == (0, 0, 3)
    assert row["stale"] == pytest.approx(1 / 3)
    assert row["hallucination"] == pytest.approx(2 / 3)


def test_outcome_alone_is_enough_and_wrong_makes_kinds_undefined():
    known = score_columns(pd.DataFrame({"outcome": ["correct", "stale"]}))
    assert known["stale"].tolist() == [0.0, 1.0]
    vague = score_columns(pd.DataFrame({"outcome": ["correct", "wrong"]}))
    assert vague["stale"].isna().all()
    assert vague["hallucination"].tolist() == [0.0, 1.0]


def test_groups_stay_apart():
    frame = pd.concat([frame_of("Lina Orm"), frame_of("Ada Pym", arm="prompt")])
    table = outcome_shares(frame, by=["arm"]).set_index("arm")
    assert table.loc["rag", "correct"] == 1.0
    assert table.loc["prompt", "correct"] == 0.0


def test_bad_frames_are_refused():
    with pytest.raises(RagftError, match="no column 'outcome'"):
        score_columns(pd.DataFrame({"x": [1]}))
    with pytest.raises(RagftError, match="no outcome 'right'"):
        score_columns(pd.DataFrame({"outcome": ["right"]}))
    with pytest.raises(RagftError, match="no column 'day'"):
        outcome_shares(frame_of("x"), by=["day"])


def test_empty_frame_has_no_groups():
    assert len(outcome_shares(pd.DataFrame({"outcome": [], "arm": []}))) == 0
