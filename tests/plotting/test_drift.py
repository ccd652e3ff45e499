import pandas as pd
import pytest

from ragft import plotting
from ragft.plotting.drift import INDEXES, SHOWN
from ragft.types import RagftError

DAYS = ["2021-09-09", "2022-11-01", "2024-04-06"]
FOUND = {"refreshed": [0.7, 0.66, 0.69], "as made": [0.7, 0.6, 0.5]}


def make_summary():
    rows = [
        {"day": day, "index": index, "n": 150, "held": held, SHOWN: mean,
         f"{SHOWN}_low": mean - 0.05, f"{SHOWN}_high": mean + 0.05}
        for index, means in FOUND.items()
        for day, mean, held in zip(DAYS, means, (1.0, 0.9, 0.8), strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def figure():
    return plotting.drift_curves(make_summary(), "Drift", "World.")


def test_both_indexes_are_drawn_over_days_since_the_first(figure):
    (axes,) = figure.axes
    for index, (colour, style, _) in INDEXES.items():
        lines = [x for x in axes.get_lines() if x.get_color() == colour]
        (line,) = [x for x in lines if len(x.get_xdata()) == 3]
        assert list(line.get_ydata()) == FOUND[index] and line.get_linestyle() == style
        assert list(line.get_xdata()) == [0, 418, 940]
    (held,) = [x for x in axes.get_lines() if x.get_label() == "_held"]
    assert list(held.get_ydata()) == [1.0, 0.9, 0.8]


def test_what_is_written_lies_on_nothing(figure, texts, faults):
    assert not faults(figure)
    written = " ".join(texts(figure))
    for word in (
        "refreshed",
        "69%",
        "as made",
        "50%",
        "days since 2021-09-09",
        "n = 150",
        "World.",
    ):
        assert word in written


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        (make_summary().iloc[:0], "there is no data"),
        (make_summary().drop(columns="held"), "no column 'held'"),
        (make_summary().replace("as made", "old"), "no index 'old'"),
    ],
)
def test_what_cannot_be_drawn_is_said(summary, message):
    with pytest.raises(RagftError, match=message):
        plotting.drift_curves(summary)
