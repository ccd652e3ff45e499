"""RAG metrics by the names of ragas and RAGChecker, from known facts instead of a language model.

Both have a model say which claims a text makes and which passages support them. Here an answer
is one value and makes one claim, a passage supports it where it states the value, and the dated
answers say whether it is right, so every verdict is exact. What is undefined is NaN and counted.
The formulas, with their sources, live in `verdict_metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.evaluation.outcomes import FactBook, abstains, judge
from ragft.evaluation.statistics import mean_interval
from ragft.evaluation.text import states
from ragft.evaluation.verdict_metrics import (
    context_precision,
    context_recall,
    context_utilization,
    faithfulness,
    hallucination,
    noise_sensitivity,
    self_knowledge,
)
from ragft.types import UNKNOWN, Answer, Fact, Passage, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

METRICS = (
    "faithfulness",
    "answer_relevancy",
    "context_precision",
    "context_recall",
    "noise_sensitivity",
    "noise_sensitivity_irrelevant",
    "hallucination",
    "self_knowledge",
    "context_utilization",
)
"""What `rag_metrics` computes; `noise_sensitivity` is ragas' mode 'relevant', its default."""
TRUTH = ("correct", "stale", "confused", "fabricated")
"""What the answer was, for comparison, each 0, 1 or NaN as in `outcomes.Judgement`."""


def answer_relevancy(
    question: str, answer: str, embed: Callable[[list[str]], Any] | None = None
) -> float:
    """Return the cosine of question and answer, a stand-in for ragas' answer relevancy.

    ragas has a language model write the questions that the answer would answer, and averages
    their cosines with the real one. Without a model the answer itself is compared: a bare value
    is less like its question than a sentence, so levels say nothing and only answers of one form
    compare. As in ragas, an answer that abstains has 0.

    Parameters
    ----------
    question, answer : str
    embed : callable, optional
        Texts to an array of shape (n, d), such as `Embedder(...).embed`. None: NaN always.

    Returns
    -------
    float
        In [-1, 1]; NaN without `embed`, and where a vector has no length or is not finite.

    Raises
    ------
    RagftError
        `embed` raises, or its result has another shape.
    """
    if embed is None:
        return math.nan
    if abstains(answer):
        return 0.0
    try:
        vectors = np.asarray(embed([question, answer]), float)
    except Exception as error:  # whatever the caller's model raises; a score must not hide it
        raise RagftError(
            f"answer_relevancy: embed failed on {question!r} ({type(error).__name__}: {error})."
        ) from error
    if vectors.ndim != 2 or len(vectors) != 2:
        raise RagftError(f"answer_relevancy: embed must give shape (2, d), not {vectors.shape}.")
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = float(vectors[0] @ vectors[1] / np.prod(np.linalg.norm(vectors, axis=1)))
    return min(max(cosine, -1.0), 1.0) if math.isfinite(cosine) else math.nan


def rag_metrics(
    question: Question,
    answer: Answer | str,
    day: date | None,
    passages: Sequence[Passage | str] | None = None,
    facts: FactBook | Iterable[Fact] | None = None,
    *,
    embed: Callable[[list[str]], Any] | None = None,
) -> dict[str, float]:
    """Return every metric of one answer, and what the answer was.

    The answer's text is one value, its only claim; one that abstains makes none. A passage is
    relevant where it states a right value and, as far as the question knows its documents, comes
    from one that does.

    Parameters
    ----------
    question, answer, day, facts
        As for `outcomes.judge`; `facts` only tell confused from fabricated.
    passages : sequence of Passage or str, optional
        What was retrieved, best first. None: the answer's own hits, and where it has none, an arm
        without retrieval. () says that a search found nothing, which counts as recall 0.
    embed : callable, optional
        For `answer_relevancy`.

    Returns
    -------
    dict of str to float
        `METRICS` and `TRUTH`. All that needs a context is NaN without one; hallucination and
        self-knowledge are not, so that an invented answer counts whoever invents it.

    Raises
    ------
    RagftError
        The question is answerable and has no answers; `embed` fails.
    """
    if passages is None and isinstance(answer, Answer) and answer.hits:
        passages = [hit.passage for hit in answer.hits]
    text, shown = answer.text if isinstance(answer, Answer) else answer, list(passages or ())
    judged = judge(question, text, day, facts=facts, passages=shown)
    # Saying 'unknown' is right where and only where nothing else is.
    unanswerable = judge(question, UNKNOWN, day).outcome == "correct"
    right = () if unanswerable else question.answers_on(day)
    texts = [p if isinstance(p, str) else p.text for p in shown]
    claims = [] if abstains(text) else [text.strip()]
    supported = _table([[states(t, claim) for t in texts] for claim in claims], len(shown))
    relevant = _relevant(question, day, right, shown)
    # Several right answers are ways to say one thing, of which any will do: one claim.
    stated = _table([relevant] if right else [], len(shown))
    correct = [judged.outcome == "correct"] * len(claims)
    said = [bool(claims) and judged.outcome == "correct"] * len(stated)
    return {
        "faithfulness": faithfulness(supported),
        "answer_relevancy": answer_relevancy(question.text, text, embed),
        "context_precision": context_precision(relevant) if right else math.nan,
        "context_recall": math.nan if passages is None else context_recall(stated),
        "noise_sensitivity": noise_sensitivity(supported, correct, relevant),
        "noise_sensitivity_irrelevant": noise_sensitivity(
            supported, correct, relevant, "irrelevant"
        ),
        "hallucination": hallucination(supported, correct),
        "self_knowledge": self_knowledge(supported, correct),
        "context_utilization": context_utilization(stated, said),
        "correct": float(judged.outcome == "correct"),
        **{name: getattr(judged, name) for name in TRUTH[1:]},
    }


def summary(
    frame: pd.DataFrame, by: Sequence[str] = (), *, level: float = 0.95, n_boot: int = 2000
) -> pd.DataFrame:
    """Return the mean of every metric, of how many answers it is one, and how many have none.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per answer; columns of `METRICS` and `TRUTH`, as many as there are, those of `by`,
        and `cluster` where answers belong together.
    by : sequence of str
        What to group by.
    level, n_boot
        As for `statistics.mean_interval`.

    Returns
    -------
    pandas.DataFrame
        One row per group and metric: the columns of `by`, `metric`, `mean`, `low`, `high`, `n`
        and `undefined`; n + undefined is the number of answers, and the mean is over n.

    Raises
    ------
    RagftError
        A column of `by` is missing, there is no metric, or one holds an infinite number.
    """
    import pandas as pd

    if missing := [name for name in by if name not in frame]:
        raise RagftError(f"rag_metrics: the frame has no column {missing[0]!r}.")
    names = [name for name in (*METRICS, *TRUTH) if name in frame]
    if not names:
        raise RagftError(f"rag_metrics: the frame has none of the columns {', '.join(METRICS)}.")
    if infinite := [name for name in names if np.isinf(frame[name].astype(float)).any()]:
        raise RagftError(f"rag_metrics: {infinite[0]} is infinite somewhere; undefined is NaN.")
    keys = list(by)
    groups = frame.groupby(keys, sort=False, dropna=False, observed=True) if keys else [((), frame)]
    rows = []
    for group, part in groups:
        clusters = part["cluster"] if "cluster" in part else None
        for name in names:
            found = mean_interval(part[name].astype(float), clusters, level, n_boot)
            measured = {k: getattr(found, k) for k in ("mean", "low", "high", "n")}
            labels = dict(zip(keys, group, strict=True))
            rows.append({**labels, "metric": name, **measured, "undefined": found.missing})
    return pd.DataFrame(rows, columns=[*keys, "metric", "mean", "low", "high", "n", "undefined"])


def _relevant(
    question: Question, day: date | None, right: Sequence[str], passages: Sequence[Passage | str]
) -> list[bool]:
    """Tell of each passage whether it states a right value and comes from a document that does."""
    supporting = set(question.supporting_on(day))

    def relevant(passage: Passage | str) -> bool:
        if isinstance(passage, str):
            return any(states(passage, value) for value in right)
        known = not supporting or passage.doc_id in supporting
        return known and any(states(passage.text, value) for value in right)

    return [relevant(passage) for passage in passages]


def _table(rows: list[list[bool]], width: int) -> np.ndarray:
    return np.array(rows, bool).reshape(len(rows), width)
