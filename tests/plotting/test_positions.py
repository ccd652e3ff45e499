import math

import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.types import RagftError

RAG, TUNED = plotting.ARMS["rag"].colour, plotting.ARMS["finetuned_rag"].colour


def positions(k=5):
    rows = [
        {"arm": arm, "position": place, "mean": best - 0.05 * place, "n": 120}
        for arm, best in (("finetuned_rag", 0.95), ("rag", 0.9))
        for place in range(1, k + 1)
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(low=frame["mean"] - 0.04, high=frame["mean"] + 0.03)


def bands(axes):
    """Lowest and highest points of the bands."""
    return [
        (p.vertices[:, 1].min(), p.vertices[:, 1].max())
        for c in axes.collections
        for p in c.get_paths()
    ]


def test_each_arm_is_a_line_over_the_places_in_per_cent_with_its_band(data):
    axes = plotting.position_curve(positions()[::-1], "Places").axes[0]
    for colour, best in ((RAG, 90), (TUNED, 95)):
        [(style, width, points)] = data(axes, colour)
        assert (style, width) == ("-", 2)
        np.testing.assert_allclose(points, [(p, best - 5 * p) for p in range(1, 6)])
    np.testing.assert_allclose(bands(axes), [(61, 88), (66, 93)])
    assert axes.get_ylim() == (0, 100)
    assert list(axes.get_xticks()) == [1, 2, 3, 4, 5]


def test_names_axes_and_caption_are_written(texts, faults):
    figure = plotting.position_curve(positions(), "Places", "World.")
    shown = texts(figure)
    assert {"RAG", "Fine-tuned + RAG", "correct, %", "Places"} <= set(shown)
    assert "place of the right passage among the 5 shown (1 = first)" in shown
    assert "n = 120 questions a point. Bands: 95 %. World." in shown
    assert faults(figure) == []
    many = positions(50).assign(mean=0.5, low=0.4, high=0.6)
    assert faults(plotting.position_curve(many, "Places", "World.")) == []


def test_a_place_without_a_mean_is_a_gap_and_a_point_alone_has_a_bar(data):
    frame = positions()
    frame.loc[(frame["arm"] == "rag") & (frame["position"] == 4), ["mean", "low", "high"]] = None
    axes = plotting.position_curve(frame).axes[0]
    [(_, _, points)] = data(axes, RAG)
    assert math.isnan(points[3, 1]) and points[4, 1] == pytest.approx(65)
    bars = [c.get_segments() for c in axes.collections if hasattr(c, "get_segments")]
    np.testing.assert_allclose(np.concatenate([b for b in bars if len(b)]), [[[5, 61], [5, 68]]])


def test_a_line_that_stops_early_leads_to_its_name(texts):
    frame = positions()
    frame = frame[(frame["arm"] != "rag") | (frame["position"] < 3)]
    figure = plotting.position_curve(frame)
    leads = [x.get_xydata() for x in figure.axes[0].get_lines() if x.get_label() == "_lead"]
    np.testing.assert_allclose(leads[0], [[2, 80], [5, 80]])
    assert "RAG" in texts(figure)


def test_an_arm_without_a_mean_is_not_named(texts):
    frame = positions()
    frame.loc[frame["arm"] == "rag", "mean"] = math.nan
    assert "RAG" not in texts(plotting.position_curve(frame))


def test_one_place_is_drawn(faults):
    figure = plotting.position_curve(positions(1), "Places", "World.")
    assert list(figure.axes[0].get_xticks()) == [1]
    assert faults(figure) == []


def test_the_same_data_gives_the_same_bytes(tmp_path):
    one, two = (
        plotting.save(plotting.position_curve(positions()), tmp_path / name).read_bytes()
        for name in ("a.png", "b.png")
    )
    assert one == two and int.from_bytes(one[16:20], "big") == 1600


def test_frames_that_cannot_be_drawn_are_errors():
    frame = positions()
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.position_curve(frame[:0])
    with pytest.raises(RagftError, match="no column 'n'"):
        plotting.position_curve(frame.drop(columns="n"))
    with pytest.raises(RagftError, match="has 'finetuned_rag' twice at position 1"):
        plotting.position_curve(pd.concat([frame, frame[:1]]))
    with pytest.raises(RagftError, match=r"position 0 is no whole number from 1 on"):
        plotting.position_curve(frame.assign(position=frame["position"] - 1))
    with pytest.raises(RagftError, match=r"position 1\.5 is no whole number"):
        plotting.position_curve(frame.assign(position=frame["position"] + 0.5))
    with pytest.raises(RagftError, match="a row has no position"):
        plotting.position_curve(frame.assign(position=None))
    with pytest.raises(RagftError, match="no row has a mean"):
        plotting.position_curve(frame.assign(mean=math.nan))
    with pytest.raises(RagftError, match=r"the mean 90 of 'finetuned_rag' is no share"):
        plotting.position_curve(frame.assign(mean=100 * frame["mean"]))
    with pytest.raises(RagftError, match="no arm 'x'"):
        plotting.position_curve(frame[:5].assign(arm="x"))
