import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.plotting.stages import STAGES
from ragft.plotting.style import look
from ragft.types import RagftError

SIZES = [1_000, 10_000, 100_000]
MEANS = {"embed": [9, 9, 9], "search": [1, 6, 60], "prefill": [80, 82, 81], "decode": [15, 15, 15],
         "own": [0.5, 0.5, 0.6]}  # fmt: skip


def make_stages():
    return pd.DataFrame(
        [{"stage": s, "at": n, "mean": m} for s, ms in MEANS.items()
         for n, m in zip(SIZES, ms, strict=True)]
    )  # fmt: skip


def make_quantiles():
    rows = [
        {"arm": "rag", "at": at, "q": q, "value": (105 + at / 2000) * factor, "n": 300}
        for at in SIZES
        for q, factor in ((0.5, 1), (0.95, 1.3), (0.99, 1.8))
    ]
    rows += [
        {"arm": "finetuned", "at": np.nan, "q": q, "value": 25 * factor, "n": 300}
        for q, factor in ((0.5, 1), (0.95, 1.2), (0.99, 1.5))
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def figure():
    return plotting.stage_curves(
        make_stages(), make_quantiles(), "passages in the index", "Time", "World.", 1_000
    )


def curves(axes, colour):
    return [x for x in axes.get_lines()
            if x.get_color() == colour and not x.get_label().startswith("_")
            or x.get_color() == colour and x.get_label().startswith("_child")]  # fmt: skip


def test_every_stage_is_a_line_of_its_means(figure):
    left = figure.axes[0]
    assert left.get_xscale() == left.get_yscale() == "log"
    drawn = [tuple(x.get_ydata()) for _, colour, _ in STAGES.values() for x in curves(left, colour)]
    for means in MEANS.values():
        assert tuple(means) in drawn


def test_quantiles_are_lines_and_an_arm_that_does_not_depend_is_level(figure):
    right = figure.axes[1]
    rag = [x for x in curves(right, look("rag").colour) if len(x.get_xdata()) == 3]
    assert [x.get_linewidth() for x in rag] == [2.0, 1.0, 1.0]
    assert rag[2].get_linestyle() == ":" and list(rag[0].get_xdata()) == SIZES
    level = curves(right, look("finetuned").colour)[:3]
    assert [list(x.get_ydata()) for x in level] == [[25, 25], [30, 30], [37.5, 37.5]]
    assert all(list(x.get_xdata()) == [1_000, 100_000] for x in level)


def test_marks_are_hollow_where_vectors_were_drawn(figure):
    marks = [x for x in figure.axes[1].get_lines() if x.get_label() == "_mark"]
    faces = {tuple(x.get_xdata()): x.get_markerfacecolor() for x in marks if len(x.get_xdata())}
    assert faces == {(1_000,): look("rag").colour, (10_000, 100_000): "white"}


def test_what_is_written_lies_on_nothing(figure, texts, faults):
    assert not faults(figure)
    written = " ".join(texts(figure))
    for word in ("RAG", "Fine-tuned", "search", "read the prompt", "n = 300", "Hollow", "World."):
        assert word in written
    for axes in figure.axes:
        assert "(log)" in axes.get_xlabel() and "ms (log)" in axes.get_ylabel()


def test_a_stage_that_takes_no_time_is_left_out():
    stages = make_stages()
    stages.loc[stages["stage"] == "own", "mean"] = 0.0
    figure = plotting.stage_curves(stages, make_quantiles(), "x")
    assert not curves(figure.axes[0], STAGES["own"][1])


@pytest.mark.parametrize(
    ("stages", "quantiles", "message"),
    [
        (make_stages().iloc[:0], make_quantiles(), "there is no data"),
        (make_stages(), make_quantiles().drop(columns="q"), "no column 'q'"),
        (make_stages(), make_quantiles().replace("rag", "ragg"), "no arm 'ragg'"),
    ],
)
def test_what_cannot_be_drawn_is_said(stages, quantiles, message):
    with pytest.raises(RagftError, match=message):
        plotting.stage_curves(stages, quantiles, "x")
