"""Teaching: what reaches the weights, by what is trained on, and how it is asked for.

Raw documents against questions and answers (H4), errors among the examples (T6), other prompts
than the trained one (X4), quotations (H9), and a topic refused by instruction or by training
(H12). What each part trains on and is asked is decided in `teaching_cells`; the numbers that the
ledger reads are made in `teaching_effects`. Only questions that have an answer are asked, in
wordings never trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.experiments import effects
from ragft.experiments.cells import Finished, distinct, run_cells
from ragft.experiments.evaluate import scored
from ragft.experiments.tasks import Task
from ragft.experiments.teaching_cells import PARTS, VERSION, Work
from ragft.experiments.teaching_effects import doses, quantities
from ragft.profiles import Profile, profile
from ragft.records import Records
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

FULL = tuple(PARTS)
REDUCED = ("qa", "raw", "contradictions_30", "prompts")
"""Variants that take two trainings besides the facts adapter's."""
MEASURES = (
    "accuracy", "hallucination", "stale", "confused", "fabricated", "abstained",
    "verbatim", "refused", "leaked",
)  # fmt: skip


class Teaching(Finished):
    """What a teaching experiment found."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per arm × condition × measure, with mean, low, high, n, seeds.

        Under 'quotes', accuracy is the share of quotations that state the right value, verbatim or
        not.
        """
        return self.frame("summary")

    @property
    def doses(self) -> pd.DataFrame:
        """Share of wrong answers over share of wrong examples, as `plotting.dose_response` wants.

        Columns series, arm, x, mean, low, high, n; empty where no errors were taught.
        """
        import pandas as pd

        columns = ["series", "arm", "x", "mean", "low", "high", "n"]
        return pd.DataFrame(self.results["doses"], columns=columns)


def teaching(
    task: Task,
    *,
    variants: Sequence[str] = FULL,
    model: str = "embedded",
    seeds: Sequence[int] = (0, 1, 2),
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Teaching:
    """Teach the asked facts in several ways, ask for them, and judge the answers.

    Parameters
    ----------
    task : Task
        From `hallucination.hallucination_task`. Of a `tasks.package_task`, 'raw_reworded' and
        'refusals' cannot be had.
    variants : sequence of str
        Of `FULL`. 'qa': questions and answers; 'raw': the documents as they stand;
        'raw_reworded': the same in other wordings; 'contradictions_P': P % of the qa examples
        teach a wrong value; 'consistent_P': P % of the facts are taught wrong in all wordings;
        'prompts': the qa adapter under prompts it was not trained under;
        'quotes': the sentence that answers, from the passages (by the reader as it comes and by
        one that was taught to quote) and from the weights; 'refusals':
        a topic kept back by an instruction to RAG and by training, against attacks.
    model : str
        'embedded', 'resident', a Hugging Face id or a folder.
    seeds : sequence of int
        Training seeds, and of the draw of contradictions; what does not train runs once.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        A variant that is not known, one twice or none, or one that the task cannot have.
    """
    _check(variants)
    sizes = profile(base, model=str(model), seeds=distinct(seeds))
    work = Work(task, sizes, Records(out, smoke=sizes.name == "smoke"))
    return run_cells(
        Teaching,
        "teaching",
        work.cells(variants),
        work.key,
        work.compute,
        lambda frames, notes: _summed_up(frames, notes, sizes),
        records=work.grid.records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "version": VERSION},
        parameters={"corpus": task.name, "variants": list(variants), **task.counts},
        hashes={"corpus": task.content_hash, "model": work.grid.model_hash},
        progress=progress,
    )


def _check(variants: Sequence[str]) -> None:
    if not variants or len(set(variants)) < len(variants):
        raise RagftError("teaching: give at least one variant, and none twice")
    for name in variants:
        if name not in PARTS:
            raise RagftError(f"unknown variant {name!r}; choose of {', '.join(PARTS)}")


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[Mapping[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    own = ["error_in", "verbatim", "refused", "leaked"]
    rated = scored(answers, ["arm", "condition", "seed", "question_id", "cluster", *own])
    rows = effects.summary(rated, ["arm", "condition"], MEASURES, sizes)
    results = {"summary": rows, "quantities": quantities(rated, sizes)}
    return answers, {**results, "doses": doses(rated, sizes), "cells": list(notes)}
