"""Are the passages that an answer cites the ones that hold the answer, and where do they stand?

A citation is judged by the document of the cited passage. Whether the answer is right is the
matter of `outcomes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ragft.evaluation.outcomes import abstains
from ragft.types import Answer, Passage, Question, RagftError


@dataclass(frozen=True, slots=True)
class CitationScores:
    """How well one answer cites; NaN where that is undefined."""

    precision: float
    """Share of the cited passages whose document states a right answer."""
    recall: float
    """Whether such a passage is cited, 1.0 or 0.0."""


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a document that a reader can open: `document.text[start:end] == text`."""

    doc_id: str
    start: int
    end: int
    text: str
    title: str = ""
    date: date | None = None
    """Since when the document has been in force; None where it is undated."""


def citation_scores(question: Question, answer: Answer, day: date | None) -> CitationScores:
    """Return precision and recall of what an answer cites, for the state of facts on a day.

    Parameters
    ----------
    question : Question
        Right passages are those of the documents that state an answer which holds on `day`;
        where its answers name no documents, those in `supporting`. Another passage of such a
        document counts as right as well.
    answer : Answer
        What it cites must be among its hits; a passage that is cited twice counts once.
    day : date or None
        None: documents of any answer that ever held.

    Returns
    -------
    CitationScores
        - `precision` is NaN where nothing is cited, and `recall` is 0 there: an answer from
          memory (a closed-book arm) asserts a value and shows no passage for it.
        - Both are NaN where the arm abstained, as it asserts nothing; and where the question
          can be answered but its documents are not known, so that nothing can be judged.
        - Where it is known that no document states an answer (an unanswerable question, a fact
          that does not hold on the day) `recall` is NaN and `precision` 0 if anything is cited.

    Raises
    ------
    RagftError
        A cited passage is not among the hits.

    Source: precision and recall of citations as in Gao, Yen, Yu and Chen (2023), Enabling large
    language models to generate text with citations, EMNLP, with dated documents for a judge.
    """
    cited = _cited(answer)
    dated = any(found.documents for found in question.answers)
    if abstains(answer.text) or (question.answerable and not dated and not question.supporting):
        return CitationScores(math.nan, math.nan)
    # Not `supporting_on`: it falls back to the documents of `asked_on` where no answer holds.
    right = set(_stated(question, day) if dated else question.supporting)
    hits = [passage.doc_id in right for passage in cited]
    precision = sum(hits) / len(hits) if hits else math.nan
    return CitationScores(precision, float(any(hits)) if right else math.nan)


def cited_spans(answer: Answer) -> tuple[Span, ...]:
    """Return where the cited passages stand in their documents, in the order cited.

    Each once; empty where nothing is cited.

    Raises
    ------
    RagftError
        A cited passage is not among the hits.
    """
    return tuple(
        Span(p.doc_id, p.start, p.end, p.text, p.title, p.valid_from) for p in _cited(answer)
    )


def _stated(question: Question, day: date | None) -> Sequence[str]:
    """Return ids of the documents that state an answer which holds on the day."""
    holding = [a for a in question.answers if day is None or a.holds_on(day)]
    return [document for found in holding for document in found.documents]


def _cited(answer: Answer) -> list[Passage]:
    """Return the cited passages, each once."""
    shown = {hit.passage.id: hit.passage for hit in answer.hits}
    missing = [identifier for identifier in answer.citations if identifier not in shown]
    if missing:
        raise RagftError(
            f"citations: the answer cites {missing[0]!r}, which is not among its "
            f"{len(shown)} hits; an answer must keep the passages that it was shown."
        )
    return [shown[identifier] for identifier in dict.fromkeys(answer.citations)]
