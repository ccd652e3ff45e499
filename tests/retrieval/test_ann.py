"""Every kind of index finds what exact search finds, nearly or wholly."""

import math
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from ragft.retrieval import ann, faiss_index
from ragft.retrieval.ann import KINDS, VectorIndex, index_bytes, recall
from ragft.retrieval.faiss_index import Tuning, centres
from ragft.types import RagftError


def unit(count, dimension=16, seed=0):
    made = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors():
    return unit(2000)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_finds_itself_first(vectors, kind):
    rows, scores = VectorIndex(vectors, kind).search(vectors[:50], 5)
    assert rows.shape == scores.shape == (50, 5)
    assert (rows[:, 0] == np.arange(50)).mean() > 0.95
    assert scores[:, 0] == pytest.approx(1, abs=0.2)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_exact_is_exact(vectors):
    queries = unit(20, seed=1)
    rows, scores = VectorIndex(vectors).search(queries, 10)
    truth = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :10]
    assert (rows == truth).all()
    assert np.allclose(scores, np.take_along_axis(queries @ vectors.T, truth, axis=1))


@pytest.mark.parametrize(
    ("kind", "little", "much"),
    [
        ("hnsw", Tuning(links=4, build_width=8, search_width=1), Tuning(search_width=500)),
        ("ivf", Tuning(probes=1), Tuning(probes=10_000, candidates=100)),
    ],
)
def test_more_work_finds_more(vectors, kind, little, much):
    queries = unit(50, seed=2)
    exact, _ = VectorIndex(vectors).search(queries, 10)
    found = [recall(VectorIndex(vectors, kind, t).search(queries, 10)[0], exact).mean()
             for t in (little, much)]  # fmt: skip
    assert found[0] < 0.8 and found[1] > 0.99


WIDE = Tuning(search_width=200, probes=100, candidates=20)


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_codes_of_fewer_dimensions_find_vectors_that_share_a_direction(monkeypatch, kind):
    """Also where most of every vector is the same, and the first found are compared themselves."""
    monkeypatch.setattr(faiss_index, "KEPT_DIMENSIONS", 24)
    plain = unit(3000, 24) @ np.linalg.qr(unit(60, 24, seed=3))[0].T
    plain += plain[0]
    shared = (plain / np.linalg.norm(plain, axis=1, keepdims=True)).astype(np.float32)
    queries, held = shared[2000:2100], shared[:2000]
    exact, highest = VectorIndex(held).search(queries, 10)
    made = VectorIndex(held[:1500], kind, replace(WIDE, candidates=4))
    made.add(held[1500:])
    rows, scores = made.search(queries, 10)
    assert recall(rows, exact).mean() > 0.97
    truth = np.take_along_axis(queries @ held.T, rows, axis=1)
    assert np.abs(scores - truth).max() < 1e-5 and scores[:, 0] == pytest.approx(highest[:, 0])


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_vectors_of_half_precision_are_kept_as_they_are(tmp_path, kind):
    whole = unit(2000, 200)
    half, queries = whole.astype(np.float16), unit(30, 200, seed=1)
    made, large = VectorIndex(half, kind, WIDE), VectorIndex(whole, kind, WIDE)
    assert large.bytes - made.bytes == 2 * whole.size
    made.write(tmp_path / "x")
    for index in (made, VectorIndex.read(tmp_path / "x", kind, WIDE)):
        rows, scores = index.search(queries, 10)
        truth = queries @ half.astype(np.float32).T
        assert recall(rows, np.argsort(-truth, axis=1)[:, :10]).mean() > 0.97
        assert np.abs(scores - np.take_along_axis(truth, rows, axis=1)).max() < 1e-6
        assert index.bytes == made.bytes
        assert index.bytes == pytest.approx((tmp_path / "x").stat().st_size, rel=0.05)
    large.write(tmp_path / "x")
    assert VectorIndex.read(tmp_path / "x", kind, WIDE).bytes == large.bytes


def test_vectors_that_are_near_each_other_lie_together():
    groups = np.repeat(unit(4), 50, axis=0)[np.random.default_rng(0).permutation(200)]
    spread = groups + 0.01 * unit(200, seed=1)
    order = faiss_index._side_by_side(spread)
    assert sorted(order) == list(range(200)) and len(faiss_index._side_by_side(spread[:0])) == 0
    with mock.patch.multiple(faiss_index, _SIDES=40, _SLAB=64):
        order = faiss_index._side_by_side(spread)
    assert sorted(order) == list(range(200))
    # No more changes of side than there are sides, where by chance three of four would be one.
    assert (np.diff(groups[order], axis=0).any(axis=1)).sum() < 40


def test_a_graph_linked_in_no_order_lies_side_by_side():
    drawn = np.random.default_rng(0)
    centres = unit(40, 32, seed=1)
    vectors = centres[drawn.integers(0, 40, 4000)] + 0.05 * drawn.standard_normal((4000, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    queries, narrow = vectors[::20], Tuning(8, 30, search_width=10, candidates=1)
    truth = VectorIndex(vectors).search(queries, 10)[0]
    laid = faiss_index._side_by_side(vectors)

    def found(index):
        return recall(index.search(queries, 10)[0], truth).mean()

    mixed = VectorIndex(vectors, "hnsw", narrow)
    ids = _held(mixed)
    assert np.array_equal(ids, laid) and len(mixed) == 4000
    # Each code and each vector has the number of its own row.
    refined, _ = faiss_index.inside(mixed._index)
    assert np.array_equal(refined.refine_index.reconstruct_n(0, 4000), vectors[ids])
    codes = refined.base_index.reconstruct_n(0, 4000)
    assert (np.vecdot(codes, vectors[ids]) > 0.99).all()
    assert found(mixed) > 0.88  # with ids of other rows it is near 0
    first = VectorIndex(vectors[:2500], "hnsw", narrow)
    first.add(vectors[2500:])
    assert sorted(_held(first)) == list(range(4000)) and sorted(_held(first)[:2500])[-1] == 2499
    assert found(first) > 0.88


def _held(index):
    import faiss

    return faiss.vector_to_array(index._index.id_map)


def test_an_index_of_another_kind_or_version_is_refused(vectors, tmp_path):
    import faiss

    for kind, other in (("hnsw", "ivf"), ("ivf", "hnsw")):
        made = VectorIndex(vectors, kind)
        made.write(tmp_path / "x")
        assert VectorIndex.read(tmp_path / "x", kind, Tuning()).search(vectors[:1], 1)[0] == [[0]]
        with pytest.raises(RagftError, match=f"x: holds no {other} index as this version"):
            VectorIndex.read(tmp_path / "x", other, Tuning())
        faiss.write_index(made._index.index, str(tmp_path / "older"))
        with pytest.raises(RagftError, match=f"older: holds no {kind} index as this version"):
            VectorIndex.read(tmp_path / "older", kind, Tuning())


def test_recall_by_hand():
    exact = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    found = np.array([[4, 9, 1], [-1, -1, -1]])
    assert recall(found, exact).tolist() == [0.5, 0.0]
    assert math.isnan(recall(found[:1], np.empty((1, 0), int))[0])


@pytest.mark.parametrize("kind", KINDS)
def test_few_vectors_and_none(kind):
    rows, scores = VectorIndex(unit(3), kind).search(unit(2), 10)
    assert rows.shape == (2, 3) and sorted(rows[0]) == [0, 1, 2]
    rows, scores = VectorIndex(unit(0), kind).search(unit(2), 10)
    assert rows.shape == scores.shape == (2, 0)
    assert VectorIndex(unit(3), kind).search(unit(0), 2)[0].shape == (0, 2)


def test_sizes_are_told_before_anything_is_filled(vectors, monkeypatch):
    assert (
        index_bytes(1000, 384, "exact", Tuning()) == VectorIndex(unit(1000, 384)).bytes == 1536000
    )
    assert index_bytes(0, 384, "exact", Tuning()) == 0 and centres(0) == 1
    sizes = [index_bytes(10**6, 384, kind, Tuning()) for kind in ("exact", "ivf", "hnsw")]
    assert sizes == sorted(sizes)
    monkeypatch.setattr(ann, "free_memory", lambda: 2**17)
    monkeypatch.setattr(faiss_index, "empty", lambda *given: pytest.fail("filled"))
    with pytest.raises(RagftError, match=r"an hnsw index of 2,000 vectors takes .* GiB are free"):
        VectorIndex(vectors, "hnsw")


def test_the_computed_size_is_that_of_the_index(vectors):
    import faiss

    for kind in ("hnsw", "ivf"):
        for some in (vectors, vectors[:500], unit(1500, faiss_index.KEPT_DIMENSIONS + 101)):
            made = VectorIndex(some, kind)
            assert made.bytes == pytest.approx(len(faiss.serialize_index(made._index)), rel=0.05)


def test_free_memory_is_known_or_endless():
    assert ann.free_memory() > 2**20


def test_what_a_user_can_get_wrong(vectors):
    with pytest.raises(RagftError, match="unknown kind 'tree'; choose exact, hnsw, ivf"):
        VectorIndex(vectors, "tree")
    with pytest.raises(RagftError, match=r"must have the shape \(n, d\), not \(16,\)"):
        VectorIndex(vectors[0])
