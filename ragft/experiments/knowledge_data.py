"""What the knowledge experiment asks and teaches: forms of a question, and texts to store.

Who is trained on what, and for how long, is decided in `knowledge_cells`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ragft.corpora.relations import UNSEEN
from ragft.corpora.world import World
from ragft.experiments.probes import casual, odd_format
from ragft.experiments.tasks import Task
from ragft.experiments.teaching_data import reworded_examples
from ragft.types import Example, Question, RagftError

TRAINED, NEW = "trained wording", "new wording"
OTHER_FORMS: dict[str, Callable[[Question], str]] = {
    "casual": lambda question: casual(question.text),
    "exam sheet": lambda question: odd_format(question.text),
    "topic first": lambda question: topic_first(question),
}
"""Forms of a question in a new wording, none of them ever trained."""
FORMS = (TRAINED, NEW, *OTHER_FORMS)
UNLIKE = tuple(form for form in FORMS if form != TRAINED)
"""Forms unlike the trained one."""
STORED_SEEDS = {"unseen": 31, "seen": 32}
"""Seeds of the worlds whose texts are stored; nothing else uses these worlds."""


def topic_first(question: Question) -> str:
    """Return a question that names its subject before it asks.

    Examples
    --------
    >>> topic_first(Question("q", "Where is Tarmo?", subject="Tarmo"))
    'About Tarmo: where is it?'
    """
    text = question.text.replace(question.subject, "it")
    return f"About {question.subject}: {text[0].lower()}{text[1:]}"


def ways_of_asking(task: Task) -> dict[str, list[Question]]:
    """Return the answerable asked facts in every form, in the same order.

    Raises
    ------
    RagftError
        A fact is asked that is not taught, so that it has no trained wording.
    """
    asked = [q for q in task.asked if q.answerable]
    first = {q.id: q for q in one_wording(task.taught)}
    if missing := [q.id for q in asked if q.id not in first]:
        raise RagftError(f"{task.name}: question {missing[0]} is asked but never taught")
    forms = {name: [replace(q, text=form(q)) for q in asked] for name, form in OTHER_FORMS.items()}
    return {TRAINED: [first[q.id] for q in asked], NEW: asked, **forms}


def one_wording(taught: Sequence[Question]) -> list[Question]:
    """Return every taught fact in the first of its wordings alone."""
    first: dict[str, Question] = {}
    for question in taught:
        first.setdefault(question.id, question)
    return list(first.values())


def stored_task(relations: str, facts: int, wordings: int) -> Task:
    """Return facts to be drawn out of stored texts: half of the subjects show how to answer.

    Parameters
    ----------
    relations : {'unseen', 'seen'}
        Whether pretraining never met the relations and their wordings, or did.
    facts : int
        Asked, one of each of as many subjects, in wordings held out of all training. None of
        them is ever taught as a question.
    wordings : int
        In which one fact of each of as many other subjects is taught as a question.

    Returns
    -------
    Task
        `asked`, `taught` (about the other subjects) and `others` (the same, in wordings held
        out); its documents are about both halves.

    Source: Allen-Zhu and Li (2023), Physics of language models 3.1 (biographies of all, questions
    about half of them, the other half asked).
    """
    names = tuple(relation.name for relation in UNSEEN) if relations == "unseen" else ()
    per_subject = 1 if relations == "unseen" else 3
    world = World(
        subjects=2 * facts,
        seed=STORED_SEEDS[relations],
        days=0,
        relations=names,
        facts_per_subject=per_subject,
    )
    every = 2 * facts * per_subject
    groups: dict[str, list[Question]] = {}
    for question in world.questions(world.start, every, wording="held_out"):
        groups.setdefault(question.subject, []).append(question)
    one_each = [group[n % len(group)] for n, group in enumerate(groups.values())]
    asked, others = one_each[:facts], one_each[facts:]
    shown = {q.id for q in others}
    taught = [
        q
        for number in range(wordings)
        for q in world.questions(world.start, every, wording=number)
        if q.id in shown
    ]
    corpus = world.corpus()
    return Task(corpus.name, corpus, world.start, tuple(asked), tuple(taught), tuple(others))


def stored_texts(task: Task, copies: int) -> list[Example]:
    """Return the document of every subject of a `stored_task`, each in several wordings."""
    return reworded_examples(replace(task, asked=(*task.asked, *task.others)), copies)
