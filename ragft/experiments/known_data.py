"""What a model knew before: the world it was taught, its facts sorted into known and unknown.

Who is trained on what and asked is decided in `known_cells`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ragft.corpora.world import STRATA, World
from ragft.experiments.tasks import Task
from ragft.types import Question, RagftError

PROBED = (0, 1)
"""Numbers of the two training wordings in which a model is asked what it knows."""
HELD_OUT = (-2, -1)
"""Numbers of the two wordings that no training has used, in which everything else is asked."""


def resident_world() -> World:
    """Return the one world that the resident checkpoint was taught."""
    from ragft.generation.embedded import lessons

    return lessons.RESIDENT


def all_facts(world: World, wording: int | str) -> list[Question]:
    """Return a question about every fact of a world, in the same order for every wording."""
    return world.questions(world.start, world.subjects * world.facts_per_subject, wording=wording)


def drawn_facts(facts: Sequence[Question], most: int | None) -> tuple[str, ...]:
    """Draw facts by subject, the same every time; return the ids of their questions.

    Parameters
    ----------
    facts : sequence of Question
        One for each fact.
    most : int or None
        Facts drawn, at most; None, or more than there are: all, in their order.
    """
    if most is None or most >= len(facts):
        return tuple(q.id for q in facts)
    drawn = sorted(facts, key=lambda q: random.Random(f"probed {q.subject}").random())
    return tuple(q.id for q in drawn[:most])


@dataclass(frozen=True)
class Split:
    """Facts by what they are for; all are named by the ids of their questions."""

    control: tuple[str, ...]
    """Known facts, about subjects that nothing is trained about."""
    pairs: tuple[tuple[str, str], ...]
    """A known fact and an unknown one of the same relation, for training."""

    @property
    def known(self) -> tuple[str, ...]:
        """The known facts that may be trained on."""
        return tuple(known for known, _ in self.pairs)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The unknown facts that may be trained on."""
        return tuple(unknown for _, unknown in self.pairs)

    def taught(self, share: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the known and the unknown facts to train on.

        However large the share, there are as many facts, of the same relations: a known one is
        replaced by its partner. A smaller share's unknown facts are among a larger one's.

        Parameters
        ----------
        share : float
            Of unknown facts, in [0, 1]; rounded to whole facts.
        """
        swapped = round(share * len(self.pairs))
        return self.known[swapped:], self.unknown[:swapped]


def split_facts(
    facts: Sequence[Question], right: Mapping[str, int], questions: int, pairs: int
) -> Split:
    """Draw control facts, and pairs of a known and an unknown fact for training.

    Known is what was answered rightly in both wordings, unknown what was in neither; facts in
    between are not used. The draw is the same every time.

    Parameters
    ----------
    facts : sequence of Question
        One for each fact.
    right : mapping of question id to int
        In how many of the two wordings the fact was answered rightly.
    questions : int
        Control facts.
    pairs : int
        Pairs for training, about other subjects than the control facts.

    Raises
    ------
    RagftError
        The model knows too few facts for so many of both, or too many: a known fact without
        an unknown one of its relation has no pair.
    """
    drawn = sorted(facts, key=lambda q: random.Random(f"known {q.subject}").random())
    known = [q for q in drawn if right[q.id] == len(PROBED)]
    control = known[:questions]
    kept = {q.subject for q in control}
    unknown: dict[str, list[str]] = defaultdict(list)
    for question in drawn:
        if right[question.id] == 0 and question.subject not in kept:
            unknown[question.relation].append(question.id)
    others = [q for q in known[questions:] if q.subject not in kept]
    found = [(q.id, unknown[q.relation].pop()) for q in others if unknown[q.relation]]
    if len(control) < questions or len(found) < pairs:
        raise RagftError(
            f"known: the model knows {len(known)} of {len(facts)} facts, which gives "
            f"{len(control)} control facts, and {len(found)} for training that have an unknown "
            f"one of the same relation; questions={questions} and facts={pairs} were wanted: ask "
            "for fewer, or start from model='resident'"
        )
    return Split(tuple(q.id for q in control), tuple(found[:pairs]))


def popularity_task(world: World, per_stratum: int, wordings: int) -> Task:
    """Return facts of a world to be asked, as many popular ones as rare ones.

    Parameters
    ----------
    world : World
    per_stratum : int
        Facts of each of head, middle and tail, at most: as many as the smallest of them has.
        A subject is asked about twice only where there are fewer subjects than that.
    wordings : int
        In which each of these facts is taught; it is asked in one that is never taught.
    """
    asked = [q for part in _strata(world, per_stratum).values() for q in part]
    ids, subjects = {q.id for q in asked}, {q.subject for q in asked}
    taught = [q for number in range(wordings) for q in all_facts(world, number) if q.id in ids]
    others = [q for q in all_facts(world, 0) if q.subject not in subjects]
    corpus = world.corpus()
    return Task(
        f"by popularity, {corpus.name}",
        corpus,
        world.start,
        tuple(asked),
        tuple(taught),
        tuple(others),
        counts={"facts": len(asked), "per_stratum": len(asked) // len(STRATA)},
    )


def _strata(world: World, per_stratum: int) -> dict[str, list[Question]]:
    """Return as many questions of every stratum, one of each subject before a second of any."""
    by_subject: dict[str, list[Question]] = defaultdict(list)
    for question in all_facts(world, "held_out"):
        by_subject[question.subject].append(question)
    found: dict[str, list[Question]] = {name: [] for _, name in STRATA}
    for turn in range(world.facts_per_subject):
        for place, group in enumerate(by_subject.values()):
            if turn < len(group):
                question = group[(place + turn) % len(group)]
                found[question.metadata["stratum"]].append(question)
    size = min(per_stratum, *(len(part) for part in found.values()))
    return {name: part[:size] for name, part in found.items()}
