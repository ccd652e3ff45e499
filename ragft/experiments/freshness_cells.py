"""The cells of the freshness experiment: what answers on a day, what it knows, and its key.

What a policy lets an arm know on a day is decided in `upkeep`; what is made of the answers in
`freshness`, and what upkeep and answers cost in `freshness_costs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.experiments.grid import Grid
from ragft.experiments.timeline import Timeline, task_on
from ragft.experiments.upkeep import Policy, Upkeep, index_day, policy_of
from ragft.profiles import Profile
from ragft.records import Records, content_key, sha256_json
from ragft.types import Answer, Question

if TYPE_CHECKING:
    import pandas as pd

Line = tuple[str, str]
"""(arm, policy)."""


class Work:
    """The cells of one freshness experiment: their keys, and what computing one takes."""

    def __init__(self, timeline: Timeline, sizes: Profile, records: Records) -> None:
        self.timeline, self.sizes, self.records = timeline, sizes, records
        self.grids: dict[tuple[date, bool, date], Grid] = {}
        self.grid = self.grid_on(timeline.start, False, timeline.start)
        self.said: dict[tuple, Any] = {}
        """Most days ask what another day has asked, of the same passages and adapter."""

    def grid_on(self, known: date, kept: bool, day: date) -> Grid:
        """Return what answers on a day from an index that knows the collection of another."""
        place = (known, kept, day)
        if place not in self.grids:
            task = task_on(self.timeline, day, known, kept)
            whole = self.timeline.corpus
            self.grids[place] = Grid(task, self.sizes, self.records, whole, timed=0)
        return self.grids[place]

    def cells(self, lines: Sequence[Line]) -> list[tuple[str, str, date, int]]:
        """Return (arm, policy, day, seed), ordered so that one index serves many in a row."""
        found = [
            (arm, name, day, seed)
            for arm, name in lines
            for day in self.timeline.days
            for seed in self.grid.seeds_of(arm)
        ]
        return sorted(found, key=lambda cell: (self._place(*cell[:3]), lines.index(cell[:2])))

    def policy(self, arm: str, name: str) -> Policy:
        """Return the policy of that name, as the arm can follow it on this timeline."""
        return policy_of(arm, name, self.timeline)

    def _place(self, arm: str, name: str, day: date) -> tuple[date, bool, date]:
        policy = self.policy(arm, name)
        return index_day(policy, self.timeline, day), policy.kept, day

    def key(self, arm: str, name: str, day: date, seed: int) -> str:
        """Return the key of a cell: two policies that come to the same thing share it."""
        grid = self.grid_on(*self._place(arm, name, day))
        policy = self.policy(arm, name)
        taught = ""
        if policy.adapter:
            taught = sha256_json([policy.adapter, self.upkeep(seed).lessons(policy, day)])
        return content_key(
            {"cell": "freshness", "grid": grid.key(arm, seed), "taught": taught}, seed=seed
        )

    def upkeep(self, seed: int) -> Upkeep:
        """Return the adapters of a training seed."""
        return Upkeep(
            self.timeline, self.sizes.wordings, self.grid.training(seed), lambda: self.grid.model
        )

    def compute(self, arm: str, name: str, day: date, seed: int) -> tuple[pd.DataFrame, dict]:
        """Answer one day's questions with what the arm knows on it, and judge the answers."""
        from ragft.evaluation.outcomes import FactBook
        from ragft.experiments.evaluate import answers_frame

        grid = self.grid_on(*self._place(arm, name, day))
        built = grid.build(arm, seed)
        built.adapter = self.adapter(arm, name, day, seed)
        built.said = self.said
        built.prepare(grid.task.corpus)
        answers = built.answer(grid.task.asked)
        frame = answers_frame(
            grid.task.asked, answers, FactBook(self.timeline.corpus.facts), arm=arm, seed=seed,
            day=day,
        )  # fmt: skip
        precise = [_precise(q, a, day) for q, a in zip(grid.task.asked, answers, strict=True)]
        group = [q.metadata["group"] for q in grid.task.asked]
        notes = {"dropped_passages": getattr(built, "dropped", 0)}
        return frame.assign(precision=precise, group=group), notes

    def adapter(self, arm: str, name: str, day: date, seed: int) -> Path | None:
        """Return the adapter that an arm answers with on a day; None: the bare model."""
        policy = self.policy(arm, name)
        if arm == "raft":
            return self._reader(seed)
        if not policy.adapter:
            return None
        return self.upkeep(seed).adapters(policy, day)[-1].adapter

    def _reader(self, seed: int) -> Path:
        """Return the reading adapter of day 0; it holds no facts, so it never ages."""
        return self.grid.prepared("raft", seed).adapter


def _precise(question: Question, answer: Answer, day: date) -> float:
    """Tell whether the passage ranked first states what is right on the day (precision@1)."""
    stating = {d for a in question.answers if a.holds_on(day) for d in a.documents}
    if not answer.hits or not stating:
        return float("nan")
    first = min(answer.hits, key=lambda hit: hit.rank)
    return float(first.passage.doc_id in stating)
