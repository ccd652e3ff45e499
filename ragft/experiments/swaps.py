"""A part swapped for another, the base model or the embedder: what survives it.

The index does not depend on the base model. An adapter on a base that it was not trained on is
refused everywhere else; here it is moved on purpose, to measure what that loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ragft.experiments import effects
from ragft.experiments.cells import Finished, distinct, run_cells
from ragft.experiments.grid import Grid
from ragft.experiments.tasks import Task
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.retrieval import embedding_model
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

CONDITIONS = ("old base", "moved", "retrained")
"""Trained and asked on the old base; its adapter on the new one; trained again on the new one."""
EMBEDDING = ("before", "reloaded", "new embedder")
"""As it was; model and index loaded again from disk; the index made anew with another embedder."""


class Swap(Finished):
    """What a swap did: an answer per arm, condition, seed and question."""


def swap(
    task: Task,
    old: str = "embedded",
    new: str = "resident",
    *,
    seeds: Sequence[int] = (0, 1, 2),
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Swap:
    """Ask RAG and a facts adapter before and after the base model is replaced.

    Parameters
    ----------
    task : Task
    old, new : str
        Two models of one shape: names, Hugging Face ids or folders.
    seeds, base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        Both are the same model, or their shapes differ.
    """
    sizes = profile(base, model=str(old), seeds=distinct(seeds))
    records = Records(out, smoke=sizes.name == "smoke")
    grids = {
        name: Grid(task, replace(sizes, model=str(model)), records, timed=0)
        for name, model in (("old", old), ("new", new))
    }
    if grids["old"].model_hash == grids["new"].model_hash:
        raise RagftError(f"swap: {old} and {new} are the same weights; name two models")
    cells = [("rag", name, sizes.seeds[0]) for name in ("old base", "moved")]
    cells += [("finetuned", name, seed) for name in CONDITIONS for seed in sizes.seeds]
    return run_cells(
        Swap,
        "swap",
        cells,
        partial(_key, grids),
        partial(_compute, grids),
        lambda frames, _: _summed_up(frames, sizes),
        records=records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level},
        parameters={"corpus": task.name, "old": str(old), "new": str(new)},
        hashes={"corpus": task.content_hash, **{n: g.model_hash for n, g in grids.items()}},
        progress=progress,
    )


def _key(grids: dict[str, Grid], arm: str, condition: str, seed: int) -> str:
    both = [grid.key(arm, seed) for grid in grids.values()]
    return content_key({"cell": "swap", "condition": condition, "grids": both}, seed=seed)


def _compute(
    grids: dict[str, Grid], arm: str, condition: str, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Answer with an arm under one condition."""
    from ragft.experiments.evaluate import evaluate

    asking = grids["old" if condition == "old base" else "new"]
    trained_on = grids["new" if condition == "retrained" else "old"]
    seconds = float("nan")
    with TemporaryDirectory() as folder:
        built = asking.build(arm, seed)
        if arm == "finetuned":
            teacher = trained_on.prepared(arm, seed)
            seconds = teacher.trained.seconds
            built.adapter = teacher.adapter
            if condition == "moved":
                built.adapter = _moved(teacher.adapter, asking, Path(folder) / "moved")
        built.prepare(asking.task.corpus)
        frame = evaluate(
            built, asking.task.asked, asking.whole, day=asking.task.day,
            condition=condition, seed=seed,
        )  # fmt: skip
    return frame.assign(training_seconds=seconds), {}


def _moved(adapter: Path, grid: Grid, out: Path) -> Path:
    from ragft.training.adapters import carry_over

    return carry_over(adapter, grid.model, out=out)


def _summed_up(
    frames: Sequence[pd.DataFrame], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    return answers, {"quantities": _quantities(answers, sizes)}


def _quantities(answers: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    right = answers.assign(right=(answers["outcome"] == "correct") * 1.0)

    def difference(arm: str, *conditions: str) -> dict[str, Any]:
        one, two = (
            right[(right["arm"] == arm) & (right["condition"] == name)] for name in conditions
        )
        return effects.quantity(effects.difference(one, two, "right", sizes), arms=[arm])

    return {
        "swap_loss_without_retraining": difference("finetuned", "moved", "old base"),
        "swap_regained_by_retraining": difference("finetuned", "retrained", "moved"),
        "swap_change_of_rag": difference("rag", "moved", "old base"),
    }


def swap_embedder(
    task: Task,
    new: str | Path | None = None,
    *,
    model: str = "embedded",
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Swap:
    """Ask RAG before and after its embedder is replaced, and after all is loaded again.

    Parameters
    ----------
    task : Task
        No fact of it changes on the way, so that every other answer is the retrieval's doing.
    new : str or Path, optional
        A hub id or a folder; None takes the lower half of the present embedder.
    model, base, out, progress
        As for `compare`; `base` names the present embedder.

    Raises
    ------
    RagftError
        Both are the same embedder, or the retriever embeds nothing.
    """
    sizes = profile(base, model=str(model))
    if sizes.retriever == "bm25":
        raise RagftError("retriever='bm25': it embeds nothing, so there is no embedder to swap")
    new = str(new or embedding_model.lower_half(sizes.embedding_model))
    hashes = [
        embedding_model.model_hash(embedding_model.model_folder(name))
        for name in (sizes.embedding_model, new)
    ]
    if hashes[0] == hashes[1]:
        raise RagftError(f"swap_embedder: {new} is the present embedder; name another one")
    records = Records(out, smoke=sizes.name == "smoke")
    old = Grid(task, sizes, records, timed=0)
    grids = dict.fromkeys(EMBEDDING, old)
    grids["new embedder"] = Grid(task, replace(sizes, embedding_model=new), records, timed=0)
    said: dict[tuple, Any] = {}  # often the other embedder finds the same passages
    return run_cells(
        Swap,
        "swap_embedder",
        [(condition,) for condition in EMBEDDING],
        lambda condition: _embedder_key(grids[condition], condition),
        lambda condition: _searched(grids[condition], condition, said),
        lambda frames, _: _flips(frames, sizes),
        records=records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level},
        parameters={"corpus": task.name, "old": sizes.embedding_model, "new": Path(new).name},
        hashes={
            "corpus": task.content_hash, "model": old.model_hash, "old": hashes[0], "new": hashes[1]
        },
        progress=progress,
    )  # fmt: skip


def _embedder_key(grid: Grid, condition: str) -> str:
    of = grid.key("rag", grid.sizes.seeds[0])
    return content_key({"cell": "swap embedder", "condition": condition, "grid": of})


def _searched(
    grid: Grid, condition: str, said: dict[tuple, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Answer with RAG under one condition, and note which passages were shown."""
    from ragft.arms.rag import RAG
    from ragft.experiments.evaluate import answers_frame
    from ragft.generation.local import LocalModel

    sizes, task = grid.sizes, grid.task
    options = grid.retrieving()
    if condition == "reloaded":
        fresh = LocalModel.load(sizes.model, device=sizes.device, dtype=sizes.dtype)
        options |= {"model": fresh, "library": grid.new_library()}
    built = RAG(**options)
    if condition != "reloaded":  # which is to say it all again
        built.said = said
    built.prepare(task.corpus)
    answers = built.answer(task.asked)
    frame = answers_frame(
        task.asked, answers, grid.book, arm="rag", day=task.day, condition=condition,
        seed=sizes.seeds[0],
    )  # fmt: skip
    return frame.assign(shown=[[hit.passage.id for hit in a.hits] for a in answers]), {}


def _flips(frames: Sequence[pd.DataFrame], sizes: Profile) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the answers, and what each condition changed of what there was before."""
    import pandas as pd

    before = frames[0].set_index("question_id")
    found: dict[str, Any] = {}
    for condition, frame in zip(EMBEDDING[1:], frames[1:], strict=True):
        after = frame.set_index("question_id")
        old = before.loc[after.index]
        shown = zip(after["shown"], old["shown"], strict=True)
        rows = after.assign(
            flip=(after["text"] != old["text"]) * 1.0,
            moved=[
                1 - len({*new} & {*kept}) / len(new) if len(new) else 0.0 for new, kept in shown
            ],
            right=(after["outcome"] == "correct") * 1.0,
        ).reset_index()
        name = condition.replace(" ", "_")
        found[f"flips_{name}"] = effects.mean(rows, "flip", sizes)
        found[f"passages_{name}"] = effects.mean(rows, "moved", sizes)
        was = frames[0].assign(right=(frames[0]["outcome"] == "correct") * 1.0)
        found[f"accuracy_{name}_minus_before"] = effects.difference(rows, was, "right", sizes)
    answers = pd.concat(frames, ignore_index=True)
    return answers, {"quantities": effects.quantities(found)}
