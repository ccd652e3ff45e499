"""Retrieval drift over histories whose every number can be told by hand."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from ragft.corpora.corpus import Corpus
from ragft.experiments import history_cells
from ragft.experiments.history import history_drift
from ragft.experiments.history_cells import asked_days
from ragft.report.history import history_text, known_items_text
from ragft.types import Document, RagftError
from tests.experiments.test_known_item import told
from tests.git_repository import Repository
from tests.retrieval.conftest import WordEmbedder

FIRST, LAST = date(2024, 1, 1), date(2024, 2, 1)


@pytest.fixture
def repository(tmp_path):
    """Ten files; then one has other words, one another name, one is gone, and two are new."""
    made = Repository(tmp_path / "repo")
    made.commit("2024-01-01", {f"f{n}.md": told(n) for n in range(10)})
    changes = {"f0.md": told(100), "f1.md": None, "g1.md": told(1), "f2.md": None}
    made.tip = made.commit("2024-02-01", {**changes, "f10.md": told(10), "f11.md": told(11)})
    return made


@pytest.fixture
def corpus(repository):
    return Corpus.from_git(repository.path)


def drift(corpus, tmp_path, **options):
    options = {"base": "smoke", "out": tmp_path / "results", "n": 50, **options}
    return history_drift(corpus, progress=False, **options)


def test_an_index_as_made_misses_what_came_later_and_a_refreshed_one_does_not(corpus, tmp_path):
    found = drift(corpus, tmp_path)
    rows = found.summary.set_index(["day", "index"])
    assert rows["n"].tolist() == [10, 10, 11, 11]
    assert rows["passages"].tolist() == [10, 10, 10, 11]
    # Of 11 files on the last day 7 stayed and 1 was renamed; 1 was rewritten and 2 are new.
    for measure in ("recall@10", "mrr", "held"):
        np.testing.assert_allclose(rows[measure], [1, 1, 8 / 11, 1])
        assert (rows[f"{measure}_low"] <= rows[measure]).all()
        assert (rows[measure] <= rows[f"{measure}_high"]).all()
    assert found.differences["mean"].tolist() == pytest.approx([0, 3 / 11])
    assert found.differences["clusters"].tolist() == [10, 11]


def test_what_was_missed_is_told_question_by_question(corpus, tmp_path):
    answers = drift(corpus, tmp_path).answers
    late = answers[(answers["day"] == "2024-02-01") & (answers["index"] == "as made")]
    missed = set(late.loc[late["recall"] == 0, "cluster"])
    assert missed == {"f0.md", "f10.md", "f11.md"}
    assert set(late.loc[late["held"] == 0, "cluster"]) == missed
    both = answers[answers["day"] == "2024-01-01"].groupby("index")["question_id"].agg(set)
    assert both["as made"] == both["refreshed"] and len(both["as made"]) == 10


def test_an_index_that_holds_none_of_it_has_missed_all(tmp_path):
    documents = [
        Document(f"f{n}@1", told(n), source=f"f{n}", valid_from=FIRST, valid_to=LAST)
        for n in range(12)
    ]
    documents += [
        Document(f"f{n}@2", told(50 + n), source=f"f{n}", valid_from=LAST) for n in range(12)
    ]
    rows = drift(Corpus(documents), tmp_path, days=[FIRST, LAST]).summary
    assert rows["recall@10"].tolist() == [1, 1, 0, 1] and rows["held"].tolist() == [1, 1, 0, 1]


def test_words_that_went_to_another_file_are_missed(tmp_path):
    stays = [Document(f"s{n}", told(n), source=f"s{n}", valid_from=FIRST) for n in range(12)]
    moved = [
        Document("a@1", told(20), source="a", valid_from=FIRST, valid_to=LAST),
        Document("b@1", told(20), source="b", valid_from=LAST),
    ]
    answers = drift(Corpus([*stays, *moved]), tmp_path).answers
    assert answers.loc[answers["recall"] == 0, ["cluster", "index"]].values.tolist() == [
        ["b", "as made"]
    ]


def test_the_record_is_read_back_and_pins_the_commit(corpus, repository, tmp_path, monkeypatch):
    first = drift(corpus, tmp_path)
    monkeypatch.setattr(history_cells.Work, "compute", None)
    again = drift(corpus, tmp_path)
    assert again.to_dict() == first.to_dict() and again.folder == first.folder
    asked = first.record["parameters"]
    assert asked["origin"]["revision"] == repository.tip and asked["made_on"] == "2024-01-01"
    assert asked["corpus"] == f"repo@{repository.tip[:12]}"
    assert first.record["hashes"]["corpus"] == corpus.content_hash
    assert first.record["name"] == "history" and first.record["seeds"] == [0]


@pytest.mark.parametrize("options", [{"seed": 1}, {"n": 5}, {"retriever": "dense"}])
def test_another_seed_size_or_retriever_is_another_run(corpus, tmp_path, options):
    embedder = WordEmbedder()
    embedder.model_hash = "words"
    first = drift(corpus, tmp_path)
    other = drift(corpus, tmp_path, embedder=embedder, **options)
    assert other.folder != first.folder
    assert other.to_dict()["retriever"] == options.get("retriever", "bm25")


def test_hybrid_search_with_an_embedder(corpus, tmp_path):
    embedder = WordEmbedder()
    embedder.model_hash = "words"
    found = drift(corpus, tmp_path, retriever="hybrid", embedder=embedder)
    assert found.summary["recall@10"].tolist() == pytest.approx([1, 1, 8 / 11, 1])
    assert found.record["hashes"]["embedding_model"] == "words"
    assert embedder.embedded > 0


def dated(count):
    start = [FIRST + timedelta(n) for n in range(count)]
    return Corpus([Document(f"d{n}", "x", valid_from=day) for n, day in enumerate(start)])


@pytest.mark.parametrize(
    ("days", "made_on", "expected"),
    [
        (3, None, [3, 7, 10]),
        (2, None, [3, 10]),
        (99, None, [3, 4, 5, 6, 7, 8, 9, 10]),
        (2, date(2024, 1, 1), [1, 10]),
        (4, date(2024, 1, 1), [1, 4, 7, 10]),
        (99, date(2024, 1, 8), [8, 9, 10]),
        ([date(2024, 1, 5), date(2024, 1, 2), date(2024, 1, 5)], None, [2, 5]),
        ([date(2024, 1, 20)], date(2024, 1, 2), [2, 20]),
    ],
)
def test_days_that_are_asked(days, made_on, expected):
    assert [day.day for day in asked_days(dated(10), days, made_on)] == expected


@pytest.mark.parametrize(
    ("corpus", "options", "message"),
    [
        (Corpus([Document("d", "x")], name="mine"), {}, "mine: no document has a date"),
        (dated(1), {}, "needs 2 days or more, and there are 1; something changed on 1 days"),
        (dated(9), {"days": 1}, "needs 2 days or more, and there are 1"),
        (dated(9), {"days": 0}, "needs 2 days or more, and there are 0"),
        (
            dated(9),
            {"days": [FIRST, LAST], "made_on": LAST},
            "2024-01-01 lies before .* 2024-02-01",
        ),
        (dated(9), {"days": [date(2023, 1, 1), LAST]}, "no document was in force on 2023-01-01"),
        (dated(9), {"retriever": "grep"}, "retriever must be one of"),
        (dated(9), {"n": -1}, "questions must be at least 1"),
        (dated(9), {}, r"on 2024-01-03: no heading or sentence can be asked about"),
    ],
)
def test_misuse_is_named(corpus, options, message, tmp_path):
    with pytest.raises(RagftError, match=message):
        drift(corpus, tmp_path, **options)


def test_the_table_has_a_line_a_day(corpus, tmp_path):
    text = history_text(drift(corpus, tmp_path).to_dict())
    (line,) = [line for line in text.splitlines() if line.startswith("2024-02-01")]
    cells = [cell for cell in line.split("  ") if cell]
    assert cells[:3] == ["2024-02-01", "11", "11"] and cells[3].startswith("72.7 [")
    assert cells[4].startswith("100.0 [") and cells[5].startswith("27.3 [")
    assert "Index (bm25) made on 2024-01-01" in text and "Record: " in text
    counts = {"questions": {"heading": 1, "sentence": 2}, "left_out": {}}
    line = "\nAsked: 1 headings, 2 sentences, cut out of passages. Left out: none."
    assert known_items_text({"known_items": counts}) == line and known_items_text({}) == ""
