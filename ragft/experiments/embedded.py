"""Scores of the embedded model: what its card says, measured again.

Everything is asked about worlds whose names, and in wordings that, no training has
used; real signatures come from package history.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from ragft import models
from ragft.arms.base import Decoding
from ragft.arms.finetuned import FineTuned, training_of
from ragft.arms.given import Given
from ragft.arms.oracle import Oracle
from ragft.arms.placebo import Placebo
from ragft.arms.prior import Prior
from ragft.arms.prompt import Prompt
from ragft.chunking import chunk
from ragft.corpora.relations import KINDS
from ragft.corpora.world import STRATA, World
from ragft.evaluation.statistics import Interval, mean_interval, seed_interval
from ragft.evaluation.text import same_value
from ragft.experiments.tasks import package_task, world_task
from ragft.generation.embedded import lessons
from ragft.generation.local import LocalModel
from ragft.profiles import Profile, profile
from ragft.records import provenance
from ragft.training.from_questions import fact_examples
from ragft.types import UNKNOWN, Answer, Document, Passage, Question

DISTRACTORS = 4
DAY_ZERO_WORLD = {"former": 1, "days": 0, "wordings": "held_out"}


class Reading:
    """Questions about one unseen world, and the contexts that they are asked with."""

    def __init__(self, n: int, seed: int) -> None:
        self.world = World(subjects=2 * n, seed=seed, **DAY_ZERO_WORLD)
        self.day = self.world.start
        self.rng = random.Random(f"reading-{seed}")
        self.current: dict[str, list[Document]] = {}
        for subject in self.world:
            documents = [d for d in subject.documents if d.holds_on(self.day)]
            self.current.setdefault(subject.kind, []).extend(documents)
        self.questions = self.world.questions(self.day, n, kind="changed")
        self.absent = self.world.questions(self.day, n // 2, kind="unanswerable")

    def distractors(self, question: Question, count: int) -> list[Document]:
        """Return documents about others; every second time all of the same kind of subject."""
        kind = question.cluster.split("-")[0]
        kinds = [kind] if self.rng.random() < 0.5 else list(self.current)
        pool = [d for k in kinds for d in self.current[k] if d.title != question.subject]
        return self.rng.sample(pool, count)

    def about(self, question: Question) -> Document:
        """Return the current document about the question's subject."""
        kind = question.cluster.split("-")[0]
        return next(d for d in self.current[kind] if d.title == question.subject)

    def former(self, question: Question) -> Document:
        """Return the last document that states the former value."""
        answer = max(
            (a for a in question.answers if a.valid_to and a.valid_to <= self.day),
            key=lambda a: a.valid_to,
        )
        kind, number = question.cluster.split("-")
        subject = self.world.subject(4 * int(number) + KINDS.index(kind))
        documents = {d.id: d for d in subject.documents}
        return documents[answer.documents[-1]]


def passages(documents: Sequence[Document]) -> list[Passage]:
    """Return whole documents as passages."""
    return chunk(documents, strategy="whole")


def right(question: Question, answer: Answer) -> bool:
    """Tell whether an answer has a right value on the question's day."""
    return any(same_value(answer.text, a) for a in question.answers_on(question.asked_on))


def cites(question: Question, answer: Answer) -> bool:
    """Tell whether the cited passages are exactly one, and it states the answer."""
    cited = {c.rsplit("#", 1)[0] for c in answer.citations}
    return len(cited) == 1 and cited <= set(question.supporting)


def evaluate_reading(model: LocalModel, n: int = 500, seed: int = 1000) -> dict[str, Interval]:
    """Measure reading, the newest of two versions, citing, refusing and guessing.

    Returns
    -------
    dict of str to Interval
        read, cite, refuse_wrongly (gold + 4 distractors); newest, newest_shuffled (one old
        version beside the current one); refuse (5 passages without the answer, half of them
        with the subject's own); closed_right, closed_answered (no passages).
    """
    reading = Reading(n, seed)
    gold = {
        q.id: [reading.about(q), *reading.distractors(q, DISTRACTORS)] for q in reading.questions
    }
    versions = {
        q.id: [reading.about(q), reading.former(q), *reading.distractors(q, DISTRACTORS - 1)]
        for q in reading.questions
    }
    without = {q.id: reading.distractors(q, DISTRACTORS + 1) for q in reading.questions[: n // 2]}
    without |= {
        q.id: [reading.about(q), *reading.distractors(q, DISTRACTORS)] for q in reading.absent
    }
    shuffled = {key: random.Random(key).sample(docs, len(docs)) for key, docs in versions.items()}
    ask = _asker(model)
    read = ask(reading.questions, gold)
    newest, mixed = (
        ask(reading.questions, versions),
        ask(reading.questions, shuffled, ordered=False),
    )
    refused = ask([*reading.questions[: n // 2], *reading.absent], without)
    closed = Prompt(model).answer(reading.questions)
    asked = reading.questions
    return {
        "read": _rate(asked, read, right),
        "newest": _rate(asked, newest, right),
        "newest_shuffled": _rate(asked, mixed, right),
        "cite": _rate(asked, read, cites),
        "refuse": _rate(
            [*asked[: n // 2], *reading.absent], refused, lambda q, a: a.text == UNKNOWN
        ),
        "refuse_wrongly": _rate(asked, read, lambda q, a: a.text == UNKNOWN),
        "closed_right": _rate(asked, closed, right),
        "closed_answered": _rate(asked, closed, lambda q, a: a.text != UNKNOWN),
    }


def _asker(model: LocalModel) -> Callable[..., list[Answer]]:
    def ask(
        questions: Sequence[Question], contexts: dict[str, list[Document]], ordered: bool = True
    ):
        shown = {key: passages(documents) for key, documents in contexts.items()}
        return Given(model, shown, ordered=ordered, decoding=Decoding()).answer(questions)

    return ask


def _rate(
    questions: Sequence[Question],
    answers: Sequence[Answer],
    judge: Callable[[Question, Answer], bool],
) -> Interval:
    scores = [float(judge(q, a)) for q, a in zip(questions, answers, strict=True)]
    return mean_interval(scores, [q.cluster_key for q in questions])


def evaluate_learning(
    model: LocalModel, sizes: Profile, seeds: Sequence[int] = (0, 1, 2)
) -> dict[str, Interval]:
    """Measure how well LoRA puts 300 facts into the weights, asked in wordings never trained.

    Returns
    -------
    dict of str to Interval
        lora_recall, placebo_right (tuned on others' facts), prior_right, lora_seconds
        (training time of a seed; the interval spans the seeds seen).
    """
    task = world_task(sizes, sizes.facts, seed=1001)
    asked = [q for q in task.asked if q.answerable]
    taught = fact_examples(model, task.taught)
    subjects = {q.subject for q in task.others[: sizes.facts]}
    other = fact_examples(model, [q for q in task.others if q.subject in subjects][: len(taught)])
    scores: dict[str, list[list[float]]] = {"lora_recall": [], "placebo_right": []}
    seconds = []
    for seed in seeds:
        training = replace(training_of(sizes), seed=seed)
        for name, kind, examples in (
            ("lora_recall", FineTuned, taught),
            ("placebo_right", Placebo, other),
        ):
            arm = kind(model, training=training)
            cost = arm.prepare(task.corpus, examples)
            answers = arm.answer(asked)
            scores[name].append([float(right(q, a)) for q, a in zip(asked, answers, strict=True)])
            if name == "lora_recall":
                seconds.append(cost.seconds)
    clusters = [q.cluster for q in asked]
    prior = Prior()
    prior.prepare(task.corpus)
    found = {name: seed_interval(rows, clusters) for name, rows in scores.items()}
    found["prior_right"] = _rate(asked, prior.answer(asked), right)
    found["lora_seconds"] = Interval(
        mean(seconds), min(seconds), max(seconds), len(seconds), "range"
    )
    return found


def evaluate_known(model: LocalModel) -> dict[str, Interval]:
    """Measure closed-book answers about the resident world, by popularity.

    Returns
    -------
    dict of str to Interval
        known_head, known_middle, known_tail: for the embedded model what guessing earns, for
        the resident checkpoint what it knows. Asked in held-out wordings.
    """
    world = lessons.RESIDENT
    questions = world.questions(world.start, world.subjects * world.facts_per_subject)
    answers = Prompt(model).answer(questions)
    found = {}
    for _, stratum in STRATA:
        mine = [n for n, q in enumerate(questions) if q.metadata["stratum"] == stratum]
        asked, said = [questions[n] for n in mine], [answers[n] for n in mine]
        found[f"known_{stratum}"] = _rate(asked, said, right)
    return found


def evaluate_package(model: LocalModel, spec: str, facts: int = 500) -> Interval:
    """Measure exact defaults read from the right real signature (the oracle arm)."""
    task = package_task(spec, facts, wordings=1)
    asked = [q for q in task.asked if q.answerable]
    arm = Oracle(model)
    arm.prepare(task.corpus)
    return _rate(asked, arm.answer(asked), right)


def evaluate_model(
    model: str | Path | LocalModel = "embedded",
    *,
    n: int = 500,
    seeds: Sequence[int] = (0, 1, 2),
    package: str | None = "scikit-learn",
    base: str | Profile = "cpu",
) -> dict[str, Interval]:
    """Measure everything that the model card states.

    Parameters
    ----------
    model : LocalModel, 'embedded', 'resident', id or folder
    n : int
        Questions for each reading score.
    seeds : sequence of int
        Training seeds of the learning scores; () leaves them out.
    package : str, optional
        Package whose real signatures are read; None leaves the score out (no network).
    base : Profile or its name
        Sizes of the learning scores.
    """
    if not isinstance(model, LocalModel):
        from ragft.generation.catalog import load_model

        model = load_model(model)
    began = time.perf_counter()
    found = evaluate_reading(model, n) | evaluate_known(model)
    if seeds:
        found |= evaluate_learning(model, profile(base), seeds)
    if package:
        found["package_read"] = evaluate_package(model, package, n)
    found["seconds"] = Interval(time.perf_counter() - began, float("nan"), float("nan"), 1, "clock")
    return found


def scores_record(model: str | Path, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores with what they were measured on, as the model card quotes them."""
    return {
        "model": str(model),
        "model_hash": models.weights_hash(models.locate(model)),
        **provenance(),
        "scores": scores,
    }
