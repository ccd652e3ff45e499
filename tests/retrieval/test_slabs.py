"""Texts are embedded in slabs, each kept when it is finished, and bad vectors are refused."""

import numpy as np
import pytest

from ragft.retrieval import slabs
from ragft.retrieval.index import HybridIndex
from ragft.retrieval.parts import checked_vectors
from ragft.retrieval.slabs import embed_in_slabs
from ragft.retrieval.vector_cache import VectorCache
from ragft.types import Passage, RagftError
from tests.retrieval.conftest import WordEmbedder

TEXTS = [f"text number {n}" for n in range(25)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(slabs, "SLAB", 10)


def test_slabs_together_are_all_at_once():
    embedder = WordEmbedder()
    np.testing.assert_array_equal(embed_in_slabs(embedder, TEXTS), WordEmbedder().embed(TEXTS))
    assert [len(texts) for texts, _ in embedder.calls] == [10, 10, 5]


def test_what_is_kept_is_not_embedded_again(tmp_path):
    cache = VectorCache(tmp_path, "ab")
    first = embed_in_slabs(WordEmbedder(), TEXTS[:12], cache)
    again = WordEmbedder()
    made = embed_in_slabs(again, TEXTS, cache)
    assert again.calls == [(TEXTS[12:22], True), (TEXTS[22:], True)]
    np.testing.assert_array_equal(made[:12], first)
    np.testing.assert_array_equal(made, WordEmbedder().embed(TEXTS))


def test_a_long_time_shows_a_bar_and_a_short_one_none(monkeypatch, capsys):
    monkeypatch.setattr(slabs, "_PATIENCE_S", 0.0)
    embed_in_slabs(WordEmbedder(), TEXTS[:10])
    assert capsys.readouterr().err == ""
    embed_in_slabs(WordEmbedder(), TEXTS)
    told = capsys.readouterr().err
    assert "embedding" in told and "25/25" in told


class Bad(WordEmbedder):
    def __init__(self, value):
        super().__init__(8)
        self.value = value

    def embed(self, texts, cached=True):
        made = super().embed(texts, cached)
        made[[n for n, text in enumerate(texts) if "bad" in text]] = self.value
        return made


@pytest.mark.parametrize(
    ("value", "told"), [(np.nan, "not finite"), (np.inf, "not finite"), (0, "zero")]
)
def test_vectors_that_say_nothing_are_refused_and_nothing_is_taken_in(value, told, tmp_path):
    good = [Passage(f"d{n}#0", f"d{n}", text, 0, 1) for n, text in enumerate(TEXTS)]
    bad = [Passage("b#0", "b", "a bad one", 0, 1), Passage("c#0", "c", "bad too", 0, 1)]
    one = HybridIndex(good, retriever="dense", embedder=Bad(value))
    two = HybridIndex.open(tmp_path / "x", embedder=Bad(value))
    two.upsert(good)
    for index in (one, two):
        with pytest.raises(RagftError, match=f"vectors of 2 of 3 texts are {told}, .*'a bad one'"):
            index.upsert([*bad, Passage("e#0", "e", "good", 0, 1)])
        assert index.passages == tuple(good)
        with pytest.raises(RagftError, match=f"vectors of 1 of 2 texts are {told}"):
            index.search(["good", "bad question"])
        assert len(index.search("text number 3", 99)) == 25
    assert HybridIndex.load(tmp_path / "x", embedder=Bad(value)).passages == tuple(good)


def test_one_number_that_is_not_finite_is_enough():
    made = np.ones((3, 4), np.float32)
    assert checked_vectors(made, "abc") is made
    made[1, 2] = np.nan
    with pytest.raises(RagftError, match="the first that of 'b'"):
        checked_vectors(made, "abc")
    # Large and small numbers are neither infinite nor zero.
    for value in (1e30, 1e-30):
        checked_vectors(np.full((1, 4), value, np.float32), "a")


@pytest.mark.parametrize("made", [np.ones((2, 4)), np.ones(3), np.ones((3, 4, 1))])
def test_an_array_of_another_shape_is_named(made):
    with pytest.raises(RagftError, match=r"3 texts need an array of shape \(3, dimension\)"):
        checked_vectors(made, "abc")


def test_vectors_of_two_lengths_are_refused():
    class Growing(WordEmbedder):
        def embed(self, texts, cached=True):
            self.dimension += 1
            return super().embed(texts, cached)

    with pytest.raises(RagftError, match="of different lengths"):
        embed_in_slabs(Growing(), TEXTS)
