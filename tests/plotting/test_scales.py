import math

import matplotlib.pyplot as plt
import pytest

from ragft.plotting import scales
from ragft.types import RagftError


@pytest.fixture
def axes():
    return plt.subplots()[1]


def test_days_are_counted_in_steps_that_are_read_at_a_glance(axes):
    axes.set_xlim(0, 90)
    scales.day_axis(axes)
    assert [t for t in axes.get_xticks() if 0 <= t <= 90] == [0, 30, 60, 90]
    assert axes.get_xlabel() == "days since day 0"


def test_an_event_is_named_on_its_wider_side(axes):
    axes.set_xlim(0, 90)
    scales.label_event(axes, 30, "early")
    scales.label_event(axes, 60, "late")
    assert [text.get_ha() for text in axes.texts] == ["left", "right"]


def test_fewer_steps_where_numbers_are_wide(axes):
    axes.set_xlim(0, 1900)
    scales.day_axis(axes, most=2)
    assert [t for t in axes.get_xticks() if 0 <= t <= 1900] == [0, 1000]


def test_a_log_axis_spans_a_decade_at_least_and_short_spans_have_ticks_at_3(axes):
    scales.log_axis(axes, 2.0, 2.0)
    low, high = axes.get_xlim()
    assert high / low == pytest.approx(10) and (low * high) ** 0.5 == pytest.approx(2)
    assert [t for t in axes.get_xticks() if low <= t <= high] == [1, 3]
    scales.log_axis(axes, 0.001, 100.0)
    low, high = axes.get_xlim()
    shown = [t for t in axes.get_xticks() if low <= t <= high]
    assert len(shown) > 2 and all(round(math.log10(t), 6).is_integer() for t in shown)
    form = axes.xaxis.get_major_formatter()
    assert [form(x) for x in (0.03, 1, 1000)] == [".03", "1", "1,000"]


def test_a_log_axis_without_a_value_above_0(axes):
    with pytest.raises(RagftError, match="needs values above 0"):
        scales.log_axis(axes, 0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-5, ".00001"),
        (0.003, ".003"),
        (0.1, ".1"),
        (1, "1"),
        (9e3, "9,000"),
        (3e4, "30 k"),
        (3e6, "3 M"),
    ],
)
def test_a_tick_of_a_log_axis_is_short_however_small(value, text):
    assert scales._short(value) == text
