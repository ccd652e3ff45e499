"""The world: made-up subjects whose facts change on known days, at any size.

Everything about subject number i is a pure function of the world's settings and i,
so a world of millions of facts needs no memory until it is iterated over. Names and
values come from `lexicon`, wordings from `relations`; questions are put in `world_questions`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import lru_cache

from ragft.corpora.corpus import Corpus
from ragft.corpora.lexicon import SPLITS, draw, draw_unit, permuted, subject_name, value_of
from ragft.corpora.relations import BRIDGES, BY_NAME, KINDS, RELATIONS, Relation
from ragft.corpora.world_questions import KINDS_ASKED
from ragft.types import Document, Fact, Question, RagftError

STRATA = ((0.1, "head"), (0.4, "middle"), (1.0, "tail"))
"""Popularity: the first tenth of the subjects, the next three tenths, the rest."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject with its facts (every version) and the versions of its document."""

    source: str
    name: str
    kind: str
    stratum: str
    facts: tuple[Fact, ...]
    documents: tuple[Document, ...]


@dataclass(frozen=True)
class World:
    """Settings of a made-up world.

    Parameters
    ----------
    subjects : int
        Number of subjects; companies, products, people and policies in turn.
    seed : int
        Another seed is another world: other names, values and days.
    start : date
        Day 0 of the timeline.
    days : int
        Length of the timeline; nothing changes after it.
    drift : float
        Expected changes per fact and day, 0 to 1 (a slow drift).
    events : tuple of (int, float)
        Catalogue refreshes: (day number, share of the facts that change on it).
    former : int
        Older values that every fact had before day 0.
    arrivals, departures : float
        Share of subjects that first appear, or are withdrawn, during the timeline.
    facts_per_subject : int
        Facts stated about each subject.
    names : str
        Vocabulary of made-up names: 'evaluation' or 'pretraining' (they share no word).
    wordings : str
        Wordings of the statements in documents: 'training', 'held_out' or 'all'.
    relations : tuple of str
        Names of the relations to use; () means all that pretraining has seen.
    """

    subjects: int = 200
    seed: int = 0
    start: date = date(2024, 1, 1)
    days: int = 180
    drift: float = 0.0
    events: tuple[tuple[int, float], ...] = ()
    former: int = 0
    arrivals: float = 0.0
    departures: float = 0.0
    facts_per_subject: int = 4
    names: str = "evaluation"
    wordings: str = "all"
    relations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shares = {"drift": self.drift, "arrivals": self.arrivals, "departures": self.departures}
        shares |= {f"events (day {day})": share for day, share in self.events}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise RagftError(f"World {name}={share}: a share must lie between 0 and 1")
        if self.subjects < 1 or self.days < 0 or self.former < 0 or self.facts_per_subject < 1:
            raise RagftError("World: subjects, facts_per_subject >= 1; days, former >= 0")
        if any(not 0 < day <= self.days for day, _ in self.events):
            raise RagftError(f"World events={self.events}: days must lie in 1 to days={self.days}")
        if self.names not in SPLITS or self.wordings not in ("training", "held_out", "all"):
            raise RagftError(f"World names={self.names!r}, wordings={self.wordings!r}: not known")
        if unknown := [name for name in self.relations if name not in BY_NAME]:
            raise RagftError(f"World relations: {unknown} not known; choose of {sorted(BY_NAME)}")

    @property
    def end(self) -> date:
        """Last day of the timeline."""
        return self.start + timedelta(days=self.days)

    def day(self, number: int) -> date:
        """Return the date of day `number` of the timeline."""
        return self.start + timedelta(days=number)

    def relations_of(self, kind: str) -> tuple[Relation, ...]:
        """Return the relations that subjects of a kind can have in this world."""
        return _relations_of(self.relations, kind)

    def name_of(self, index: int) -> str:
        """Return the name of subject number `index`."""
        kind, local = KINDS[index % 4], index // 4
        return subject_name(kind, local, self.names, self.seed * 8)

    def subject(self, index: int) -> Subject:
        """Return subject number `index` with its facts and document versions."""
        if not 0 <= index < self.subjects:
            raise RagftError(f"subject {index}: this world has subjects 0 to {self.subjects - 1}")
        return _build_subject(self, index)

    def __iter__(self) -> Iterator[Subject]:
        return (self.subject(index) for index in range(self.subjects))

    def iter_facts(self) -> Iterator[Fact]:
        """Yield every version of every fact, one subject in memory at a time."""
        for subject in self:
            yield from subject.facts

    def iter_documents(self) -> Iterator[Document]:
        """Yield every version of every document, one subject in memory at a time."""
        for subject in self:
            yield from subject.documents

    def corpus(self) -> Corpus:
        """Return all documents and facts as a `Corpus` (in memory)."""
        subjects = list(self)
        settings = " ".join(f"{k}={v}" for k, v in asdict(self).items() if v not in ((), 0, 0.0))
        return Corpus(
            tuple(d for s in subjects for d in s.documents),
            tuple(f for s in subjects for f in s.facts),
            name=f"world ({settings})",
        )

    def questions(
        self,
        day: date,
        n: int = 300,
        *,
        seed: int = 0,
        kind: str = "one_hop",
        wording: str | int = "held_out",
    ) -> list[Question]:
        """Ask `n` questions about what holds on `day`.

        Parameters
        ----------
        kind : str
            'one_hop', 'two_hop', 'unanswerable' (a relation the subject's document does
            not state), or 'changed' (one-hop, facts that had another value before `day`).
        wording : str or int
            'training', 'held_out', 'all' (drawn), or the number of one wording.

        Returns
        -------
        list of Question
            At most `n`, in an order drawn from `seed`; fewer where the world has fewer.
        """
        if kind not in KINDS_ASKED:
            raise RagftError(f"questions kind={kind!r}: choose one of {', '.join(KINDS_ASKED)}")
        order = random.Random(f"questions-{self.seed}-{seed}")
        found: list[Question] = []
        for number in range(self.subjects):
            index = permuted(number, self.subjects, draw("questions", self.seed, seed))
            asked = KINDS_ASKED[kind](self, self.subject(index), day, wording, order)
            found += [q for q in asked if kind != "changed" or q.former_answers(day)]
            if len(found) >= n:
                break
        return found[:n]


@lru_cache(maxsize=256)
def _relations_of(names: tuple[str, ...], kind: str) -> tuple[Relation, ...]:
    every = [BY_NAME[name] for name in names] if names else RELATIONS
    return tuple(relation for relation in every if relation.kind == kind)


def _stated(world: World, index: int) -> list[Relation]:
    """Return the relations that the document of a subject states, in document order."""
    relations = world.relations_of(KINDS[index % 4])
    ranked = sorted(relations, key=lambda r: draw(world.seed, index, r.name))
    return ranked[: world.facts_per_subject]


def _change_days(world: World, index: int, relation: str) -> list[int]:
    """Return the day numbers on which a fact takes a new value, in order."""
    key = (world.seed, index, relation)
    days = {d for d, share in world.events if draw_unit("event", d, *key) < share}
    if world.drift:
        chances = range(1, world.days + 1)
        days |= {d for d in chances if draw_unit("drift", d, *key) < world.drift}
    older, before = 0, []
    for k in range(world.former):
        older -= 30 + draw("former", k, *key) % 370
        before.append(older)
    return sorted(days | set(before))


def _value(world: World, index: int, relation: Relation, version: int) -> str:
    """Return the value of one version of a fact; successive versions always differ."""
    key = (world.names, world.seed, index, relation.name)
    kind = BRIDGES.get(relation.name)
    if kind:
        place, own = KINDS.index(kind), KINDS[index % 4] == kind
        others = len(range(place, world.subjects, 4)) - own
        if others > 1:
            # The next one in turn: successive values differ, and never are the subject itself.
            other = (draw("bridge", *key) + version) % others
            other += own and other >= index // 4
            return world.name_of(4 * other + place)
    previous = _value(world, index, relation, version - 1) if version else None
    for attempt in range(100):
        value = value_of(relation.value_type, world.names, *key, version, attempt)
        if value != previous:
            return value
    raise AssertionError(f"{relation.value_type} has a single value")


def _lifetime(world: World, index: int, stated: list[Relation]) -> tuple[int, int | None]:
    """Return the day numbers on which a subject's first document begins and its last ends."""
    if draw_unit("arrives", world.seed, index) < world.arrivals:
        return 1 + draw("arrival", world.seed, index) % max(1, world.days), None
    gone = None
    if draw_unit("departs", world.seed, index) < world.departures:
        gone = 1 + draw("departure", world.seed, index) % max(1, world.days)
    # Every fact has its first value before its first change, and all begin on one day.
    changes = [d for r in stated for d in _change_days(world, index, r.name)[:1]]
    return min(0, *changes, 0) - 30 - draw("begin", world.seed, index) % 370, gone


def _versions(
    world: World, index: int, relation: Relation, life: tuple[int, int | None]
) -> list[tuple[str, int, int | None]]:
    """Return (value, first day, end day) of every version of a fact within its life."""
    born, gone = life
    changes = [
        d
        for d in _change_days(world, index, relation.name)
        if born < d and (gone is None or d < gone)
    ]
    bounds = [born, *changes, gone]
    return [
        (_value(world, index, relation, k), bounds[k], bounds[k + 1])
        for k in range(len(bounds) - 1)
    ]


def _sentence(world: World, index: int, relation: Relation, value: str, since: int) -> str:
    options = relation.wordings("statements", world.wordings)
    chosen = options[draw("wording", world.seed, index, relation.name, since) % len(options)]
    text = chosen.format(s=world.name_of(index), v=value)
    return text[0].upper() + text[1:]


@lru_cache(maxsize=4096)
def _build_subject(world: World, index: int) -> Subject:
    kind = KINDS[index % 4]
    source, name = f"{kind}-{index // 4}", world.name_of(index)
    popularity = (index + 0.5) / world.subjects
    stratum = next(label for bound, label in STRATA if popularity < bound)
    stated = _stated(world, index)
    life = _lifetime(world, index, stated)
    histories = {r: _versions(world, index, r, life) for r in stated}
    cuts = sorted({since for history in histories.values() for _, since, _ in history})
    ends = [*cuts[1:], life[1]]
    documents, stating = [], {}
    for number, (since, until) in enumerate(zip(cuts, ends, strict=True)):
        held = [
            (relation, version)
            for relation, history in histories.items()
            for version in history
            if version[1] <= since and (version[2] is None or since < version[2])
        ]
        identity = f"{source}@{number}"
        text = " ".join(_sentence(world, index, r, v[0], v[1]) for r, v in held)
        for relation, version in held:
            stating.setdefault((relation.name, version[1]), []).append(identity)
        documents.append(
            Document(identity, text, name, source, kind, world.day(since), _date(world, until))
        )
    facts = tuple(
        Fact(
            name,
            relation.name,
            value,
            world.day(since),
            _date(world, until),
            tuple(stating[relation.name, since]),
            kind,
            stratum,
        )
        for relation, history in histories.items()
        for value, since, until in history
    )
    return Subject(source, name, kind, stratum, facts, tuple(documents))


def _date(world: World, number: int | None) -> date | None:
    return None if number is None else world.day(number)
