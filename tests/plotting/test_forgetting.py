import math

import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.plotting import forgetting as module
from ragft.plotting.forgetting import learning_forgetting
from ragft.types import RagftError

PATHS = {
    ("full", False): [(0.35, -0.22), (0.78, -0.42), (0.99, -0.66)],
    ("full", True): [(0.3, -0.05), (0.7, -0.12), (0.99, -0.2)],
    ("lora", False): [(0.3, -0.12), (0.72, -0.25), (1.0, -0.47)],
    ("lora", True): [(0.26, -0.03), (0.66, -0.06), (0.98, -0.12)],
    ("lora_4", False): [(0.15, -0.06), (0.45, -0.16), (0.94, -0.36)],
    ("prefix", False): [(0.03, -0.1), (0.08, -0.2), (0.34, -0.4)],
}
STEPS = (5, 10, 40)


def point(method, rehearsal, steps, x, y):
    """Return a row whose interval is 0.05 to either side."""
    ends = {"x_low": x - 0.05, "x_high": min(1.0, x + 0.05), "y_low": y - 0.05, "y_high": y + 0.05}
    where = {"method": method, "rehearsal": rehearsal, "steps": steps}
    return {**where, "x": x, "y": y, **ends, "n": 100}


def plane(paths=PATHS, rag=(0.95, -0.04)):
    rows = [point("base", False, 0, 0.02, 0.0) | {"y_low": 0.0, "y_high": 0.0}]
    for (method, rehearsal), points in paths.items():
        for steps, (x, y) in zip(STEPS, points, strict=True):
            rows.append(point(method, rehearsal, steps, x, y))
    return pd.DataFrame([*rows, point("rag", False, 0, *rag)])


@pytest.fixture(scope="module")
def figure():
    return learning_forgetting(plane(), "Learnt and kept", "Resident.")


def lines(figure, label=None):
    found = figure.axes[0].get_lines()
    return [x for x in found if (x.get_label() == label if label else x.get_label()[0] != "_")]


def paths(figure):
    """Points of the solid paths by colour and face: what they are drawn through."""
    return {
        (x.get_color(), x.get_markerfacecolor()): x.get_xydata()
        for x in figure.axes[0].get_lines()
        if x.get_linewidth() == 1.8
    }


def test_every_method_is_a_path_and_filled_where_it_is_rehearsed(figure):
    found = paths(figure)
    assert len(found) == len(PATHS)
    for (method, rehearsal), points in PATHS.items():
        colour = module.METHODS[method].colour
        face = colour if rehearsal else "white"
        np.testing.assert_allclose(found[colour, face], 100 * np.array(points))


def test_lengths_come_in_order_whatever_the_order_of_the_rows(figure):
    turned = paths(learning_forgetting(plane()[::-1].reset_index(drop=True)))
    for key, points in paths(figure).items():
        np.testing.assert_allclose(turned[key], points)


def test_all_paths_start_at_the_base(figure):
    [star] = lines(figure, "_base")
    assert (star.get_marker(), star.get_xydata().tolist()) == ("*", [[2.0, 0.0]])
    starts = [x.get_xydata()[0].tolist() for x in lines(figure, "_first")]
    assert starts == [[2.0, 0.0]] * len(PATHS)


def test_the_end_of_a_path_has_a_cross_and_nothing_else_has(figure):
    crosses = {tuple(map(tuple, x.get_xydata().round(6))) for x in lines(figure, "_cross")}
    ends = [points[-1] for points in PATHS.values()] + [(0.95, -0.04)]
    want = set()
    for x, y in ends:
        left, right = 100 * (x - 0.05), 100 * min(1.0, x + 0.05)
        want.add(((round(left, 6), round(100 * y, 6)), (round(right, 6), round(100 * y, 6))))
        low, high = (round(100 * (y + d), 6) for d in (-0.05, 0.05))
        want.add(((round(100 * x, 6), low), (round(100 * x, 6), high)))
    assert crosses == want


def test_retrieval_is_a_point_in_its_own_colour(figure):
    style = plotting.ARMS["rag"]
    [mark] = [x for x in figure.axes[0].get_lines() if x.get_marker() == style.marker]
    assert mark.get_color() == style.colour
    np.testing.assert_allclose(mark.get_xydata(), [[95, -4]])


def test_names_axes_and_caption_are_written_and_nothing_overlaps(figure, texts, faults):
    shown = texts(figure)
    assert {"All weights", "LoRA", "LoRA, rank 4", "Prefix tuning", "RAG", "new facts indexed",
            "Before training", "rehearsed", "better"} <= set(shown)  # fmt: skip
    assert shown.count("LoRA") == shown.count("All weights") == shown.count("rehearsed") == 2
    assert {"new facts correct, %", "known facts correct,\npoints from the base"} <= set(shown)
    assert "−20" in shown and "0" in shown
    caption = " ".join(next(t for t in shown if t.startswith("n = 100")).split("\n"))
    assert caption == (
        "n = 100 questions a point. Filled: known facts rehearsed. Marks along a path: 5, 10 and "
        "40 passes, each trained by itself; crosses: 95 %. Resident."
    )
    assert faults(figure) == []


@pytest.mark.parametrize("seed", range(2))
def test_names_of_methods_that_end_close_together_do_not_overlap(seed, faults):
    rng = np.random.default_rng(seed)
    crowded = {
        (method, rehearsal): [(0.3, -0.03), (0.6, -0.06), (x, y)]
        for (method, rehearsal), x, y in zip(
            [*PATHS, ("prompt", False), ("qlora", False)],
            rng.uniform(0.9, 1, 8),
            rng.uniform(-0.2, -0.05, 8),
            strict=True,
        )
    }
    assert faults(learning_forgetting(plane(crowded), "Crowded", "World.")) == []


def test_a_model_that_loses_nothing_and_a_single_length_are_drawn(texts, faults):
    frame = plane({("lora", False): [(0.1, 0.0), (0.5, 0.0), (0.9, 0.0)]}, rag=(0.9, 0.02))
    one = frame[frame["steps"].isin([0, 40])]
    figure = learning_forgetting(one, "One", unit="steps")
    assert faults(figure) == []
    caption = next(t for t in texts(figure) if t.startswith("n = "))
    assert "Marks along a path: 40 steps" in caption and "rehearsed" not in caption
    alone = learning_forgetting(frame[frame["method"].isin(["base", "rag"])])
    assert any("Crosses: 95 %." in t for t in texts(alone))


def test_what_has_no_value_is_left_out_and_counted(texts):
    frame = plane()
    frame.loc[frame["steps"] == 40, "x"] = math.nan
    figure = learning_forgetting(frame)
    assert any("Left out for want of a value: 6." in t.replace("\n", " ") for t in texts(figure))
    assert {len(points) for points in paths(figure).values()} == {2}
    bare = plane().assign(x_low=math.nan, x_high=math.nan)
    assert len(paths(learning_forgetting(bare))) == len(PATHS)


def test_the_same_data_gives_the_same_bytes(figure, tmp_path):
    one = plotting.save(figure, tmp_path / "a.png").read_bytes()
    again = learning_forgetting(plane(), "Learnt and kept", "Resident.")
    assert one == plotting.save(again, tmp_path / "b.png").read_bytes()
    assert int.from_bytes(one[16:20], "big") == 1600


def test_frames_that_cannot_be_drawn_are_errors():
    frame = plane()
    with pytest.raises(RagftError, match="no data to draw"):
        learning_forgetting(frame[:0])
    with pytest.raises(RagftError, match="no column 'y_low'"):
        learning_forgetting(frame.drop(columns="y_low"))
    with pytest.raises(RagftError, match=r"no method 'x'; there are base, rag, full"):
        learning_forgetting(frame.replace({"method": {"full": "x"}}))
    with pytest.raises(RagftError, match="has 'base' twice at steps 0"):
        learning_forgetting(pd.concat([frame, frame[:1]]))
    with pytest.raises(RagftError, match="needs one row of 'base'"):
        learning_forgetting(frame[1:])
    with pytest.raises(RagftError, match="nothing but the base"):
        learning_forgetting(frame[:1])
    with pytest.raises(RagftError, match=r"x is a share in \[0, 1\], and not 35"):
        learning_forgetting(frame.assign(x=frame["x"].replace(0.35, 35)))
    with pytest.raises(RagftError, match=r"y is a share in \[-1, 1\], and not -22"):
        learning_forgetting(frame.assign(y=frame["y"].replace(-0.22, -22)))
