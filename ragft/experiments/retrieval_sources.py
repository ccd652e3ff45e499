"""Where collections for retrieval come from: tasks, documents without questions, and folders."""

from __future__ import annotations

from pathlib import Path

from ragft.corpora.corpus import Corpus, read_questions
from ragft.corpora.known_item import known_items
from ragft.experiments.known_item import nothing_to_ask, pieces
from ragft.experiments.retrieval_sets import Searched, searched_set
from ragft.experiments.tasks import Task
from ragft.types import RagftError

FILES = ("corpus.jsonl", "questions.jsonl")


def task_set(task: Task, name: str = "") -> Searched:
    """Return a task's documents of its day, and its questions; the task's own name where ''."""
    corpus = task.corpus.as_of(task.day) if task.day else task.corpus
    return searched_set(corpus, task.asked, name or task.name)


def known_item_set(corpus: Corpus, n: int = 300, name: str = "") -> Searched:
    """Return passages of documents without questions, and what is asked of them.

    Parameters
    ----------
    corpus : Corpus
        Its documents in force on one day.
    n : int
        Questions, at most; see `known_items`.
    name : str
        The corpus's where ''.

    Raises
    ------
    RagftError
        No heading or sentence can be asked about.
    """
    asked = known_items(pieces(corpus.documents), n)
    if not asked.questions:
        raise RagftError(nothing_to_ask(corpus.name, asked))
    return searched_set(Corpus(asked.documents), asked.questions, name or corpus.name)


def read_set(folder: str | Path) -> Searched:
    """Return a collection that lies in a folder as `corpus.jsonl` and `questions.jsonl`.

    It has the folder's name.

    Raises
    ------
    RagftError
        One of the files is missing or broken, or no question names a document of the corpus.
    """
    folder = Path(folder)
    for name in FILES:
        if not (folder / name).is_file():
            raise RagftError(
                f"{folder}: there is no {name}; a collection is a folder with {' and '.join(FILES)}"
            )
    corpus = Corpus.from_jsonl(folder / FILES[0])
    return searched_set(corpus, read_questions(folder / FILES[1], corpus), folder.name)
