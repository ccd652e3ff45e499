"""The main job: every arm on the same questions, with intervals and paired differences.

A comparison is a grid of cells (arm × seed), each cached by what it depends on, so that
an interrupted one goes on where it stopped and a finished one is read from its record.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.corpora.corpus import Corpus
from ragft.evaluation.marks import SCORES as MARK_SCORES
from ragft.experiments import effects
from ragft.experiments.cells import Finished, distinct, run_cells
from ragft.experiments.evaluate import score_matrix, scored
from ragft.experiments.grid import Grid
from ragft.experiments.tasks import Task, load_task
from ragft.profiles import Profile, profile
from ragft.records import Records
from ragft.types import Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

ARMS = (
    "prompt", "fewshot", "rag", "finetuned", "finetuned_rag", "raft", "oracle", "prior", "placebo",
)  # fmt: skip
"""Every arm, in the order of tables and figures."""

SHARES = ("accuracy", "stale", "confused", "fabricated", "abstained", "hallucination")


class Comparison(Finished):
    """What a comparison found: an answer per arm, seed and question."""

    @property
    def table(self) -> pd.DataFrame:
        """One row per arm: n, each share with its interval, latencies, training seconds.

        Where documents are marked right, wrong or noise, also the shares of
        `evaluation.marks.SCORES`, for the arms that were shown any.
        """
        import pandas as pd

        return pd.DataFrame([_flat(row) for row in self.results["arms"]]).set_index("arm")

    @property
    def differences(self) -> pd.DataFrame:
        """One row per pair of arms: a − b on the same questions, interval and p."""
        import pandas as pd

        return pd.DataFrame(self.results["differences"])


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {name if k == "mean" else f"{name}_{k}": v for k, v in value.items()}
        else:
            flat[name] = value
    return flat


def compare(
    corpus: str | Path | Corpus | Task = "world",
    *,
    arms: Sequence[str] = ARMS,
    model: str = "embedded",
    seeds: Sequence[int] = (0, 1, 2),
    facts: int | None = None,
    questions: str | Path | Sequence[Question] | None = None,
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Comparison:
    """Answer the same questions with every arm and compare.

    Parameters
    ----------
    corpus : str, path, Corpus or Task
        'world', 'packages:NAME', 'packages:NAME==V1,V2', a JSONL file, a `Corpus`, a `Task`.
    arms : sequence of str
        Any of `ARMS`. With 'oracle' and 'raft' there is a second oracle, 'oracle_raft', the
        tuned reader's own ceiling.
    model : str
        'embedded', 'resident', a Hugging Face id, a folder, or the URL of an OpenAI-compatible
        server (`generation.address`), where arms that train need an adapter that is ready there.
    seeds : sequence of int
        Training seeds; arms that do not train run once.
    facts : int, optional
        Facts trained and asked about; the profile's where None.
    questions : path or sequence of Question, optional
        For files and corpora of your own.
    base : Profile or its name
    out : path
        Folder of the records.
    progress : bool
        Show a bar over the cells.

    Raises
    ------
    RagftError
        An unknown arm, no seed, or whatever the corpus, the questions or the model lack.
    """
    arms = _ordered(arms)
    sizes = profile(
        base, model=str(model), seeds=distinct(seeds), **({"facts": facts} if facts else {})
    )
    task = (
        corpus
        if isinstance(corpus, Task)
        else load_task(corpus, sizes, questions=questions, facts=facts)
    )
    _check_arms(arms, task)
    grid = Grid(task, sizes, Records(out, smoke=sizes.name == "smoke"))
    return run_cells(
        Comparison,
        "compare",
        grid.cells(arms),
        grid.key,
        grid.compute,
        lambda frames, notes: _summed_up(frames, notes, task, sizes),
        records=grid.records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level},
        parameters={"corpus": task.name, "arms": arms, **task.counts},
        hashes={"corpus": task.content_hash, "model": grid.model_hash},
        progress=progress,
    )


def _ordered(arms: Sequence[str]) -> list[str]:
    if unknown := [arm for arm in arms if arm not in ARMS]:
        raise RagftError(f"unknown arm {unknown[0]!r}; choose of {', '.join(ARMS)}")
    if not arms:
        raise RagftError(f"no arms to compare; choose of {', '.join(ARMS)}")
    wanted = [arm for arm in ARMS if arm in arms]
    return [*wanted, "oracle_raft"] if {"oracle", "raft"} <= set(wanted) else wanted


def _check_arms(arms: Sequence[str], task: Task) -> None:
    if not task.asked:
        raise RagftError(f"{task.name}: there is nothing to ask")
    if "prior" in arms and not task.corpus.facts:
        raise RagftError("arm 'prior' needs a corpus with facts; leave it out for files")
    if {"raft", "placebo", "fewshot"} & set(arms) and not task.others:
        raise RagftError(
            f"{task.name}: arms raft, placebo and fewshot train on questions that are not asked, "
            "and all are; give more questions or leave these arms out"
        )


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[dict], task: Task, sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return all answers, and the table and differences made of them."""
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    marked = [name for name in MARK_SCORES if name in answers]
    rated = scored(answers, ["arm", "seed", "question_id", "cluster", *marked])
    arms = list(dict.fromkeys(answers["arm"]))
    rows = [_row(arm, rated, [n for n in notes if n["arm"] == arm], sizes) for arm in arms]
    differences = [_difference(a, b, rated, sizes) for a, b in combinations(arms, 2)]
    return answers, {"arms": rows, "differences": differences, "counts": task.counts}


def _matrix(rated: pd.DataFrame, arm: str, score: str):
    """Return an arm's scores of shape (seeds, questions), and the questions' clusters."""
    return score_matrix(rated[rated["arm"] == arm], score)


def _row(arm: str, rated: pd.DataFrame, notes: Sequence[dict], sizes: Profile) -> dict[str, Any]:
    import numpy as np

    from ragft.evaluation.statistics import seed_interval

    row: dict[str, Any] = {"arm": arm, "n": int((rated["arm"] == arm).sum() / len(notes))}
    row["seeds"] = len(notes)
    mine = rated[rated["arm"] == arm]
    defined = [name for name in MARK_SCORES if name in mine and mine[name].notna().any()]
    for share in (*SHARES, *defined):
        values, clusters = _matrix(rated, arm, share)
        row[share] = seed_interval(values, clusters, sizes.level, sizes.n_boot).to_dict()
    times = [ms for note in notes for ms in note["latency_ms"]]
    p50, p95 = np.percentile(times, [50, 95]) if times else (float("nan"), float("nan"))
    row["latency_ms"] = {"p50": float(p50), "p95": float(p95), "n": len(times)}
    seconds = [note["training_seconds"] for note in notes if note["training_seconds"] is not None]
    row["training_seconds"] = float(np.mean(seconds)) if seconds else None
    row["leakage"] = notes[0]["leakage"]
    row["dropped_passages"] = sum(note["dropped_passages"] for note in notes)
    return row


def _difference(a: str, b: str, rated: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    from ragft.evaluation.statistics import mcnemar

    one, two = (rated[rated["arm"] == arm] for arm in (a, b))
    found = effects.difference(one, two, "accuracy", sizes)
    (left, _), (right, _) = (score_matrix(part, "accuracy") for part in (one, two))
    single = len(left) == len(right) == 1
    return {
        "a": a,
        "b": b,
        "metric": "accuracy",
        **found.to_dict(),
        "mcnemar_p": mcnemar(left[0], right[0]).p if single else None,
    }
