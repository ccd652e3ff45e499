"""The time of filing an item into a large taxonomy: a large prompt against a tuned model (L7).

Task, prompts and adapter are those of the behaviour experiment; here every item is asked alone, so
that nothing else may run beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.evaluation.ratios import mean_ratio, quantile_ratio
from ragft.experiments import behaviour_cells, behaviour_data, effects
from ragft.experiments.behaviour_rated import Behaved
from ragft.experiments.cells import Finished, distinct, run_plan
from ragft.experiments.grid import one_by_one
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.runtime import stopwatch
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

PART = "taxonomy"
"""The behaviour whose answers are timed."""
ARMS = LARGE, SMALL = "fewshot", "finetuned"
"""Rules and demonstrations in the prompt; a short instruction to a model tuned on the pairs."""
MEASURES = ("passed", "prompt_tokens", "alone_ms")
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


class Filing(Finished):
    """What was found: a timed and checked answer per arm, seed and question."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per arm × measure: mean, low, high, n, seeds.

        'passed' is the share filed under the right leaf, 'alone_ms' the milliseconds of an answer.
        """
        return self.frame("summary")


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    pairs: int
    """Examples tuned on."""
    asked: int
    """Items filed, none of which was tuned on."""

    def cells(self, seeds: Sequence[int]) -> list[tuple[str, int, int]]:
        """Return (arm, pairs, seed); what does not train has the first seed alone."""
        return [(LARGE, 0, seeds[0]), *((SMALL, self.pairs, seed) for seed in seeds)]


def filing(
    pairs: int = 300,
    *,
    asked: int = 200,
    model: str = "embedded",
    seeds: Sequence[int] = (0, 1, 2),
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Filing:
    """File the same items, one at a time, by a large prompt and by a tuned model.

    With the numbers that `behaviour` was run with, its adapters are taken up.

    Parameters
    ----------
    pairs : int
        Examples that the model is tuned on; at least 1.
    asked : int
        Items; at least 2.
    model : str
        'embedded', 'resident', a Hugging Face id or a folder.
    seeds : sequence of int
        Training seeds; the prompt is asked once.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        A number is out of range.
    """
    if pairs < 1 or asked < 2:
        raise RagftError(f"filing: pairs={pairs} must be 1 or more, asked={asked} 2 or more")
    sizes = profile(base, model=str(model), seeds=distinct(seeds))
    plan = Plan(pairs, asked)
    work = Work(plan, sizes, Records(out, smoke=sizes.name == "smoke"))
    return run_plan(
        Filing,
        "filing",
        plan,
        work,
        _summed_up,
        records=work.behaviour.records,
        sizes=sizes,
        version=VERSION,
        corpus="made-up world",
        hashes={
            "corpus": work.behaviour.task(PART).content_hash,
            "model": work.behaviour.model_hash,
        },
        progress=progress,
    )


class Work:
    """The cells of one filing experiment: their keys, and what computing one takes."""

    def __init__(self, plan: Plan, sizes: Profile, records: Records) -> None:
        tuned = behaviour_data.Plan((PART,), (plan.pairs,), plan.asked, facts=0, both=False)
        self.behaviour = behaviour_cells.Work(tuned, sizes, records)

    def key(self, arm: str, pairs: int, seed: int) -> str:
        """Return the key of a cell: all that its answers depend on."""
        asked = self.behaviour.key(PART, arm, pairs, seed)
        return content_key({"cell": "filing", "version": VERSION, "asked": asked}, seed=seed)

    def compute(self, arm: str, pairs: int, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Tune where it is needed, then time every item alone, and check what was answered."""
        place = {"arm": arm, "pairs": pairs, "seed": seed}
        with stopwatch() as watch:
            asked = behaviour_data.ways_of_asking(self.behaviour.task(PART))["asked"]
            reader = self.behaviour.reader(PART, arm, pairs, seed, asked)
            questions = [s.question for s in asked]
            times = one_by_one(reader, [questions[0], *questions])
            frame = self.behaviour.checked(PART, asked, reader.answer(questions))
        frame = frame.assign(part=PART, condition="asked", **place, alone_ms=times)
        return frame, {**place, "seconds": watch.seconds}


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[Mapping[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    results = {
        "summary": effects.summary(answers, ["arm"], MEASURES, sizes),
        "quantities": quantities(answers, sizes),
        "cells": list(notes),
    }
    return answers, results


def quantities(answers: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    """Return what an item takes, large prompt over tuned model: median time, and tokens read.

    Parameters
    ----------
    answers : pandas.DataFrame
        One answer a row: arm, part, condition, pairs, seed, question_id, cluster, passed,
        prompt_tokens, alone_ms.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, seeds, method, unit and `note`.
    """
    told = Behaved(answers, sizes)
    found = effects.quantities(
        {
            "latency_large_prompt_over_small_tuned": told.over(
                PART, "alone_ms", ARMS, quantile_ratio
            ),
            "prompt_tokens_large_prompt_over_small_tuned": told.over(
                PART, "prompt_tokens", ARMS, mean_ratio
            ),
        },
        "ratio",
    )
    right = [100 * told.rated(arm, PART)["passed"].mean() for arm in ARMS]
    note = f"filed rightly: {right[0]:.1f} % by the prompt, {right[1]:.1f} % once tuned"
    for one in found.values():
        one["note"] = f"{note}; one and the same small model"
    return found
