import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.plotting.search import KINDS
from ragft.types import RagftError

SIZES = [1_000, 10_000, 100_000]
TIMES = {"exact": [0.1, 0.6, 5.0], "hnsw": [0.1, 0.2, 0.3], "ivf": [0.05, 0.1, 0.4]}
RECALL = {"exact": [1, 1, 1], "hnsw": [0.99, 0.98, 0.95], "ivf": [0.9, 0.85, 0.8]}


def make_summary():
    return pd.DataFrame(
        [
            {"kind": kind, "vectors": n, "p50": t, "p95": 1.4 * t, "recall": r,
             "recall_low": r - 0.02, "recall_high": min(r + 0.02, 1), "n": 300,
             "floor": t / 1.2 if kind == "exact" else np.nan}
            for kind in KINDS
            for n, t, r in zip(SIZES, TIMES[kind], RECALL[kind], strict=True)
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def figure():
    return plotting.search_curves(make_summary(), "Searches", "World.")


def test_every_kind_has_its_times_and_its_recall(figure):
    left, right = figure.axes
    for kind, (_, colour, _) in KINDS.items():
        lines = [tuple(x.get_ydata()) for x in left.get_lines() if x.get_color() == colour]
        assert tuple(TIMES[kind]) in lines
        assert tuple(1.4 * np.array(TIMES[kind])) in lines
        drawn = [tuple(x.get_ydata()) for x in right.get_lines() if x.get_color() == colour]
        assert drawn[0] == tuple(RECALL[kind])
    (floor,) = [x for x in left.get_lines() if x.get_label() == "_floor"]
    np.testing.assert_allclose(floor.get_ydata(), np.array(TIMES["exact"]) / 1.2)


def test_what_is_written_lies_on_nothing(figure, texts, faults):
    assert not faults(figure)
    written = " ".join(texts(figure))
    for word in ("exact", "HNSW", "IVF", "1.2× its floor", "0.80", "n = 300", "World."):
        assert word in written


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        (make_summary().iloc[:0], "there is no data"),
        (make_summary().drop(columns="recall"), "no column 'recall'"),
        (make_summary().replace("ivf", "tree"), "no kind 'tree'"),
    ],
)
def test_what_cannot_be_drawn_is_said(summary, message):
    with pytest.raises(RagftError, match=message):
        plotting.search_curves(summary)
