"""Questions about a made-up world: of one hop, of two, and such as no document answers.

What is true in a world, and which of its subjects are asked about, is decided in `world`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from ragft.corpora.relations import BRIDGES, BY_NAME, KINDS, TWO_HOPS, Relation
from ragft.types import DatedAnswer, Fact, Question

if TYPE_CHECKING:
    from ragft.corpora.world import Subject, World


def _word(texts: tuple[str, ...], wording: str | int, order: random.Random) -> str:
    return texts[wording] if isinstance(wording, int) else order.choice(texts)


def _texts(relation: Relation, wording: str | int) -> tuple[str, ...]:
    return (
        relation.questions if isinstance(wording, int) else relation.wordings("questions", wording)
    )


def _dated(facts: list[Fact]) -> tuple[DatedAnswer, ...]:
    return tuple(DatedAnswer(f.value, f.valid_from, f.valid_to, f.documents) for f in facts)


def one_hop(
    world: World, subject: Subject, day: date, wording: str | int, order: random.Random
) -> Iterator[Question]:
    """Ask for what holds on a day, a question for every relation of a subject."""
    for name in dict.fromkeys(f.relation for f in subject.facts):
        versions = [f for f in subject.facts if f.relation == name]
        now = [f for f in versions if f.holds_on(day)]
        if not now:
            continue
        text = _word(_texts(BY_NAME[name], wording), wording, order).format(s=subject.name)
        yield Question(
            f"{subject.source}/{name}", text, _dated(versions), day, subject.name, name,
            supporting=_on_day(now, subject, day), cluster=subject.source,
            metadata={"stratum": subject.stratum, "category": BY_NAME[name].category},
        )  # fmt: skip


def _on_day(facts: list[Fact], subject: Subject, day: date) -> tuple[str, ...]:
    """Return the documents in force on `day` that state one of the facts."""
    stating = {document for fact in facts for document in fact.documents}
    return tuple(d.id for d in subject.documents if d.id in stating and d.holds_on(day))


def unanswerable(
    world: World, subject: Subject, day: date, wording: str | int, order: random.Random
) -> Iterator[Question]:
    """Ask for what no document states: a relation that the subject might have and has not."""
    stated = {f.relation for f in subject.facts}
    missing = [r for r in world.relations_of(subject.kind) if r.name not in stated]
    if not missing or not any(f.holds_on(day) for f in subject.facts):
        return
    relation = order.choice(missing)
    text = _word(_texts(relation, wording), wording, order).format(s=subject.name)
    yield Question(
        f"{subject.source}/{relation.name}?", text, (), day, subject.name, relation.name,
        kind="unanswerable", answerable=False, cluster=subject.source,
        metadata={"stratum": subject.stratum, "category": relation.category},
    )  # fmt: skip


def two_hop(
    world: World, subject: Subject, day: date, wording: str | int, order: random.Random
) -> Iterator[Question]:
    """Ask through a value that is itself a subject: who leads the supplier of this one."""
    for hop in TWO_HOPS:
        for first in (f for f in subject.facts if f.relation == hop.first and f.holds_on(day)):
            target = _subject_named(world, first.value, BRIDGES[hop.first])
            seconds = [f for f in target.facts if f.relation == hop.second] if target else []
            now = [f for f in seconds if f.holds_on(day)]
            if not now:
                continue
            number = (
                wording
                if isinstance(wording, int)
                else {"training": 0, "held_out": 2}.get(
                    wording, order.randrange(len(hop.questions))
                )
            )
            support = _on_day([first], subject, day) + _on_day(now, target, day)
            yield Question(
                f"{subject.source}/{hop.name}", hop.questions[number].format(s=subject.name),
                _dated(seconds), day, subject.name, hop.name, kind="two_hop",
                supporting=tuple(dict.fromkeys(support)), cluster=subject.source,
                metadata={"stratum": subject.stratum, "bridge": first.value},
            )  # fmt: skip


def _subject_named(world: World, name: str, kind: str) -> Subject | None:
    index = _names(world, kind).get(name)
    return None if index is None else world.subject(index)


@lru_cache(maxsize=8)
def _names(world: World, kind: str) -> dict[str, int]:
    """Map names of one kind to subject numbers; only two-hop questions need it."""
    return {world.name_of(i): i for i in range(KINDS.index(kind), world.subjects, 4)}


KINDS_ASKED: dict[str, Callable[..., Iterator[Question]]] = {
    "one_hop": one_hop,
    "changed": one_hop,
    "two_hop": two_hop,
    "unanswerable": unanswerable,
}
"""What makes the questions of a kind about one subject; of 'changed' those are kept whose answer
was another one before."""
