import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.types import RagftError

COLOURS = {"prompt": "#666666", "rag": "#0072B2", "finetuned": "#D55E00",
           "finetuned_rag": "#009E73"}  # fmt: skip


@pytest.fixture(scope="module")
def hero(frames):
    return plotting.hero(frames.summary(), frames.events, frames.comparison(), "The hero", "World.")


def test_the_left_half_has_the_six_lines_and_the_ceiling(frames, hero, data):
    left = hero.axes[0]
    styles = {arm: [line[0] for line in data(left, c)] for arm, c in COLOURS.items()}
    assert styles == {
        "prompt": ["-"], "rag": [":", "-"], "finetuned": [":", "--"], "finetuned_rag": ["--"],
    }  # fmt: skip
    assert [line[:2] for line in data(left, "#000000")] == [("--", 1)]
    frame = frames.summary({"rag": ["nightly"]})
    want = 100 * frame[(frame["group"] == "all") & (frame["measure"] == "accuracy")]["mean"]
    points = data(left, COLOURS["rag"])[1][2]
    known = points[np.isfinite(points[:, 1])]
    np.testing.assert_array_equal(known[:, 0], frames.days)
    np.testing.assert_allclose(known[:, 1], want)
    assert len(points) == len(known) + 2


def test_the_right_half_has_a_dot_and_a_bar_for_each_arm(frames, hero):
    rows = frames.comparison()
    for axes, name, scale in zip(hero.axes[1:], ("wrong", "p95_s", "dollars"), (100, 1, 1),
                                 strict=True):  # fmt: skip
        for arm, colour in COLOURS.items():
            bar, dot = (x for x in axes.get_lines() if x.get_color() == colour)
            row = rows[rows["arm"] == arm].iloc[0]
            np.testing.assert_allclose(bar.get_xdata(), [scale * row[f"{name}_low"],
                                                         scale * row[f"{name}_high"]])  # fmt: skip
            np.testing.assert_allclose(dot.get_xdata(), [scale * row[name]])
    assert [axes.get_xscale() for axes in hero.axes[1:]] == ["linear", "log", "log"]
    assert hero.axes[1].get_xlim() == (0, 100)


def test_names_values_and_policies_are_written(hero, texts, faults):
    shown = texts(hero)
    assert {"88 %", "0.018 s", "$0.31", "facts change", "index nightly", "never again"} <= set(
        shown
    )
    assert {"Wrong answers", "Latency, p95", "Cost", "seconds, log", "$ per 1,000, log"} <= set(
        shown
    )
    assert shown.count("Prompt only") == 2 and shown.count("RAG") == 3
    assert any("Right: RAG, index nightly; Fine-tuned, retrained" in " ".join(text.split())
               for text in shown)  # fmt: skip
    assert faults(hero) == []
    assert tuple(hero.get_size_inches()) == (8, 4.4)


def test_what_is_not_measured_is_said_in_words_and_a_missing_value_is_blank(frames, texts, faults):
    rows = frames.comparison().drop(columns="dollars")
    rows.loc[rows["arm"] == "rag", "p95_s"] = None
    figure = plotting.hero(frames.summary(), frames.events[:1], rows)
    assert texts(figure).count("not\nmeasured\nyet") == 1
    assert len(figure.axes[3].get_lines()) == 0
    dots = [x.get_color() for x in figure.axes[2].get_lines()]
    assert COLOURS["rag"] not in dots and COLOURS["finetuned"] in dots
    assert faults(figure) == []


def test_the_same_data_gives_the_same_bytes(frames, hero, tmp_path):
    again = plotting.hero(
        frames.summary(), frames.events, frames.comparison(), "The hero", "World."
    )
    one = plotting.save(hero, tmp_path / "a.png").read_bytes()
    assert one == plotting.save(again, tmp_path / "b.png").read_bytes()
    assert int.from_bytes(one[16:20], "big") == 1600


def test_frames_that_cannot_be_drawn_are_errors(frames):
    summary, rows = frames.summary({"rag": ["nightly"]}, [0, 30]), frames.comparison()
    with pytest.raises(RagftError, match="7 lines are too many; choose 6"):
        plotting.hero(summary, [], rows, lines=[("rag", "never")] * 7)
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.hero(pd.DataFrame(), [], rows)
    with pytest.raises(RagftError, match="no column 'wrong'"):
        plotting.hero(summary, [], rows.drop(columns="wrong"))
    with pytest.raises(RagftError, match="has 'rag' twice"):
        plotting.hero(summary, [], pd.concat([rows, rows[rows["arm"] == "rag"]]))
    with pytest.raises(RagftError, match="none of the arms prompt, rag"):
        plotting.hero(summary, [], rows[:1].assign(arm="oracle"))
    with pytest.raises(RagftError, match="none of the lines"):
        plotting.hero(summary, [], rows, lines=[("rag", "weekly")])
    with pytest.raises(RagftError, match="log axis needs values above 0"):
        plotting.hero(summary, [], rows.assign(dollars=0.0))
