"""Curating: few good examples against many noisy ones, and the worst of them dropped (T5).

A behaviour is taught with some of its examples wrong on purpose, in several numbers, and with the
worst fifth dropped by loss or a fifth at random. What a cell does lives in `curating_cells`, the
numbers that the ledger reads in `curating_effects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.experiments import effects
from ragft.experiments.cells import Finished, distinct, rises, run_plan
from ragft.experiments.curating_cells import AS_GIVEN, RANDOM, VERSION, Plan, Work
from ragft.experiments.curating_effects import Curated, curves, quantities
from ragft.profiles import Profile, profile
from ragft.records import Records
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

FULL = (50, 100, 500)
"""Numbers of examples."""
REDUCED = (10, 100)
"""A number and ten times as many, which the ledger compares."""
NOISE = (0.0, 0.1, 0.3)
"""Shares of them that teach a wrong value."""
REDUCED_NOISE = (0.0, 0.3)
SHOWN = 500
"""Examples that each training is shown: 50 pass ten times, 500 once."""
REDUCED_SIZE = {"asked": 50, "shown": 100}
"""Questions, and examples shown."""
FEWEST = 5
"""Examples of which a fifth is a whole one."""
MEASURES = ("passed", "misread")
GROUPS = ["size", "noise", "treatment"]


class Curating(Finished):
    """What a curating experiment found: an answer per size, noise, treatment, seed and question."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per size × noise × treatment × measure: mean, low, high, n, seeds."""
        return self.frame("summary")

    @property
    def heat(self) -> pd.DataFrame:
        """Share that passes as given, one row per size × noise: mean, low, high, n."""
        rows = self.summary
        mine = rows[(rows["measure"] == "passed") & (rows["treatment"] == AS_GIVEN)]
        columns = ["size", "noise", "mean", "low", "high", "n"]
        return mine[columns].sort_values(["size", "noise"], ignore_index=True)

    @property
    def filters(self) -> pd.DataFrame:
        """One row per size × noise × seed and what dropped: counts, precision and recall.

        Precision is NaN where nothing was dropped, recall where nothing was wrong. That of
        'random' is what luck gives.
        """
        import pandas as pd

        rows = pd.DataFrame(self.results["filters"])
        both = rows["both"].astype(float)
        shares = {"precision": both / rows["dropped"], "recall": both / rows["spoilt"]}
        return rows.assign(**shares)  # 0 / 0 is NaN

    def noise_curve(self, size: int | None = None) -> pd.DataFrame:
        """Return what `plotting.dose_response` wants: share that passes over share wrong.

        Parameters
        ----------
        size : int, optional
            Examples taught; None: the size that the filter's effects are measured at.

        Returns
        -------
        pandas.DataFrame
            series ('as given', 'worst fifth dropped'), arm, x, mean, low, high, n.

        Raises
        ------
        RagftError
            That size was not taught.
        """
        rows = self.frame("curves")
        size = self.results["filtered"] if size is None else size
        mine = rows[(rows["size"] == size) & (rows["treatment"] != RANDOM)]
        if mine.empty:
            taught = ", ".join(map(str, sorted(set(rows["size"]))))
            raise RagftError(f"noise_curve: size={size} was not taught; choose of {taught}")
        columns = ["series", "arm", "x", "mean", "low", "high", "n"]
        return mine.assign(arm=None)[columns].reset_index(drop=True)


def curating(
    sizes: Sequence[int] = FULL,
    noise: Sequence[float] = NOISE,
    *,
    asked: int = 200,
    shown: int = SHOWN,
    seeds: Sequence[int] = (0, 1, 2),
    model: str = "embedded",
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Curating:
    """Teach a behaviour with errors among its examples, drop some, and check the answers.

    All trainings are shown equally many examples, as near as whole passes allow: few examples
    are passed more often, so that no arm is ahead by more steps.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of examples, rising, 5 or more.
    noise : sequence of float
        Shares of them that teach another subject's value, rising, in [0, 1).
    asked : int
        Questions, about subjects and in wordings that no example has; 2 or more.
    shown : int
        Examples that each training is shown, repeats counted: at least the largest size.
    seeds : sequence of int
        Of the training, of the draw of errors, and of what is dropped at random.
    model : str
        'embedded', 'resident', a Hugging Face id or a folder.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        Numbers that are out of range or do not rise.
    """
    plan = Plan(tuple(sizes), tuple(map(float, noise)), asked, shown)
    _check(plan)
    chosen = profile(base, model=str(model), seeds=distinct(seeds))
    work = Work(plan, chosen)
    return run_plan(
        Curating,
        "curating",
        plan,
        work,
        _summed_up,
        records=Records(out, smoke=chosen.name == "smoke"),
        sizes=chosen,
        version=VERSION,
        corpus="made-up world",
        hashes={"model": work.model_hash, "corpus": work.task.content_hash},
        progress=progress,
    )


def _check(plan: Plan) -> None:
    if not rises(plan.sizes) or plan.sizes[0] < FEWEST:
        raise RagftError(
            f"curating: sizes={list(plan.sizes)}: give numbers that rise from {FEWEST} or more"
        )
    if not rises(plan.rates) or not 0 <= plan.rates[0] <= plan.rates[-1] < 1:
        raise RagftError(f"curating: noise={list(plan.rates)}: give shares that rise within [0, 1)")
    if plan.asked < 2:
        raise RagftError(f"curating: asked={plan.asked}: must be 2 or more")
    if plan.shown < plan.sizes[-1]:
        raise RagftError(
            f"curating: shown={plan.shown}: give at least {plan.sizes[-1]}, so that the largest "
            "training sees every example once"
        )


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[Mapping[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    filters = [
        {**{k: one[k] for k in (*GROUPS, "seed")}, **one["filter"]}
        for one in notes
        if one["filter"] is not None
    ]
    results = {
        "summary": effects.summary(answers, GROUPS, MEASURES, sizes),
        "quantities": quantities(answers, filters, sizes),
        "filtered": Curated(answers, filters, sizes).filtered,
        "curves": curves(answers, sizes),
        "filters": filters,
        "cells": list(notes),
    }
    return answers, results
