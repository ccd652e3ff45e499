"""Members and others are dealt by chance alone, and the scores are differences by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.evaluation.uncertainty import auroc
from ragft.training.membership import membership, membership_scores
from ragft.types import Example, RagftError

EXAMPLES = [
    Example(f"{ask} {n}?", f" {n}", f"Name{n}") for n in range(40) for ask in ("Who", "Where")
]


@given(st.integers(0, 20), st.sampled_from(["subject", "example"]))
def test_all_are_dealt_once_and_half_are_members(seed, by):
    dealt = membership(EXAMPLES, by=by, seed=seed)
    assert sorted([*dealt.members, *dealt.others]) == list(range(80))
    assert len(dealt.members) == 40
    assert np.flatnonzero(dealt.labels).tolist() == list(dealt.members)
    assert dealt == membership(EXAMPLES, by=by, seed=seed)


def test_the_wordings_of_a_subject_are_on_one_side_unless_told_otherwise():
    dealt = membership(EXAMPLES)
    assert {i // 2 for i in dealt.members}.isdisjoint(i // 2 for i in dealt.others)
    assert len(set(dealt.clusters)) == 40
    apart = membership(EXAMPLES, by="example")
    assert not {i // 2 for i in apart.members}.isdisjoint(i // 2 for i in apart.others)
    assert len(set(apart.clusters)) == 80
    nameless = [Example(f"Who {n}?", " x") for n in range(6)]
    assert len(membership(nameless).members) == 3


def test_every_example_is_a_member_half_of_the_time():
    often = sum(membership(EXAMPLES, seed=seed).labels for seed in range(400)) / 400
    assert abs(often - 0.5).max() < 0.12  # 4.8 standard errors of .025


def test_any_score_that_knows_nothing_of_training_has_an_auc_of_one_half_on_average():
    lengths = [float(i) for i in range(80)]
    areas = [
        auroc(lengths, membership(EXAMPLES, seed=seed).labels, n_boot=1).mean for seed in range(200)
    ]
    assert np.mean(areas) == pytest.approx(0.5, abs=0.025)  # .065 / sqrt(200) × 5


def test_scores_by_hand():
    assert membership_scores([1.0, 2.0]).tolist() == [-1.0, -2.0]
    assert membership_scores([1.0, 2.0], [3.0, 2.5]).tolist() == [2.0, 0.5]
    assert np.isnan(membership_scores([float("nan")])).all()
    assert membership_scores([]).shape == (0,)
    with pytest.raises(RagftError, match="2 losses, but 1 before training"):
        membership_scores([1.0, 2.0], [1.0])


def test_errors_name_what_was_wrong():
    with pytest.raises(RagftError, match="by='day': choose 'subject' or 'example'"):
        membership(EXAMPLES, by="day")
    with pytest.raises(RagftError, match="40 members and 40 others: at least 500 of each"):
        membership(EXAMPLES, at_least=500)
    with pytest.raises(RagftError, match="0 members and 0 others"):
        membership([])
    with pytest.raises(RagftError, match="0 members and 2 others: .*more subjects"):
        membership(EXAMPLES[:2])
