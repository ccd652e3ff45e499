"""What a behaviour experiment asks: the parts of a plan, and every way of asking each of them.

The tasks are made in `corpora.behaviours`; who is tuned on what and asked is decided in
`behaviour_cells`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ragft.corpora import behaviours
from ragft.corpora.behaviours import SCHEMAS, Behaviour
from ragft.corpora.relations import RELATIONS
from ragft.experiments.behaviour_prompts import Shown, shown
from ragft.experiments.tasks import Task
from ragft.experiments.teaching_refusals import DISGUISES, permit
from ragft.types import Passage

CONSTRAINED = "_constrained"
"""Ending of a part whose decoding the schema constrains."""
BOTH, FACTS = "both", "facts"
"""JSON of facts that must be found first; facts themselves, for comparison, in the weights."""
ARMS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(behaviours.BEHAVIOURS, ("prompt", "fewshot", "finetuned")),
    **{name + CONSTRAINED: ("prompt", "finetuned") for name in SCHEMAS},
    BOTH: ("prompt", "rag", "finetuned", "finetuned_rag"),
    FACTS: ("finetuned",),
}
"""The arms of every part, in the order of tables and figures."""
CURVES = (*behaviours.BEHAVIOURS, FACTS)
"""Parts that are tuned on every number of pairs; the others on the largest alone."""
DIRECT, ALLOWED, LOOKALIKE = "direct", "allowed", "lookalike"
TRAINED, NEW = "trained wording", "new wording"
"""How facts are asked."""
WORDINGS = min(len(relation.wordings("questions", "training")) for relation in RELATIONS)
"""In which a fact can be taught; every example of a fact is in another one."""


@dataclass(frozen=True)
class Plan:
    """What is measured: which behaviours, on how many pairs, asked how often."""

    behaviours: tuple[str, ...]
    counts: tuple[int, ...]
    """Numbers of pairs, rising; 0, the model as it is, is always measured too."""
    asked: int
    """Questions of every behaviour."""
    facts: int
    """Facts of the comparison; 0 leaves it out."""
    both: bool = True
    """Whether behaviour and retrieval are put together."""

    @property
    def parts(self) -> list[str]:
        """All parts that the plan has, in order."""
        forms = [name + CONSTRAINED for name in SCHEMAS if name in self.behaviours]
        others = [BOTH] * self.both + [FACTS] * bool(self.facts)
        return [*self.behaviours, *forms, *others]

    def counts_of(self, part: str, arm: str) -> list[int]:
        """Return the numbers of pairs that an arm is tuned on, 0 for one that is not."""
        if not arm.startswith("finetuned"):
            return [0]
        return [0, *self.counts] if part in CURVES else [self.counts[-1]]

    def cells(self, seeds: Sequence[int]) -> list[tuple[str, str, int, int]]:
        """Return (part, arm, pairs, seed); what does not train has the first seed alone."""
        return [
            (part, arm, pairs, seed)
            for part in self.parts
            for arm in ARMS[part]
            for pairs in self.counts_of(part, arm)
            for seed in (seeds if pairs else seeds[:1])
        ]


def ways_of_asking(task: Behaviour) -> dict[str, list[Shown]]:
    """Return what is asked of a behaviour, by how it is asked.

    Forbidden questions are asked directly and in every disguise, allowed ones as they are and
    naming a forbidden topic; any other behaviour has one way.
    """
    asked = [shown(task.name, s) for s in task.asked]
    if task.name != "refusal":
        return {"asked": asked}
    about = [s for s in asked if s.expects["forbidden"]]
    others = [s for s in task.asked if not s.knows["forbidden"]]
    hidden = {name: [disguised(s, name) for s in about] for name in DISGUISES}
    allowed = {LOOKALIKE: map(behaviours.lookalike, others), ALLOWED: others}
    return {
        DIRECT: about,
        **hidden,
        **{how: [shown(task.name, s) for s in several] for how, several in allowed.items()},
    }


def disguised(asked: Shown, name: str) -> Shown:
    """Return a forbidden question in one of the disguises of `teaching_refusals`."""
    text, passages = DISGUISES[name](asked.question), asked.passages
    if name == "permitted":
        passages = permit(passages, asked.expects["topic"])
    return replace(asked, question=replace(asked.question, text=text), passages=passages)


def ways_of_asking_facts(task: Task) -> dict[str, list[Shown]]:
    """Return the taught facts, asked in the first trained wording and in one never trained."""
    asked = [q for q in task.asked if q.answerable]
    values = {q.id: q.answers_on(q.asked_on)[0] for q in asked}
    ways = {TRAINED: task.taught[: len(asked)], NEW: asked}
    return {
        how: [Shown(q, expects={"value": values[q.id]}) for q in questions]
        for how, questions in ways.items()
    }


def with_passages(task: Behaviour, found: Sequence[Sequence[Passage]]) -> list[Shown]:
    """Return what is asked with other passages; of the fields only the value is to be right."""
    return [
        Shown(s.question, tuple(p), expects={"fields": {"answer": s.knows["value"]}})
        for s, p in zip(task.asked, found, strict=True)
    ]


def retrieval_task(task: Behaviour) -> Task:
    """Return the documents of a behaviour's subjects, pairs and asked, to be searched."""
    asked = tuple(s.question for s in task.asked)
    return Task(f"behaviour {task.name}", task.corpus, asked[0].asked_on, asked)
