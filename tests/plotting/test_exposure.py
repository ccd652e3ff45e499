import pandas as pd
import pytest

from ragft import plotting
from ragft.types import RagftError


def points(means, *, n, series="trained", arm="finetuned", spread=0.5, repeats=(0, 1, 4, 16)):
    rows = zip(repeats, means, strict=True)
    frame = pd.DataFrame([{"x": x, "mean": m, "n": n} for x, m in rows])
    frame = frame.assign(low=frame["mean"] - spread, high=frame["mean"] + spread)
    return frame.assign(series=series, arm=arm)


SECRETS = points([1.5, 2.8, 7.5, 10.0], n=30)
MEMBERS = pd.concat(
    [
        points([0.63, 0.87, 0.99], n=800, spread=0.01, repeats=(1, 4, 16)),
        points([0.5, 0.51, 0.5], n=800, series="before", arm=None, spread=0.01, repeats=(1, 4, 16)),
    ]
)


def test_repeats_stand_at_equal_distances_with_their_bars(data):
    left, right = plotting.memorised(SECRETS, MEMBERS, "Secrets").axes
    [(_, _, drawn)] = data(left, plotting.ARMS["finetuned"].colour)
    assert drawn.tolist() == [[0, 1.5], [1, 2.8], [2, 7.5], [3, 10.0]]
    assert [t.get_text() for t in left.get_xticklabels()] == ["0", "1", "4", "16"]
    bars = left.collections[0].get_segments()
    assert bars[2].tolist() == [[2, 7.0], [2, 8.0]]
    assert left.get_ylim()[0] == 0 and right.get_ylim()[1] > 1


def test_chance_and_the_most_that_can_be_measured_are_named(texts, faults):
    figure = plotting.memorised(SECRETS, MEMBERS, "Secrets", "World.", most=10)
    assert {"never seen", "most that could be measured", "a toss of a coin"} <= set(texts(figure))
    told = "Left: n = 30 secrets a point; right: n = 800 examples a point. Bars: 95 %. World."
    assert told in texts(figure)
    assert faults(figure) == []


def test_a_missing_column_is_named():
    with pytest.raises(RagftError, match="no column 'high'"):
        plotting.memorised(SECRETS, MEMBERS.drop(columns="high"))
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.memorised(SECRETS.iloc[:0], MEMBERS)
