"""Personal data reported without its value, and masked so that nothing is left to find."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.training.personal import Finding, find, from_presidio, mask
from ragft.types import Example, RagftError

EXAMPLES = [
    Example("Who has ann@example.org?", " Ann", "Ann"),
    Example("Who leads Tarmo?", " Ida"),
    Example("How is Ida reached?", " by +44 20 7946 0958 or ida@example.org"),
]
PIECES = st.sampled_from(
    ["ann@example.org", "+44 20 7946 0958", "4111 1111 1111 1111", "GB82WEST12345698765432", "GB82",
     "192.168.0.7", "http://ann@192.168.0.7/x", "www.example.org", "<EMAIL>", "<", "(212) 555-0134",
     "5500-0000-0000-0004", "Ida", "@", ".", "-", "1", "::", "2001:db8::1:2"]
)  # fmt: skip
TEXTS = st.lists(st.tuples(PIECES, st.sampled_from(["", " ", ", "])), max_size=8).map(
    lambda pairs: "".join(piece + gap for piece, gap in pairs)
)


def test_findings_are_counted_and_placed_and_their_values_are_not_kept():
    report = find(EXAMPLES)
    assert report.findings == (
        Finding(0, "prompt", 8, 23, "EMAIL"),
        Finding(2, "completion", 4, 20, "PHONE"),
        Finding(2, "completion", 24, 39, "EMAIL"),
    )
    assert report.counts == {"EMAIL": 2, "PHONE": 1}
    assert report.positions == (0, 2)
    assert str(report) == "3 findings in 2 of 3 examples: 2 EMAIL, 1 PHONE"
    assert "example.org" not in repr(report) and "7946" not in repr(report)


def test_masked_by_kind_and_everything_else_stays():
    masked = mask(EXAMPLES, find(EXAMPLES))
    assert [e.prompt for e in masked] == ["Who has <EMAIL>?", *(e.prompt for e in EXAMPLES[1:])]
    assert [e.completion for e in masked] == [" Ann", " Ida", " by <PHONE> or <EMAIL>"]
    assert [e.subject for e in masked] == [e.subject for e in EXAMPLES]
    (only,) = {e.completion for e in mask(EXAMPLES, find(EXAMPLES), ["PHONE"])} - {" Ann", " Ida"}
    assert only == " by <PHONE> or ida@example.org"
    assert EXAMPLES[0].prompt == "Who has ann@example.org?"


def test_of_overlapping_findings_the_longest_counts():
    report = find([Example("http://ann@192.168.0.7/x and DE89370400440532013000", "x")])
    assert report.counts == {"URL": 1, "IBAN": 1}


def test_what_a_longer_finding_hid_is_found_once_that_is_blanked():
    def pairs(text):
        return [(i, i + 2, "AB") for i in range(len(text) - 1) if text[i : i + 2] == "ab"]

    def longer(text):
        return [(1, 4, "BAX")] if text.startswith("abax") else []

    report = find([Example("abaxab", "ab")], recognisers=[pairs, longer])
    told = [(f.field, f.start, f.end, f.kind) for f in report.findings]
    assert told == [
        ("prompt", 1, 4, "BAX"), ("prompt", 4, 6, "AB"), ("completion", 0, 2, "AB")
    ]  # fmt: skip


@given(st.lists(st.builds(Example, TEXTS, TEXTS), max_size=4))
def test_masking_leaves_nothing_to_find_and_so_changes_nothing_when_repeated(rows):
    report = find(rows)
    masked = mask(rows, report)
    again = find(masked)
    assert again.findings == ()
    assert mask(masked, again) == masked
    assert len(masked) == len(rows)
    for example, position in zip(masked, range(len(rows)), strict=True):
        if position not in report.positions:
            assert example == rows[position]


@given(st.lists(st.builds(Example, TEXTS, TEXTS), max_size=4))
def test_findings_do_not_overlap_and_lie_within_the_text(rows):
    last: dict[tuple[int, str], int] = {}
    for one in find(rows).findings:
        assert last.get((one.position, one.field), 0) <= one.start < one.end
        assert one.end <= len(getattr(rows[one.position], one.field))
        last[one.position, one.field] = one.end


def test_nothing_in_nothing():
    assert str(find([])) == "0 findings in 0 of 0 examples"
    assert mask([], find([])) == []
    assert find([Example("", "")]).findings == ()


def test_findings_say_nothing_about_other_examples():
    with pytest.raises(RagftError, match="not the examples that were searched; search them first"):
        mask(EXAMPLES[1:], find(EXAMPLES))


@dataclass
class Result:
    entity_type: str
    start: int
    end: int
    score: float


class Recognizer:
    """What presidio's recognisers look like from outside."""

    supported_entities = ("EMAIL_ADDRESS", "NINO")

    def analyze(self, text, entities, nlp_artifacts):
        assert (entities, nlp_artifacts) == (self.supported_entities, None)
        places = ((name, text.find(name)) for name in ("EMAIL_ADDRESS", "NINO", "DOUBT"))
        return [
            Result(name, start, start + len(name), 0.3 if name == "DOUBT" else 0.5)
            for name, start in places
            if start >= 0
        ]


def test_recognisers_of_presidio_can_take_the_place_of_ours():
    rows = [Example("NINO and EMAIL_ADDRESS and DOUBT and ann@example.org", "x")]
    report = find(rows, recognisers=[from_presidio(Recognizer())])
    assert report.counts == {"NINO": 1, "EMAIL": 1}
    assert mask(rows, report)[0].prompt == "<NINO> and <EMAIL> and DOUBT and ann@example.org"


def test_presidio_itself_finds_the_same_account():
    named = "presidio_analyzer.predefined_recognizers"
    reason = "presidio-analyzer is not installed: no dependency of ragft"
    presidio = pytest.importorskip(named, reason=reason)
    rows = [Example("Pay to GB82WEST12345698765432.", "ok")]
    theirs = find(rows, recognisers=[from_presidio(presidio.IbanRecognizer())])
    assert theirs == find(rows)
