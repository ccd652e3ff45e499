"""Texts embedded in several processes have the vectors that one process gives them."""

import os
import signal
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.retrieval import embedding_pool
from ragft.retrieval.dense import Embedder
from ragft.types import RagftError
from tests.retrieval.tiny import WORDS, save_tiny_embedder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_embedder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(embedding_pool, "PIECE", 16)


def texts(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join([*rng.choice(WORDS, rng.integers(1, 9)), str(n)]) for n in range(count)]


def test_vectors_order_and_counts_are_those_of_one_process(folder, tmp_path):
    asked = [*texts(75), "red " * 40, texts(75)[3]]  # one too long, one twice
    one, two = Embedder(folder), Embedder(folder, tmp_path / "cache", processes=2)
    with pytest.warns(UserWarning, match="1 of 76 texts are longer than the 32 tokens") as told:
        vectors = two.embed(asked)
    assert len(told) == 1
    with pytest.warns(UserWarning):
        expected = one.embed(asked)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert vectors.dtype == np.float32
    assert (two.embedded, two.truncated) == (one.embedded, one.truncated) == (76, 1)
    again = Embedder(folder, tmp_path / "cache", processes=2)  # each process wrote what it made
    np.testing.assert_array_equal(again.embed(asked), vectors)
    assert again.embedded == 0
    more = again.embed([*asked[:40], *(f"plum {n}" for n in range(40))])
    assert again.embedded == 40
    np.testing.assert_array_equal(more[:40], vectors[:40])


def test_few_texts_are_embedded_here(folder, monkeypatch):
    monkeypatch.setattr(embedding_pool, "embed", None)
    embedder = Embedder(folder, processes=2)
    assert embedder.embed(texts(31)).shape == (31, 32) and embedder.embedded == 31
    assert embedding_pool.pays(32, 2) and not embedding_pool.pays(31, 2)
    assert not embedding_pool.pays(10**6, 1)


def test_one_that_is_killed_ends_the_call_and_what_is_written_stays(folder, tmp_path, monkeypatch):
    done = embedding_pool._piece

    def kill(columns, embedder, cache):
        if "red" not in columns["text"][0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return done(columns, embedder, cache)

    monkeypatch.setattr(embedding_pool, "_piece", kill)
    asked = ["red blue " * 9 + str(n) for n in range(32)] + [f"plum {n}" for n in range(32)]
    embedder = Embedder(folder, tmp_path / "cache", processes=2)
    with pytest.raises(RagftError, match="one of them was ended from outside"):
        embedder.embed(asked)
    monkeypatch.undo()
    again = Embedder(folder, tmp_path / "cache")
    again.embed(asked)
    assert 0 < again.embedded < 64


def test_what_is_wrong_in_one_of_them_is_said(folder, monkeypatch):
    def damaged(self, texts):
        raise RagftError("it gave numbers that are not finite")

    embedder = Embedder(folder, processes=2)
    embedder.dimension  # noqa: B018  asked of the model before that is damaged
    monkeypatch.setattr(Embedder, "_forward", damaged)
    with warnings.catch_warnings(), pytest.raises(RagftError, match="not finite"):
        embedder.embed(texts(40))


def test_misuse_is_named(folder, monkeypatch):
    with pytest.raises(RagftError, match="processes must be at least 1, not 0"):
        Embedder(folder, processes=0)
    with pytest.raises(RagftError, match="compiled=True takes one process"):
        Embedder(folder, processes=2, compiled=True)
    elsewhere = type("Model", (), {"device": type("Device", (), {"type": "cuda"})})
    monkeypatch.setattr("ragft.retrieval.embedding_model.load", lambda *_: elsewhere)
    with pytest.raises(RagftError, match="processes=2 share the cores of a CPU.*'cuda'"):
        Embedder(folder, processes=2).embed(texts(40))


@given(st.lists(st.text(max_size=9), max_size=40), st.integers(1, 5), st.integers(1, 4))
def test_every_text_is_dealt_once_and_batches_are_those_of_one_process(words, hands, size):
    found = embedding_pool.dealt(words, hands, size)
    assert sorted(found) == list(range(len(words)))
    lengths = [len(words[place]) for place in found]
    alone = sorted(lengths, reverse=True)
    batches = sorted(alone[start : start + size] for start in range(0, len(alone), size))
    cut, dealt = 0, []
    for hand in range(hands):
        for batch in range(hand, len(batches), hands):
            width = min(size, len(alone) - batch * size)
            dealt.append(lengths[cut : cut + width])
            cut += width
    assert sorted(dealt) == batches
