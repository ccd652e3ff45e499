"""One arm on one list of questions: answers, judged, one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from ragft.corpora.corpus import Corpus
from ragft.evaluation.marks import mark_scores
from ragft.evaluation.outcomes import FactBook, judge
from ragft.types import Answer, Question

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ragft.arms.base import Arm


def evaluate(
    arm: Arm,
    questions: Sequence[Question],
    corpus: Corpus | None = None,
    *,
    day: date | None = None,
    condition: str = "asked",
    seed: int = 0,
) -> pd.DataFrame:
    """Ask an arm that has been prepared, and judge its answers.

    Parameters
    ----------
    arm : Arm
    questions : sequence of Question
    corpus : Corpus, optional
        Its facts tell confused from fabricated answers; without facts both are NaN.
    day : date, optional
        The day to judge for; each question's own `asked_on` where None.
    condition, seed
        Written into the rows.

    Returns
    -------
    pandas.DataFrame
        One row per question: arm, condition, day, seed, question_id, subject, kind, text,
        outcome, supported, prompt_tokens, completion_tokens, latency_ms, and more. Empty
        for no questions. `evaluation.outcomes.outcome_shares` sums it up. Where documents of
        the corpus are marked, also the columns of `evaluation.marks`.
    """
    answers = arm.answer(questions)
    book = FactBook(corpus.facts) if corpus is not None and corpus.facts else None
    marks = corpus.marks if corpus is not None else {}
    return answers_frame(
        questions, answers, book, arm=arm.name, day=day, condition=condition, seed=seed, marks=marks
    )


def answers_frame(
    questions: Sequence[Question],
    answers: Sequence[Answer],
    book: FactBook | None,
    *,
    arm: str,
    day: date | None = None,
    condition: str = "asked",
    seed: int = 0,
    marks: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return one judged row per question; see `evaluate`.

    With `marks`, of documents by id, also the columns of `evaluation.marks`.
    """
    import pandas as pd

    rows = []
    for question, answer in zip(questions, answers, strict=True):
        on = day or question.asked_on
        judged = judge(question, answer, on, facts=book)
        rows.append(
            {
                "arm": arm,
                "condition": condition,
                "day": on.isoformat() if on else None,
                "seed": seed,
                "question_id": question.id,
                "question": question.text,
                "subject": question.subject,
                "kind": question.kind,
                "cluster": question.cluster_key,
                "changed": bool(question.metadata.get("changed", False)),
                "text": answer.text,
                **judged.to_dict(),
                "cited": len(answer.citations),
                "found": _found(question, answer),
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
                "entropy": answer.entropy,
                "logprob": answer.logprob,
                "latency_ms": answer.latency_ms if answer.stage_ms else float("nan"),
                **(mark_scores(answer, judged.outcome, marks) if marks else {}),
            }
        )
    return pd.DataFrame(rows)


def _found(question: Question, answer: Answer) -> float:
    """Tell whether a shown passage comes from a supporting document; NaN where none was shown."""
    if not answer.hits or not question.supporting:
        return float("nan")
    return float(any(hit.passage.doc_id in question.supporting for hit in answer.hits))


def scored(answers: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return some columns of judged answers and their scores beside them, 0, 1 or NaN each.

    `correct` is called accuracy, as tables and figures call its mean.
    """
    import pandas as pd

    from ragft.evaluation.outcomes import score_columns

    scores = score_columns(answers).rename(columns={"correct": "accuracy"})
    return pd.concat([answers[list(columns)], scores], axis=1)


def score_matrix(frame: pd.DataFrame, score: str) -> tuple[np.ndarray, list[str]]:
    """Return one column of an arm's rows as statistics want it.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one arm on one day: seed, question_id, cluster and the column `score`.
    score : str

    Returns
    -------
    (scores, clusters)
        Shape (seeds, questions), and the cluster of each question.
    """
    wide = frame.pivot(index="seed", columns="question_id", values=score)
    clusters = frame.drop_duplicates("question_id").set_index("question_id")["cluster"]
    return wide.to_numpy(float), clusters.loc[wide.columns].tolist()
