"""Training examples made from questions: facts to remember, and contexts to read.

The prompts are those of inference, rendered by the same module; how much is trained and
on what is decided in the experiments.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from ragft import prompts
from ragft.types import UNKNOWN, Example, Passage, Question, RagftError


def fact_examples(model: prompts.ReadsPrompts, questions: Sequence[Question]) -> list[Example]:
    """Make one closed-book example of every question: asked on its day, answered rightly.

    Questions that nothing answers teach to say `unknown`.

    Parameters
    ----------
    model : LocalModel
        Decides how a prompt is rendered (chat template or plain text).
    questions : sequence of Question

    Returns
    -------
    list of Example
        As many as questions, in order.

    Raises
    ------
    RagftError
        An answerable question has no answer on its day.
    """
    return [
        Example(
            prompts.for_model(model, q.text, instruction=prompts.CLOSED),
            prompts.complete(right_answer(q)),
            q.subject,
            q.id,
        )
        for q in questions
    ]


def right_answer(question: Question) -> str:
    """Return the answer to teach: the first right one on the day, or `unknown`."""
    if not question.answerable:
        return UNKNOWN
    right = question.answers_on(question.asked_on)
    if not right:
        raise RagftError(
            f"question {question.id}: no answer on {question.asked_on}; cannot teach it"
        )
    return right[0]


def reading_examples(
    model: prompts.ReadsPrompts,
    questions: Sequence[Question],
    found: Sequence[Sequence[Passage]],
    *,
    absent: float = 0.3,
    seed: int = 0,
) -> list[Example]:
    """Make RAFT examples: retrieved passages, the right answer with its citation, or unknown.

    Parameters
    ----------
    model : LocalModel
    questions : sequence of Question
        About subjects that are never asked.
    found : sequence of sequence of Passage
        What retrieval found for each question, best first. Between one and all of them are
        shown, drawn anew for each, so that their number never tells whether the answer is there.
    absent : float
        Share of the questions from whose passages the right ones are taken out, so that
        'unknown' is the right answer (0 to 1).
    seed : int

    Returns
    -------
    list of Example
        As many as questions; the answer follows from the passages shown alone.

    Source: Zhang et al. (2024), RAFT: adapting language model to domain specific RAG.
    """
    rng = random.Random(f"reading-{seed}")
    return [
        _reading(model, question, passages, rng.random() < absent, rng)
        for question, passages in zip(questions, found, strict=True)
    ]


def _reading(
    model: prompts.ReadsPrompts,
    question: Question,
    found: Sequence[Passage],
    hide: bool,
    rng: random.Random,
) -> Example:
    support = set(question.supporting) if question.answerable else set()
    gold = [] if hide else [p for p in found if p.doc_id in support]
    others = [p for p in found if p.doc_id not in support]
    size = rng.randint(1, max(1, len(others)))
    shown = prompts.by_date([*gold[:1], *others][:size])
    numbers = [n for n, p in enumerate(shown, 1) if p.doc_id in support]
    answer = right_answer(question) if numbers else UNKNOWN
    name = prompts.name_of(shown[numbers[0] - 1]) if numbers else ""
    if numbers and "parameter" in question.metadata:
        answer = f"{question.metadata['parameter']}={answer}"  # as it stands in the signature
    return Example(
        prompts.for_model(model, question.text, shown, instruction=prompts.READ),
        prompts.complete(answer, numbers[:1], name),
        question.subject,
        question.id,
    )
