import math

import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.types import RagftError

GREEN, RED, STRIP = "#1B7F79", "#B2182B", "#D0D0D0"


@pytest.fixture(scope="module")
def ledger(frames):
    return plotting.ledger(frames.claims(), "The ledger", "Three seeds.")


def drawn(axes, place):
    """Bar and marks in one row of a panel."""
    lines = [x for x in axes.get_lines() if set(x.get_ydata()) == {place}]
    bar = next(x for x in lines if len(x.get_xdata()) == 2 and x.get_color() != STRIP)
    marks = [x for x in lines if len(x.get_xdata()) == 1]
    return bar.get_xdata(), [(x.get_marker(), float(x.get_xdata()[0]), x) for x in marks]


def test_effects_are_shares_of_what_was_claimed_and_ratios_divide_as_logarithms(ledger):
    effects = ledger.axes[0]
    bar, [(marker, x, line)] = drawn(effects, 0)
    assert x == pytest.approx(17.1 / 19) and marker == "o"
    np.testing.assert_allclose(bar, [14 / 19, 20 / 19])
    assert line.get_color() == line.get_markerfacecolor() == GREEN
    _, [(_, x, line)] = drawn(effects, 4)
    assert x == pytest.approx(math.log(3.0) / math.log(5.4))
    assert line.get_color() == GREEN and line.get_markerfacecolor() == "white"
    assert effects.get_xlim() == (-1, 2)


def test_what_lies_beyond_the_axis_is_an_arrow_at_its_edge(ledger):
    # -6 [-10, -2] against +4.2 points: only the upper end is above -1.
    bar, [(arrow, x, line)] = drawn(ledger.axes[0], 1)
    assert (arrow, x, line.get_color()) == ("<", -1, RED)
    np.testing.assert_allclose(bar, [-1, -2 / 4.2])
    _, [(arrow, x, _)] = drawn(ledger.axes[0], 6)
    assert (arrow, x) == (">", 2)


def test_levels_are_measured_over_figure_and_the_rest_is_in_points(ledger):
    _, levels, points = ledger.axes
    assert levels.get_xscale() == "log"
    assert drawn(levels, 0)[1][0][:2] == ("_", 1)
    assert drawn(levels, 2)[1][0][:2] == (">", 10)
    assert drawn(points, 0)[1][0][:2] == ("X", -12)
    assert drawn(points, 1)[1][0][:2] == ("o", pytest.approx(6.3))
    # Claimed to fall, and it falls: to the right.
    assert drawn(points, 2)[1][0][:2] == ("o", pytest.approx(14))
    np.testing.assert_allclose(drawn(points, 2)[0], [12, 16])
    assert points.get_xlim() == (-20, 20)


def test_a_claimed_range_is_a_strip_around_its_middle(ledger, texts):
    strips = [x.get_xdata() for x in ledger.axes[0].get_lines() if x.get_color() == STRIP]
    np.testing.assert_allclose(strips, [[0.1 / 0.125, 0.15 / 0.125]])
    assert drawn(ledger.axes[0], 7)[1][0][1] == pytest.approx(0.12 / 0.125)
    strips = [x.get_xdata() for x in ledger.axes[1].get_lines() if x.get_color() == STRIP]
    np.testing.assert_allclose(strips, [[0.05 / 0.425, 0.8 / 0.425]])
    assert {"+10 to +15 pt", "0.05 to 0.8 s"} <= set(texts(ledger))
    assert any("Strips: the range that is claimed" in text for text in texts(ledger))


def test_numbers_are_written_as_exactly_as_their_interval_tells(ledger, texts, faults):
    shown = texts(ledger)
    numbers = """−17 pt [−20, −14]; ×3.0 [2.8, 3.3]; 99.7 % [99.0, 100.0]; −21 pt [−44, 3];
        200 weeks [150, 260]; 123,456/day [98,765, 150,000]; +4.2 points; −19 pt; 12,000;
        same day; 0 pt"""
    numbers = {" ".join(number.split()) for number in numbers.split(";")}
    assert numbers <= {text.replace("\n", " ") for text in shown}
    assert {"no\neffect", "as\nclaimed", "direction not\nseen here", "by\nconstruction"} <= set(
        shown
    )
    assert any(text.endswith(" …") and text.count("\n") == 1 for text in shown)
    assert faults(ledger) == []


def test_what_is_not_shown_is_counted(ledger, texts):
    caption = " ".join(" ".join(texts(ledger)).split())
    assert (
        "16 of 19 claims. Not shown: 1 not measured yet, 1 not testable here, 1 measured" in caption
    )
    assert "L9" not in texts(ledger) and "Three seeds." in caption


def test_the_figure_grows_by_its_rows(frames, ledger):
    claims = frames.claims()
    taller = plotting.ledger([*claims, claims[0]], "The ledger", "Three seeds.")
    assert ledger.get_figwidth() == 8
    assert taller.get_figheight() - ledger.get_figheight() == pytest.approx(0.29)


def test_rows_and_a_frame_of_them_give_the_same_bytes(frames, ledger, tmp_path):
    one = plotting.save(ledger, tmp_path / "a.png").read_bytes()
    again = plotting.ledger(pd.DataFrame(frames.claims()), "The ledger", "Three seeds.")
    assert one == plotting.save(again, tmp_path / "b.png").read_bytes()
    assert int.from_bytes(one[16:20], "big") == 1600


@pytest.mark.parametrize(
    ("measured", "claimed", "effect"),
    [(3.0, 0.0, "ratio"), (3.0, 1.0, "ratio"), (3.0, -2.0, "ratio"), (0.5, None, "level")],
)
def test_what_cannot_be_set_against_its_figure_is_not_drawn(measured, claimed, effect, frames):
    row = frames.claim("X1", "x", measured, 2.0, 4.0, claimed, effect, "share", "supported")
    with pytest.raises(RagftError, match="none of the 1 claims has a measurement"):
        plotting.ledger([row])


def test_a_measured_zero_is_an_arrow_on_a_log_axis_and_a_mark_without_interval_stands(frames):
    zero = frames.claim("R1", "x", 0.0, 0.0, 0.1, 0.25, "level", "share", "contradicted")
    alone = frames.claim("R2", "x", 0.5, None, None, 0.25, "level", "share", "supported")
    axes = plotting.ledger([zero, alone]).axes[0]
    assert drawn(axes, 0)[1][0][:2] == ("<", 0.1)
    bar, [(_, x, _)] = drawn(axes, 1)
    assert x == 2 and list(bar) == [2, 2]


def test_a_claimed_range_from_zero_and_the_sign_without_a_direction(frames):
    share = frames.claim(
        "F5", "x", 0.3, 0.2, 0.4, [0, 1], "level", "share", "supported", direction=0
    )
    change = frames.claim(
        "F8", "x", -0.05, -0.1, 0, None, "difference", "points", "undecided", direction=0
    )
    levels, points = plotting.ledger([share, change]).axes
    assert drawn(levels, 0)[1][0][1] == pytest.approx(0.6)
    assert drawn(points, 0)[1][0][1] == pytest.approx(-5)


def test_rows_that_cannot_be_drawn_are_errors(frames):
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.ledger([])
    with pytest.raises(RagftError, match="no column 'verdict'"):
        plotting.ledger(pd.DataFrame(frames.claims()).drop(columns="verdict"))
    bad = frames.claim("F1", "x", 1.0, 0, 2, 1.0, "jump", "points", "supported")
    with pytest.raises(RagftError, match="claim F1 is measured and has the effect 'jump'"):
        plotting.ledger([bad])
