import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.types import RagftError


@pytest.fixture(scope="module")
def plane(frames):
    return plotting.cost_accuracy(frames.costs(), "Cost", "World.")


def marks(figure):
    """Seconds and per cent of the marks."""
    lines = [x for x in figure.axes[0].get_lines() if x.get_marker() in ("o", "^", "D")]
    return sorted((float(x.get_xdata()[0]), float(x.get_ydata()[0])) for x in lines)


def test_every_policy_is_a_mark_with_its_interval(frames, plane):
    rows = frames.costs().query("seconds > 0")
    want = sorted(zip(rows["seconds"], 100 * rows["mean"], strict=True))
    np.testing.assert_allclose(marks(plane), want)
    bars = {
        (float(x.get_xdata()[0]), *map(float, x.get_ydata()))
        for x in plane.axes[0].get_lines()
        if x.get_marker() == "None" and x.get_linewidth() == 1.5
    }
    want = {(r.seconds, 100 * r.low, 100 * r.high) for r in rows.itertuples()}
    np.testing.assert_allclose(sorted(bars), sorted(want))
    assert plane.axes[0].get_xscale() == "log" and plane.axes[0].get_ylim()[0] == 0


def test_arms_without_upkeep_are_lines_across(plane):
    levels = [x.get_ydata()[0] for x in plane.axes[0].get_lines() if list(x.get_xdata()) == [0, 1]]
    np.testing.assert_allclose(levels, [2, 95])


def test_every_mark_is_named_and_no_name_lies_on_another(plane, texts, faults):
    shown = texts(plane)
    assert shown.count("RAG") == 4 and shown.count("Fine-tuned") == 4
    assert {"at once", "rehearsed", "and adapter monthly", "no upkeep"} <= set(shown)
    assert "seconds of preparation and upkeep so far (log)" in shown
    assert faults(plane) == []


def test_the_same_data_gives_the_same_bytes(frames, plane, tmp_path):
    one = plotting.save(plane, tmp_path / "a.png").read_bytes()
    again = plotting.cost_accuracy(frames.costs(), "Cost", "World.")
    assert one == plotting.save(again, tmp_path / "b.png").read_bytes()
    assert int.from_bytes(one[16:20], "big") == 1600


def test_rows_without_a_value_are_left_out_and_counted(frames, texts):
    rows = frames.costs()
    rows.loc[rows["policy"] == "weekly", "mean"] = None
    figure = plotting.cost_accuracy(rows, when="on the last day")
    assert figure.axes[0].get_ylabel() == "correct, % (on the last day)"
    assert len(marks(figure)) == 10
    assert any("Left out for want of a value: 1." in text for text in texts(figure))


def test_frames_that_cannot_be_drawn_are_errors(frames):
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.cost_accuracy(pd.DataFrame())
    with pytest.raises(RagftError, match="no column 'seconds'"):
        plotting.cost_accuracy(frames.costs().drop(columns="seconds"))
    with pytest.raises(RagftError, match="no policy has both"):
        plotting.cost_accuracy(frames.costs().assign(seconds=0.0))
