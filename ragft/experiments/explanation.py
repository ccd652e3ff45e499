"""One answer with everything that led to it, as values; made in `tracing`, shown by `report`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ragft.evaluation.citations import Span, cited_spans
from ragft.files import plain
from ragft.retrieval.candidates import Candidate
from ragft.types import Answer, Passage, Question

NO_KEY = "unknown: no answer key"
"""Outcome and cause of an answer to a question of which nobody knows the right answer."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A passage, where it stood at every stage, and what became of it."""

    candidate: Candidate
    number: int | None = None
    """Its number in the prompt, from 1; None where it was not shown."""
    right: bool = False
    """Whether it states the answer, or the other half of a two-hop question's."""
    cited: bool = False

    @property
    def passage(self) -> Passage:
        """The passage itself."""
        return self.candidate.passage

    def to_dict(self) -> dict[str, Any]:
        """Return passage, place and scores as JSON can hold them."""
        passage = self.passage
        return plain(
            {
                "id": passage.id,
                "doc_id": passage.doc_id,
                "start": passage.start,
                "end": passage.end,
                "title": passage.title,
                "valid_from": passage.valid_from,
                "valid_to": passage.valid_to,
                "text": passage.text,
                "number": self.number,
                "right": self.right,
                "cited": self.cited,
                "ranks": self.candidate.ranks,
                "scores": self.candidate.scores,
            }
        )


@dataclass(frozen=True)
class Explanation:
    """One answer with everything that led to it."""

    question: Question
    day: date | None
    """The day it was judged for."""
    arm: str
    model: str
    answer: Answer
    outcome: str
    """As `Judgement.outcome`, or `NO_KEY`."""
    cause: str | None
    """One of `evaluation.tracing.CAUSES` or `UNTRACEABLE`; None where right; or `NO_KEY`."""
    right_answers: tuple[str, ...]
    """'unknown' where nothing answers it; empty without an answer key."""
    shown: tuple[Placed, ...]
    """The passages in the prompt, in its order."""
    right: tuple[Placed, ...]
    """All right passages that a search on that day may find, best ranked first."""
    ranks: Mapping[str, float] = field(hash=False)
    """By stage, at which rank all that the answer needs was found; NaN where it was not."""
    candidates: int
    """Passages that some stage of the search found."""
    left_out: int
    """Passages found for the prompt that did not fit the model's context."""
    prompt: str

    @property
    def citations(self) -> tuple[Span, ...]:
        """The spans of documents that the answer cites, in the order cited."""
        return cited_spans(self.answer)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it; undefined ranks are None."""
        question = self.question
        return plain(
            {
                "question": {"id": question.id, "text": question.text, "day": self.day},
                "arm": self.arm,
                "model": self.model,
                "answer": self.answer.text,
                "outcome": self.outcome,
                "cause": self.cause,
                "right_answers": self.right_answers,
                "citations": self.citations,
                "ranks": self.ranks,
                "shown": [placed.to_dict() for placed in self.shown],
                "right": [placed.to_dict() for placed in self.right],
                "candidates": self.candidates,
                "left_out": self.left_out,
                "prompt": self.prompt,
                "completion": self.answer.raw,
            }
        )
