import matplotlib as mpl
import pytest

from ragft import plotting
from ragft.plotting import style
from ragft.types import RagftError


def test_every_public_name_can_be_imported():
    assert [name for name in plotting.__all__ if not hasattr(plotting, name)] == []


def test_an_arm_that_there_is_not():
    with pytest.raises(RagftError, match="no arm 'x'"):
        plotting.look("x")


def test_the_style_is_left_as_it_was(frames):
    before = dict(mpl.rcParams)
    plotting.freshness(frames.summary({"rag": ["never"]}, [0, 30]), [])
    plotting.ledger(frames.claims()[:1])
    assert dict(mpl.rcParams) == before


def test_line_styles_tell_the_upkeep_and_references_are_thin():
    assert [style.line_style("rag", p) for p in ("nightly", "weekly", "never")] == ["-", "--", ":"]
    assert style.line_style("oracle", "") == "--" and style.line_width("oracle", "") == 1
    assert style.line_width("rag", "nightly") == 2


def test_the_two_solid_lines_of_an_arm_differ_in_width():
    for one, two in (("nightly", "at once"), ("continued", "rehearsed")):
        assert style.line_style("rag", one) == style.line_style("rag", two) == "-"
        assert style.line_width("rag", one) != style.line_width("rag", two)


def test_policies_are_named_by_what_they_mean_for_the_arm():
    assert style.policy_words("rag", "nightly") == "index nightly"
    assert style.policy_words("finetuned_rag", "nightly") == "index nightly,\nadapter never"
    assert style.policy_word("finetuned_rag", "monthly") == "and adapter\nmonthly"
    assert style.policy_words("rag", "hourly") == "hourly"


def test_counts_are_a_range_only_where_they_differ(frames):
    frame = frames.summary({"rag": ["never"]}, [0, 30])
    assert style.counts(frame) == "n = 400 questions a point."
    frame.loc[0, "n"] = 1200
    assert style.counts(frame) == "n = 400 to 1,200 questions a point."


def test_a_number_and_its_per_cent_stay_on_one_line_of_a_caption():
    figure = mpl.figure.Figure()
    style.caption(figure, "x" * 135 + " 95 % of all")
    assert figure.get_supxlabel() == "x" * 135 + "\n95 % of all"


def test_texts_are_broken_at_a_width_and_shortened_to_a_number_of_lines():
    text = "one two three four five six seven"
    assert style.wrap(text, 9, 8) == [text]
    lines = style.wrap(text, 0.9, 8)
    assert len(lines) > 2 and " ".join(lines) == text
    assert style.wrap(text, 0.9, 8, lines=2) == [lines[0], style.wrap(text, 0.9, 8, lines=2)[1]]
    assert style.wrap(text, 0.9, 8, lines=2)[1].endswith(" …")
