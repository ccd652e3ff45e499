"""Agreement of answers: pairs counted by hand, abstentions, frames and their errors."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.evaluation.consistency import agree, agreement, agreement_frame
from ragft.types import RagftError


def test_agreement_by_hand():
    # Of 6 pairs agree: 1.0 and 1, 1.0 and 1., 1 and 1.
    assert agreement(["1.0", "1", "1.", "2"]) == pytest.approx(3 / 6)
    assert agreement(["a1", "b1", "c1"]) == 0
    assert agreement(["Oslo", "oslo"]) == 1


def test_abstentions_agree_with_each_other_and_with_no_value():
    assert agreement(["unknown", "", "Refused."]) == 1
    assert agreement(["unknown", "Oslo", "unknown", "Oslo"]) == pytest.approx(2 / 6)
    # The string 'unknown' in quotes is a value, such as a default may be.
    assert not agree("unknown", "'unknown'")


def test_one_answer_cannot_agree():
    assert math.isnan(agreement([])) and math.isnan(agreement(["Oslo"]))


@settings(deadline=None)
@given(st.lists(st.sampled_from(["auto", "'auto'", "Auto", "1", "1.0", "True", ""]), min_size=2))
def test_agreement_is_a_share_that_knows_no_order(texts):
    found = agreement(texts)
    assert 0 <= found <= 1
    assert agreement(texts[::-1]) == found
    assert agreement(texts[:1] * len(texts)) == 1


def frame(*rows):
    return pd.DataFrame(rows, columns=["arm", "question_id", "wording", "text"])


def test_a_frame_has_a_row_for_every_group_in_order_of_appearance():
    found = agreement_frame(
        frame(
            ("rag", "q2", 0, "Oslo"),
            ("rag", "q1", 0, "Bergen"),
            ("rag", "q2", 1, "Oslo"),
            ("rag", "q1", 1, "unknown"),
            ("prompt", "q2", 0, "Oslo"),
        )
    )
    assert found[["arm", "question_id"]].to_numpy().tolist() == [
        ["rag", "q2"],
        ["rag", "q1"],
        ["prompt", "q2"],
    ]
    assert found["agreement"].tolist()[:2] == [1, 0] and math.isnan(found["agreement"][2])
    assert found["n"].tolist() == [2, 2, 1] and found["missing"].tolist() == [0, 0, 0]


def test_a_failed_answer_is_counted_and_no_abstention():
    rows = [("rag", "q", n, text) for n, text in enumerate(["Oslo", None, "Oslo", float("nan")])]
    found = agreement_frame(frame(*rows)).iloc[0]
    assert (found["agreement"], found["n"], found["missing"]) == (1, 2, 2)


def test_groups_and_what_varies_can_have_other_names():
    answers = pd.DataFrame({"id": ["a", "a"], "repeat": [0, 1], "said": ["1", "2"]})
    found = agreement_frame(answers, by=["id"], over="repeat", text="said")
    assert list(found) == ["id", "agreement", "n", "missing"]
    assert found["agreement"].tolist() == [0]


def test_an_empty_frame_has_no_groups():
    assert agreement_frame(frame()).empty
    assert list(agreement_frame(frame())) == ["arm", "question_id", "agreement", "n", "missing"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"over": "repeat"}, "no column 'repeat'"),
        ({"by": ["arm", "seed"]}, "no column 'seed'"),
        ({"text": "answer"}, "no column 'answer'"),
        ({"by": []}, "`by` is empty"),
        ({"by": ["arm"]}, "two answers at {'arm': 'rag', 'wording': 0}; add what tells them apart"),
    ],
)
def test_a_frame_that_cannot_be_grouped_is_refused(options, message):
    answers = frame(("rag", "q1", 0, "Oslo"), ("rag", "q2", 0, "Bergen"))
    with pytest.raises(RagftError, match=message):
        agreement_frame(answers, **options)
