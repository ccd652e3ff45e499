"""The vocabulary: the nouns that every other module speaks in.

Frozen dataclasses only. How things are read, chunked, searched or answered
lives elsewhere; this module imports nothing of ragft.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

UNKNOWN = "unknown"
"""The one word with which every arm says that it does not know."""
MARKS = ("right", "wrong", "noise")
"""What a document can be marked as: it answers its question rightly, wrongly, or not at all."""

OUTCOMES = ("correct", "abstained", "stale", "confused", "fabricated")
"""Every answer has exactly one of these (in stacking order, see `evaluation.outcomes`)."""


class RagftError(Exception):
    """An error a user can cause: the message names what was wrong and what to do."""


class UnreachableError(RagftError):
    """What is asked for lies outside this machine, and the way there is cut."""


class BusyError(RagftError):
    """Another process is at it already."""


def holds_on(valid_from: date | None, valid_to: date | None, day: date) -> bool:
    """Tell whether a validity interval covers a day.

    The interval is closed on the left and open on the right, so that on the day
    of a change the new version holds and the old one does not. None on the left
    means 'always held', None on the right 'still holds'.
    """
    return (valid_from is None or valid_from <= day) and (valid_to is None or day < valid_to)


@dataclass(frozen=True, slots=True)
class Document:
    """One version of one text.

    Versions of the same text share `source` and differ in `id`, `text` and dates.
    """

    id: str
    text: str
    title: str = ""
    source: str = ""
    """What the text is a version of (a path, a qualified name, a subject); '' if unversioned."""
    collection: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    """First day on which it no longer held; None = current."""
    mark: str = ""
    """What somebody says of its content, of `MARKS`; '' = nothing. No model is shown it."""

    def holds_on(self, day: date) -> bool:
        """Tell whether this version was in force on `day`."""
        return holds_on(self.valid_from, self.valid_to, day)


@dataclass(frozen=True, slots=True)
class Fact:
    """A value of a relation of a subject, and the days on which it held."""

    subject: str
    relation: str
    value: str
    valid_from: date | None = None
    valid_to: date | None = None
    documents: tuple[str, ...] = ()
    """Ids of the documents that state it."""
    kind: str = ""
    """Kind of the subject: 'company', 'function', ..."""
    stratum: str = ""
    """Popularity of the subject: 'head', 'middle', 'tail', or ''."""

    def holds_on(self, day: date) -> bool:
        """Tell whether the fact was true on `day`."""
        return holds_on(self.valid_from, self.valid_to, day)


@dataclass(frozen=True, slots=True)
class Passage:
    """A span of a document: what is indexed, retrieved and cited.

    `document.text[start:end] == text` always, so a citation points at an exact span.
    """

    id: str
    doc_id: str
    text: str
    start: int
    end: int
    title: str = ""
    source: str = ""
    collection: str = ""
    valid_from: date | None = None
    valid_to: date | None = None

    def holds_on(self, day: date) -> bool:
        """Tell whether the passage's document was in force on `day`."""
        return holds_on(self.valid_from, self.valid_to, day)


@dataclass(frozen=True, slots=True)
class DatedAnswer:
    """An acceptable answer, the days on which it was right, and the documents that state it."""

    text: str
    valid_from: date | None = None
    valid_to: date | None = None
    documents: tuple[str, ...] = ()

    def holds_on(self, day: date) -> bool:
        """Tell whether this was a right answer on `day`."""
        return holds_on(self.valid_from, self.valid_to, day)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and everything needed to judge its answer without a judge.

    `answers` holds every dated answer; what is right depends on the day.
    """

    id: str
    text: str
    answers: tuple[DatedAnswer, ...] = ()
    asked_on: date | None = None
    subject: str = ""
    relation: str = ""
    kind: str = "one_hop"
    """'one_hop', 'two_hop', 'unanswerable', 'default', 'known_item', ..."""
    answerable: bool = True
    supporting: tuple[str, ...] = ()
    """Ids of the documents that hold the answer on `asked_on`."""
    cluster: str = ""
    """What the bootstrap resamples; '' means the subject (or the question itself without one)."""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def cluster_key(self) -> str:
        """What the bootstrap resamples: the cluster, else the subject, else the question."""
        return self.cluster or self.subject or self.id

    def answers_on(self, day: date | None) -> tuple[str, ...]:
        """Return the right answers on `day` (on any day where `day` is None)."""
        if day is None:
            return tuple(dict.fromkeys(a.text for a in self.answers))
        return tuple(dict.fromkeys(a.text for a in self.answers if a.holds_on(day)))

    def former_answers(self, day: date) -> tuple[str, ...]:
        """Return the answers that were right before `day` and are not right on it."""
        now = set(self.answers_on(day))
        past = (a.text for a in self.answers if a.valid_to is not None and a.valid_to <= day)
        return tuple(dict.fromkeys(text for text in past if text not in now))

    def supporting_on(self, day: date | None) -> tuple[str, ...]:
        """Return ids of the documents that state a right answer on `day`."""
        dated = [d for a in self.answers if day is None or a.holds_on(day) for d in a.documents]
        return tuple(dict.fromkeys(dated)) or self.supporting


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage as found by a search: higher scores are better, rank starts at 1."""

    passage: Passage
    score: float
    rank: int
    stage: str = ""
    """Which stage found it: 'bm25', 'dense', 'hybrid', 'rerank', 'gold'."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an arm said, and what it cost.

    `stage_ms` maps stage names (embed, search, rerank, prefill, decode) to milliseconds;
    a stage the arm does not have is absent, never 0. Of a model on a server, 'server' stands for
    prefill and decode.
    """

    text: str
    citations: tuple[str, ...] = ()
    """Ids of the cited passages."""
    hits: tuple[Hit, ...] = ()
    stage_ms: Mapping[str, float] = field(default_factory=dict, hash=False)
    prompt_tokens: float = 0
    completion_tokens: float = 0
    """Whole numbers; NaN where a server does not count them."""
    entropy: float = float("nan")
    """Mean token entropy in nats; NaN where the model gives no probabilities."""
    logprob: float = float("nan")
    """Log probability of the whole completion in nats; NaN where the model gives none."""
    raw: str = ""
    """The completion before citations were taken out of it."""

    @property
    def latency_ms(self) -> float:
        """Sum of the stage times, in milliseconds."""
        return float(sum(self.stage_ms.values()))


@dataclass(frozen=True, slots=True)
class RefreshCost:
    """What it cost an arm to take in changes; every field is measured, none is a price."""

    seconds: float = 0.0
    passages_embedded: int = 0
    tokens_trained: int = 0
    bytes_written: int = 0

    def __add__(self, other: RefreshCost) -> RefreshCost:
        return RefreshCost(
            self.seconds + other.seconds,
            self.passages_embedded + other.passages_embedded,
            self.tokens_trained + other.tokens_trained,
            self.bytes_written + other.bytes_written,
        )


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to a corpus between two days."""

    added: tuple[Document, ...] = ()
    changed: tuple[Document, ...] = ()
    """The new versions of texts that had an older one."""
    removed: tuple[Document, ...] = ()
    """Documents in force before and not after, their replaced versions included."""


@dataclass(frozen=True, slots=True)
class Example:
    """One training example: the model sees `prompt` and learns to say `completion`."""

    prompt: str
    completion: str
    subject: str = ""
    question_id: str = ""
