"""Knowledge: what reaches the weights, and how far it can be drawn out again.

The same new facts are taught as questions and answers, as texts and as texts in other words, and
asked in trained and other forms, beside RAG (H2, H5, H8, T7, P1, P13); texts are stored in few
and many wordings (P2), and reworded ever more often (P11). Who is trained on what is decided in
`knowledge_cells`; the numbers that the ledger reads are made in `knowledge_effects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.experiments import effects
from ragft.experiments.cells import Finished, distinct, frame, rises, run_plan
from ragft.experiments.evaluate import scored
from ragft.experiments.knowledge_cells import PARTS, VERSION, Plan, Work
from ragft.experiments.knowledge_effects import doses, quantities
from ragft.profiles import Profile, profile
from ragft.records import Records
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("accuracy", "hallucination", "abstained")
GROUPS = ["part", "arm", "copies", "condition"]


class Knowledge(Finished):
    """What a knowledge experiment found."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per part × copies × condition × measure: mean, low, high, n, seeds.

        The condition is the form of the question; `copies` counts wordings of stored text, 0 where
        there is none.
        """
        return self.frame("summary")

    @cached_property
    def wordings(self) -> pd.DataFrame:
        """Accuracy over the wordings in which a text is stored, for `plotting.dose_response`."""
        return frame(self.results["doses"]["wordings"])

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """The same over tokens of reworded text."""
        return frame(self.results["doses"]["tokens"])


def knowledge(
    parts: Sequence[str] = tuple(PARTS),
    *,
    wordings: Sequence[int] = (1, 2, 5),
    copies: Sequence[int] = (1, 3, 9, 27),
    facts: int = 200,
    model: str = "embedded",
    seeds: Sequence[int] = (0, 1, 2),
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Knowledge:
    """Teach facts in several ways, ask for them in several forms, and judge the answers.

    Parameters
    ----------
    parts : sequence of str
        Of `knowledge_cells.PARTS`: 'prompt', 'rag', 'qa' (questions in all wordings), 'qa_1' (in
        one), 'both' (the qa adapter with passages), 'raw' (documents as they stand), 'reworded'.
    wordings : sequence of int
        In how many wordings texts about unseen relations are stored, rising, at equal steps;
        () leaves this out. Questions are taught about other subjects.
    copies : sequence of int
        How often texts about known relations are reworded, rising, at equal passes; () likewise.
    facts : int
        Taught and asked, of every kind.
    model : str
        'embedded', 'resident', a Hugging Face id or a folder.
    seeds : sequence of int
        Training seeds; what does not train runs once.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        A part that is not known, one twice or nothing to do, numbers that do not rise from 1.
    """
    sizes = profile(base, model=str(model), seeds=distinct(seeds), facts=facts)
    plan = Plan(tuple(parts), facts, tuple(wordings), tuple(copies))
    _check(plan)
    work = Work(plan, sizes, Records(out, smoke=sizes.name == "smoke"))
    return run_plan(
        Knowledge,
        "knowledge",
        plan,
        work,
        _summed_up,
        records=work.records,
        sizes=sizes,
        version=VERSION,
        corpus="made-up world",
        hashes={"corpus": work.grid.task.content_hash, "model": work.grid.model_hash},
        progress=progress,
    )


def _check(plan: Plan) -> None:
    if len(set(plan.parts)) < len(plan.parts):
        raise RagftError(f"knowledge: parts={list(plan.parts)}: none twice")
    for name in plan.parts:
        if name not in PARTS:
            raise RagftError(f"unknown part {name!r}; choose of {', '.join(PARTS)}")
    for name, numbers in (("wordings", plan.wordings), ("copies", plan.copies)):
        if numbers and not rises(numbers, above=0):
            raise RagftError(f"knowledge: {name}={list(numbers)}: give numbers that rise from 1")
    if not (plan.parts or plan.wordings or plan.copies) or plan.facts < 2:
        raise RagftError(
            f"knowledge: facts={plan.facts} must be 2 or more, with parts, wordings or copies"
        )


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[Mapping[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    rated = scored(answers, [*GROUPS, "seed", "question_id", "cluster"])
    results = {
        "summary": effects.summary(rated, GROUPS, MEASURES, sizes),
        "doses": doses(rated, list(notes), sizes),
        "quantities": quantities(rated, list(notes), sizes),
        "cells": list(notes),
    }
    return answers, results
