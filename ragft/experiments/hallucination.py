"""Hallucination: who invents what, when, and what helps; every arm under every context condition.

What is shown under a condition is decided in `contexts`; the numbers that the ledger reads are
made in `hallucination_effects`. Questions that nothing answers are left out: the conditions say
what a reader can know.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.experiments import effects
from ragft.experiments.cells import Finished, distinct, run_cells
from ragft.experiments.contexts import CANARY, CONDITIONS, PLACES, REMEDIES, Contexts, check_name
from ragft.experiments.evaluate import answers_frame, scored
from ragft.experiments.grid import Grid
from ragft.experiments.hallucination_effects import quantities
from ragft.experiments.tasks import Task, world_task
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.types import Answer, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.base import Arm

READERS = ("rag", "finetuned_rag", "raft")
"""Arms that can be shown passages; under every condition they are shown the same."""
CLOSED = ("prompt", "fewshot", "finetuned", "placebo", "prior")
"""Arms that answer without passages."""
MEASURES = (
    "accuracy", "stale", "confused", "fabricated", "abstained", "hallucination",
    "hallucination_attempted", "supported", "citation_precision", "citation_recall", "canary",
)  # fmt: skip
TOLD = ["citation_precision", "citation_recall", "canary"]
"""What is measured of an answer besides its outcome."""
FORMER = 2
"""Values that every fact of the world had before."""
VERSION = 1
"""Raised when the meaning of a condition changes, so that older cells are not reused."""
Line = tuple[str, str]
"""(arm, condition)."""


def lines_of(
    readers: Sequence[str] = READERS,
    closed: Sequence[str] = CLOSED,
    conditions: Sequence[str] = tuple(CONDITIONS),
    remedied: Sequence[str] = ("old_1", "old_2"),
    places: Sequence[int] = tuple(range(1, PLACES + 1)),
) -> list[Line]:
    """Return every (arm, condition) of an experiment.

    Parameters
    ----------
    readers, closed : sequence of str
        Of `READERS` and `CLOSED`. Readers meet every condition, the others only 'none'.
    conditions : sequence of str
        Of `contexts.CONDITIONS`.
    remedied : sequence of str
        Conditions on which every remedy is tried, by 'rag' alone.
    places : sequence of int
        Places of the right passage among ten, 1 the first, by 'rag' alone.
    """
    tried = [f"{name}+{remedy}" for name, remedy in product(remedied, REMEDIES)]
    tried += ["similar+untold"] if "similar" in conditions else []
    lines = [(arm, "none") for arm in closed] + list(product(readers, conditions))
    alone = [*tried, *(f"position_{n}" for n in places)]
    return lines + [("rag", name) for name in alone if "rag" in readers]


TUNED = ("retrieved", "gold", "similar", "none")
"""Conditions of the tuned readers among the `REDUCED` lines."""
REAL = ("gold", "old_1", "similar", "irrelevant", "none")
"""Conditions that make sense on the history of a package."""
FULL = tuple(lines_of())
"""Every arm under every condition, every remedy, every place."""
REDUCED = (
    *lines_of(
        ("rag",), ("prompt", "finetuned", "prior"), remedied=("old_2",), places=(1, 5, 6, 10)
    ),
    *product(("finetuned_rag", "raft"), TUNED),
)
"""Lines that two minutes on two cores are enough for."""
FULL_REAL = tuple(lines_of(READERS, ("prompt", "prior"), REAL, ("old_1",), ()))
"""Every reader under the conditions of `REAL`."""
REDUCED_REAL = (("prompt", "none"), ("prior", "none"), *product(("rag",), REAL[:3]))


class Hallucination(Finished):
    """What a hallucination experiment found."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per arm × condition × measure, with mean, low, high, n, seeds.

        A measure that is not defined for an arm under a condition has no row.
        """
        return self.frame("summary")


def hallucination_task(sizes: Profile, facts: int | None = None, seed: int = 0) -> Task:
    """Return a made-up world in which every fact had `FORMER` other values before."""
    return world_task(sizes, facts or sizes.facts, seed, former=FORMER)


def hallucination(
    task: Task,
    *,
    lines: Sequence[Line] = FULL,
    model: str = "embedded",
    seeds: Sequence[int] = (0, 1, 2),
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Hallucination:
    """Ask every arm the same questions under every context condition, and judge the answers.

    Parameters
    ----------
    task : Task
        From `hallucination_task` or `tasks.package_task`; its corpus holds old versions.
    lines : sequence of (arm, condition)
        From `lines_of`.
    model : str
        'embedded', 'resident', a Hugging Face id, a folder, or the URL of a server.
    seeds : sequence of int
        Training seeds; arms that do not train run once.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        An arm or condition that is not known or that cannot meet, a line twice, or a condition
        that applies to no question of the task.
    """
    _check(lines)
    sizes = profile(base, model=str(model), seeds=distinct(seeds))
    work = _Work(task, sizes, Records(out, smoke=sizes.name == "smoke"))
    return run_cells(
        Hallucination,
        "hallucination",
        work.cells(lines),
        work.key,
        work.compute,
        lambda frames, _: _summed_up(frames, sizes),
        records=work.grid.records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "version": VERSION},
        parameters={"corpus": task.name, "lines": [list(line) for line in lines], **task.counts},
        hashes={"corpus": task.content_hash, "model": work.grid.model_hash},
        progress=progress,
    )


def _check(lines: Sequence[Line]) -> None:
    if not lines or len(set(lines)) < len(lines):
        raise RagftError("hallucination: give at least one (arm, condition), and none twice")
    for arm, condition in lines:
        check_name(condition)
        if arm not in (*READERS, *CLOSED):
            raise RagftError(f"unknown arm {arm!r}; choose of {', '.join((*READERS, *CLOSED))}")
        if arm in CLOSED and condition != "none":
            raise RagftError(
                f"{arm}: shows no passages, so condition {condition!r} does not apply; only 'none'"
            )


class _Work:
    """The cells of one hallucination experiment: their keys, and what computing one takes."""

    def __init__(self, task: Task, sizes: Profile, records: Records) -> None:
        self.task, self.sizes = task, sizes
        self.grid = Grid(task, sizes, records, timed=0)

    @cached_property
    def contexts(self) -> Contexts:
        """The passages of every condition, searched for when the first cell needs them."""
        return Contexts(self.task, self.grid.library)

    def cells(self, lines: Sequence[Line]) -> list[tuple[str, str, int]]:
        """Return every (arm, condition, seed)."""
        return [(*line, seed) for line in lines for seed in self.grid.seeds_of(line[0])]

    def key(self, arm: str, condition: str, seed: int) -> str:
        """Return the key of a cell."""
        what = {"cell": "hallucination", "version": VERSION, "condition": condition}
        return content_key({**what, "grid": self.grid.key(arm, seed)}, seed=seed)

    def compute(self, arm: str, condition: str, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Answer under one condition, and judge the answers."""
        import pandas as pd

        day = self.task.day
        if arm in READERS:
            built, questions = self._reader(arm, condition, seed)
        else:
            built, questions = self.grid.prepared(arm, seed), list(self.contexts.questions)
        answers = built.answer(questions)
        frame = answers_frame(
            questions, answers, self.grid.book, arm=arm, day=day, condition=condition, seed=seed
        )
        told = [_told(q, a, day, condition) for q, a in zip(questions, answers, strict=True)]
        notes = {"dropped_passages": getattr(built, "dropped", 0)}
        return frame.join(pd.DataFrame(told, index=frame.index, columns=TOLD)), notes

    def _reader(self, arm: str, name: str, seed: int) -> tuple[Arm, list[Question]]:
        """Return what answers from the passages of a condition, and the questions it applies to."""
        from ragft.arms.given import Given

        shown = self.contexts.condition(name)
        reader = Given(
            passages=shown.passages,
            ordered=shown.ordered,
            instruction=shown.instruction,
            adapter=self._adapter(arm, seed),
            **self.grid.decoding(),
        )
        return reader, [q for q in self.contexts.questions if q.id in shown.passages]

    def _adapter(self, arm: str, seed: int) -> Path | None:
        if arm == "rag":
            return None
        return self.grid.prepared("finetuned" if arm == "finetuned_rag" else arm, seed).adapter


def _told(question: Question, answer: Answer, day, condition: str) -> dict[str, float]:
    """Return `TOLD` of one answer."""
    from ragft.evaluation.citations import citation_scores

    cited = citation_scores(question, answer, day)
    obeyed = float(CANARY.casefold() in answer.text.casefold())
    return {
        "citation_precision": cited.precision,
        "citation_recall": cited.recall,
        "canary": obeyed if condition == "planted" else float("nan"),
    }


def _summed_up(
    frames: Sequence[pd.DataFrame], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    where = ["arm", "condition", "seed", "question_id", "cluster", "text", "found"]
    rated = scored(answers, [*where, *TOLD])
    rows = effects.summary(rated, ["arm", "condition"], MEASURES, sizes)
    return answers, {"summary": rows, "quantities": quantities(rated, sizes)}
