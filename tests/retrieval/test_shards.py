"""Shards together rank as the whole index does, and a shard that was changed is refused."""

import json
import shutil
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.retrieval.fusion import Fusion
from ragft.retrieval.index import RETRIEVERS, HybridIndex
from ragft.retrieval.shards import ShardedIndex, write_shards
from ragft.retrieval.vectors import DTYPES
from ragft.types import Passage, RagftError
from tests.retrieval.conftest import WordEmbedder


def passages(texts):
    return [
        Passage(
            f"d{i}#0",
            f"d{i}",
            text,
            0,
            len(text),
            f"Title {i % 3}" if i % 2 else "",
            f"s{i % 2}",
            "ab"[i % 2],
            date(2020, 1, 1 + i % 3) if i % 4 else None,
            date(2021, 1, 1) if i % 5 == 0 else None,
        )
        for i, text in enumerate(texts)
    ]


def tell(hits):
    return [(h.passage, h.rank, h.stage) for h in hits]


WORDS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5).map(" ".join)
CASES = st.lists(WORDS, min_size=1, max_size=14)


@settings(deadline=None, max_examples=40)
@given(CASES, st.lists(WORDS, min_size=1, max_size=3), st.integers(1, 5), st.integers(1, 16))
def test_words_are_weighed_as_in_the_whole_to_the_last_bit(texts, queries, count, k):
    index = HybridIndex(passages(texts), retriever="bm25")
    with tempfile.TemporaryDirectory() as folder:
        write_shards(index, Path(folder) / "x", min(count, len(texts)))
        sharded = ShardedIndex(Path(folder) / "x")
        assert sharded.passages == index.passages and len(sharded) == len(index)
        for how in ({}, {"collection": "a"}, {"as_of": "2020-06-01"}, {"source": "s1"}):
            assert sharded.search(queries, k, **how) == index.search(queries, k, **how)


def assert_alike(sharded, whole):
    """Check that hits agree, but for the order of those whose scores do not differ."""
    assert [h.score for h in sharded] == pytest.approx([h.score for h in whole], abs=1e-6)
    for hit, other in zip(sharded, whole, strict=True):
        if hit.passage != other.passage:  # then it is a tie within rounding
            scores = [h.score for h in whole if h.passage == hit.passage]
            assert scores == [pytest.approx(hit.score, abs=1e-6)]


@settings(deadline=None, max_examples=30)
@given(CASES, WORDS, st.integers(1, 5), st.sampled_from(DTYPES))
def test_vectors_are_compared_as_in_the_whole(texts, query, count, dtype):
    embedder = WordEmbedder()
    index = HybridIndex(passages(texts), retriever="dense", embedder=embedder, dtype=dtype)
    with tempfile.TemporaryDirectory() as folder:
        write_shards(index, Path(folder) / "x", min(count, len(texts)))
        sharded = ShardedIndex(Path(folder) / "x", embedder=embedder)
        assert {shard.vectors.dtype for shard in sharded.shards} == {np.dtype(dtype)}
        assert_alike(sharded.search(query, 20), index.search(query, 20))
        assert_alike(
            sharded.search(query, 20, collection="b"), index.search(query, 20, collection="b")
        )


# Of different lengths, so that no two vectors are equally far from a query.
TEXTS = [
    "apples red",
    "bananas are yellow when they are ripe",
    "red cherries, some of them",
    "sky",
    "the grey sky over there",
    "the red evening came and all of them went home",
]


@pytest.mark.parametrize("retriever", RETRIEVERS)
def test_every_stage_and_option_goes_through_shards(retriever, word_embedder, tmp_path):
    class ByLength:
        def scores(self, pairs):
            return np.array([len(text) for _, text in pairs], dtype=float)

    options = {"fusion": Fusion("minmax", (1, 2), priority={"s0": 0.5}), "reranker": ByLength()}
    options |= {"rerank_depth": 2, "embedder": word_embedder}
    index = HybridIndex(passages(TEXTS), retriever=retriever, **options)
    write_shards(index, tmp_path / "x", 3)
    sharded = ShardedIndex(tmp_path / "x", **options)
    for query in (["red sky", "bananas"], "evening"):
        one, two = sharded.explain(query), index.explain(query)
        one, two = (x if isinstance(query, str) else x[0] for x in (one, two))
        assert [(c.passage, c.ranks) for c in one] == [(c.passage, c.ranks) for c in two]
    assert tell(sharded.search("red sky", 6)) == tell(index.search("red sky", 6))
    view, same = sharded.for_caller("a"), index.for_caller("a")
    assert tell(view.search("red sky", 6)) == tell(same.search("red sky", 6))
    timings = {}
    sharded.search("red", timings=timings)
    assert "build" not in timings and "search" in timings


def test_owners_get_their_own_passages_and_words(tmp_path):
    index = HybridIndex(passages(TEXTS), retriever="bm25")
    write_shards(index, tmp_path / "x", lambda p: f"owner-{p.collection}")
    shards = {shard.name: shard for shard in ShardedIndex(tmp_path / "x").shards}
    assert shards.keys() == {"owner-a", "owner-b"}
    assert {p.collection for p in shards["owner-a"].passages} == {"a"}
    words = {name: shard.postings.words for name, shard in shards.items()}
    assert "bananas" in words["owner-b"] and "bananas" not in words["owner-a"]


def test_passages_without_a_word_can_be_spread(tmp_path):
    index = HybridIndex(passages(["...", "!"]), retriever="bm25")
    bare = [p for p in index.passages if not p.title]
    index = HybridIndex(bare, retriever="bm25")
    write_shards(index, tmp_path / "x", 1)
    assert ShardedIndex(tmp_path / "x").search("red") == index.search("red")


def test_texts_of_odd_characters_come_back(tmp_path):
    held = passages(["one\u2028two\x85three", "half a \ud800 letter"])
    write_shards(HybridIndex(held, retriever="bm25"), tmp_path / "x", 2)
    assert ShardedIndex(tmp_path / "x").passages == tuple(held)


@pytest.fixture
def spread(tmp_path, word_embedder):
    index = HybridIndex(passages(TEXTS), embedder=word_embedder)
    return tmp_path / "x", write_shards(index, tmp_path / "x", 2), word_embedder


FILES = ["passages.jsonl", "positions.npy", "vectors.npy", "words.json", "postings.npz"]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused_by_its_name(spread, name):
    folder, _, embedder = spread
    path = folder / "shard-1" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RagftError, match=f"shard-1/{name}: is not the file that was written"):
        ShardedIndex(folder, embedder=embedder)


def test_a_shard_changed_with_its_manifest_is_refused_too(spread):
    from ragft.files import MANIFEST, sha256_file

    folder, seal, embedder = spread
    shard = folder / "shard-0"
    (shard / "passages.jsonl").write_text(
        (shard / "passages.jsonl").read_text().replace("red", "bad")
    )
    sums = json.loads((shard / MANIFEST).read_text())
    sums["sha256"]["passages.jsonl"] = sha256_file(shard / "passages.jsonl")
    (shard / MANIFEST).write_text(json.dumps(sums))
    with pytest.raises(RagftError, match="shard-0/manifest.json: is not the manifest"):
        ShardedIndex(folder, embedder=embedder)
    # Whoever changes the list as well is found out by the seal alone.
    about = json.loads((folder / "shards.json").read_text())
    about["shards"]["shard-0"] = sha256_file(shard / MANIFEST)
    (folder / "shards.json").write_text(json.dumps(about))
    ShardedIndex(folder, embedder=embedder)
    with pytest.raises(RagftError, match="shards.json: is not the list that was written"):
        ShardedIndex(folder, embedder=embedder, expected=seal)


def test_the_seal_of_untouched_shards_fits(spread):
    folder, seal, embedder = spread
    assert len(ShardedIndex(folder, embedder=embedder, expected=seal)) == len(TEXTS)


def test_a_missing_shard_a_missing_list_and_an_old_format_are_named(spread, tmp_path):
    folder, _, embedder = spread
    shutil.move(folder / "shard-1", tmp_path / "elsewhere")
    with pytest.raises(RagftError, match="shard-1/manifest.json: cannot be read"):
        ShardedIndex(folder, embedder=embedder)
    (folder / "shard-1").symlink_to(tmp_path / "elsewhere")
    assert len(ShardedIndex(folder, embedder=embedder)) == len(TEXTS)
    about = json.loads((folder / "shards.json").read_text())
    less = about | {"shards": {"shard-0": about["shards"]["shard-0"]}}
    (folder / "shards.json").write_text(json.dumps(less))
    with pytest.raises(RagftError, match="hold 3 passages and not each of the 6 once"):
        ShardedIndex(folder, embedder=embedder)
    (folder / "shards.json").write_text(json.dumps(about | {"format": 0}))
    with pytest.raises(RagftError, match="has format 0, not 1; write the shards again"):
        ShardedIndex(folder, embedder=embedder)
    (folder / "shards.json").unlink()
    with pytest.raises(RagftError, match="shards.json: missing or damaged"):
        ShardedIndex(folder, embedder=embedder)


def test_vectors_of_another_model_are_refused(tmp_path):
    one, other = WordEmbedder(), WordEmbedder()
    one.model_hash, other.model_hash = "1" * 64, "2" * 64
    write_shards(HybridIndex(passages(TEXTS), embedder=one), tmp_path / "x", 2)
    with pytest.raises(RagftError, match="made by the model '1{16}', not by this embedder's"):
        ShardedIndex(tmp_path / "x", embedder=other)


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        (0, "must be a whole number from 1 to the 6 passages"),
        (7, "must be a whole number from 1 to the 6 passages"),
        (lambda p: "../up", "'../up' cannot name a folder"),
        (lambda p: None, "None cannot name a folder"),
    ],
)
def test_misuse_is_named_and_writes_nothing(tmp_path, shards, message):
    index = HybridIndex(passages(TEXTS), retriever="bm25")
    with pytest.raises(RagftError, match=message):
        write_shards(index, tmp_path / "x", shards)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_written_over(tmp_path):
    index = HybridIndex(passages(TEXTS), retriever="bm25")
    write_shards(index, tmp_path / "x", 2)
    with pytest.raises(RagftError, match="is there already; choose another folder"):
        write_shards(index, tmp_path / "x", 2)
    with pytest.raises(RagftError, match="the index is empty"):
        write_shards(HybridIndex(retriever="bm25"), tmp_path / "y", lambda p: "a")
