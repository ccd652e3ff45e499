import pandas as pd
import pytest

from ragft import plotting
from ragft.types import RagftError


def shares():
    row = {"correct": 0.5, "abstained": 0.1, "stale": 0.2, "confused": 0.15, "fabricated": 0.05}
    ends = {"correct_low": 0.4, "correct_high": 0.6, "wrong_low": 0.3, "wrong_high": 0.5}
    return pd.DataFrame([{"arm": arm, **row, **ends} for arm in ("rag", "prompt")])


def test_outcome_bars_show_the_shares_in_the_order_of_arms(texts, faults):
    figure = plotting.outcomes(shares(), "Outcomes", "n = 20")
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Prompt only", "RAG"]
    widths = [round(p.get_width(), 6) for p in axes.patches][:5]
    assert widths == [50, 10, 20, 15, 5]
    assert "wrong 40 % [30, 50]" in texts(figure)
    assert faults(figure) == []


def test_undefined_shares_are_left_out_and_not_zero():
    frame = shares().assign(confused=float("nan"))
    figure = plotting.outcomes(frame)
    assert len([p for p in figure.axes[0].patches if p.get_width() > 0]) == 8


def test_a_saved_figure_is_the_same_twice_and_1600_pixels_wide(tmp_path):
    one = plotting.save(plotting.outcomes(shares()), tmp_path / "a.png").read_bytes()
    two = plotting.save(plotting.outcomes(shares()), tmp_path / "b.png").read_bytes()
    assert one == two and int.from_bytes(one[16:20], "big") == 1600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_no_data_and_missing_columns_are_errors():
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.outcomes(pd.DataFrame())
    with pytest.raises(RagftError, match="no column 'correct'"):
        plotting.outcomes(pd.DataFrame({"arm": ["rag"]}))
