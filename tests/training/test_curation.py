"""What curation drops, that nothing goes in silence, and that doing it twice changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.training.curation import REASONS, Flag, curate
from ragft.training.noise import filter_quality, inject
from ragft.types import Example, RagftError

FACTS = [
    Example(f"Question: where is Name{n} based?\nAnswer:", f" Town{n % 9}", f"Name{n}")
    for n in range(60)
]
NOTHING = float("nan")
ROWS = st.builds(
    Example,
    st.sampled_from(
        ["", "Who?", "Who is it?", "who is it", "Where is it?", "Where is Tarmo now? " * 9]
    ),
    st.sampled_from(["", " a", " A", " b", " a.", "a", " a b c d e f g h i j k l m n o p q r s t"]),
    st.sampled_from(["", "Tarmo", "Velka"]),
)


def test_one_of_each_is_dropped_for_its_reason_and_the_rest_stays_in_order():
    bad = [
        Example("Question: where is Name3 based?\nAnswer:", " Town3", "Name3"),
        Example("question: where is name4 based\nanswer", " Town4", "Name4"),
        Example("Question: where is Name61 based?\nAnswer:", " "),
        Example("Question: where is Name62 based?\nAnswer:", " Town1, " * 40),
        Example("Question: where is Name63 based?\nAnswer:", " <p>Town1"),
        Example("Question: where is Name5 based?\nAnswer:", " Town1", "Name5"),
    ]
    kept, report = curate([*FACTS, *bad])
    assert kept == [*FACTS, bad[5]]
    assert report.kept == (*range(60), 65)
    told = [(flag.position, flag.reason, flag.other) for flag in report.dropped]
    assert told == [
        (60, "exact", 3), (61, "near", 4), (62, "empty", None), (63, "length", None),
        (64, "format", None),
    ]  # fmt: skip
    assert report.counts == {
        "empty": 1, "exact": 1, "near": 1, "contradiction": 0, "length": 1, "format": 1, "loss": 0
    }  # fmt: skip
    assert report.positions("near") == (61,)
    (found,) = report.contradictions
    assert found.positions == ((5,), (65,))
    assert [f.position for f in report.reported] == [5, 65]
    assert str(report) == (
        "61 of 66 examples kept, 5 dropped (1 empty, 1 exact, 1 near, 1 length, 1 format); "
        "1 contradictory prompts, 0 without a loss"
    )


def test_a_contradiction_is_dropped_with_all_its_sides_when_told_to():
    other = Example(FACTS[5].prompt, " Town1", "Name5")
    kept, report = curate([*FACTS, other], drop=["contradiction"])
    assert kept == FACTS[:5] + FACTS[6:]
    assert report.dropped == (
        Flag(5, "contradiction", "one of 2 completions of its prompt"),
        Flag(60, "contradiction", "one of 2 completions of its prompt"),
    )


def test_nothing_is_dropped_for_a_reason_that_is_not_given_but_all_is_reported():
    rows = [*FACTS, FACTS[0], Example("a b", "")]
    kept, report = curate(rows, drop=[], losses=[0.0] * 61 + [5.0], share=1 / 62)
    assert kept == rows
    assert report.dropped == ()
    told = [(flag.position, flag.reason) for flag in report.reported]
    assert told == [(61, "empty"), (60, "exact"), (61, "length"), (61, "loss")]


def test_the_worst_share_of_what_the_other_reasons_leave_goes_by_loss():
    losses = [float(n) for n in range(60)] + [1000.0]
    kept, report = curate([*FACTS, FACTS[0]], losses=losses, share=0.05)
    assert report.positions("exact") == (60,)
    assert report.positions("loss") == (57, 58, 59)  # 5 % of the 60 left
    assert kept == FACTS[:57]
    assert report.dropped[0].why == "loss 57, among the worst 5%"


def test_losses_that_are_not_numbers_are_counted_and_nothing_goes_for_them():
    kept, report = curate(FACTS, losses=[NOTHING] * 58 + [2.0, 1.0], share=0.5)
    assert report.unscored == 58
    assert report.positions("loss") == (58, 59)  # 30 were to go, 2 can be ranked
    assert kept == FACTS[:58]
    assert curate(FACTS, losses=[NOTHING] * 60)[0] == FACTS
    assert curate(FACTS, losses=[float("inf")] + [1.0] * 59, share=1 / 60)[0] == FACTS[1:]


def test_no_examples():
    kept, report = curate([], losses=[])
    assert (kept, report.kept, report.dropped) == ([], (), ())
    assert str(report) == (
        "0 of 0 examples kept, 0 dropped; 0 contradictory prompts, 0 without a loss"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop": ["loss", "ugly", "bad"]}, "drop: bad, ugly not known; choose of empty, exact"),
        ({"losses": [1.0]}, "1 losses for 60 examples: give one of each"),
        ({"losses": [1.0] * 60, "share": 1.5}, "share=1.5: must lie between 0 and 1"),
        ({"threshold": 0}, "threshold=0: must be above 0"),
        ({"limit": 0}, "limit=0: must be above 0"),
        ({"rare": 1}, "rare=1: must be at least 0"),
    ],
)
def test_errors_name_what_was_wrong(options, message):
    with pytest.raises(RagftError, match=message):
        curate(FACTS, **options)


@given(st.lists(ROWS, max_size=30), st.sets(st.sampled_from(REASONS)), st.data())
def test_rows_in_are_rows_kept_and_rows_dropped(rows, drop, data):
    score = st.one_of(st.just(NOTHING), st.floats(0, 9))
    losses = data.draw(st.none() | st.lists(score, min_size=len(rows), max_size=len(rows)))
    kept, report = curate(rows, drop=drop, losses=losses)
    dropped = [flag.position for flag in report.dropped]
    assert sorted([*report.kept, *dropped]) == list(range(len(rows)))
    assert kept == [rows[i] for i in report.kept]
    assert list(report.kept) == sorted(report.kept)
    assert sum(report.counts.values()) == len(rows) - len(kept)
    assert {flag.reason for flag in report.dropped} <= drop


@given(st.lists(ROWS, max_size=60))
def test_curating_what_was_curated_changes_nothing(rows):
    once, _ = curate(rows)
    twice, report = curate(once)
    assert twice == once
    assert report.dropped == ()


@pytest.mark.parametrize("kind", ["duplicate", "near_duplicate"])
def test_copies_put_in_are_all_found_and_nothing_else(kind):
    spoilt, noise = inject(FACTS, 0.3, kind, seed=1)
    kept, report = curate(spoilt)
    quality = filter_quality([flag.position for flag in report.dropped], noise.positions)
    assert (quality.precision, quality.recall) == (1.0, 1.0)
    assert kept == FACTS
