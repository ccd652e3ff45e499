"""That every index is searched in full, what recall means, and the floor of an exact search."""

from zlib import crc32

import numpy as np
import pytest

from ragft.experiments import index_kinds as module
from ragft.experiments.index_kinds import KINDS, TOP, index_kinds
from ragft.experiments.rates import Rates
from ragft.experiments.tasks import world_task
from ragft.profiles import profile
from ragft.retrieval import first_look
from ragft.types import RagftError

SIZES = {"exact": (50, 300), "hnsw": (300,), "ivf": (300,)}
SMALL = {"facts": 4, "world_subjects": 16, "n_boot": 50, "retriever": "dense"}


class Fake:
    """Vectors that depend on the text alone."""

    dimension = 8

    def embed(self, texts, cached=True):
        rows = [np.random.default_rng(crc32(text.encode())).normal(size=8) for text in texts]
        made = np.array(rows, np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def task():
    return world_task(profile("smoke", **SMALL), 4)


@pytest.fixture
def options(tmp_path, monkeypatch):
    made = module.Grid.new_library
    monkeypatch.setattr(module.Grid, "new_library", lambda self: made(self, embedder=Fake()))
    return {"base": profile("smoke", **SMALL), "out": tmp_path, "progress": False, "queries": 12,
            "warm_up": 2}  # fmt: skip


def test_every_kind_is_searched_and_recall_is_against_the_exact_one(task, options):
    found = index_kinds(task, SIZES, **options)
    counts = found.answers.groupby(["kind", "vectors"]).size()
    assert (counts == 12).all() and len(counts) == 4
    rows = found.summary.set_index(["kind", "vectors"])
    assert (rows.loc["exact", "recall"] == 1).all()
    assert rows["recall"].between(0, 1).all()
    assert (rows[["p50", "p95", "p99", "bytes"]] > 0).all().all()
    assert (rows["p50"] <= rows["p95"]).all() and (rows["p95"] <= rows["p99"]).all()
    assert rows.loc["exact", "over"].notna().all()
    assert rows.loc[["hnsw", "ivf"], ["floor", "over"]].isna().all().all()
    again = index_kinds(task, SIZES, **options)
    assert again.folder == found.folder


def test_the_floor_of_an_exact_search_is_reading_every_vector(task, options, monkeypatch):
    rates = Rates("cpu", "float32", 1e30, ((1024, 1000.0),))
    monkeypatch.setattr(module, "measure_rates", lambda **_: rates)
    found = index_kinds(task, {"exact": (50, 300)}, **options)
    assert found.summary["floor"].tolist() == [50 * 8 * 4, 300 * 8 * 4]  # ms at 1000 bytes a second
    assert found.summary["reading"].tolist() == found.summary["floor"].tolist()
    monkeypatch.setattr(first_look, "pays", lambda *_: True)
    found = index_kinds(task, {"exact": (50, 301)}, **options)
    assert found.summary["floor"].tolist() == [50 * (8 + 8), 301 * (8 + 8)]  # codes, sums, steps
    assert found.summary["reading"].tolist() == [50 * 8 * 4, 301 * 8 * 4]


def test_a_blind_index_has_recall_0(task, options, monkeypatch):
    search = module.VectorIndex.search

    def blind(self, queries, k):
        rows, scores = search(self, queries, k)
        return (np.full_like(rows, -1) if self.kind == "ivf" else rows), scores

    monkeypatch.setattr(module.VectorIndex, "search", blind)
    rows = index_kinds(task, SIZES, **options).summary.set_index("kind")["recall"]
    assert rows["ivf"] == 0 and rows["hnsw"] > 0.9


def test_vectors_are_the_tasks_own_and_then_drawn_ones(task, options):
    work = module._Work(task, profile("smoke", **SMALL), None, 5, 0)
    vectors, asked = work._vectors(200)
    own = len(task.corpus.documents)
    first, _ = work._vectors(own)
    assert vectors.shape == (200, 8) and asked.shape == (5, 8)
    np.testing.assert_array_equal(vectors[:own], first)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("sizes", "extra", "message"),
    [
        ({}, {}, "choose of exact"),
        ({"tree": (10,)}, {}, "choose of exact"),
        ({"exact": (10, 5)}, {}, "in order"),
        ({"exact": (10,)}, {"queries": 0}, "queries=0 must be 1 or more"),
        ({"exact": (10,)}, {"base": "smoke"}, "'bm25' has no vectors"),
    ],
)
def test_what_cannot_be_measured_is_said(task, sizes, extra, message):
    with pytest.raises(RagftError, match=message):
        index_kinds(task, sizes, **{"base": profile("smoke", **SMALL), "progress": False, **extra})


def test_all_kinds_are_known():
    assert set(module.FULL) == set(module.REDUCED) == set(KINDS) and TOP == 10
