"""What a benchmark counts; how long it takes is no test's matter."""

import json

import numpy as np
import pytest

from ragft.bench import row
from ragft.bench.refresh import _collection, _edits, refresh
from ragft.cli import main
from ragft.types import RagftError


class Embedder:
    """Vectors at once; counts the texts."""

    def __init__(self):
        self.embedded, self.seen = 0, []

    def embed(self, texts, cached=True):
        texts = list(texts)
        self.embedded += len(texts)
        self.seen += texts
        return np.eye(1, 4, dtype=np.float32).repeat(len(texts), 0)


def test_a_row_has_the_median_and_both_ends():
    found = row("a", 3, "b", [0.3, 0.1, 0.2], "note")
    assert (found["ratio"], found["low"], found["high"]) == (0.2, 0.1, 0.3)
    assert list(found) == ["stage", "size", "against", "ratio", "low", "high", "recall", "note"]


def test_a_refresh_embeds_what_changed_and_nothing_twice():
    embedder = Embedder()
    rows = refresh(200, 0.05, repeats=3, embedder=embedder)
    assert [r["stage"] for r in rows] == ["refresh hybrid", "refresh dense", "refresh bm25"]
    assert all(r["size"] == 200 and 0 < r["low"] <= r["ratio"] <= r["high"] for r in rows)
    assert "10 documents changed each time, passages embedded [10, 10, 10]" in rows[0]["note"]
    assert "passages embedded [0, 0, 0]; building embedded 0" in rows[2]["note"]
    hybrid = embedder.seen[1 : 1 + 200 + 30]
    assert len(set(hybrid)) == 230 and "warm" not in hybrid


def test_with_a_sample_the_seconds_of_embedding_are_counted(monkeypatch):
    """A clock of 6 seconds for 3 texts: 2 for each, so that all else hardly counts."""
    from contextlib import contextmanager
    from types import SimpleNamespace

    @contextmanager
    def stopwatch():
        yield SimpleNamespace(seconds=6.0)

    monkeypatch.setattr("ragft.bench.refresh.stopwatch", stopwatch)
    embedder = Embedder()
    rows = refresh(200, 0.05, repeats=2, embedder=embedder, sample=3)
    assert embedder.embedded == 1 + 3  # the model loaded, the sample; all others drawn
    for found in rows[:2]:
        assert found["ratio"] == pytest.approx(10 / 200, rel=0.05)
        assert "building embedded 200 at 2000.0 ms each, measured on 3" in found["note"]
    assert "ms each" not in rows[2]["note"]


def test_a_sample_out_of_range_is_named():
    with pytest.raises(RagftError, match="sample 11; give 1 to the 10 documents"):
        refresh(10, 0.1, repeats=2, embedder=Embedder(), sample=11)


def test_every_refresh_changes_other_documents():
    corpus = _collection(40)
    assert len(corpus.documents) == 40
    changed = [d.id for edits in _edits(corpus, 10, 4) for d in edits]
    assert sorted(changed) == sorted(d.id for d in corpus.documents)


@pytest.mark.parametrize(
    "size", [{"share": 0.0}, {"share": 0.5, "repeats": 3}, {"repeats": 0}, {"documents": 0}]
)
def test_sizes_out_of_range_are_named(size):
    with pytest.raises(RagftError, match="bench refresh: .* share .* repeats"):
        refresh(**{"documents": 10, "share": 0.1, "repeats": 2, "embedder": Embedder(), **size})


def test_the_command_prints_json_alone_and_keeps_a_record(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("ragft.bench.refresh.Embedder", lambda cache: Embedder())
    kept = tmp_path / "bench.json"
    options = ["--documents", "40", "--share", "0.1", "--repeats", "1", "--record", str(kept)]
    assert main(["bench", "refresh", *options, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["bench"]) == 3
    assert json.loads(kept.read_text())["hardware"]
    assert main(["bench", "refresh", *options]) == 0
    assert "building from nothing" in capsys.readouterr().out
