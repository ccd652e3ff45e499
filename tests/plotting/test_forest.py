import math

import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.types import RagftError

COLOURS = {arm: plotting.ARMS[arm].colour for arm in ("rag", "raft")}
REMEDIES = {"newest version only": 0.2, "a date in the heading of every passage": -0.123,
            "prompt": 0.0004}  # fmt: skip


def remedies(groups=("1 old version", "2 old versions"), arms=("raft", "rag")):
    rows = [
        {"group": group, "remedy": remedy, "arm": arm, "mean": mean / (1 + place), "n": 400}
        for group in groups
        for remedy, mean in REMEDIES.items()
        for place, arm in enumerate(arms)
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(low=frame["mean"] - 0.027, high=frame["mean"] + 0.032)


def alone():
    """One row a remedy, of no arm and in no group."""
    return remedies(("",), ("rag",)).drop(columns=["group", "arm"])


def drawn(figure):
    """Height, colour, marker, difference and interval of each row, from the top."""
    lines = [x for x in figure.axes[0].get_lines() if x.get_color() != "#555555"]
    bars = {x.get_ydata()[0]: list(x.get_xdata()) for x in lines if len(x.get_xdata()) == 2}
    marks = {x.get_ydata()[0]: x for x in lines if len(x.get_xdata()) == 1}
    return [
        (y, marks[y].get_color(), marks[y].get_marker(), marks[y].get_xdata()[0], bars.get(y))
        for y in sorted(marks)
    ]


def test_each_arm_of_a_remedy_has_a_row_with_its_difference_in_points():
    frame = remedies()
    found = drawn(plotting.forest(frame))
    # In each remedy RAG comes first, as in every figure.
    want = frame.iloc[[1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10]]
    assert [colour for _, colour, _, _, _ in found] == [COLOURS[arm] for arm in want["arm"]]
    assert [marker for _, _, marker, _, _ in found] == ["o", "v"] * 6
    np.testing.assert_allclose([x for *_, x, _ in found], 100 * want["mean"])
    np.testing.assert_allclose([bar for *_, bar in found], 100 * want[["low", "high"]])
    heights = np.diff([y for y, *_ in found])
    np.testing.assert_allclose(heights[::2], 0.19)
    assert (heights[1::2] > 0.19).all()


def test_zero_is_a_line_with_its_words_and_lies_within_the_axis(texts, faults):
    for sign in (1, -1):
        frame = remedies()
        figure = plotting.forest(frame.assign(mean=0.2 * sign, low=0.18 * sign, high=0.19 * sign))
        axes = figure.axes[0]
        zero = [x.get_xdata() for x in axes.get_lines() if x.get_color() == "#555555"]
        assert zero == [[0, 0]]
        low, high = axes.get_xlim()
        assert low < 0 < high and "no\neffect" in texts(figure)
        assert faults(figure) == []


def test_names_values_and_groups_are_written(texts, faults):
    figure = plotting.forest(remedies(), "Remedies", "World.", xlabel="correct, points")
    shown = texts(figure)
    assert {"1 old version", "2 old versions", "Remedies", "correct, points"} <= set(shown)
    assert {"−12.3 [−15.0, −9.1]", "+20.0 [17.3, 23.2]", "points [95 %]"} <= set(shown)
    # What is rounded to nothing has no sign.
    assert "0.0 [−2.7, 3.2]" in shown
    assert shown.count("RAG") == 6 and shown.count("newest version only") == 2
    assert "n = 400 questions a row. Bars: 95 %. World." in shown
    assert faults(figure) == []


def test_without_arms_and_groups_there_is_a_row_a_remedy(texts, faults):
    figure = plotting.forest(alone(), "Remedies")
    assert {(colour, marker) for _, colour, marker, _, _ in drawn(figure)} == {("#444444", "o")}
    assert len(drawn(figure)) == 3
    assert "paired difference, points" in texts(figure)
    assert faults(figure) == []


def test_a_single_arm_is_named_in_the_caption_only(texts, faults):
    figure = plotting.forest(remedies(arms=("rag",)), "Remedies")
    shown = texts(figure)
    assert "RAG" not in shown and "Arm: RAG. n = 400 questions a row. Bars: 95 %." in shown
    assert {colour for _, colour, *_ in drawn(figure)} == {COLOURS["rag"]}
    assert faults(figure) == []


def test_a_name_that_is_long_is_broken_and_the_figure_grows(faults):
    frame = alone()
    long = frame.assign(remedy=[f"{name} {'and more ' * 9}" for name in frame["remedy"]])
    figure = plotting.forest(long, "Remedies", "World.")
    assert faults(figure) == []
    assert figure.get_figwidth() == 8
    assert figure.get_figheight() > plotting.forest(frame, "Remedies", "World.").get_figheight()


def test_many_rows_stay_apart(faults):
    arms = ("rag", "finetuned", "finetuned_rag", "raft", "oracle")
    figure = plotting.forest(remedies([f"{i} old versions" for i in range(4)], arms), "Remedies")
    assert len(drawn(figure)) == 60 and faults(figure) == []


def test_what_is_not_applicable_is_said_and_a_missing_difference_is_blank(texts):
    frame = remedies(("",)).assign(applicable=True)
    frame.loc[0, "applicable"] = False
    frame.loc[1, ["mean", "low", "high"]] = math.nan
    frame.loc[2, ["low", "high"]] = math.nan
    figure = plotting.forest(frame)
    found, shown = drawn(figure), texts(figure)
    assert len(found) == 4 and shown.count("not applicable") == 1
    assert [bar is None for *_, bar in found] == [False, True, False, False]
    # A difference without an interval has no brackets.
    assert "−12.3" in shown
    assert shown.count("RAG") == 3


def test_the_same_data_gives_the_same_bytes(tmp_path):
    one, two = (
        plotting.save(plotting.forest(remedies(), "Remedies"), tmp_path / name).read_bytes()
        for name in ("a.png", "b.png")
    )
    assert one == two and int.from_bytes(one[16:20], "big") == 1600


def test_frames_that_cannot_be_drawn_are_errors():
    frame = remedies()
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.forest(frame[:0])
    with pytest.raises(RagftError, match="no column 'remedy'"):
        plotting.forest(frame.drop(columns="remedy"))
    with pytest.raises(RagftError, match="'raft' twice in '1 old version, newest version only'"):
        plotting.forest(pd.concat([frame, frame[:1]]))
    with pytest.raises(RagftError, match="has the remedy 'prompt' twice"):
        plotting.forest(pd.concat([alone(), alone()[2:]]))
    with pytest.raises(RagftError, match=r"20 for 'newest version only' is no difference"):
        plotting.forest(frame.assign(mean=100 * frame["mean"]))
    with pytest.raises(RagftError, match="no arm 'x'"):
        plotting.forest(frame.assign(arm="x")[:1])
    with pytest.raises(RagftError, match="no remedy has a difference"):
        plotting.forest(frame.assign(mean=math.nan))
    with pytest.raises(RagftError, match="no remedy has a difference"):
        plotting.forest(frame.assign(applicable=False))
