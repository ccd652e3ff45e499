"""One cause for every wrong answer, none for a right one; and counts that miss nothing."""

import math
from datetime import date

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.evaluation.outcomes import WRONG, Judgement, judge
from ragft.evaluation.tracing import (
    CAUSES,
    MEANING,
    UNTRACEABLE,
    Standing,
    cause,
    causes,
    first_rank,
    needed,
    right_passages,
    standing,
)
from ragft.types import OUTCOMES, Answer, DatedAnswer, Passage, Question, RagftError

OLD, NEW = date(2020, 1, 1), date(2024, 1, 1)
ASKED = Question(
    "q",
    "Who leads Tarmo?",
    (
        DatedAnswer("Ann", OLD, NEW, ("a@0",)),
        DatedAnswer("Bob", NEW, None, ("a@1", "news")),
    ),
    asked_on=NEW,
    supporting=("a@1",),
)
ABSENT = Question("q?", "Where is Tarmo?", (), NEW, answerable=False)
NOWHERE = Standing(False, False, False)
HELD = Standing(True, False, False)
FOUND = Standing(True, True, False)
SHOWN = Standing(True, True, True)


def passage(doc, number, text):
    return Passage(f"{doc}#{number}", doc, text, 0, len(text))


def why(question, said, where, day=NEW):
    answer = Answer(said)
    return cause(judge(question, answer, day), answer, where)


@pytest.mark.parametrize(
    ("said", "where", "expected"),
    [
        ("Ann", NOWHERE, "not in the corpus"),
        ("Ann", HELD, "not retrieved"),
        ("Ann", FOUND, "ranked too low"),
        ("Ann", SHOWN, "read wrongly"),
        ("unknown", SHOWN, "wrongly refused"),
        ("refused", SHOWN, "wrongly refused"),
        ("Bob", NOWHERE, None),
        ("Bob", SHOWN, None),
        # The arm could do no better than to abstain: the search is at fault.
        ("unknown", NOWHERE, "not in the corpus"),
        ("unknown", HELD, "not retrieved"),
        ("unknown", FOUND, "ranked too low"),
        ("Ann", None, UNTRACEABLE),
        ("unknown", None, UNTRACEABLE),
        ("Bob", None, None),
    ],
)
def test_the_cause_is_the_first_step_that_failed(said, where, expected):
    assert why(ASKED, said, where) == expected


def test_a_value_for_what_nothing_answers_was_read_wrongly():
    assert why(ABSENT, "Oslo", NOWHERE) == "read wrongly"
    assert why(ABSENT, "unknown", NOWHERE) is None
    assert why(ABSENT, "Oslo", None) == UNTRACEABLE
    before = date(2019, 1, 1)
    assert why(ASKED, "Ann", NOWHERE, before) == "read wrongly", "nobody led it then"


def test_every_cause_has_a_meaning():
    assert list(MEANING) == [*CAUSES, UNTRACEABLE]


def test_any_document_that_states_it_will_do():
    assert needed(ASKED, NEW) == ({"a@1", "news"},)
    assert needed(ASKED, OLD) == ({"a@0"},)
    assert needed(Question("q", "Who?", (DatedAnswer("Bob"),)), NEW) == ()


def test_two_hops_need_both_documents():
    hop = Question(
        "q",
        "Where was the head of Tarmo born?",
        (DatedAnswer("Oslo", None, None, ("bob@0", "bob@1")),),
        NEW,
        kind="two_hop",
        supporting=("a@1", "bob@1"),
    )
    assert needed(hop, NEW) == ({"bob@0", "bob@1"}, {"a@1"})
    files = Question("q", "Where?", (DatedAnswer("Oslo", documents=("a", "b")),), kind="two_hop",
                     supporting=("a", "b"))  # fmt: skip
    assert needed(files, None) == ({"a"}, {"b"})
    right = right_passages(hop, NEW, [passage("a@1", 0, "Bob"), passage("bob@1", 0, "Oslo")])
    assert right == ({"bob@1#0"}, {"a@1#0"})
    assert standing(right, ["a@1#0", "bob@1#0"], ["bob@1#0"]) == FOUND
    assert standing(right, ["bob@1#0"], ["bob@1#0"]) == HELD
    assert standing((*right[:1], frozenset()), ["bob@1#0"], ["bob@1#0"]) == NOWHERE
    assert first_rank(right, {"a@1#0": 7, "bob@1#0": 2}) == 7
    assert math.isnan(first_rank(right, {"bob@1#0": 2}))


def test_of_a_document_the_passages_count_that_state_it():
    told = [passage("a@1", 0, "About Tarmo."), passage("a@1", 1, "It is led by Bob.")]
    other = [passage("b", 0, "Bob is tall.")]
    assert right_passages(ASKED, NEW, told + other) == ({"a@1#1"},)
    vague = [passage("news", 0, "A new head."), passage("news", 1, "His name begins with B.")]
    assert right_passages(ASKED, NEW, vague) == ({"news#0", "news#1"},)
    assert right_passages(ASKED, NEW, told + vague) == ({"a@1#1", "news#0", "news#1"},)
    assert right_passages(ASKED, NEW, other) == (frozenset(),)


def test_several_right_passages_stand_where_the_first_one_stands():
    right = ({"x", "y"},)
    assert first_rank(right, {"x": 9, "y": 3, "z": 1}) == 3
    assert standing(right, ["x"], []) == FOUND and standing(right, ["x"], ["y"]) == SHOWN
    assert standing(right, [], ["y"]) == SHOWN, "what was shown was found"
    assert standing((), ["x"], ["x"]) == NOWHERE and math.isnan(first_rank((), {"x": 1}))


STANDINGS = st.none() | st.sampled_from([NOWHERE, HELD, FOUND, SHOWN])


@st.composite
def rows(draw):
    outcome = draw(st.sampled_from([*OUTCOMES, WRONG]))
    refused = math.nan
    if outcome != "abstained":
        refused = draw(st.sampled_from([math.nan, float(outcome == "correct")]))
    answer = Answer("unknown" if outcome == "abstained" else "Ann")
    why = cause(Judgement(outcome, refused_rightly=refused), answer, draw(STANDINGS))
    return {"arm": draw(st.sampled_from("ab")), "outcome": outcome, "cause": why}


@given(st.lists(rows(), max_size=30))
def test_the_causes_add_up_to_all_wrong_answers(given_rows):
    frame = pd.DataFrame(given_rows, columns=["arm", "outcome", "cause"])
    wrong = frame[frame["outcome"] != "correct"]
    table = causes(frame)
    assert table["count"].sum() == len(wrong)
    for arm, part in table.groupby("arm"):
        mine = wrong[wrong["arm"] == arm]
        assert part["count"].sum() == len(mine) and set(part["wrong"]) == {len(mine)}
        assert list(part["cause"]) == [*CAUSES, UNTRACEABLE]
        assert part["share"].sum() == pytest.approx(1) if len(mine) else part["share"].isna().all()
    together = causes(frame, by=())
    assert together["count"].sum() == len(wrong) and set(together["n"]) == {len(frame)}


def test_counts_by_hand():
    said = ["read wrongly", "read wrongly", "not retrieved", None]
    outcome = ["stale", "wrong", "abstained", "correct"]
    frame = pd.DataFrame({"arm": "rag", "outcome": outcome, "cause": said})
    table = causes(frame).set_index("cause")
    assert table.loc["read wrongly", ["arm", "count", "wrong", "n"]].tolist() == ["rag", 2, 3, 4]
    assert table.loc["read wrongly", "share"] == pytest.approx(2 / 3)
    assert table.loc["ranked too low", "count"] == 0
    both = causes(frame.assign(seed=[0, 0, 1, 1]), by=["arm", "seed"])
    assert list(both.columns[:2]) == ["arm", "seed"] and both["wrong"].unique().tolist() == [2, 1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"outcome": ["stale"]}, "no column 'cause'"),
        ({"outcome": ["stale"], "cause": ["bad luck"]}, "no cause 'bad luck'; there are"),
        ({"outcome": ["stale"], "cause": [None]}, "'stale' has the cause .*; wrong answers have"),
        ({"outcome": ["correct"], "cause": ["read wrongly"]}, "right ones none"),
    ],
)
def test_a_frame_that_would_not_add_up_is_refused(columns, message):
    with pytest.raises(RagftError, match=message):
        causes(pd.DataFrame(columns), by=())
    with pytest.raises(RagftError, match="no column 'arm'"):
        causes(pd.DataFrame({"outcome": [], "cause": []}))
