"""The cells of the experiment on what a model knew before: who is trained on what, and asked.

Facts are sorted in `known_data`; what is made of the answers is decided in `known_effects`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ragft.experiments.evaluate import answers_frame
from ragft.experiments.grid import Grid, asking, training_notes
from ragft.experiments.known_data import (
    HELD_OUT,
    PROBED,
    Split,
    all_facts,
    drawn_facts,
    popularity_task,
    resident_world,
    split_facts,
)
from ragft.profiles import Profile
from ragft.records import Records, content_key, sha256_json
from ragft.runtime import stopwatch
from ragft.training.from_questions import fact_examples
from ragft.types import Example, Question

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.base import Arm
    from ragft.arms.finetuned import Training
    from ragft.training.adapters import FinetuneResult

PROBE, UNKNOWN, POPULARITY = "probe", "unknown", "popularity"
"""Parts: what is known at all; training on a share of unknown facts; arms by popularity."""
BEFORE, EARLY, LATE, WHOLE = "before", "early", "late", "whole"
"""How long is trained: not at all, gently for few or many passes, or as the profile says."""
PASSES = {EARLY: 0.5, LATE: 2.5}
"""Passes of gentle training, over those of the profile."""
GENTLER = 8
"""What the profile's rate is divided by where what was known before is to last, as in
`Training.continued`: at the whole rate all of it is gone, whatever is taught."""
CONTROL, KNOWN, NEW = "control", "trained known", "trained unknown"
"""Conditions: known facts that nothing was trained about, and the two kinds that were."""
BY_POPULARITY = (("prompt", BEFORE), ("finetuned", WHOLE), ("finetuned", EARLY), ("rag", BEFORE),
                 ("finetuned_rag", WHOLE))  # fmt: skip
"""Arms that are asked by popularity, and how long they are trained."""
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    shares: tuple[float, ...]
    """Of unknown facts among those trained on, rising."""
    questions: int
    """Control facts."""
    facts: int
    """Facts trained on, whatever the share."""
    per_stratum: int
    """Facts asked of each popularity."""
    probed: int | None = None
    """Facts that the model is asked for at first, at most; None: all of its world."""

    def cells(self, seeds: Sequence[int]) -> list[tuple[str, str, str, float, int]]:
        """Return (part, arm, length, share, seed); what does not train has the first seed alone."""
        found = [(PROBE, "prompt", BEFORE, 0.0), (UNKNOWN, "prompt", BEFORE, 0.0)]
        found += [(UNKNOWN, "finetuned", length, u) for length in PASSES for u in self.shares]
        found += [(POPULARITY, arm, length, 0.0) for arm, length in BY_POPULARITY]
        return [
            (*cell, seed) for cell in found for seed in (seeds[:1] if cell[2] == BEFORE else seeds)
        ]


class Work:
    """The cells of one experiment: their keys, and what computing one takes."""

    def __init__(self, plan: Plan, sizes: Profile, records: Records) -> None:
        self.plan, self.sizes, self.records = plan, sizes, records
        self.world = resident_world()

    @cached_property
    def grid(self) -> Grid:
        """The facts asked by popularity; it also holds the model."""
        task = popularity_task(self.world, self.plan.per_stratum, self.sizes.wordings)
        return Grid(task, self.sizes, self.records, timed=0)

    @cached_property
    def questions(self) -> dict[int, dict[str, Question]]:
        """Every fact of the world by the id of its question, in every wording that is used."""
        numbers = dict.fromkeys((*PROBED, *range(self.sizes.wordings), *HELD_OUT))
        return {n: {q.id: q for q in all_facts(self.world, n)} for n in numbers}

    @cached_property
    def world_hash(self) -> str:
        """Hash of the documents, the facts and every wording of the questions."""
        texts = [[n, q.id, q.text] for n, asked in self.questions.items() for q in asked.values()]
        return sha256_json([self.grid.task.corpus.content_hash, texts])

    @cached_property
    def probed(self) -> tuple[str, ...]:
        """The facts that are asked at first, all those of a subject side by side."""
        return drawn_facts(list(self.questions[PROBED[0]].values()), self.plan.probed)

    @cached_property
    def split(self) -> Split:
        """The facts by what they are for, from the cell that asks what is known."""
        probe = (PROBE, "prompt", BEFORE, 0.0, self.sizes.seeds[0])
        frame, _ = self.records.cached(self.key(*probe), lambda: self.compute(*probe))
        right = (frame["outcome"] == "correct").groupby(frame["question_id"]).sum()
        facts = [self.questions[PROBED[0]][name] for name in self.probed]
        return split_facts(facts, right.astype(int), self.plan.questions, self.plan.facts)

    def key(self, part: str, arm: str, length: str, share: float, seed: int) -> str:
        """Return the key of a cell: all that its answers depend on."""
        what: dict[str, Any] = {"cell": "known", "version": VERSION, "part": part}
        if length in PASSES:
            what |= {"training": asdict(self.training(length, seed)), "share": share}
            what |= {"taught": self.sizes.wordings}
        if part == POPULARITY:
            return content_key({**what, "grid": self.grid.key(arm, seed)}, seed=seed)
        what |= {"probed": PROBED} | asking(self.sizes)
        if len(self.probed) < len(self.questions[PROBED[0]]):
            what |= {"drawn": len(self.probed)}
        if part == UNKNOWN:
            what |= {"asked": HELD_OUT, "facts": [self.plan.questions, self.plan.facts]}
        hashes = {"corpus": self.world_hash, "model": self.grid.model_hash}
        return content_key(what, **hashes, seed=seed)

    def training(self, length: str, seed: int) -> Training:
        """Return the settings of gentle training, early or late."""
        whole = self.grid.training(seed)
        passes = max(1, round(PASSES[length] * whole.epochs))
        rate = whole.learning_rate / GENTLER
        return replace(whole, epochs=passes, min_steps=1, learning_rate=rate)

    def compute(
        self, part: str, arm: str, length: str, share: float, seed: int
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Train and ask one arm, and judge its answers."""
        with stopwatch() as watch:
            if part == PROBE:
                frame, notes = self._probe(seed)
            elif part == POPULARITY:
                frame, notes = self._by_popularity(arm, length, seed)
            else:
                frame, notes = self._after_training(length, share, seed)
        mixed = part == UNKNOWN and length in PASSES
        frame = frame.assign(part=part, length=length, share=share if mixed else math.nan)
        place = {"part": part, "arm": arm, "length": length, "seed": seed}
        place |= {"share": share} if mixed else {}
        return frame, {**place, "seconds": watch.seconds, **notes}

    def _probe(self, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Ask the model as it is for the facts drawn, in both training wordings."""
        from ragft.arms.prompt import Prompt

        asked = self._worded(self.probed, PROBED)
        frame = self._answers(Prompt(**self.grid.decoding()), asked, seed)
        return frame.assign(condition=self._strata(frame)), {}

    def _by_popularity(
        self, arm: str, length: str, seed: int
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Ask one arm for popular and rare facts; the condition is the stratum."""
        built, asked = self.grid.build(arm, seed), self.grid.task.asked
        if length in PASSES:
            built.training = self.training(length, seed)
        cost = self.grid.prepare(built)
        frame = self._answers(built, [asked], seed)
        trained = getattr(built, "trained", None)
        notes = {"prepare": asdict(cost)}
        if trained is not None:
            notes |= training_notes(trained, self.grid.examples("facts"), asked)
        return frame.assign(condition=self._strata(frame)), notes

    def _after_training(
        self, length: str, share: float, seed: int
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Train on known and unknown facts, and ask for these and for the control facts.

        The model as it is is asked for everything that is trained on in any cell.
        """
        import pandas as pd

        from ragft.arms.finetuned import FineTuned, train
        from ragft.arms.prompt import Prompt

        arm, notes = Prompt(**self.grid.decoding()), {}
        asked = {CONTROL: self.split.control, KNOWN: self.split.known, NEW: self.split.unknown}
        if length in PASSES:
            asked[KNOWN], asked[NEW] = self.split.taught(share)
            examples = self._examples((*asked[KNOWN], *asked[NEW]))
            trained = train(self.grid.model, examples, self.training(length, seed))
            notes = self._notes(trained, examples, asked)
            arm = FineTuned(adapter=trained.adapter, **self.grid.decoding())
        frames = [
            self._answers(arm, self._worded(ids, HELD_OUT), seed).assign(condition=condition)
            for condition, ids in asked.items()
            if ids
        ]
        return pd.concat(frames, ignore_index=True), notes

    def _answers(self, arm: Arm, asked: Sequence[Sequence[Question]], seed: int) -> pd.DataFrame:
        """Ask in one wording after the other; return a judged row for each question."""
        import pandas as pd

        where = {"arm": arm.name, "day": self.world.start, "seed": seed}
        frames = [
            answers_frame(questions, arm.answer(questions), self.grid.book, **where)
            for questions in asked
        ]
        return pd.concat(frames, ignore_index=True)

    def _strata(self, frame: pd.DataFrame) -> pd.Series:
        facts = self.questions[PROBED[0]]
        return frame["question_id"].map(lambda name: facts[name].metadata["stratum"])

    def _worded(self, ids: Sequence[str], wordings: Sequence[int]) -> list[list[Question]]:
        return [[self.questions[number][name] for name in ids] for number in wordings]

    def _examples(self, ids: Sequence[str]) -> list[Example]:
        worded = self._worded(ids, range(self.sizes.wordings))
        return fact_examples(self.grid.model, [q for questions in worded for q in questions])

    def _notes(
        self,
        trained: FinetuneResult,
        examples: Sequence[Example],
        asked: Mapping[str, Sequence[str]],
    ) -> dict[str, Any]:
        """Return what training took, and what it shares with the control and the taught facts."""

        def notes(*ids: str) -> dict[str, Any]:
            worded = self._worded(ids, HELD_OUT)
            return training_notes(trained, examples, [q for part in worded for q in part])

        counts = {name: len(ids) for name, ids in asked.items()}
        taught = notes(*asked[KNOWN], *asked[NEW])["leakage"]
        return {**notes(*asked[CONTROL]), "leakage_of_taught": taught, "facts": counts}
