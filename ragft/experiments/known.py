"""What a model knew before: does training on unknown facts hurt it, and whom does retrieval help?

The start is a model that knows a made-up world, its popular subjects better than its rare ones.
Training on facts that it does not know (P3) is set against training on as many that it knows;
retrieval against fine-tuning by popularity (P8). Facts are sorted in `known_data`, the cells made
in `known_cells`, the numbers that the ledger reads in `known_effects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.experiments.cells import Finished, distinct, rises, run_plan
from ragft.experiments.known_cells import VERSION, Plan, Work
from ragft.experiments.known_effects import Known, doses, quantities, rate, summaries
from ragft.profiles import Profile, profile
from ragft.records import Records
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

FULL = (0.0, 0.5, 1.0)
"""Shares of unknown facts."""
REDUCED = (0.0, 1.0)
"""All that the ledger reads."""


class Knowing(Finished):
    """What the experiment found.

    There is an answer per part, arm, length, share, condition, seed, question and wording.
    """

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Training on unknown facts: one row per condition × length × share × measure.

        Conditions are 'control', 'trained known' and 'trained unknown', lengths 'before', 'early'
        and 'late'; share is NaN before.
        """
        return self.frame("summary")

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Accuracy on control facts over the share in per cent, for `plotting.dose_response`."""
        return self.frame("curves")

    @cached_property
    def strata(self) -> pd.DataFrame:
        """One row per arm × length × stratum × measure.

        Length 'whole' is the profile's training, 'early' the gentle one, 'before' none.
        """
        return self.frame("strata")

    @cached_property
    def probe(self) -> pd.DataFrame:
        """One row per stratum × measure: shares of its facts known and unknown before."""
        return self.frame("probe")


def known(
    shares: Sequence[float] = FULL,
    *,
    questions: int = 80,
    facts: int = 100,
    per_stratum: int = 120,
    probed: int | None = None,
    model: str = "resident",
    seeds: Sequence[int] = (0, 1, 2),
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Knowing:
    """Train on known and unknown facts, and ask for known ones; ask all arms by popularity.

    The model is asked the facts of its world in two training wordings: it knows what it gets
    right in both, and does not know what it gets right in neither (Gekhman et al. ask in several
    prompts, too). Everything else is asked in wordings that no training has used.

    Parameters
    ----------
    shares : sequence of float
        Of unknown facts among those trained on, rising, in [0, 1]; the effects need 0 and 1.
    questions : int
        Known facts about subjects that nothing is trained about: the control.
    facts : int
        Facts trained on, whatever the share, each in the profile's number of wordings.
    per_stratum : int
        Popular, middling and rare facts that are asked of all arms, at most as many as the
        smallest stratum has.
    probed : int, optional
        Facts that are asked at first, to find known and unknown ones; None: all.
    model : str
        'resident', or a folder with a model that was taught the same world.
    seeds : sequence of int
        Training seeds; what does not train runs once.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        Shares that do not rise within [0, 1], sizes below 2, or a model that knows fewer facts
        than `questions` + `facts`.

    Source: Gekhman et al. (2024), Does fine-tuning LLMs on new knowledge encourage
    hallucinations?, arXiv 2405.05904; Soudani et al. (2024), Fine tuning vs. retrieval augmented
    generation for less popular knowledge, arXiv 2403.01432.
    """
    sizes = profile(base, model=str(model), seeds=distinct(seeds))
    plan = Plan(tuple(map(float, shares)), questions, facts, per_stratum, probed)
    _check(plan)
    work = Work(plan, sizes, Records(out, smoke=sizes.name == "smoke"))
    return run_plan(
        Knowing,
        "known",
        plan,
        work,
        _summed_up,
        records=work.records,
        sizes=sizes,
        version=VERSION,
        corpus=work.grid.task.corpus.name,
        hashes={"corpus": work.world_hash, "model": work.grid.model_hash},
        progress=progress,
    )


def _check(plan: Plan) -> None:
    shares = plan.shares
    if not rises(shares) or not 0 <= shares[0] <= shares[-1] <= 1:
        raise RagftError(f"known: shares={list(shares)}: give numbers that rise within [0, 1]")
    for name in ("questions", "facts", "per_stratum", "probed"):
        if (size := getattr(plan, name)) is not None and size < 2:
            raise RagftError(f"known: {name}={size} must be 2 or more")


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[Mapping[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    told = Known(rate(answers), sizes)
    results = {
        **summaries(told),
        "curves": doses(told),
        "quantities": quantities(told.rows, sizes),
        "cells": list(notes),
    }
    return answers, results
