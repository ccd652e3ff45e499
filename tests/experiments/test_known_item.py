"""Retrieval without questions: passages from which something was cut out, found again."""

import pytest

from ragft import Corpus, HybridIndex, chunk
from ragft.experiments.known_item import pieces, retrieve_known_items
from ragft.types import Document, RagftError

REST = "Cargo ships wait outside while tugs break the frozen surface with heavy iron hulls."


def told(n):
    """Return a text of which one sentence may be asked; what is around it leads back to it."""
    asked = f"The log{n} always names harbour{n} with ships{n} and ice{n}."
    return f"Notes on harbour{n}, ships{n}, ice{n}:\n\n{asked}\n\n{REST}"


def corpus(count):
    return Corpus([Document(f"d{n}", told(n)) for n in range(count)], name="ports")


def test_passages_are_documents_of_the_same_source():
    document = Document("d", "# One\n\nWords here.\n\n# Two\n\nMore words.", "T", collection="c")
    found = pieces([document])
    assert [(p.id, p.source, p.title, p.collection) for p in found] == [
        ("d#0", "d", "T", "c"),
        ("d#1", "d", "T", "c"),
    ]
    assert [p.text for p in found] == ["# One\n\nWords here.", "# Two\n\nMore words."]


def test_what_is_around_a_sentence_leads_back_to_its_passage():
    found = retrieve_known_items(corpus(30), "bm25", n=20)
    made = found.to_dict()
    assert made["n"] == 20 and made["recall@10"]["mean"] == made["mrr"]["mean"] == 1.0
    assert made["known_items"] == {
        "questions": {"heading": 0, "sentence": 20},
        "left_out": {"ambiguous": 30, "not drawn": 10},
    }
    assert {ranking[0][0].partition("#")[2] for ranking in found.result.rankings} == {"0"}


def test_the_sentence_itself_does_not_lead_back():
    alone = [Document(f"d{n}", told(n).split("\n\n", 1)[1]) for n in range(200)]
    made = retrieve_known_items(Corpus(alone), "bm25", n=100).to_dict()
    # Nothing but REST is left, so that all passages are alike: 10 of 200 by chance.
    assert made["n"] == 100 and made["recall@10"]["mean"] < 0.15


def test_the_passage_counts_and_not_the_document():
    sections = "\n\n".join(f"## Part {n}\n\n{told(n)}" for n in range(40))
    found = retrieve_known_items(Corpus([Document("one.md", sections)]), "bm25", n=40)
    assert found.result.passages >= 40
    assert {q.cluster_key for q in found.result.questions} == {"one.md"}
    assert {q.supporting[0].partition("#")[0] for q in found.result.questions} == {"one.md"}


def test_nothing_to_ask_says_why():
    with pytest.raises(
        RagftError, match=r"ports: no heading .* \(1 nothing left\); give --questions"
    ):
        text = "The harbour of Tarmo freezes over every January."
        retrieve_known_items(Corpus([Document("d", text)], name="ports"), "bm25")
    with pytest.raises(RagftError, match=r"\(it has none\)"):
        retrieve_known_items(Corpus([Document("d", "no prose")]), "bm25")


def test_a_folder_is_searched_in_ten_lines(tmp_path):
    (tmp_path / "ports.md").write_text("# Ports\n\nThe harbour of Tarmo freezes every January.\n")
    (tmp_path / "trains.md").write_text("# Trains\n\nThe night train to Oslo has no dining car.\n")
    (tmp_path / "roads.md").write_text("# Roads\n\nThe pass to the coast is closed at night.\n")
    # From here on as in a notebook.
    documents = Corpus.from_folder(tmp_path)
    index = HybridIndex(chunk(documents.documents, "markdown"), retriever="bm25")
    hits = index.search("Which train has no dining car?", top_k=1)
    best = hits[0].passage
    assert best.doc_id == "trains.md" and best.title == "Trains"
    assert documents.by_id[best.doc_id].text[best.start : best.end] == best.text
    assert str(documents.origin).startswith("folder ")
