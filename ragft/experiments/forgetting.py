"""Forgetting: what each way of fine-tuning learns, and what it loses of what was known.

New facts are taught to a model that knows others already, by all methods, with and without
rehearsal, over several numbers of passes (T3, T4, P5, and the accuracy beside T2). How each is
trained is decided in `forgetting_cells`; the numbers that the ledger reads are made in
`forgetting_effects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft import models
from ragft.experiments import effects
from ragft.experiments.cells import Finished, distinct, rises, run_plan
from ragft.experiments.evaluate import scored
from ragft.experiments.forgetting_cells import METHODS, VERSION, Plan, Work
from ragft.experiments.forgetting_effects import paths, quantities
from ragft.profiles import Profile, profile
from ragft.records import Records
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

FULL = tuple(METHODS)
"""All methods; of them 'qlora' needs the extra of that name."""
REDUCED = ("full", "lora", "prefix")
MEASURES = ("accuracy", "hallucination", "abstained")
GROUPS = ["tuning", "rehearsal", "passes", "condition"]


class Forgetting(Finished):
    """What a forgetting experiment found."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per tuning × rehearsal × passes × condition × measure: mean, low, high, n, seeds.

        Conditions are 'new', 'control' and 'reading'; 'base' is the model as it comes, 'rag' the
        same reading passages.
        """
        return self.frame("summary")

    @cached_property
    def paths(self) -> pd.DataFrame:
        """One row per method × rehearsal × passes, as `plotting.learning_forgetting` wants it."""
        return self.frame("paths")

    @cached_property
    def trained(self) -> pd.DataFrame:
        """One row per training: trainable and total parameters, bytes, steps, tokens, seconds."""
        import pandas as pd

        rows = [row for row in self.results["cells"] if row["passes"]]
        return pd.DataFrame(rows).drop(columns=["losses", "leakage"], errors="ignore")


def forgetting(
    methods: Sequence[str] = FULL,
    *,
    passes: Sequence[int] = (5, 20, 40),
    facts: int = 100,
    control: int = 100,
    model: str = "resident",
    seeds: Sequence[int] = (0, 1, 2),
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Forgetting:
    """Teach new facts in several ways, and ask for them and for what was known before.

    All are trained on the same examples for the same passes, each at a rate of its own; with
    rehearsal, known facts are added, so that a pass takes longer. Every number of passes is a
    training from the start to the end of its schedule.

    Parameters
    ----------
    methods : sequence of str
        Of `forgetting_cells.METHODS`.
    passes : sequence of int
        Over the new facts, rising from 1.
    facts : int
        New facts, of a world that the model has not seen.
    control : int
        Known facts asked; two thirds of what the model knows at most. RAG reads passages of the new
        facts alone, as the others are trained on these alone.
    model : str
        'resident', or a folder of a model that knows the same world.
    seeds : sequence of int
        Training seeds; what does not train runs once.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        A method that is not known, one twice or none, 'qlora' without bitsandbytes, passes that do
        not rise from 1, no facts, or a model that has nothing to forget.
    """
    sizes = profile(base, model=str(model), seeds=distinct(seeds), facts=facts)
    plan = Plan(tuple(methods), tuple(passes), facts, control)
    _check(plan)
    work = Work(plan, sizes, Records(out, smoke=sizes.name == "smoke"))
    return run_plan(
        Forgetting,
        "forgetting",
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
    names, passes = plan.methods, plan.passes
    if not names or len(set(names)) < len(names):
        raise RagftError("forgetting: give at least one method, and none twice")
    for name in names:
        if name not in METHODS:
            raise RagftError(f"unknown method {name!r}; choose of {', '.join(METHODS)}")
    if any(METHODS[name].method == "qlora" for name in names):
        models.require_bitsandbytes()
    if not rises(passes, above=0):
        raise RagftError(f"forgetting: passes={list(passes)}: give numbers that rise from 1")
    if plan.facts < 2 or plan.control < 2:
        raise RagftError(
            f"forgetting: facts={plan.facts} and control={plan.control} must be 2 or more"
        )


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[Mapping[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    rated = scored(answers, [*GROUPS, "seed", "question_id", "cluster"])
    results = {
        "summary": effects.summary(rated, GROUPS, MEASURES, sizes),
        "paths": paths(rated, sizes),
        "quantities": quantities(rated, list(notes), sizes),
        "cells": list(notes),
    }
    return answers, results
