"""Memorisation: what can be drawn out of the weights again (T8).

Facts trained on are told from others by their loss, and secrets planted among them are ranked
and asked for, over how often training repeated them. What a cell does lives in
`memorisation_cells`, the numbers that the ledger reads in `memorisation_effects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.experiments.cells import Finished, distinct, frame, rises, run_plan
from ragft.experiments.memorisation_cells import VERSION, Plan, Work
from ragft.experiments.memorisation_effects import EXPOSURE, EXTRACTED, SERIES, curves, quantities
from ragft.profiles import Profile, profile
from ragft.records import Records
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

REPEATS = (1, 4, 16)
"""How often members and canaries are trained on in one pass."""
EPOCHS = 2
"""Passes: after one no secret is said when asked for; after two repeats still make a difference."""
TUNED = (SERIES["score"], SERIES["lowered"], EXPOSURE, EXTRACTED)
"""Series that are the fine-tuned model's; the others are the model's before training."""


class Memorising(Finished):
    """What a memorisation experiment found.

    `answers` has one row per seed and fact or canary: `kind` ('member', 'other', 'canary'),
    `dose` (repeats in one pass), id, cluster, `loss_before` and `loss_after` (nats a token),
    `score` (higher for members), and of canaries `exposure` (bits), `extracted` (0 or 1) and what
    was `said`.
    """

    @property
    def exposures(self) -> pd.DataFrame:
        """Exposure in bits over repeats: series, arm, x, mean, low, high, n."""
        return self._curves("secrets", EXPOSURE)

    @property
    def extractions(self) -> pd.DataFrame:
        """Share of secrets said when asked for, over repeats: the same columns."""
        return self._curves("secrets", EXTRACTED)

    @property
    def membership(self) -> pd.DataFrame:
        """AUC over repeats, by the loss after and before training: the same columns."""
        return self._curves("membership")

    def _curves(self, which: str, series: str = "") -> pd.DataFrame:
        rows = frame(self.results["curves"][which])
        rows = rows[rows["series"] == series] if series else rows
        arm = [("finetuned" if one in TUNED else None) for one in rows["series"]]
        columns = ["series", "arm", "x", "mean", "low", "high", "n"]
        return rows.assign(arm=arm)[columns].reset_index(drop=True)


def memorisation(
    members: int = 600,
    *,
    repeats: Sequence[int] = REPEATS,
    canaries: int = 30,
    references: int = 1023,
    epochs: int = EPOCHS,
    seeds: Sequence[int] = (0, 1, 2),
    model: str = "embedded",
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Memorising:
    """Train on some facts and secrets, and measure what the weights tell of them.

    Every fact stands in one example, and a toss of a coin decides whether it is trained on; so
    before training nothing tells the two kinds apart.

    Parameters
    ----------
    members : int
        Facts trained on, in equal shares for each number of repeats; as many others are not.
    repeats : sequence of int
        How often a member, and a canary, stands among the examples: rising from 1 or more.
    canaries : int
        Secrets of each number of repeats, and as many that are never trained on; 30 or more for
        an interval.
    references : int
        Random secrets that a canary's own is ranked among: no exposure is above
        log2(references + 1), 10 bits by default.
    epochs : int
        Passes over all of them; a member is seen its repeats in each.
    seeds : sequence of int
        Of the training, and of who is a member. Canaries are the same for all seeds.
    model : str
        'embedded', 'resident', a Hugging Face id or a folder.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        A number out of range, or repeats that do not rise.
    """
    plan = Plan(members, tuple(repeats), canaries, references, epochs)
    _check(plan)
    sizes = profile(base, model=str(model), seeds=distinct(seeds))
    work = Work(plan, sizes)
    return run_plan(
        Memorising,
        "memorisation",
        plan,
        work,
        partial(_summed_up, plan.references),
        records=Records(out, smoke=sizes.name == "smoke"),
        sizes=sizes,
        version=VERSION,
        corpus="made-up world",
        hashes={"model": work.model_hash},
        progress=progress,
    )


def _check(plan: Plan) -> None:
    repeats = plan.repeats
    if not rises(repeats, above=0):
        raise RagftError(f"memorisation: repeats={list(repeats)}: give numbers that rise from 1")
    if plan.members < 2 * len(repeats):
        raise RagftError(
            f"memorisation: members={plan.members}: give at least {2 * len(repeats)}, two for each "
            "number of repeats"
        )
    for name in ("canaries", "references", "epochs"):
        if getattr(plan, name) < 1:
            raise RagftError(f"memorisation: {name}={getattr(plan, name)}: must be at least 1")


def _summed_up(
    references: int,
    frames: Sequence[pd.DataFrame],
    notes: Sequence[dict[str, Any]],
    sizes: Profile,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    rows = pd.concat(frames, ignore_index=True)
    results = {
        "quantities": quantities(rows, sizes, references),
        "curves": curves(rows, sizes, references),
        "cells": list(notes),
    }
    return rows, results
