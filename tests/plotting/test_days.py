from datetime import date

import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.plotting import days as module
from ragft.types import RagftError

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


def test_lines_over_days_carry_the_data_and_their_names(texts, faults):
    figure = plotting.over_days(days(), {"accuracy": "correct, %"}, "Drift", "n = 20")
    lines = [line for line in figure.axes[0].get_lines() if line.get_label() != "_lead"]
    assert [list(line.get_ydata()) for line in lines] == [[50, 50], [90, 90], [52, 52]]
    assert [line.get_linestyle() for line in lines] == [":", "-", ":"]
    shown = set(texts(figure))
    assert {"RAG, never", "RAG, refreshed", "Guessing", "correct, %", "Drift"} <= shown
    assert faults(figure) == []


def test_no_data_and_missing_columns_are_errors():
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.over_days(pd.DataFrame(), {"x": "x"})
    with pytest.raises(RagftError, match="no column 'policy'"):
        plotting.over_days(pd.DataFrame({"arm": ["rag"]}), {"x": "x"})


def test_days_are_counted_from_the_first_and_events_outside_left_out(frames):
    summary = frames.summary({"rag": ["never"]}, [0, 29, 30])
    events = ["2023-12-01", "2024-01-01", "2024-01-31", "2024-06-01"]
    frame, marks = module.timeline(summary, events)
    assert sorted(set(frame["day"])) == [0, 29, 30] and marks == [30]


def test_lines_break_between_the_day_before_an_event_and_the_day():
    found, (values,) = module.broken([0, 29, 30, 59, 60], [[1, 2, 3, 4, 5]], [30, 60])
    np.testing.assert_array_equal(found, [0, 29, np.nan, 30, 59, np.nan, 60])
    np.testing.assert_array_equal(values, [1, 2, np.nan, 3, 4, np.nan, 5])


def test_two_events_between_two_days_break_the_line_once():
    found, _ = module.broken([0, 50], [[1, 2]], [30, 40])
    np.testing.assert_array_equal(found, [0, np.nan, 50])
