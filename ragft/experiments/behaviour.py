"""Behaviour: what fine-tuning is for, measured against a prompt, examples and retrieval.

JSON by a schema (B1), words with a special sense (B2), a house style (B3), topics to refuse (B4),
filing into a large taxonomy (B5; its time, L7, is measured in `filing`), JSON of facts that must
be found (B6), and how many examples each takes beside facts (T9). The tasks are made in
`corpora.behaviours`, the cells in `behaviour_cells`, the numbers that the ledger reads in
`behaviour_effects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.corpora.behaviours import BEHAVIOURS
from ragft.evaluation.behaviours import SCORES
from ragft.experiments import effects
from ragft.experiments.behaviour_cells import VERSION, Work
from ragft.experiments.behaviour_curves import learning_curves
from ragft.experiments.behaviour_data import WORDINGS, Plan
from ragft.experiments.behaviour_effects import quantities
from ragft.experiments.cells import Finished, distinct, rises, run_plan
from ragft.experiments.teaching_refusals import DISGUISES
from ragft.profiles import Profile, profile
from ragft.records import Records
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

FULL = (10, 30, 100, 300)
"""Numbers of pairs."""
REDUCED = (10, 100)
FILED, REDUCED_FILED = (*FULL, 1000, 3000), (*REDUCED, 300)
"""Numbers of pairs for the taxonomy by itself: up to several of each leaf, where 300 are one."""
REDUCED_BEHAVIOURS = tuple(name for name in BEHAVIOURS if name != "record")
"""All that the ledger reads."""
DISGUISED = "disguised"
"""The condition that is the mean over all disguises."""
MEASURES = (*SCORES, "both", "prompt_tokens", "completion_tokens")
GROUPS = ["part", "arm", "condition", "pairs"]


class Behaving(Finished):
    """What a behaviour experiment found.

    There is an answer per part, arm, condition, pairs, seed and question.
    """

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per part × arm × condition × pairs × measure: mean, low, high, n, seeds.

        `pairs` is the number of examples tuned on; 0 under 'finetuned' is the model as it is,
        without rules.
        """
        return self.frame("summary")

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row per series × number of examples `x`: passed or right.

        `learnt` where the lower end of the interval is above 80 %.
        """
        return self.frame("curves")


def behaviour(
    behaviours: Sequence[str] = BEHAVIOURS,
    *,
    counts: Sequence[int] = FULL,
    asked: int = 200,
    facts: int = 200,
    both: bool = True,
    model: str = "embedded",
    seeds: Sequence[int] = (0, 1, 2),
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Behaving:
    """Teach behaviours in several ways, ask for them, and check the answers.

    Parameters
    ----------
    behaviours : sequence of str
        Of `BEHAVIOURS`. JSON is also decoded under its schema.
    counts : sequence of int
        Numbers of training pairs, rising.
    asked : int
        Questions of every behaviour, about subjects that no pair is about.
    facts : int
        Facts that are trained and asked about, to set behaviour and knowledge side by side; an
        example teaches one of them in one wording. 0: none.
    both : bool
        Whether JSON is also asked of facts that must be retrieved; needs 'json'.
    model : str
        'embedded', 'resident', a Hugging Face id or a folder.
    seeds : sequence of int
        Training seeds; what does not train runs once.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        A behaviour that is not known, one twice or none, numbers of pairs that do not rise from
        1, or nothing asked.
    """
    sizes = profile(base, model=str(model), seeds=distinct(seeds))
    plan = Plan(tuple(behaviours), tuple(counts), asked, facts, both and "json" in behaviours)
    _check(plan)
    work = Work(plan, sizes, Records(out, smoke=sizes.name == "smoke"))
    return run_plan(
        Behaving,
        "behaviour",
        plan,
        work,
        _summed_up,
        records=work.records,
        sizes=sizes,
        version=VERSION,
        corpus="made-up world",
        hashes={"model": work.model_hash}
        | {name: work.task(name).content_hash for name in plan.behaviours},
        progress=progress,
    )


def _check(plan: Plan) -> None:
    names, counts = plan.behaviours, plan.counts
    if not names or len(set(names)) < len(names):
        raise RagftError("behaviour: give at least one behaviour, and none twice")
    for name in names:
        if name not in BEHAVIOURS:
            raise RagftError(f"unknown behaviour {name!r}; choose of {', '.join(BEHAVIOURS)}")
    if not rises(counts, above=0):
        raise RagftError(f"behaviour: counts={list(counts)}: give numbers that rise from 1")
    if plan.asked < 2 or plan.facts < 0:
        raise RagftError(
            f"behaviour: asked={plan.asked} must be 2 or more, facts={plan.facts} 0 or more"
        )
    if plan.facts and counts[-1] > plan.facts * WORDINGS:
        raise RagftError(
            f"behaviour: {counts[-1]} examples of {plan.facts} facts: each can be taught in "
            f"{WORDINGS} wordings at most; give more facts, 0 for none, or fewer examples"
        )


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[Mapping[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    rated = _with_disguised(answers.assign(both=answers["passed"] * answers["right"]))
    results = {
        "summary": effects.summary(rated, GROUPS, MEASURES, sizes),
        "curves": learning_curves(answers, sizes),
        "quantities": quantities(answers, sizes),
        "cells": list(notes),
    }
    return answers, results


def _with_disguised(rated: pd.DataFrame) -> pd.DataFrame:
    """Add the mean over all disguises of a question as a condition of its own."""
    import pandas as pd

    hidden = rated[rated["condition"].isin(DISGUISES)]
    if hidden.empty:
        return rated
    keys = ["part", "arm", "pairs", "seed", "question_id", "cluster"]
    mean = hidden.groupby(keys, sort=False)[list(MEASURES)].mean().reset_index()
    return pd.concat([rated, mean.assign(condition=DISGUISED)], ignore_index=True)
