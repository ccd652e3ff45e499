"""Datasets on disk as `datasets` and Parquet writers leave them; the hub is never reached."""

from __future__ import annotations

from datetime import date, datetime

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ragft.corpora.corpus import Corpus
from ragft.corpora.datasets import is_dataset, read_dataset
from ragft.corpora.sources import open_corpus
from ragft.files import hash_folder, sha256_file
from ragft.types import RagftError

COLUMNS = {
    "id": ["a", "b"],
    "contents": ["One.", "Two."],
    "title": ["T", None],
    "valid_from": [date(2024, 1, 2), None],
    "other": [1, 2],
}


@pytest.fixture
def rows():
    return datasets.Dataset.from_dict(COLUMNS)


def test_a_saved_dataset(tmp_path, rows):
    rows.save_to_disk(tmp_path / "set")
    corpus = Corpus.from_dataset(tmp_path / "set")
    assert [(d.id, d.text, d.title, d.valid_from) for d in corpus.documents] == [
        ("a", "One.", "T", date(2024, 1, 2)),
        ("b", "Two.", "", None),
    ]
    assert corpus.origin.revision == hash_folder(tmp_path / "set")
    assert corpus.name == f"set@{corpus.origin.revision[:12]}"
    assert open_corpus(tmp_path / "set") == corpus


def test_several_splits_must_be_chosen_from(tmp_path, rows):
    datasets.DatasetDict({"train": rows, "test": rows.select([1])}).save_to_disk(tmp_path / "set")
    with pytest.raises(RagftError, match="it has several splits; choose one: train, test"):
        read_dataset(tmp_path / "set")
    with pytest.raises(RagftError, match="there is no split 'dev'; choose one: train, test"):
        read_dataset(tmp_path / "set", split="dev")
    for corpus in (
        read_dataset(tmp_path / "set", split="test"),
        open_corpus(f"dataset:{tmp_path / 'set'}:test"),
    ):
        assert [d.id for d in corpus.documents] == ["b"] and corpus.origin.details[
            "split"
        ] == "test"


def test_parquet_files_shards_and_moments(tmp_path):
    stamps = pa.array([datetime(2024, 1, 2, 23), None], pa.timestamp("us"))
    for number, name in enumerate("ab"):
        table = pa.table({"id": [name, name * 2], "contents": ["x", "y"], "valid_from": stamps})
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / "data" / f"train-{number:05}-of-00002.parquet")
    (tmp_path / "README.md").write_text("# A card")
    assert is_dataset(tmp_path)
    corpus = open_corpus(tmp_path)
    assert [d.id for d in corpus.documents] == ["a", "aa", "b", "bb"]
    assert corpus.documents[0].valid_from == date(2024, 1, 2)
    one = tmp_path / "data" / "train-00000-of-00002.parquet"
    assert open_corpus(one).origin.revision == sha256_file(one)
    (tmp_path / "guide.md").write_text("# A document")
    assert not is_dataset(tmp_path)
    assert [d.id for d in open_corpus(tmp_path).documents] == ["README.md", "guide.md"]


def test_columns_of_other_names(tmp_path):
    table = pa.table({"_id": ["a"], "text": ["One."]})
    pq.write_table(table, tmp_path / "corpus.parquet")
    with pytest.raises(RagftError, match=r"no column for 'contents', 'id'; it has _id, text"):
        read_dataset(tmp_path / "corpus.parquet")
    corpus = read_dataset(tmp_path / "corpus.parquet", columns={"id": "_id", "contents": "text"})
    assert [(d.id, d.text) for d in corpus.documents] == [("a", "One.")]
    with pytest.raises(RagftError, match="no column for 'contents', 'id', 'nonsense'"):
        read_dataset(tmp_path / "corpus.parquet", columns={"nonsense": "text"})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["a", "a"], "contents": ["x", "y"]}, "row 2: the id 'a' occurred before"),
        ({"id": ["a", "b"], "contents": ["x", None]}, "row 2: the key 'contents' is missing"),
        ({"id": ["a"], "contents": [1.5]}, "row 1: 'contents' must be a string, found float"),
        ({"id": pa.array([], pa.string()), "contents": pa.array([], pa.string())}, "no document"),
    ],
)
def test_bad_rows_are_named(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "bad.parquet")
    with pytest.raises(RagftError, match=message):
        read_dataset(tmp_path / "bad.parquet")


def test_what_is_no_dataset(tmp_path):
    (tmp_path / "bad.parquet").write_text("no")
    (tmp_path / "empty").mkdir()
    for place, options, message in [
        (tmp_path / "bad.parquet", {}, "the dataset cannot be read"),
        (tmp_path / "empty", {}, "no dataset .* read it as a folder"),
        (tmp_path / "empty", {"revision": "main"}, "no subset or revision"),
    ]:
        with pytest.raises(RagftError, match=message):
            read_dataset(place, **options)


def test_from_the_hub_the_commit_is_pinned(monkeypatch, rows):
    asked = []

    class Api:
        def dataset_info(self, name, revision):
            asked.append((name, revision))
            return huggingface_hub.hf_api.DatasetInfo(id=name, sha="c" * 40)

    def load(name, subset, revision):
        asked.append((name, subset, revision))
        return datasets.DatasetDict({"train": rows})

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(datasets, "load_dataset", load)
    corpus = open_corpus("dataset:org/name@v1:train")
    assert asked == [("org/name", "v1"), ("org/name", None, "c" * 40)]
    assert corpus.origin.revision == "c" * 40 and corpus.name == f"org/name@{'c' * 12}"
    read_dataset("org/name", revision="d" * 40, subset="corpus")
    assert asked[2:] == [("org/name", "corpus", "d" * 40)]  # a commit needs no look-up


def test_without_a_network_the_message_says_what_to_do(monkeypatch):
    def refuse(*args, **options):
        raise ConnectionError("offline mode is enabled")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    with pytest.raises(
        RagftError, match=r"'org/name' is neither .* \(offline mode .*give a folder"
    ):
        read_dataset("org/name")
