import math

import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.plotting import doses as module
from ragft.types import RagftError

TUNED, RAFT = plotting.ARMS["finetuned"].colour, plotting.ARMS["raft"].colour
LABELS = ("contradicted facts, %", "wrong, %")


def errors():
    """Error in against error out: as much as goes in, and a fifth of it."""
    rows = [
        {"series": arm, "x": x, "mean": 0.02 + slope * x, "n": 300}
        for arm, slope in (("finetuned", 1.0), ("raft", 0.2))
        for x in (0, 0.1, 0.25, 0.5)
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(low=frame["mean"] - 0.02, high=frame["mean"] + 0.03)


def curves():
    """Learning curves, of behaviours that are no arm's and of facts that are."""
    series = {"strict format": None, "tone": None, "trained wording": "finetuned",
              "new wording": "finetuned"}  # fmt: skip
    rows = [
        {"series": name, "arm": arm, "x": x, "mean": 1 - math.exp(-x / 10 ** (2 + place / 2))}
        for place, (name, arm) in enumerate(series.items())
        for x in (10, 100, 1000, 10_000)
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(low=frame["mean"] * 0.9, high=frame["mean"])


def test_each_arm_is_a_line_over_the_doses_with_its_band(data):
    frame = errors().assign(x=lambda f: 100 * f["x"])
    axes = plotting.dose_response(frame[::-1], "Errors", "", *LABELS).axes[0]
    [(style, width, points)] = data(axes, TUNED)
    assert (style, width) == ("-", 2)
    np.testing.assert_allclose(points, [(0, 2), (10, 12), (25, 27), (50, 52)])
    [(_, _, points)] = data(axes, RAFT)
    np.testing.assert_allclose(points, [(0, 2), (10, 4), (25, 7), (50, 12)])
    bands = [p.vertices[:, 1] for c in axes.collections for p in c.get_paths()]
    np.testing.assert_allclose([(b.min(), b.max()) for b in bands], [(0, 15), (0, 55)], atol=1e-9)
    assert axes.get_xlim() == (0, 50) and axes.get_ylim() == (0, pytest.approx(1.12 * 55))


def test_names_labels_and_caption_are_written(texts, faults):
    figure = plotting.dose_response(errors(), "Errors", "World.", *LABELS, diagonal=True)
    shown = texts(figure)
    assert {"Fine-tuned", "Tuned to read + RAG", "as much out as in", *LABELS} <= set(shown)
    assert {"Errors", "n = 300 questions a point. Bands: 95 %. World."} <= set(shown)
    assert faults(figure) == []


def test_the_diagonal_is_thin_and_its_doses_are_shares_shown_in_per_cent(data):
    frame = errors()
    axes = plotting.dose_response(frame, "", "", *LABELS, diagonal=True).axes[0]
    [(style, width, points)] = [d for d in data(axes, "#555555") if len(d[2]) == 2]
    assert (style, width, points.tolist()) == ("-", 0.8, [[0, 0], [50, 50]])
    np.testing.assert_allclose(data(axes, TUNED)[0][2][:, 0], [0, 10, 25, 50])
    # The diagonal is seen to its end even where all answers are better than that.
    axes = plotting.dose_response(frame[4:], "", "", *LABELS, diagonal=True).axes[0]
    assert axes.get_ylim() == (0, pytest.approx(52.5))


def test_few_short_doses_have_a_tick_each_on_a_logarithmic_axis():
    frame = pd.DataFrame({"series": "tone", "arm": None, "x": [32, 64, 128, 256], "mean": 0.5})
    frame = frame.assign(low=0.4, high=0.6)
    ticks = []
    for scale in (1, 1000):
        rows = frame.assign(x=scale * frame["x"])
        figure = plotting.dose_response(rows, "", "", "tokens", "%", log=True)
        ticks.append(set(figure.axes[0].get_xticks()))
    assert ticks[0] == {32, 64, 128, 256}
    assert 64_000 not in ticks[1] and 100_000 in ticks[1]


def test_series_of_no_arm_differ_by_marker_and_those_of_one_arm_by_line(data, texts, faults):
    figure = plotting.dose_response(curves(), "", "", "examples", "passed, %", log=True)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "examples (log)"
    lines = [x for x in axes.get_lines() if x.get_label() != "_lead"]
    assert [x.get_marker() for x in lines] == ["X", "<", "^", "^"]
    assert [x.get_color() for x in lines] == [module.SERIES] * 2 + [TUNED] * 2
    assert [style for style, _, _ in data(axes, TUNED)] == ["-", "--"]
    assert {"strict format", "tone", "trained wording", "new wording"} <= set(texts(figure))
    assert "Bands: 95 %." in texts(figure)
    assert faults(figure) == []


def test_references_are_thin_and_in_their_own_line(data):
    frame = errors().replace({"series": {"raft": "oracle"}})
    [(style, width, _)] = data(
        plotting.dose_response(frame, "", "", *LABELS).axes[0], plotting.ARMS["oracle"].colour
    )
    assert (style, width) == ("--", 1)


def test_a_dose_without_a_mean_is_a_gap_and_a_series_without_any_is_not_named(data, texts):
    frame = errors()
    frame.loc[frame["series"] == "raft", "mean"] = math.nan
    frame.loc[1, ["mean", "low", "high"]] = math.nan
    figure = plotting.dose_response(frame, "", "", *LABELS)
    [(_, _, points)] = data(figure.axes[0], TUNED)
    assert math.isnan(points[1, 1]) and points[2, 1] == pytest.approx(27)
    assert "Fine-tuned" in texts(figure) and "Tuned to read + RAG" not in texts(figure)


@pytest.mark.parametrize(("doses", "whole"), [((1, 2, 5), True), ((0.1, 0.2, 0.5), False)])
def test_whole_doses_have_whole_ticks(doses, whole):
    frame = errors().iloc[:3].assign(x=doses)
    ticks = plotting.dose_response(frame, "Errors", "", *LABELS).axes[0].get_xticks()
    assert (ticks % 1 == 0).all() == whole


@pytest.mark.parametrize("log", [False, True])
def test_a_single_dose_is_drawn(log, faults):
    frame = curves().query("x == 100")
    assert faults(plotting.dose_response(frame, "One", "", "examples", "passed, %", log=log)) == []


def test_the_same_data_gives_the_same_bytes(tmp_path):
    one, two = (
        plotting.save(
            plotting.dose_response(errors(), "Errors", "", *LABELS), tmp_path / name
        ).read_bytes()
        for name in ("a.png", "b.png")
    )
    assert one == two and int.from_bytes(one[16:20], "big") == 1600


def test_frames_that_cannot_be_drawn_are_errors():
    frame = errors()

    def draw(rows, **options):
        plotting.dose_response(rows, "", "", *LABELS, **options)

    with pytest.raises(RagftError, match="no data to draw"):
        draw(frame[:0])
    with pytest.raises(RagftError, match="no column 'series'"):
        draw(frame.drop(columns="series"))
    with pytest.raises(RagftError, match=r"has 'finetuned' twice at x 0"):
        draw(pd.concat([frame, frame[:1]]))
    with pytest.raises(RagftError, match="a row has no x"):
        draw(frame.assign(x=math.nan))
    with pytest.raises(RagftError, match="no row has a mean"):
        draw(frame.assign(mean=math.nan))
    with pytest.raises(RagftError, match=r"x is a share in \[0, 1\], and not 10"):
        draw(frame.assign(x=100 * frame["x"]), diagonal=True)
    with pytest.raises(RagftError, match="log axis needs values above 0"):
        draw(frame, log=True)
    with pytest.raises(RagftError, match="no arm 'x'"):
        draw(frame.assign(arm="x"))
    many = pd.concat([frame[:4].assign(series=f"series {i}") for i in range(7)])
    with pytest.raises(RagftError, match="too many series that are no arm's; 6 at most"):
        draw(many)
