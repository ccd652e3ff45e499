from datetime import date

import matplotlib as mpl
import pandas as pd
import pytest

mpl.use("Agg")

from ragft import plotting
from ragft.types import RagftError


def shares():
    row = {"correct": 0.5, "abstained": 0.1, "stale": 0.2, "confused": 0.15, "fabricated": 0.05}
    ends = {"correct_low": 0.4, "correct_high": 0.6, "wrong_low": 0.3, "wrong_high": 0.5}
    return pd.DataFrame([{"arm": arm, **row, **ends} for arm in ("rag", "prompt")])


LINES = (("rag", "never", 0.5), ("rag", "refreshed", 0.9), ("prior", "", 0.52))


def days():
    return pd.DataFrame(
        [
            {"arm": arm, "policy": policy, "day": day, "measure": "accuracy",
             "mean": mean, "low": mean - 0.05, "high": mean + 0.05}
            for arm, policy, mean in LINES
            for day in pd.to_datetime([date(2020, 1, 1), date(2021, 1, 1)])
        ]
    )  # fmt: skip


def texts(figure):
    figure.canvas.draw()
    return [t for t in figure.findobj(mpl.text.Text) if t.get_text().strip() and t.get_visible()]


def overlaps(figure):
    """Pairs of texts on the canvas that lie on each other."""
    renderer = figure.canvas.get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts(figure)]
    canvas = figure.bbox
    boxes = [(t, b) for t, b in boxes if b.width and b.overlaps(canvas)]
    return [
        (a, b)
        for i, (a, one) in enumerate(boxes)
        for b, two in boxes[i + 1 :]
        if one.x0 < two.x1 - 1
        and two.x0 < one.x1 - 1
        and one.y0 < two.y1 - 1
        and two.y0 < one.y1 - 1
    ]


def test_outcome_bars_show_the_shares_in_the_order_of_arms():
    figure = plotting.outcomes(shares(), "Outcomes", "n = 20")
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Prompt only", "RAG"]
    widths = [round(p.get_width(), 6) for p in axes.patches][:5]
    assert widths == [50, 10, 20, 15, 5]
    assert any(t.get_text() == "wrong 40 % [30, 50]" for t in texts(figure))
    assert not overlaps(figure)


def test_undefined_shares_are_left_out_and_not_zero():
    frame = shares().assign(confused=float("nan"))
    figure = plotting.outcomes(frame)
    assert len([p for p in figure.axes[0].patches if p.get_width() > 0]) == 8


def test_lines_over_days_carry_the_data_and_their_names():
    figure = plotting.over_days(days(), {"accuracy": "correct, %"}, "Drift", "n = 20")
    lines = figure.axes[0].get_lines()
    assert [list(line.get_ydata()) for line in lines] == [[50, 50], [90, 90], [52, 52]]
    assert [line.get_linestyle() for line in lines] == [":", "-", "-"]
    shown = {t.get_text() for t in texts(figure)}
    assert {"RAG, never", "RAG, refreshed", "Guessing", "correct, %", "Drift"} <= shown
    assert not overlaps(figure)


def test_names_are_pushed_apart_and_keep_their_order():
    placed = plotting._spread([10.0, 10.5, 30.0], 5.0)
    assert placed[1] - placed[0] >= 5 - 1e-6 and placed[2] == 30
    assert placed[0] < 10 < placed[1]


def test_the_style_is_left_as_it_was():
    before = dict(mpl.rcParams)
    plotting.outcomes(shares())
    assert dict(mpl.rcParams) == before


def test_a_saved_figure_is_the_same_twice_and_1600_pixels_wide(tmp_path):
    one = plotting.save(plotting.outcomes(shares()), tmp_path / "a.png").read_bytes()
    two = plotting.save(plotting.outcomes(shares()), tmp_path / "b.png").read_bytes()
    assert one == two and int.from_bytes(one[16:20], "big") == 1600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("draw", [plotting.outcomes, lambda f: plotting.over_days(f, {"x": "x"})])
def test_no_data_and_missing_columns_are_errors(draw):
    with pytest.raises(RagftError, match="no data to draw"):
        draw(pd.DataFrame())
    with pytest.raises(RagftError, match="no column"):
        draw(pd.DataFrame({"arm": ["rag"]}))


def test_an_arm_that_there_is_not():
    with pytest.raises(RagftError, match="no arm 'x'"):
        plotting.look("x")
