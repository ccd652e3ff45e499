"""Tasks: a collection with the questions that are asked of it and what may be trained on.

Three sources (a world, package history, documents) become one thing, so that every
experiment treats made-up facts, real facts and the user's own documents alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from ragft.corpora import packages
from ragft.corpora.corpus import Corpus
from ragft.corpora.questions import read_questions, write_questions
from ragft.corpora.sources import open_corpus
from ragft.corpora.world import World
from ragft.profiles import Profile, profile
from ragft.records import sha256_json
from ragft.types import Question, RagftError

FRAMES = (
    "Tell me: {q}",
    "I should like to know: {q}",
    "{q} Please answer.",
    "Question for you: {q}",
)
"""How a question is reworded for training where a collection has no wordings of its own."""

NEVER_ASKED = 4
"""Questions on other subjects for each asked one, at most: for skills, placebo and few shots."""


@dataclass(frozen=True)
class Task:
    """A collection, asked on one day.

    `taught` holds the asked facts in other wordings; `others` holds questions about
    subjects that are never asked, for whatever must not know the answers.
    """

    name: str
    corpus: Corpus
    day: date | None
    asked: tuple[Question, ...]
    taught: tuple[Question, ...] = ()
    others: tuple[Question, ...] = ()
    chunking: str = "whole"
    counts: dict[str, int] = field(default_factory=dict)

    @cached_property
    def content_hash(self) -> str:
        """Hash of everything that can change a result."""

        def rows(questions: Sequence[Question]) -> list[Any]:
            return [
                [
                    q.id,
                    q.text,
                    q.answerable,
                    [[a.text, a.valid_from, a.valid_to] for a in q.answers],
                ]
                for q in questions
            ]

        parts = [rows(part) for part in (self.asked, self.taught, self.others)]
        return sha256_json([self.corpus.content_hash, str(self.day), self.chunking, _plain(parts)])


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.isoformat() if isinstance(value, date) else value


def load_task(
    corpus: str | Corpus | Path,
    profile: Profile,
    *,
    questions: str | Path | Sequence[Question] | None = None,
    facts: int | None = None,
    seed: int = 0,
) -> Task:
    """Return the task that a corpus is named by.

    Parameters
    ----------
    corpus : str, path or Corpus
        'world', 'packages:NAME', 'packages:NAME==V1,V2', or whatever `sources.open_corpus`
        opens: a JSONL file, a folder, 'git:REPO', 'dataset:ID'.
    profile : Profile
        Gives sizes.
    questions : path or sequence of Question, optional
        Needed for documents; refused for the others, which make their own.
    facts : int, optional
        Facts that are trained and asked about; the profile's where None.
    seed : int
        Of the world and of the draw of questions.

    Raises
    ------
    RagftError
        Nothing is known by that name, or questions are missing or not wanted.
    """
    facts = facts or profile.facts
    if isinstance(corpus, str) and (corpus == "world" or corpus.startswith("packages:")):
        if questions is not None:
            raise RagftError(f"--questions: {corpus} makes its own questions; leave the option out")
        if corpus == "world":
            return world_task(profile, facts, seed)
        return package_task(
            corpus.removeprefix("packages:"), facts, wordings=profile.wordings, seed=seed
        )
    if questions is None:
        raise RagftError(
            f"{corpus.name if isinstance(corpus, Corpus) else corpus}: a comparison of documents "
            "needs --questions FILE (JSONL with id, question, golden_answers); without answers "
            "only retrieval can be measured (retrieve)"
        )
    loaded = corpus if isinstance(corpus, Corpus) else open_corpus(corpus)
    asked = (
        read_questions(questions, loaded) if isinstance(questions, str | Path) else list(questions)
    )
    return file_task(loaded, asked, wordings=profile.wordings)


def asked_world(profile: Profile, facts: int, seed: int = 0, former: int = 1) -> World:
    """Return the world of `world_task`: half of its subjects at least are never asked about."""
    subjects = max(profile.world_subjects, 2 * facts)
    return World(subjects=subjects, seed=seed, former=former, days=0)


def world_task(profile: Profile, facts: int, seed: int = 0, former: int = 1) -> Task:
    """Return a made-up world, asked on its day 0; every fact had `former` values before.

    Of each subject a fact is asked whose former values all differ, where it has one.
    """
    world = asked_world(profile, facts, seed, former)
    day, subjects = world.start, world.subjects
    everything = world.questions(day, 4 * subjects, wording="held_out")
    asked, others = split_by_subject(everything, facts, distinct=former)
    absent = world.questions(day, 4 * subjects, kind="unanswerable", wording="held_out")
    subjects_asked = {q.subject for q in asked}
    refused = [q for q in absent if q.subject in subjects_asked][: facts // 10]
    ids = {q.id for q in asked}
    taught = [
        q
        for wording in range(profile.wordings)
        for q in world.questions(day, 4 * subjects, wording=wording)
        if q.id in ids
    ]
    return Task(
        world.corpus().name,
        world.corpus(),
        day,
        tuple(asked + refused),
        tuple(taught),
        tuple(_training(world, day, {q.id for q in others})),
        counts={"facts": len(asked), "unanswerable": len(refused)},
    )


def _training(world: World, day: date, ids: set[str]) -> list[Question]:
    """Return questions by id in a training wording, so that no held-out wording is ever shown."""
    return [q for q in world.questions(day, 4 * world.subjects, wording=0) if q.id in ids]


def split_by_subject(
    questions: Sequence[Question], facts: int, distinct: int = 0
) -> tuple[list[Question], list[Question]]:
    """Split into one asked fact of each of `facts` subjects, and questions about the others.

    One fact a subject makes every question a cluster of its own, which gives the narrowest
    honest interval; which fact it is goes round, so that all relations are asked. Facts that had
    `distinct` different values before come first, since a fact whose old value came back can
    be shown fewer old versions than the others.
    """
    by_subject: dict[str, list[Question]] = {}
    for question in questions:
        by_subject.setdefault(question.subject, []).append(question)
    groups = list(by_subject.values())
    asked = []
    for n, group in enumerate(groups[:facts]):
        turned = [*group[n % len(group) :], *group[: n % len(group)]]
        asked.append(next((q for q in turned if _changed_often(q, distinct)), turned[0]))
    others = [question for group in groups[facts:] for question in group]
    return asked, others[: NEVER_ASKED * facts]


def _changed_often(question: Question, distinct: int) -> bool:
    return not distinct or len(question.former_answers(question.asked_on)) >= distinct


def package_task(
    spec: str,
    facts: int,
    *,
    wordings: int,
    seed: int = 0,
    day: date | None = None,
    dates: str | Path | None = None,
) -> Task:
    """Return package history asked on one day (the newest release's where None).

    The facts that changed come first, then others drawn at random.
    """
    name, versions = packages.parse_package_spec(spec)
    corpus = packages.package_history(name, versions, dates=dates)
    day = day or max(corpus.days)
    held_out, *_ = packages.HELD_OUT_WORDINGS
    every = len(corpus.facts)
    asked = packages.package_questions(corpus, day, n=facts, seed=seed, wording=held_out)
    keys, subjects = {q.metadata["key"] for q in asked}, {q.subject for q in asked}
    variants = [
        packages.package_questions(corpus, day, n=every, seed=seed, wording=w)
        for w in packages.TRAINING_WORDINGS[:wordings]
    ]
    taught = [q for v in variants for q in v if q.metadata["key"] in keys and q.answerable]
    others = [q for q in variants[0] if q.subject not in subjects][: NEVER_ASKED * facts]
    changed = sum(q.metadata["changed"] for q in asked if q.answerable)
    return Task(
        f"packages:{spec}",
        corpus,
        day,
        tuple(asked),
        tuple(taught),
        tuple(others),
        counts={
            "facts": sum(q.answerable for q in asked),
            "changed": changed,
            "unanswerable": sum(not q.answerable for q in asked),
        },
    )


def file_task(corpus: Corpus, questions: Sequence[Question], *, wordings: int) -> Task:
    """Return a user's documents and questions.

    There are no wordings of their own, so training questions are put in frames, and no
    facts, so confused and fabricated answers cannot be told apart. The last fifth of the
    subjects (or questions) is kept for skills and never asked.
    """
    answered = [q for q in questions if q.answers or not q.answerable]
    if not answered:
        raise RagftError(
            "--questions: none has golden_answers; retrieval alone can be measured (retrieve)"
        )
    groups = list(dict.fromkeys(q.subject or q.id for q in answered))
    kept = set(groups[len(groups) - len(groups) // 5 :])
    asked = [q for q in answered if (q.subject or q.id) not in kept]
    others = [q for q in answered if (q.subject or q.id) in kept]
    taught = [_framed(q, frame) for frame in FRAMES[:wordings] for q in asked if q.answerable]
    return Task(
        corpus.name or "files",
        corpus,
        None,
        tuple(asked),
        tuple(taught),
        tuple(others),
        chunking="sentences",
        counts={
            "facts": sum(q.answerable for q in asked),
            "unanswerable": sum(not q.answerable for q in asked),
        },
    )


def _framed(question: Question, frame: str) -> Question:
    from dataclasses import replace

    return replace(question, text=frame.format(q=question.text))


def write_task(
    spec: str,
    folder: str | Path,
    *,
    facts: int = 300,
    seed: int = 0,
    dates: str | Path | None = None,
) -> dict[str, Any]:
    """Write a corpus as `corpus.jsonl` and its questions as `questions.jsonl`.

    Parameters
    ----------
    spec : str
        'world' or 'packages:NAME[==V1,V2]'.
    folder : path
        Made if it is not there; files of these names in it are replaced.
    facts, seed
        As for `load_task`.
    dates : path, optional
        Release days of a package, see `packages.read_dates`.

    Returns
    -------
    dict
        The two paths and the counts of documents, facts and questions.
    """
    sizes = profile("cpu", facts=facts)
    if spec == "world":
        task = world_task(sizes, facts, seed)
    else:
        name = spec.removeprefix("packages:")
        task = package_task(name, facts, wordings=1, seed=seed, dates=dates)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    task.corpus.to_jsonl(folder / "corpus.jsonl")
    write_questions(folder / "questions.jsonl", task.asked)
    return {
        "corpus": str(folder / "corpus.jsonl"),
        "questions": str(folder / "questions.jsonl"),
        "documents": len(task.corpus.documents),
        "facts": len(task.corpus.facts),
        "asked": len(task.asked),
    }
