"""An approximate search is chosen by rule, measured, and finds passages as exact search does."""

import math
import warnings
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.retrieval import ann, faiss_index, neighbours
from ragft.retrieval.ann import VectorIndex
from ragft.retrieval.faiss_index import Tuning
from ragft.retrieval.index import HybridIndex
from ragft.retrieval.neighbours import EXACT_UP_TO, Neighbours, chosen_kind
from ragft.types import Passage, RagftError
from tests.retrieval.conftest import WordEmbedder

LOOKED_AT = ("search_width", "probes", "candidates")


def unit(count, dimension=16, seed=0):
    made = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_the_rule():
    assert chosen_kind("auto", EXACT_UP_TO, 384) == "exact"
    assert chosen_kind("auto", EXACT_UP_TO + 1, 384) == "ivf"
    assert [chosen_kind(kind, n, 4) for kind in ("exact", "hnsw", "ivf") for n in (1, 10**7)] == [
        "exact", "exact", "hnsw", "hnsw", "ivf", "ivf"]  # fmt: skip


def test_what_does_not_fit_the_memory_is_searched_exactly(monkeypatch):
    monkeypatch.setattr(neighbours, "free_memory", lambda: 2**20)
    assert chosen_kind("auto", EXACT_UP_TO + 1, 384) == "exact"


def test_without_faiss_search_is_exact_and_a_kind_by_name_is_refused(monkeypatch):
    find = neighbours.find_spec
    monkeypatch.setattr(
        neighbours, "find_spec", lambda name: None if name == "faiss" else find(name)
    )
    assert chosen_kind("auto", 10**7, 384) == "exact"
    for kind in ("hnsw", "ivf"):
        with pytest.raises(RagftError, match=f"kind='{kind}' needs faiss.*pip install faiss-cpu"):
            HybridIndex(kind=kind)
    with pytest.raises(RagftError, match="unknown kind 'tree'; choose one of .*'auto', 'exact'"):
        HybridIndex(kind="tree")
    index = HybridIndex(texts(3), retriever="dense", embedder=WordEmbedder(), kind="exact")
    assert len(index.search("red")) == 3


def texts(count, of="word{} among others"):
    made = [of.format(n) for n in range(count)]
    return [Passage(f"d{n}#0", f"d{n}", text, 0, len(text)) for n, text in enumerate(made)]


@pytest.mark.parametrize("kind", ["hnsw", "ivf", "ivf by codes"])
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_with_all_the_work_it_finds_what_exact_search_finds(kind, data):
    rows = data.draw(st.integers(1, 60))
    coded = mock.patch.object(faiss_index, "CODED_FROM", 20 if kind == "ivf by codes" else 1000)
    split = data.draw(st.integers(1, rows))
    # Rows of no passage, of one, and of several.
    at = np.array(data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=80)))
    k = data.draw(st.integers(1, 100))
    vectors = unit(rows, seed=rows)
    blocks = [vectors[:split], vectors[split:]]
    much = Tuning(search_width=1000, probes=1000, candidates=1000)
    with coded:
        near = Neighbours(VectorIndex(blocks[0], kind.split()[0], much))
    near.extend(blocks)
    near.arrange(at)
    queries = unit(3, seed=99)
    for query, (places, scores) in zip(queries, near.search(queries, k, blocks, at), strict=True):
        truth = vectors[at] @ query
        assert len(places) == len(set(places.tolist())) == min(k, len(at))
        np.testing.assert_allclose(scores, truth[places], atol=1e-5)
        np.testing.assert_allclose(scores, np.sort(truth)[::-1][: len(places)], atol=1e-5)


def test_equal_vectors_come_in_the_order_of_the_passages():
    same = np.repeat(unit(1), 5, axis=0)
    near = Neighbours(VectorIndex(same, "ivf", Tuning(probes=100)))
    at = np.array([4, 2, 0, 1, 3, 0])
    near.arrange(at)
    ((places, scores),) = near.search(same[:1], 6, [same], at)
    assert places.tolist() == [0, 1, 2, 3, 4, 5] and np.ptp(scores) == 0


def test_too_few_found_are_searched_exactly(monkeypatch):
    vectors = unit(400)
    near = Neighbours(VectorIndex(vectors, "ivf", Tuning(probes=1)))
    near.arrange(np.arange(400))
    assert min(len(f) for f, _ in near._found(vectors[:20], 100)) < 100
    for places, scores in near.search(vectors[:20], 100, [vectors], np.arange(400)):
        assert len(places) == 100 and (np.diff(scores) <= 0).all()


@pytest.mark.parametrize(
    ("kind", "little"), [("hnsw", Tuning(8, 20, 1)), ("ivf", Tuning(probes=1))]
)
def test_recall_is_measured_and_the_search_widened_until_it_will_do(kind, little, monkeypatch):
    vectors, at = unit(3000), np.arange(3000)
    near = Neighbours(VectorIndex(vectors, kind, little))
    near.arrange(at)
    assert math.isnan(near.recall)
    with monkeypatch.context() as patch:
        patch.setattr(neighbours, "_WIDEST", 0)
        with pytest.warns(UserWarning, match=f"its {kind} search finds .* kind='exact' finds"):
            narrow = near.measure([vectors], at)
        assert narrow < 0.9 and near.index.tuning == little
    assert near.measure([vectors], at) == near.recall >= 0.98 > narrow
    assert near.about["recall"] == near.recall and near.about["tuning"] != vars(little)
    # Half as wide would do for passages, and a quarter would not.
    wide = near.index.tuning
    for part, enough in ((2, True), (4, False)):
        narrower = {name: getattr(wide, name) // part for name in LOOKED_AT}
        halved = replace(wide, **narrower)
        other = Neighbours(VectorIndex(vectors, kind, halved))
        other.arrange(at)
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            patch.setattr(neighbours, "_WIDEST", 0)
            other.measure([vectors], at)
        assert (other.index.tuning == wide) == enough
    # The measure itself, by another way: one's own row left out, of the ten nearest.
    chosen = np.random.default_rng(0).permutation(3000)[:200]
    found, _ = near.index.search(vectors[chosen], 11)
    truth = np.argsort(-(vectors[chosen] @ vectors.T), axis=1)[:, 1:11]
    assert near.recall == pytest.approx(
        np.mean([np.isin(t, f).mean() for f, t in zip(found, truth, strict=True)]), abs=0.002
    )


def test_a_lonely_passage_has_no_recall():
    near = Neighbours(VectorIndex(unit(1), "ivf"))
    near.arrange(np.array([0]))
    assert math.isnan(near.measure([unit(1)], np.array([0])))


def test_an_index_says_how_it_searches_and_what_it_finds(monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT_UP_TO", 50)
    index = HybridIndex(texts(50), retriever="dense", embedder=WordEmbedder())
    assert index.recall == 1.0 and index.vectors.searched == "exact"
    before = index.bytes
    index.upsert(texts(51)[50:])
    assert index.recall > 0.9 and index.vectors.searched == "ivf" and index.bytes > before
    index.delete("d7")
    assert index.recall == 1.0 and index.vectors.searched == "exact"


@pytest.mark.filterwarnings("ignore:index. its hnsw search finds")
@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_filters_and_changes_are_honoured(kind):
    embedder = WordEmbedder()
    held = texts(120)
    held = [Passage(p.id, p.doc_id, p.text, 0, p.end, collection="ab"[n % 2])
            for n, p in enumerate(held)]  # fmt: skip
    index = HybridIndex(held, retriever="dense", embedder=embedder, kind=kind)
    exact = HybridIndex(held, retriever="dense", embedder=embedder, kind="exact")
    for step in range(3):
        for each in (index, exact):
            each.delete([f"d{n}" for n in range(step * 30, step * 30 + 20)])
            each.upsert(texts(5, f"fresh{step} word{{}}"))
        for query in ("word50 among others", f"fresh{step} word3"):
            assert [h.score for h in index.search(query, 99, collection="b")] == pytest.approx(
                [h.score for h in exact.search(query, 99, collection="b")], abs=1e-6
            )
            found, true = index.search(query, 99), exact.search(query, 99)
            assert {h.passage for h in found} <= set(exact.passages)
            assert len(found) == len(true) == min(99, len(exact))
            assert found[0].score == pytest.approx(true[0].score, abs=1e-6)


def test_what_has_grown_twofold_is_built_again():
    near = Neighbours(VectorIndex(unit(10), "ivf"))
    near.extend([unit(10), unit(5, seed=1)])
    assert len(near.index) == 15
    assert near.fits("ivf", 20) and not near.fits("ivf", 21)
    assert not near.fits("hnsw", 15) and not near.fits("ivf", 14)


def test_an_index_written_is_read_with_its_tuning(tmp_path):
    for kind in ("hnsw", "ivf"):
        made = VectorIndex(unit(300), kind, Tuning(search_width=7, probes=3))
        made.widen()
        made.write(tmp_path / "x")
        again = VectorIndex.read(tmp_path / "x", kind, made.tuning)
        assert (len(again), again.dimension, again.bytes) == (300, 16, made.bytes)
        for one, two in zip(made.search(unit(5), 9), again.search(unit(5), 9), strict=True):
            np.testing.assert_array_equal(one, two)
        assert made.tuning == Tuning(search_width=14, probes=6, candidates=10)
    (tmp_path / "x").write_bytes(b"no index")
    with pytest.raises(RagftError, match="x: faiss .* cannot read it"):
        VectorIndex.read(tmp_path / "x", "ivf", Tuning())


def test_memory_is_asked_for_before_it_is_filled(monkeypatch):
    monkeypatch.setattr(ann, "free_memory", lambda: 100)
    index = HybridIndex(texts(9), retriever="dense", embedder=WordEmbedder(), kind="hnsw")
    with pytest.raises(RagftError, match="an hnsw index of 9 vectors takes"):
        index.search("red")
