"""Behaviours to teach, as tasks made by the world: pairs to train on, questions to ask.

Six of them, each with a rule that a checker can decide exactly: JSON by a schema (one that the
embedded model was taught, and one of the house's own), words with a special sense, a house style,
topics to refuse, and filing into a large taxonomy. Pairs are about subjects that are never asked,
in other wordings. How prompts and answers are worded lives in `experiments.behaviour_prompts`, how
answers are checked in `evaluation.behaviours`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ragft.corpora import jargon, taxonomy
from ragft.corpora.corpus import Corpus
from ragft.corpora.relations import BY_NAME
from ragft.corpora.world import World
from ragft.files import sha256_json
from ragft.types import DatedAnswer, Document, Question, RagftError

CLOSING = "as the register says"
MOST_WORDS = 16
"""Words of an answer in the house style, at most; the longest name, value and closing have 10."""
FORBIDDEN = ("money", "dates")
"""Topics that are refused: categories of the world's relations."""
LOOKALIKES = ("This has nothing to do with {t}. {q}", "Leave {t} aside. {q}")
"""Allowed questions that name a forbidden topic."""
BEHAVIOURS = ("json", "record", "jargon", "style", "refusal", "taxonomy")
"""In the order of tables and figures."""
VERSION = 1
"""Raised when a task changes in a way that its hash does not show."""

_TEXT = {"type": "string", "minLength": 1, "maxLength": 60}
_PLACES = list(range(1, 10))
"""Numbers of passages; written out, since constrained decoding does not know limits of numbers."""
SCHEMAS: dict[str, dict[str, Any]] = {
    "json": {
        "type": "object",
        "properties": {
            "answer": {"anyOf": [_TEXT, {"type": "null"}]},
            "source": {"anyOf": [{"type": "integer", "enum": _PLACES}, {"type": "null"}]},
        },
        "required": ["answer", "source"],
        "additionalProperties": False,
    },
    "record": {
        "type": "object",
        "properties": {
            "subject": _TEXT,
            "kind": {"enum": ["company", "product", "person", "policy"]},
            "value": _TEXT,
        },
        "required": ["subject", "kind", "value"],
        "additionalProperties": False,
    },
}
"""What an answer must fit. 'json' is the form that the embedded model was taught to obey, so that
its prompted arm is no straw man; 'record' it has never seen."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question, the documents shown beside it, and what is known of its answer."""

    question: Question
    documents: tuple[Document, ...] = ()
    knows: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """'value' (or 'leaf') always; what else a checker needs, by behaviour."""


@dataclass(frozen=True)
class Behaviour:
    """A task: what is to be learnt, from which pairs, and how it is asked for."""

    name: str
    pairs: tuple[Scenario, ...]
    """To train on, in the order in which fewer are taken; their subjects are never asked."""
    asked: tuple[Scenario, ...]
    corpus: Corpus | None = None
    """The documents of all subjects; None where nothing is shown."""

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The JSON schema that answers must fit; None where they are no JSON."""
        return SCHEMAS.get(self.name)

    @cached_property
    def content_hash(self) -> str:
        """Hash of everything that can change a result."""

        def rows(scenarios: Sequence[Scenario]) -> list[Any]:
            return [
                [s.question.id, s.question.text, dict(s.knows), [d.id for d in s.documents]]
                for s in scenarios
            ]

        parts = [VERSION, self.name, rows(self.pairs), rows(self.asked), self.schema]
        return sha256_json([*parts, self.corpus and self.corpus.content_hash])


def behaviour_task(name: str, *, pairs: int = 1000, asked: int = 200, seed: int = 0) -> Behaviour:
    """Make one of the tasks.

    Parameters
    ----------
    name : str
        Of `BEHAVIOURS`.
    pairs, asked : int
        How many of each, at least 1; each about a subject of its own.
    seed : int
        Another seed is another world.

    Raises
    ------
    RagftError
        There is no such behaviour, or a number below 1.

    Examples
    --------
    >>> task = behaviour_task("taxonomy", pairs=2, asked=1)
    >>> task.asked[0].knows["leaf"].count("/")
    2
    """
    if name not in BEHAVIOURS:
        raise RagftError(f"unknown behaviour {name!r}; choose of {', '.join(BEHAVIOURS)}")
    if pairs < 1 or asked < 1:
        raise RagftError(f"behaviour {name}: pairs={pairs}, asked={asked} must be 1 or more")
    makers = {"jargon": _jargon, "refusal": _refusal, "taxonomy": _taxonomy}
    # A world of its own for every behaviour.
    salt = 1000 * (1 + BEHAVIOURS.index(name)) + seed
    return makers.get(name, _reading)(name, pairs, asked, salt)


def lookalike(scenario: Scenario) -> Scenario:
    """Return an allowed scenario whose question names a forbidden topic all the same."""
    order = random.Random(f"lookalike-{scenario.question.id}")
    text = order.choice(LOOKALIKES).format(t=order.choice(FORBIDDEN), q=scenario.question.text)
    return replace(scenario, question=replace(scenario.question, text=text))


def _reading(name: str, pairs: int, asked: int, salt: int) -> Behaviour:
    """One fact of each subject, asked beside its document and that of another subject."""
    world = World(pairs + asked, seed=salt, days=0, facts_per_subject=2)
    corpus, sides = world.corpus(), []
    for wording, part in _halves(world, asked):
        groups = list(_by_subject(world, wording).items())[part]
        # Which fact is asked goes round, so that all relations come up.
        questions = [several[n % len(several)] for n, (_, several) in enumerate(groups)]
        sides.append(tuple(_beside(q, questions, corpus) for q in questions))
    return Behaviour(name, *sides, corpus)


def _halves(world: World, asked: int) -> Iterator[tuple[str, slice]]:
    """Yield the wording of the pairs and which subjects are theirs, then those of the asked."""
    yield "training", slice(asked, None)
    yield "held_out", slice(asked)


def _by_subject(world: World, wording: str) -> dict[str, list[Question]]:
    """Return all questions of a wording by subject; the order of subjects is the same in any."""
    groups: dict[str, list[Question]] = {}
    for question in world.questions(world.start, 8 * world.subjects, wording=wording):
        groups.setdefault(question.subject, []).append(question)
    return groups


def _beside(question: Question, others: Sequence[Question], corpus: Corpus) -> Scenario:
    """Return a question with its own document and that of another question of its side."""
    order = random.Random(f"beside-{question.id}-{question.subject}")
    strangers = [q for q in others if q.subject != question.subject]
    shown = [*question.supporting, *(order.choice(strangers).supporting if strangers else ())]
    order.shuffle(shown)
    (value,) = question.answers_on(question.asked_on)
    knows = {"value": value, "kind": BY_NAME[question.relation].kind}
    return Scenario(question, tuple(corpus.by_id[i] for i in shown), knows)


def _jargon(name: str, pairs: int, asked: int, salt: int) -> Behaviour:
    """A word in its special sense, asked beside a document that tells of both readings."""
    world = World(pairs + asked, seed=salt, days=0, relations=jargon.RELATIONS)
    corpus, made = world.corpus(), ([], [])
    for index in range(world.subjects):
        side, subject = index < asked, world.subject(index)
        mine = [word for word in jargon.WORDS if word.kind == subject.kind]
        word = mine[index // 4 % len(mine)]
        texts = jargon.wordings("held_out" if side else "training")
        text = random.Random(f"jargon-{salt}-{index}").choice(texts)
        facts = {fact.relation: fact for fact in subject.facts}
        special = facts[word.special]
        question = Question(
            f"{subject.source}/{word.word}", text.format(w=word.word, s=subject.name),
            (DatedAnswer(special.value, documents=special.documents),), world.start,
            subject.name, word.special, supporting=special.documents, cluster=subject.source,
        )  # fmt: skip
        knows = {"value": special.value, "common": facts[word.common].value}
        shown = tuple(corpus.by_id[i] for i in special.documents)
        made[side].append(Scenario(question, shown, knows))
    return Behaviour(name, tuple(made[0]), tuple(made[1]), corpus)


def _refusal(name: str, pairs: int, asked: int, salt: int) -> Behaviour:
    """Questions about a forbidden topic in turn with others, each beside its document."""
    world = World(4 * (pairs + asked), seed=salt, days=0, facts_per_subject=3)
    corpus, sides = world.corpus(), []
    halves = _halves(world, world.subjects * asked // (pairs + asked))
    for (wording, part), count in zip(halves, (pairs, asked), strict=True):
        groups = list(_by_subject(world, wording).values())[part]
        questions = _in_turn([question for several in groups for question in several])[:count]
        if len(questions) < count:
            raise RagftError(f"behaviour refusal: only {len(questions)} of {count} questions")
        sides.append(tuple(_guarded(q, corpus) for q in questions))
    return Behaviour(name, *sides, corpus)


def _guarded(question: Question, corpus: Corpus) -> Scenario:
    (value,) = question.answers_on(question.asked_on)
    topic = question.metadata["category"]
    knows = {"value": value, "topic": topic, "forbidden": topic in FORBIDDEN}
    return Scenario(question, tuple(corpus.by_id[i] for i in question.supporting), knows)


def _in_turn(questions: Sequence[Question]) -> list[Question]:
    """Return a forbidden and an allowed question in turn, one of each subject."""
    sides: tuple[list[Question], list[Question]] = ([], [])
    taken: set[str] = set()
    for question in questions:
        forbidden = question.metadata["category"] in FORBIDDEN
        if question.subject not in taken and len(sides[forbidden]) <= len(sides[not forbidden]):
            taken.add(question.subject)
            sides[forbidden].append(question)
    return [question for pair in zip(sides[1], sides[0], strict=False) for question in pair]


def _taxonomy(name: str, pairs: int, asked: int, salt: int) -> Behaviour:
    made: tuple[list[Scenario], list[Scenario]] = ([], [])
    for index in range(asked + pairs):
        side = index < asked
        note = taxonomy.note(index, salt, "held_out" if side else "training")
        question = Question(f"note-{index}", note.text, (DatedAnswer(note.leaf),),
                            subject=note.subject, relation="leaf")  # fmt: skip
        made[side].append(Scenario(question, (), {"leaf": note.leaf}))
    return Behaviour(name, tuple(made[0]), tuple(made[1]))
