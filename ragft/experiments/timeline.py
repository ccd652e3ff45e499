"""Facts that change on known days: what is true, known, asked and taught on each of them.

A made-up world and the history of a package become one thing, so that a freshness experiment
is one loop over days. How arms are kept up to date is decided in `upkeep`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from itertools import pairwise

from ragft.corpora import packages
from ragft.corpora.corpus import Corpus
from ragft.corpora.world import World
from ragft.evaluation.text import same_value
from ragft.experiments.tasks import Task, split_by_subject
from ragft.types import Question, RagftError

GROUPS = ("changing", "unchanging", "new", "withdrawn")
"""Facts that take another value after day 0, that never do, that begin later, that end."""

MONTH = timedelta(days=30)
HELD_OUT = -1
"""Number of the wording in which a world is asked: the last one, which no training uses."""


@dataclass(frozen=True)
class Timeline:
    """A collection with all its versions, and the days on which it is asked."""

    name: str
    corpus: Corpus
    days: tuple[date, ...]
    """Measured days in order; the first is day 0, on which everything is prepared."""
    groups: Mapping[str, str]
    """Id of every question and the group of its fact (see `GROUPS`)."""
    ask: Callable[[date, int], tuple[Question, ...]]
    """Questions about the facts that hold on a day, in wording number n; ids never change."""
    asked_wording: int
    training_wordings: tuple[int, ...]
    others: tuple[Question, ...] = ()
    """Questions of day 0 about subjects that are never asked about."""
    events: tuple[date, ...] = ()
    retraining: str = "monthly"
    retraining_days: tuple[date, ...] = ()
    """Days on which an adapter that is kept up is trained again, day 0 left out."""
    population: Mapping[str, int] = field(default_factory=dict)
    """Facts of day 0 by group in the whole collection; empty where the asked were drawn evenly."""

    def __post_init__(self) -> None:
        if not self.days:
            raise RagftError(f"timeline {self.name}: no days; give at least day 0")
        if any(later <= day for day, later in pairwise(self.days)):
            shown = ", ".join(day.isoformat() for day in self.days)
            raise RagftError(f"timeline {self.name}: days must be in order, each once: {shown}")
        if not self.groups:
            raise RagftError(f"timeline {self.name}: there is nothing to ask about")

    @property
    def start(self) -> date:
        """Day 0."""
        return self.days[0]

    def asked(self, day: date) -> tuple[Question, ...]:
        """Return every question as of a day; what no longer holds is asked all the same.

        Facts that have not begun yet are left out. Where a fact has ended, 'unknown' is right.
        """
        now = {q.id: q for q in self.ask(day, self.asked_wording)}
        before = {q.id: q for q in self.ask(self.start, self.asked_wording)}
        ended = {
            i: replace(q, asked_on=day, supporting=()) for i, q in before.items() if i not in now
        }
        found = [{**ended, **now}[i] for i in self.groups if i in now or i in ended]
        return tuple(replace(q, metadata={**q.metadata, "group": self.groups[q.id]}) for q in found)

    def taught(self, day: date, wordings: int) -> tuple[Question, ...]:
        """Return the facts that hold on a day in up to `wordings` training wordings."""
        chosen = self.training_wordings[:wordings]
        return tuple(q for w in chosen for q in self.ask(day, w) if q.id in self.groups)

    def moved(self, since: date, day: date) -> set[str]:
        """Return the ids whose right answer on `day` is not that of `since`, new ones included."""
        before = {q.id: q.answers_on(since) for q in self.ask(since, self.asked_wording)}
        now = {q.id: q.answers_on(day) for q in self.ask(day, self.asked_wording)}
        return {i for i in self.groups if _differ(before.get(i, ()), now.get(i, ()))}


def _differ(one: Sequence[str], two: Sequence[str]) -> bool:
    return not any(same_value(a, b) for a in one for b in two) and bool(one or two)


def known_on(corpus: Corpus, day: date, kept: bool = False) -> Corpus:
    """Return what an index made on `day` holds: what was in force, its end not yet known.

    With `kept`, the old versions are still in it.
    """
    held = [
        replace(d, valid_to=None)
        for d in corpus.documents
        if d.holds_on(day) or (kept and (d.valid_from is None or d.valid_from <= day))
    ]
    facts = [replace(f, valid_to=None) for f in corpus.facts if f.holds_on(day)]
    name = f"{corpus.name} as known on {day}" + (", old versions kept" if kept else "")
    return Corpus(tuple(held), tuple(facts), name=name)


def task_on(line: Timeline, day: date, known: date | None = None, kept: bool = False) -> Task:
    """Return what is asked on a day of a timeline, over what an index knows on it.

    Parameters
    ----------
    line : Timeline
    day : date
        Of the questions.
    known : date, optional
        Of the collection; None: the same.
    kept : bool
        Whether old versions stay in the collection.
    """
    corpus = known_on(line.corpus, known or day, kept)
    return Task(line.name, corpus, day, line.asked(day), (), line.others)


def world_timeline(world: World, days: Sequence[int], facts: int, *, wordings: int = 4) -> Timeline:
    """Follow facts of a made-up world, one a subject, over numbered days.

    Parameters
    ----------
    world : World
        With events, drift, arrivals and departures as they please.
    days : sequence of int
        Measured days in order; 0 is put before them where it is not there.
    facts : int
        Facts followed from day 0 on; those about new subjects come on top, at most a fifth of it.
    wordings : int
        Wordings to train on.

    Raises
    ------
    RagftError
        No days or out of order, a day beyond the world's last, or more facts than subjects.
    """
    numbers = [*([] if 0 in days else [0]), *days]
    if not days or max(numbers) > world.days or min(numbers) < 0:
        raise RagftError(f"timeline: days {list(days)} must lie in 0 to {world.days}, at least one")
    every = 4 * world.subjects

    @cache
    def everything(day: date, wording: int) -> dict[str, Question]:
        return {q.id: q for q in world.questions(day, every, wording=wording)}

    begun = list(everything(world.start, HELD_OUT).values())
    chosen, others = split_by_subject(begun, facts)
    if len(chosen) < facts:
        raise RagftError(
            f"timeline: {facts} facts wanted and {len(chosen)} subjects on day 0; "
            "raise world_subjects or lower facts"
        )
    ids = {q.id for q in chosen}
    groups = {q.id: _group(q, world.start, world.end) for q in chosen}
    later = [q for q in everything(world.end, HELD_OUT).values() if _begins_later(q, world.start)]
    newcomers, _ = split_by_subject(later, facts // 5)
    groups |= {q.id: "new" for q in newcomers}

    def ask(day: date, wording: int) -> tuple[Question, ...]:
        held = everything(day, wording)
        return tuple(held[i] for i in groups if i in held)

    spare = {q.id for q in others} - ids
    reading = [q for q in everything(world.start, 0).values() if q.id in spare]
    months = range(1, world.days // MONTH.days + 1)
    return Timeline(
        world.corpus().name,
        world.corpus(),
        tuple(world.day(n) for n in numbers),
        groups,
        cache(ask),
        HELD_OUT,
        tuple(range(wordings)),
        tuple(reading),
        tuple(world.day(day) for day, _ in world.events),
        "monthly",
        tuple(world.start + n * MONTH for n in months),
    )


def _group(question: Question, start: date, end: date) -> str:
    if not question.answers_on(end):
        return "withdrawn"
    later = [a for a in question.answers if a.valid_from and start < a.valid_from <= end]
    return "changing" if later else "unchanging"


def _begins_later(question: Question, start: date) -> bool:
    return not any(a.valid_from is None or a.valid_from <= start for a in question.answers)


def package_timeline(
    spec: str, facts: int, *, wordings: int = 4, first: int = 0, seed: int = 0
) -> Timeline:
    """Follow real defaults over the releases of a package; those that change come first.

    Parameters
    ----------
    spec : str
        'NAME' or 'NAME==V1,V2,…'.
    facts : int
        Facts followed from day 0 on, at most; new parameters come on top, at most a fifth of it.
    wordings : int
        Wordings to train on.
    first : int
        Number of the release at which everything is prepared; only later ones are asked about.
    seed : int
        Of the draw of facts that do not change.

    Raises
    ------
    RagftError
        One release only (or none after `first`), or what `package_history` raises.
    """
    name, versions = packages.parse_package_spec(spec.removeprefix("packages:"))
    corpus = packages.package_history(name, versions)
    days = release_days(corpus)[first:]
    if len(days) < 2:
        raise RagftError(f"packages:{spec}: one release only; freshness needs two or more")
    groups = fact_groups(corpus, days)
    followed = followed_facts(groups, facts, seed)
    held_out, *_ = packages.HELD_OUT_WORDINGS

    @cache
    def ask(day: date, wording: int) -> tuple[Question, ...]:
        found = packages.questions_about(corpus, list(followed), day, wording=wording)
        return tuple(replace(q, id=q.metadata["key"]) for q in found)

    start = packages.values_on(corpus, days[0])
    subjects = {key.rsplit(":", 1)[0] for key in followed}
    spare = [key for key in sorted(start) if key.rsplit(":", 1)[0] not in subjects]
    random.Random(f"others-{seed}").shuffle(spare)
    wording = packages.TRAINING_WORDINGS[0]
    return Timeline(
        f"packages:{spec}",
        corpus,
        days,
        followed,
        ask,
        held_out,
        packages.TRAINING_WORDINGS[:wordings],
        tuple(packages.questions_about(corpus, spare[: 4 * facts], days[0], wording=wording)),
        days[1:],
        "each release",
        days[1:],
        Counter(group for group in groups.values() if group != "new"),
    )


def release_days(corpus: Corpus) -> tuple[date, ...]:
    """Return the days on which releases of a package history came out."""
    return tuple(sorted({d.valid_from for d in corpus.documents} - {None}))


def fact_groups(corpus: Corpus, days: Sequence[date]) -> dict[str, str]:
    """Tell what becomes of every fact of a package over some days.

    Returns
    -------
    dict of str to str
        Key of the fact ('qualified name:parameter') and its group: of those that hold on the first
        day 'changing', 'unchanging' or 'withdrawn' by the last, and 'new' of those since then.
    """
    values = {day: packages.values_on(corpus, day) for day in days}
    start, end = values[days[0]], values[days[-1]]

    def group(key: str) -> str:
        if key not in end:
            return "withdrawn"
        seen = [now[key] for now in values.values() if key in now]
        return "changing" if any(not same_value(v, seen[0]) for v in seen) else "unchanging"

    fresh = sorted(set(end) - set(start))
    return {key: group(key) for key in sorted(start)} | dict.fromkeys(fresh, "new")


def followed_facts(groups: Mapping[str, str], count: int, seed: int = 0) -> dict[str, str]:
    """Choose the facts of a package to follow, of all that `fact_groups` tells.

    Returns
    -------
    dict of str to str
        At most `count` that hold on the first day, those that change before all others, and
        `count // 5` new ones, with their groups.
    """
    draw = random.Random(f"followed-{seed}")
    keys = [key for key, group in groups.items() if group != "new"]
    draw.shuffle(keys)
    keys.sort(key=lambda key: groups[key] != "changing")
    fresh = [key for key, group in groups.items() if group == "new"]
    draw.shuffle(fresh)
    return {key: groups[key] for key in keys[:count] + fresh[: count // 5]}
