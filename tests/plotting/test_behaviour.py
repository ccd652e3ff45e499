"""Bars and learning curves of behaviours: the data in them, and what is written."""

import math

import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.types import RagftError

TUNED = plotting.ARMS["finetuned"].colour
ARMS = ("prompt", "fewshot", "finetuned")


def bars():
    rows = [
        {"behaviour": name, "arm": arm, "label": "", "mean": 0.2 + 0.3 * place, "n": 60,
         "prompt_tokens": 190 - 20 * place}
        for name in ("JSON", "House style")
        for place, arm in enumerate(ARMS)
    ]  # fmt: skip
    rows.append({**rows[0], "label": "Prompt, by schema", "mean": 1.0})
    frame = pd.DataFrame(rows)
    return frame.assign(low=frame["mean"] - 0.1, high=(frame["mean"] + 0.1).clip(upper=1))


def curves():
    series = {"style": 0.7, "JSON": 0.3, "facts, trained wording": 0.1, "facts, new wording": 0.02}
    rows = [
        {"series": name, "x": x, "mean": 1 - math.exp(-speed * x / 10), "n": 200}
        for name, speed in series.items()
        for x in (0, 10, 30, 100, 300, 1000)
    ]
    frame = pd.DataFrame(rows)
    low = (frame["mean"] - 0.05).clip(lower=0)
    return frame.assign(low=low, high=(frame["mean"] + 0.05).clip(upper=1))


def test_every_behaviour_is_a_block_with_a_bar_an_arm(texts, faults):
    figure = plotting.behaviour_bars(bars(), "Behaviours", "World.")
    axes = figure.axes[0]
    widths = [patch.get_width() for patch in axes.patches]
    np.testing.assert_allclose(widths, [20, 50, 80, 100, 20, 50, 80])
    assert axes.get_xlim() == (0, 100)
    shown = texts(figure)
    assert {"JSON", "House style", "Few-shot prompt", "Prompt, by schema", "Behaviours"} <= set(
        shown
    )
    assert "20 % [10, 30] · 190 tokens" in shown
    assert "n = 60 questions a bar. Whiskers: 95 %. World." in shown
    assert faults(figure) == []


def test_arms_have_their_colours_and_those_that_are_not_filled_are_hollow():
    axes = plotting.behaviour_bars(bars()).axes[0]
    faces = [patch.get_facecolor()[:3] for patch in axes.patches[:3]]
    assert faces[1] == (1, 1, 1) and faces[0] != faces[1] != faces[2]


def test_a_bar_without_a_mean_is_left_blank(texts):
    frame = bars()
    frame.loc[0, ["mean", "low", "high"]] = math.nan
    figure = plotting.behaviour_bars(frame)
    assert len(figure.axes[0].patches) == 6
    assert texts(figure).count("Prompt only") == 2  # its row is there


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[:0], "no data to draw"),
        (lambda f: f.drop(columns="behaviour"), "no column 'behaviour'"),
        (lambda f: f.assign(arm="x"), "no arm 'x'"),
        (lambda f: f.assign(label=""), "has 'Prompt only' twice in 'JSON'"),
        (lambda f: f.assign(mean=1.2), "the mean 1.2 of 'Prompt only' is no share"),
    ],
)
def test_bars_that_cannot_be_drawn_are_errors(change, message):
    with pytest.raises(RagftError, match=message):
        plotting.behaviour_bars(change(bars()))


def test_curves_stand_on_a_log_axis_facts_in_the_tuned_colour(data, texts, faults):
    figure = plotting.learning_curves(curves(), "How many examples", "World.")
    axes = figure.axes[0]
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "training examples (log)"
    solid, dashed = [one for one in data(axes, TUNED) if len(one[2]) > 1]
    assert (solid[0], dashed[0]) == ("-", "--")
    np.testing.assert_allclose(solid[2][:, 0], [10, 30, 100, 300, 1000])  # none at 0
    np.testing.assert_allclose(solid[2][0, 1], 100 * (1 - math.exp(-0.1)))
    shown = texts(figure)
    assert {"style", "JSON", "facts, trained wording", "claimed: behaviour"} <= set(shown)
    caption = next(text for text in shown if text.startswith("n = 200"))
    assert "Without any example 0 % pass at most (style)." in caption.replace("\n", " ")
    assert faults(figure) == []


def marks(axes):
    """Return the number of examples and the marker of every mark on the bar."""
    lines = [line for line in axes.get_lines() if line.get_label() == "_learnt"]
    assert all(line.get_ydata()[0] == 80 for line in lines)
    return [(line.get_xdata()[0], line.get_marker()) for line in lines]


def test_a_mark_stands_where_the_lower_end_first_passes_the_bar_and_an_arrow_where_it_never_does():
    frame = curves()
    figure = plotting.learning_curves(frame, ranges=())
    # style: 1 - e^-2.1 = .878 at 30; JSON: 1 - e^-3 = .95 at 100; facts: 1 - e^-3 at 300, and
    # 1 - e^-2 = .865 at 1,000, less .05
    found = marks(figure.axes[0])
    assert [x for x, _ in found] == [30, 100, 300, 1000]
    never = frame[(frame["series"] != "facts, new wording") | (frame["x"] < 1000)]
    found = marks(plotting.learning_curves(never, ranges=()).axes[0])
    assert found[-1] == (1000, ">")


def test_marks_at_one_number_stand_beside_each_other():
    frame = curves().replace({"series": {"JSON": "other"}})
    frame = pd.concat(
        [frame[frame["series"] == "style"], frame[frame["series"] == "style"].assign(series="b")]
    )
    places = [x for x, _ in marks(plotting.learning_curves(frame, ranges=()).axes[0])]
    assert places[0] == 30 and places[1] == pytest.approx(30 * 1.045)


def test_claims_far_beyond_what_was_measured_are_left_out(texts, faults):
    few = curves()[lambda f: f["x"] <= 10]
    figure = plotting.learning_curves(few)
    assert not [text for text in texts(figure) if text.startswith("claimed")]
    assert faults(figure) == []
    near = plotting.learning_curves(curves()[lambda f: f["x"] <= 100])
    assert [text for text in texts(near) if text.startswith("claimed")] == ["claimed: behaviour"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[:0], "no data to draw"),
        (lambda f: f[f["x"] == 0], "no row has any training examples"),
        (lambda f: pd.concat([f, f[:1]]), "has 'style' twice at x 0"),
        (lambda f: f.assign(mean=math.nan), "no row has a mean"),
        (
            lambda f: pd.concat([f[:6].assign(series=f"s{i}") for i in range(7)]),
            "too many series that are not facts; 6 at most",
        ),
    ],
)
def test_curves_that_cannot_be_drawn_are_errors(change, message):
    with pytest.raises(RagftError, match=message):
        plotting.learning_curves(change(curves()))


def test_the_same_data_gives_the_same_bytes(tmp_path):
    for draw, frame in ((plotting.behaviour_bars, bars()), (plotting.learning_curves, curves())):
        one, two = (
            plotting.save(draw(frame, "T"), tmp_path / f"{n}.png").read_bytes() for n in "ab"
        )
        assert one == two and int.from_bytes(one[16:20], "big") == 1600
