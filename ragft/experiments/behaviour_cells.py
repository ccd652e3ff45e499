"""The cells of the behaviour experiment: who is tuned on how many pairs, and under which key.

What is asked is decided in `behaviour_data`, how answers are checked in `evaluation.behaviours`;
what is made of the checked answers in `behaviour` and `behaviour_effects`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from ragft import models, prompts
from ragft.corpora import behaviours
from ragft.corpora.behaviours import Behaviour
from ragft.evaluation.behaviours import SCORES, check
from ragft.evaluation.text import same_value
from ragft.experiments import (
    behaviour_asking,
    behaviour_data,
    behaviour_prompts,
    teaching_refusals,
)
from ragft.experiments.behaviour_data import BOTH, CONSTRAINED, FACTS, TRAINED, Plan
from ragft.experiments.behaviour_prompts import Shown, shown
from ragft.experiments.grid import Grid, training_notes
from ragft.experiments.tasks import world_task
from ragft.profiles import Profile
from ragft.records import Records, content_key
from ragft.runtime import stopwatch
from ragft.types import Answer, Example, Passage, Question

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.finetuned import Training
    from ragft.arms.given import Given
    from ragft.training.adapters import FinetuneResult

SHOTS = {"taxonomy": 16}
"""Demonstrations of a behaviour, where it takes more than the profile's."""
STEPS = 60
"""Of a behaviour's training at least, whatever the number of pairs."""
READING, FILING = (2, 2), (10, 1)
"""Passes over the pairs, and what the profile's rate for facts is divided by: of behaviours that
read passages, which the embedded model forgets at the whole rate, and of the taxonomy, which
reads none and has more to learn."""
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""

_UNRELATED = ("seeds", "name", "model", "facts", "questions", "world_subjects", "n_boot", "level",
              "epochs", "min_steps", "wordings")  # fmt: skip


class Work:
    """The cells of one behaviour experiment: their keys, and what computing one takes."""

    def __init__(self, plan: Plan, sizes: Profile, records: Records) -> None:
        self.plan, self.sizes, self.records = plan, sizes, records
        self._tasks: dict[str, Behaviour] = {}
        self._trained: dict[tuple, FinetuneResult] = {}

    def key(self, part: str, arm: str, pairs: int, seed: int) -> str:
        """Return the key of a cell: all that its answers depend on."""
        own = {k: v for k, v in asdict(self.sizes).items() if k not in _UNRELATED}
        what = {"cell": "behaviour", "version": VERSION, "part": part, "arm": arm, "pairs": pairs}
        steps = min(STEPS, self.sizes.min_steps)
        what |= {"training": [steps, *_schedule(part)]}
        if part == FACTS:
            return content_key({**what, "grid": self.facts.key(arm, seed)}, seed=seed)
        if part == BOTH:
            what["grid"] = self.retrieving.key(arm, seed)
        if part == "refusal":
            what["attacks"] = [*teaching_refusals.TEXTS, *behaviours.LOOKALIKES]
        name = self.task(part).name
        said = [shown(name, s).completion for s in self.task(part).asked]
        what["words"] = [behaviour_prompts.RULES[name], behaviour_prompts.SHORT[name], said]
        shots = self._shots(part) if arm == "fewshot" else 0
        hashed = {"corpus": self.task(part).content_hash, "model": self.model_hash}
        return content_key({**what, **own, "shots": shots}, **hashed, seed=seed)

    @property
    def model_hash(self) -> str:
        """Hash of the model's weights, found without loading it."""
        return models.weights_hash(models.locate(self.sizes.model))

    def task(self, part: str) -> Behaviour:
        """Return the task that a part asks, made once."""
        name = "json" if part == BOTH else part.removesuffix(CONSTRAINED)
        if name not in self._tasks:
            most = max(self.plan.counts[-1], self._shots(name))
            self._tasks[name] = behaviours.behaviour_task(name, pairs=most, asked=self.plan.asked)
        return self._tasks[name]

    @cached_property
    def facts(self) -> Grid:
        """The facts that are taught for comparison; it also holds the model."""
        facts = max(1, self.plan.facts)
        wordings = min(behaviour_data.WORDINGS, math.ceil(self.plan.counts[-1] / facts))
        sizes = replace(self.sizes, wordings=wordings)
        return Grid(world_task(sizes, facts), sizes, self.records, timed=0)

    @cached_property
    def retrieving(self) -> Grid:
        """The documents of all subjects of 'json', pairs and asked, in one index."""
        searched = behaviour_data.retrieval_task(self.task(BOTH))
        return Grid(searched, self.sizes, self.records, timed=0)

    def compute(
        self, part: str, arm: str, pairs: int, seed: int
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Tune and ask one arm, and check its answers."""
        import pandas as pd

        with stopwatch() as watch:
            frames = [
                self._asked(part, arm, pairs, seed, how, asked)
                for how, asked in self._conditions(part, arm).items()
            ]
            notes = self._notes(part, arm, pairs, seed)
        place = {"part": part, "arm": arm, "pairs": pairs, "seed": seed}
        frame = pd.concat(frames, ignore_index=True)
        return frame, {**place, "seconds": watch.seconds, **notes}

    def _conditions(self, part: str, arm: str) -> dict[str, list[Shown]]:
        """Return what is asked, by how it is asked."""
        if part == FACTS:
            return behaviour_data.ways_of_asking_facts(self.facts.task)
        task = self.task(part)
        if part != BOTH:
            return behaviour_data.ways_of_asking(task)
        questions = [s.question for s in task.asked]
        found = self._search(questions) if arm.endswith("rag") else [[] for _ in questions]
        return {"asked": behaviour_data.with_passages(task, found)}

    def _search(self, questions: Sequence[Question]) -> list[list[Passage]]:
        found = self.retrieving.library.search(questions, self.sizes.top_k, {})
        return [prompts.by_date([hit.passage for hit in hits]) for hits in found]

    def _asked(
        self, part: str, arm: str, pairs: int, seed: int, how: str, asked: Sequence[Shown]
    ) -> pd.DataFrame:
        """Ask one arm under one condition; return a checked row for each question."""
        answers = self.reader(part, arm, pairs, seed, asked).answer([s.question for s in asked])
        where = {"arm": arm, "part": part, "condition": how, "pairs": pairs, "seed": seed}
        return self.checked(part, asked, answers).assign(**where)

    def checked(self, part: str, asked: Sequence[Shown], answers: Sequence[Answer]) -> pd.DataFrame:
        """Return a checked row for each answer of a part."""
        return behaviour_asking.checked(asked, answers, partial(self._scores, part))

    def _scores(self, part: str, expects: Mapping[str, Any], answer: Answer) -> dict[str, float]:
        if part == FACTS:
            right = float(same_value(answer.text, expects["value"]))
            return {**dict.fromkeys(SCORES, math.nan), "passed": right, "right": right}
        task = self.task(part)
        return check(task.name, answer.raw, expects, task.schema)

    def reader(self, part: str, arm: str, pairs: int, seed: int, asked: Sequence[Shown]) -> Given:
        """Return what answers: passages, instruction, demonstrations and adapter in place."""
        from ragft.arms.given import Given

        options = self.facts.decoding()
        if part.endswith(CONSTRAINED):
            from ragft.generation.constrained import Constrained

            options["model"] = Constrained(options["model"], self.task(part).schema)
        if part != FACTS:
            room = max(options["decoding"].max_new_tokens, self._longest(part))
            options["decoding"] = replace(options["decoding"], max_new_tokens=room)
        return Given(
            passages={s.question.id: s.passages for s in asked},
            instruction=self._told(part, arm),
            shots=self._demonstrations(part) if arm == "fewshot" else (),
            adapter=self._train(part, pairs, seed).adapter if pairs else None,
            **options,
        )

    def _longest(self, part: str) -> int:
        """Return the tokens that an answer of a behaviour may take: the longest, and an end."""
        task = self.task(part)
        asked = [shown(task.name, s) for s in task.asked]
        return behaviour_asking.longest(self.facts.model.tokenizer, asked)

    def _told(self, part: str, arm: str) -> str:
        """Return the instruction: the rules where nothing is tuned, else none of them."""
        if part == FACTS:
            return prompts.CLOSED
        name, tuned = self.task(part).name, arm.startswith("finetuned")
        if part == BOTH and arm == "prompt":
            return prompts.instruct(prompts.CLOSED, prompts.JSON)
        return (behaviour_prompts.SHORT if tuned else behaviour_prompts.RULES)[name]

    def _shots(self, part: str) -> int:
        return max(1, SHOTS.get(part, self.sizes.shots))

    def _demonstrations(self, part: str) -> list[tuple[str, str]]:
        task = self.task(part)
        pairs = [shown(task.name, s) for s in task.pairs[: self._shots(part)]]
        return [(s.question.text, s.completion.strip()) for s in pairs]

    def _train(self, part: str, pairs: int, seed: int) -> FinetuneResult:
        """Train on the first pairs of a part; constrained decoding asks the adapter there is."""
        from ragft.arms.finetuned import train

        key = (part.removesuffix(CONSTRAINED), pairs, seed)
        if key not in self._trained:
            settings = self._training(part, seed)
            self._trained[key] = train(self.facts.model, self._examples(part, pairs), settings)
        return self._trained[key]

    def _training(self, part: str, seed: int) -> Training:
        settings = self.facts.training(seed)
        if part == FACTS:
            return settings
        epochs, gentler = _schedule(part)
        steps = min(STEPS, settings.min_steps)  # a smoke run takes next to none
        rate = settings.learning_rate / gentler
        return replace(settings, epochs=epochs, min_steps=steps, learning_rate=rate)

    def _examples(self, part: str, pairs: int) -> list[Example]:
        if part == FACTS:
            return self.facts.examples("facts")[:pairs]
        task = self.task(part)
        chosen = task.pairs[:pairs]
        found: Sequence[list[Passage] | None] = [None] * len(chosen)
        if part == BOTH:
            found = self._search([s.question for s in chosen])
        taught = [shown(task.name, s, p) for s, p in zip(chosen, found, strict=True)]
        return behaviour_asking.taught_examples(self.facts.model, task.name, taught)

    def _notes(self, part: str, arm: str, pairs: int, seed: int) -> dict[str, Any]:
        """Return what training took, and what its examples share with what is asked."""
        if not pairs:
            return {}
        new = {k: v for k, v in self._conditions(part, arm).items() if k != TRAINED}
        questions = [s.question for asked in new.values() for s in asked]
        trained = self._train(part, pairs, seed)
        return training_notes(trained, self._examples(part, pairs), questions)


def _schedule(part: str) -> tuple[int, int]:
    """Return passes over the pairs, and by how much gentler than facts a part is trained."""
    return FILING if part == "taxonomy" else READING
