import math

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from ragft import plotting
from ragft.plotting import heat as module
from ragft.plotting.heat import size_by_noise
from ragft.types import RagftError

SIZES, NOISES = (30, 300, 1000), (0.0, 0.1, 0.3)


def cells():
    """Right answers: more with more examples, fewer with more errors; one cell was not run."""
    rows = [
        {"size": size, "noise": noise, "mean": 0.42 + 0.2 * i - 0.15 * j, "n": 200}
        for i, size in enumerate(SIZES)
        for j, noise in enumerate(NOISES)
        if (size, noise) != (1000, 0.1)
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(low=frame["mean"] - 0.05, high=frame["mean"] + 0.06)


@pytest.fixture(scope="module")
def figure():
    return size_by_noise(cells(), "Size and noise", "Difference: +10 points [4, 16].")


def filled(figure):
    """Colour of every cell, by its place (column, row)."""
    found = {}
    for patch in figure.axes[0].patches:
        if patch.get_fill():
            place = (round(patch.get_x() + 0.5), round(patch.get_y() + 0.5))
            found[place] = patch.get_facecolor()
    return found


def framed(figure):
    patches = [p for p in figure.axes[0].patches if p.get_label() == "_frame"]
    return {(round(p.get_x() + 0.5), round(p.get_y() + 0.5)) for p in patches}


def test_every_cell_has_the_colour_and_the_number_of_its_share(figure, texts):
    found = filled(figure)
    frame = cells()
    colours = mpl.colormaps["cividis"]
    for row in frame.to_dict("records"):
        place = SIZES.index(row["size"]), NOISES.index(row["noise"])
        share = (100 * row["mean"] - 10) / 80  # means from 12 to 82: limits of 10 and 90
        np.testing.assert_allclose(found[place], colours(share))
    written = {
        (t.xy, t.get_text()) for t in figure.axes[0].texts if not t.get_text().startswith("[")
    }
    assert {((0, 0), "42"), ((1, 2), "32"), ((2, 0), "82")} <= written
    assert "[37, 48]" in texts(figure)


def test_what_was_not_run_is_blank(figure):
    assert len(filled(figure)) == 8 and (2, 1) not in filled(figure)
    frame = cells()
    frame.loc[0, "mean"] = math.nan
    assert (0, 0) not in filled(size_by_noise(frame))


def test_noise_rises_upwards_and_sizes_to_the_right(figure):
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["30", "300", "1,000"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["0", "10", "30"]
    assert axes.get_ylim()[0] < axes.get_ylim()[1] and len(figure.axes) == 1  # no colour bar


def test_the_two_cells_of_the_claim_are_framed(figure, texts):
    assert framed(figure) == {(0, 0), (1, 2)}
    other = size_by_noise(cells(), frame_cells=((1000, 0.0), (1000, 0.1)))
    assert framed(other) == {(2, 0)}  # the other was not run
    none = size_by_noise(cells(), frame_cells=())
    assert framed(none) == set() and not any("Framed" in t for t in texts(none))


def test_caption_says_what_is_framed_and_nothing_overlaps(figure, texts, faults):
    caption = next(t for t in texts(figure) if t.startswith("n = ")).replace("\n", " ")
    assert caption == (
        "n = 200 questions a cell. Cells: per cent right [95 %], from 10 (dark) to 90 % (light). "
        "Framed: 30 with 0 % wrong, 300 with 30 % wrong. Difference: +10 points [4, 16]."
    )
    assert {"training examples", "wrong among them, %", "Size and noise"} <= set(texts(figure))
    assert faults(figure) == []


def test_twelve_columns_of_narrow_cells_are_legible(faults):
    frame = pd.DataFrame({"size": [10 * 2**i for i in range(12)], "noise": 0.0, "mean": 1.0})
    frame = frame.assign(low=0.97, high=1.0, n=[100, *[2000] * 11])
    assert faults(size_by_noise(frame, "One row", "World.")) == []


@pytest.mark.parametrize("share", np.linspace(0, 1, 11))
def test_numbers_stand_out_from_their_cells(share):
    colour = mpl.colormaps[module.COLOURS](share)
    lit = module._luminance(colour)
    contrast = 1.05 / (lit + 0.05) if lit < module.DARK else (lit + 0.05) / 0.05
    assert contrast >= 4.5


def test_luminance_by_hand():
    assert module._luminance(to_rgb("white")) == pytest.approx(1)
    assert module._luminance(to_rgb("black")) == 0
    assert module._luminance((0.0, 0.5, 0.0)) == pytest.approx(0.7152 * (0.555 / 1.055) ** 2.4)


@pytest.mark.parametrize(
    ("means", "limits"),
    [([0.12, 0.82], (10, 90)), ([0.3, 0.7], (30, 70)), ([0.0, 1.0], (0, 100)),
     ([0.5, 0.5], (40, 50)), ([0.0, 0.0], (0, 10))],
)  # fmt: skip
def test_limits_are_rounded_out_to_tens(means, limits):
    assert module._tens(pd.Series(means)) == limits


def test_an_interval_that_is_not_known_is_not_written(texts):
    figure = size_by_noise(cells().assign(low=math.nan, high=math.nan))
    assert "42" in texts(figure) and not any(t.startswith("[") for t in texts(figure))


def test_the_same_data_gives_the_same_bytes(figure, tmp_path):
    one = plotting.save(figure, tmp_path / "a.png").read_bytes()
    again = size_by_noise(cells(), "Size and noise", "Difference: +10 points [4, 16].")
    assert one == plotting.save(again, tmp_path / "b.png").read_bytes()
    assert int.from_bytes(one[16:20], "big") == 1600


def test_frames_that_cannot_be_drawn_are_errors():
    frame = cells()
    with pytest.raises(RagftError, match="no data to draw"):
        size_by_noise(frame[:0])
    with pytest.raises(RagftError, match="no column 'noise'"):
        size_by_noise(frame.drop(columns="noise"))
    with pytest.raises(RagftError, match="the cell of size 30 and noise 0 twice"):
        size_by_noise(pd.concat([frame, frame[:1]]))
    with pytest.raises(RagftError, match=r"the mean 42 is no share in \[0, 1\]"):
        size_by_noise(frame.assign(mean=frame["mean"].replace(0.42, 42)))
    with pytest.raises(RagftError, match=r"the noise 30 is no share in \[0, 1\]"):
        size_by_noise(frame.assign(noise=frame["noise"].replace(0.3, 30)))
    with pytest.raises(RagftError, match="no row has a mean"):
        size_by_noise(frame.assign(mean=math.nan))
