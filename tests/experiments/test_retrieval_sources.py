"""Collections from a task, from documents without questions, and from a folder."""

import pytest

from ragft.corpora.corpus import Corpus, write_questions
from ragft.experiments.retrieval_sources import known_item_set, read_set, task_set
from ragft.experiments.tasks import world_task
from ragft.profiles import profile
from ragft.types import Document, Question, RagftError

TEXT = "# Trams\n\nThe tram of Tarmo runs every nine minutes on weekdays. " + "It is late. " * 9


def test_a_task_gives_the_documents_of_its_day():
    task = world_task(profile("smoke"), 6)
    found = task_set(task, "w")
    assert found.name == "w" and found.questions == task.asked
    assert {d.id for d in found.documents} < {d.id for d in task.corpus.documents}
    assert all(d.holds_on(task.day) for d in found.documents)
    by_id = {d.id for d in found.documents}
    assert all(set(ids) <= by_id for ids in found.supporting)


def test_what_is_asked_for_was_cut_out():
    found = known_item_set(Corpus([Document("trams.md", TEXT)], name="docs"), 5)
    assert found.name == "docs"
    (question,), (ids,) = found.questions, found.supporting
    assert question.text == "The tram of Tarmo runs every nine minutes on weekdays."
    assert question.text not in {d.id: d.text for d in found.documents}[ids[0]]
    with pytest.raises(RagftError, match="no heading or sentence can be asked about"):
        known_item_set(Corpus([Document("a", "short")], name="x"))


def test_a_folder_is_a_collection_of_its_name(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    corpus = Corpus([Document("a", "red apples"), Document("b", "blue sky")])
    with pytest.raises(RagftError, match="mine: there is no corpus.jsonl"):
        read_set(folder)
    corpus.to_jsonl(folder / "corpus.jsonl")
    with pytest.raises(RagftError, match=r"there is no questions.jsonl; a collection is a folder"):
        read_set(folder)
    write_questions(folder / "questions.jsonl", [Question("q", "what is red", supporting=("a",))])
    found = read_set(folder)
    assert found.name == "mine" and found.supporting == (("a",),)
