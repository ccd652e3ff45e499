"""Following answers back: what was searched, found, ranked and shown, and which step failed.

Causes are decided in `evaluation.tracing`, what a search did is found out in `steps`, and how an
explanation looks is the matter of `report`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft import prompts
from ragft.corpora.corpus import Corpus
from ragft.evaluation.outcomes import FactBook, Judgement, judge
from ragft.experiments.explanation import NO_KEY, Explanation, Placed
from ragft.experiments.steps import unanswerable, ways_of
from ragft.experiments.tasks import Task, load_task
from ragft.profiles import Profile, profile
from ragft.retrieval.candidates import STAGES, Candidate
from ragft.types import UNKNOWN, Answer, Passage, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.base import Arm
    from ragft.arms.rag import RAG

SEARCHING = ("rag", "raft", "finetuned_rag")
"""Arms that search: the only ones whose answers can be followed back."""

_BATCH = 256
"""Questions whose candidates are held in memory at once."""


def explain(
    question: str | Question,
    arm: str | RAG = "rag",
    task: str | Path | Corpus | Task = "world",
    *,
    model: str = "embedded",
    questions: str | Path | Sequence[Question] | None = None,
    facts: int | None = None,
    base: str | Profile = "cpu",
) -> Explanation:
    """Ask one question and show every step of the answer.

    Parameters
    ----------
    question : str or Question
        The id or the text of one of the task's questions (case and spaces do not matter). Any
        other text is asked all the same, without a verdict.
    arm : str or RAG
        One of `SEARCHING`, which is made and prepared, or an arm with a library that is prepared
        already; then model and sizes are its own.
    task : str, path, Corpus or Task
        As `corpus` of `compare`.
    model, questions, facts, base
        As for `compare`.

    Raises
    ------
    RagftError
        The arm makes no search, the question is blank, or what `compare` refuses.
    """
    if isinstance(arm, str) and arm not in SEARCHING:
        raise no_search(arm)
    sizes = profile(base, model=model)
    if not isinstance(task, Task):
        task = load_task(task, sizes, questions=questions, facts=facts)
    if isinstance(question, str):
        question = find_question(question, task)
    made = prepared(arm, task, sizes) if isinstance(arm, str) else arm
    return _explained(question, made, task)


def no_search(name: str) -> RagftError:
    """Return the error for an arm whose answers cannot be followed back."""
    return RagftError(
        f"arm {name!r}: it makes no search that could be explained; choose {', '.join(SEARCHING)}"
    )


def prepared(name: str, task: Task, sizes: Profile) -> RAG:
    """Return one of the `SEARCHING` arms as a comparison builds it, trained where it trains."""
    from ragft.experiments.grid import Grid
    from ragft.records import Records

    grid = Grid(task, sizes, Records())  # which writes nothing: no run is opened
    return grid.prepared(name, sizes.seeds[0])


def find_question(text: str, task: Task) -> Question:
    """Return the task's question with this id or text, or a new one without an answer key.

    Raises
    ------
    RagftError
        The text is blank.
    """
    said = prompts.one_line(text)
    if not said:
        raise RagftError("question: it is empty; give the text or the id of a question.")
    known = (*task.asked, *task.others)
    for question in known:
        if question.id == text.strip():
            return question
    for question in known:
        if prompts.one_line(question.text).casefold() == said.casefold():
            return question
    return Question("asked", said, asked_on=task.day)


def _explained(question: Question, arm: RAG, task: Task) -> Explanation:
    if not hasattr(arm, "library"):
        raise no_search(arm.name)
    before = arm.dropped
    (answer,) = arm.answer([question])
    day = question.asked_on or task.day
    judgement = None
    if question.answers or not question.answerable:
        book = FactBook(task.corpus.facts) if task.corpus.facts else None
        judgement = judge(question, answer, day, facts=book)
    (way,) = ways_of(arm, [question], [judgement], day)
    # The arm's own way to a prompt, so that what is told is what was asked.
    passages = arm._shown(answer.hits)
    numbers = {p.id: n for n, p in enumerate(passages, 1)}
    right = {i for group in way.right for i in group}

    def placed(passage: Passage) -> Placed:
        found = way.found.get(passage.id, Candidate(passage))
        number = numbers.get(passage.id)
        return Placed(found, number, passage.id in right, passage.id in answer.citations)

    return Explanation(
        question=question,
        day=day,
        arm=arm.name,
        model=arm.model.name,
        answer=answer,
        outcome=judgement.outcome if judgement else NO_KEY,
        cause=way.cause(judgement, answer) if judgement else NO_KEY,
        right_answers=_right_answers(question, judgement, day),
        shown=tuple(map(placed, passages)),
        right=tuple(map(placed, way.held)),
        ranks={stage: way.rank(stage) for stage in way.stages},
        candidates=len(way.found),
        left_out=arm.dropped - before,
        prompt=arm._prompt(question, passages),
    )


def _right_answers(
    question: Question, judgement: Judgement | None, day: date | None
) -> tuple[str, ...]:
    if judgement is None:
        return ()
    return (UNKNOWN,) if unanswerable(judgement) else question.answers_on(day)


def trace(
    arm: Arm,
    questions: Sequence[Question],
    answers: Sequence[Answer],
    day: date | None = None,
    *,
    corpus: Corpus | None = None,
) -> pd.DataFrame:
    """Judge answers, and say of every wrong one at which step it went wrong.

    Parameters
    ----------
    arm : Arm
        Its library must hold what it held when the questions were answered: the search is made
        again, once for all questions. The wrong answers of an arm without a library are
        untraceable.
    questions, answers : sequences of equal length
        `answers` as `arm.answer(questions)` gave them.
    day : date, optional
        The day to judge for; each question's own `asked_on` where None.
    corpus : Corpus, optional
        Its facts tell confused from fabricated answers, as in `evaluate`.

    Returns
    -------
    pandas.DataFrame
        One row per question: arm, question_id, cluster, outcome, cause (missing for right
        answers), shown (passages in the prompt), rank (at which the search had all that the
        answer needs) and the same for each stage: rank_bm25, rank_dense, rank_hybrid; NaN where
        a stage did not find it or was not run. `evaluation.tracing.causes` sums it up.

    Raises
    ------
    RagftError
        Other numbers of answers than of questions, or a question without an answer key.
    """
    import pandas as pd

    if len(questions) != len(answers):
        raise RagftError(
            f"trace: {len(answers)} answers to {len(questions)} questions; give one for each."
        )
    book = FactBook(corpus.facts) if corpus is not None and corpus.facts else None
    rows = []
    for start in range(0, len(questions), _BATCH):
        asked, said = questions[start : start + _BATCH], answers[start : start + _BATCH]
        judged = [
            judge(q, a, day or q.asked_on, facts=book) for q, a in zip(asked, said, strict=True)
        ]
        rows += _rows(arm, asked, said, judged, day)
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = ["arm", "question_id", "cluster", "outcome", "cause", "shown", "rank"]
_COLUMNS += [f"rank_{stage}" for stage in STAGES]


def _rows(
    arm: Arm,
    questions: Sequence[Question],
    answers: Sequence[Answer],
    judged: Sequence[Judgement],
    day: date | None,
) -> list[dict[str, Any]]:
    ways = ways_of(arm, questions, judged, day)
    rows = []
    for question, answer, judgement, way in zip(questions, answers, judged, ways, strict=True):
        ranks = {stage: way.rank(stage) for stage in STAGES}
        rows.append(
            {
                "arm": arm.name,
                "question_id": question.id,
                "cluster": question.cluster_key,
                "outcome": judgement.outcome,
                "cause": way.cause(judgement, answer),
                "shown": len(answer.hits),
                "rank": ranks[way.stages[-1]] if way.stages else math.nan,
                **{f"rank_{stage}": rank for stage, rank in ranks.items()},
            }
        )
    return rows
