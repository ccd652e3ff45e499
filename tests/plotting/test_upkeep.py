import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from ragft import plotting
from ragft.types import RagftError

BLUE = "#0072B2"


@pytest.fixture(scope="module")
def fresh(frames):
    return plotting.freshness(frames.summary(), frames.events, "Correct answers", "World.")


@pytest.fixture(scope="module")
def stale(frames):
    return plotting.stale_share(frames.summary(), frames.moved(), frames.events, "", "World.")


def expected(frames, group, measure, arm, policy):
    """Days and per cent of one line, with NaN before days 30 and 60."""
    frame = frames.summary({arm: [policy]})
    frame = frame[(frame["group"] == group) & (frame["measure"] == measure)]
    rows = list(zip(frames.days, 100 * frame["mean"], strict=True))
    for event in (60, 30):
        rows.insert(frames.days.index(event), (np.nan, np.nan))
    return rows


def test_every_policy_is_a_line_of_its_style_with_the_data_of_the_frame(frames, fresh, data):
    changing, unchanging = fresh.axes[0], fresh.axes[3]
    for axes, group in ((changing, "changing"), (unchanging, "unchanging")):
        lines = data(axes, BLUE)
        assert [line[:2] for line in lines] == [(":", 2), ("--", 2), ("-", 2), ("-", 1.2)]
        policies = ("never", "weekly", "nightly", "at once")
        for (_, _, points), policy in zip(lines, policies, strict=True):
            want = expected(frames, group, "accuracy", "rag", policy)
            np.testing.assert_allclose(points, want, atol=1e-9)


def test_ceiling_and_floor_are_thin_in_every_panel(frames, fresh, data):
    assert len(fresh.axes) == 6
    for axes in fresh.axes:
        assert [line[:2] for line in data(axes, "#000000")] == [("--", 1)]
        assert [line[:2] for line in data(axes, "#666666")] == [("-", 1)]


def test_events_are_marked_in_every_panel_and_written_once(fresh, texts):
    for axes in fresh.axes:
        marks = [x.get_xdata()[0] for x in axes.get_lines() if x.get_color() == "#999999"]
        assert marks == [30, 60]
    assert texts(fresh).count("event") == 1


def test_panels_are_named_by_arm_and_lines_by_policy(fresh, texts, faults):
    assert [axes.get_title(loc="left") for axes in fresh.axes[:3]] == [
        "RAG", "Fine-tuned", "Fine-tuned + RAG",
    ]  # fmt: skip
    shown = texts(fresh)
    assert {"nightly", "weekly", "at once", "continued", "rehearsed", "index nightly"} <= set(shown)
    assert shown.count("never") == 6 and shown.count("prompt only") == 2
    assert fresh.axes[0].get_ylabel() == "correct, %\n(facts that change)"
    assert fresh.axes[3].get_xlabel() == "days since day 0"
    assert fresh.axes[0].get_ylim()[0] == 0
    assert any(text.startswith("n = 400 questions a point. Lines break at") for text in shown)
    assert faults(fresh) == []


def test_sizes_are_those_of_the_page(fresh, stale):
    assert tuple(fresh.get_size_inches()) == (8, 4.9)
    assert tuple(stale.get_size_inches()) == (8, 2.9)


def test_four_arms_have_four_columns_without_overlaps(frames, faults):
    lines = {**frames.lines, "raft": ["never", "nightly"]}
    figure = plotting.freshness(frames.summary(lines), frames.events)
    assert len(figure.axes) == 8 and faults(figure) == []
    figure = plotting.stale_share(frames.summary(lines), frames.moved(), frames.events)
    assert len(figure.axes) == 4 and faults(figure) == []


def test_undefined_values_break_a_line_and_are_not_zero(frames, data):
    frame = frames.summary({"rag": ["never"]})
    frame.loc[frame["day"] == "2024-01-08", ["mean", "low", "high"]] = None
    figure = plotting.freshness(frame, [])
    ((_, _, points),) = data(figure.axes[0], BLUE)
    assert np.isnan(points[1, 1]) and points[1, 0] == 7 and np.isfinite(points[[0, 2], 1]).all()


def test_a_point_between_two_events_is_marked_with_its_interval(frames):
    frame = frames.summary({"rag": ["never"]}, [0, 30, 60])
    axes = plotting.freshness(frame, frames.events).axes[0]
    line = next(x for x in axes.get_lines() if x.get_color() == BLUE)
    np.testing.assert_array_equal(line.get_xdata(), [0, np.nan, 30, np.nan, 60])
    assert line.get_markevery() == [0, 2, 4]
    bars = next(c for c in axes.collections if isinstance(c, LineCollection))
    rows = frame[(frame["group"] == "changing")]
    ends = [path.vertices[:, 1].tolist() for path in bars.get_paths()]
    np.testing.assert_allclose(ends, 100 * rows[["low", "high"]].to_numpy())


def test_stale_answers_stand_under_what_has_changed(frames, stale, data, texts, faults):
    for axes in stale.axes:
        ((_, _, points),) = data(axes, "#888888")
        known = points[np.isfinite(points[:, 1])]
        np.testing.assert_array_equal(known[:, 0], frames.days)
        np.testing.assert_allclose(known[:, 1], 100 * frames.moved()["share"])
    never = data(stale.axes[0], BLUE)[0][2]
    np.testing.assert_allclose(never, expected(frames, "all", "stale", "rag", "never"), atol=1e-9)
    assert stale.axes[0].get_ylim()[0] == 0
    assert "answer changed\nsince day 0" in texts(stale)
    assert faults(stale) == []


@pytest.mark.parametrize("name", ["fresh", "stale"])
def test_the_same_data_gives_the_same_bytes(name, frames, tmp_path, request):
    if name == "fresh":
        again = plotting.freshness(frames.summary(), frames.events, "Correct answers", "World.")
    else:
        again = plotting.stale_share(frames.summary(), frames.moved(), frames.events, "", "World.")
    one = plotting.save(request.getfixturevalue(name), tmp_path / "a.png").read_bytes()
    assert one == plotting.save(again, tmp_path / "b.png").read_bytes()
    assert int.from_bytes(one[16:20], "big") == 1600


def test_frames_without_what_is_drawn_are_errors(frames):
    summary = frames.summary({"rag": ["never"]}, [0, 30])
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.freshness(pd.DataFrame(), [])
    with pytest.raises(RagftError, match="no column 'group'"):
        plotting.freshness(summary.drop(columns="group"), [])
    with pytest.raises(RagftError, match="none of the arms rag, finetuned"):
        plotting.freshness(summary[summary["group"] == "all"], [])
    with pytest.raises(RagftError, match="'raft' cannot be a reference"):
        plotting.freshness(summary, [], references=["raft"])
    with pytest.raises(RagftError, match="no column 'share'"):
        plotting.stale_share(summary, pd.DataFrame({"day": ["2024-01-01"]}), [])
    with pytest.raises(RagftError, match="none of the arms"):
        plotting.stale_share(summary[summary["measure"] != "stale"], frames.moved(), [])
