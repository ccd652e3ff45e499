"""What an arm holds in memory while it answers: weights, keys and values, index, and the rest.

Held parts are counted from what there is; what passes through while answering is measured as the
most that torch held at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.grid import Grid
from ragft.experiments.latency import ARMS
from ragft.experiments.tasks import Task
from ragft.generation.shapes import shape_of
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.types import RagftError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from ragft.arms.base import Arm
    from ragft.retrieval.index import HybridIndex

PARTS = ("weights", "adapter", "encoder", "index", "passages", "keys and values", "activations")
"""Where memory goes, in bytes: the language model, an adapter, the embedding model, vectors and
postings, the text of the passages, what was read of the prompts, and what passes through."""
BATCHES = (1, 16)
"""Questions answered together."""
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


class Memory(Finished):
    """What a memory experiment found."""

    @property
    def parts(self) -> pd.DataFrame:
        """One row per arm × together × part: bytes; NaN where a part cannot be told."""
        return self.answers


def memory(
    task: Task,
    *,
    arms: Sequence[str] = ARMS,
    batches: Sequence[int] = BATCHES,
    model: str = "embedded",
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Memory:
    """Measure what every arm holds in memory while it answers so many questions together.

    Parameters
    ----------
    task : Task
        Needs as many questions as the largest batch.
    arms : sequence of str
        Of `latency.ARMS`; each is trained once, with the first seed of the profile.
    batches : sequence of int
    model, base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        An unknown arm or one twice, or a batch that is out of range.
    """
    if not arms or len(set(arms)) < len(arms) or set(arms) - set(ARMS):
        raise RagftError(f"memory: arms={list(arms)}: choose of {', '.join(ARMS)}, none twice")
    if not batches or min(batches) < 1 or max(batches) > len(task.asked):
        raise RagftError(
            f"memory: batches={tuple(batches)}: give numbers from 1 to the {len(task.asked)} "
            f"questions of {task.name}"
        )
    sizes = profile(base, model=str(model))
    sizes = replace(sizes, seeds=sizes.seeds[:1])
    grid = Grid(task, sizes, Records(out, smoke=sizes.name == "smoke"), timed=0)
    return run_cells(
        Memory,
        "memory",
        [(arm, size) for arm in arms for size in batches],
        lambda arm, size: _key(grid, arm, size),
        lambda arm, size: (_measured(grid, arm, size), {}),
        lambda frames, _: _summed_up(frames),
        records=grid.records,
        sizes=sizes,
        settings={"version": VERSION},
        parameters={"corpus": task.name, "arms": list(arms), "batches": list(batches)},
        hashes={"corpus": task.content_hash, "model": grid.model_hash},
        progress=progress,
    )


def _key(grid: Grid, arm: str, size: int) -> str:
    what = {"cell": "memory", "version": VERSION, "together": size}
    return content_key({**what, "grid": grid.key(arm, grid.sizes.seeds[0])})


def _measured(grid: Grid, arm: str, size: int) -> pd.DataFrame:
    import pandas as pd

    built = grid.prepared(arm, grid.sizes.seeds[0])
    asked = grid.task.asked[:size]
    answers = built.answer(asked)  # once before: what is made only once is not counted
    passing = peak_bytes(lambda: built.answer(asked), built.model.network.device.type)
    shape = shape_of(built.model.network.config)
    number = next(built.model.network.parameters()).element_size()
    lengths = [answer.prompt_tokens for answer in answers]
    batches = built.model.batches(lengths, grid.sizes.batch_size)
    # Every row has room for the longest prompt of its batch and for a whole answer.
    places = max(
        len(rows) * (max(lengths[n] for n in rows) + grid.sizes.max_new_tokens) for rows in batches
    )
    kept = float("nan") if shape is None else shape.kv_bytes(places, number)
    parts = {**held_bytes(built), "keys and values": kept, "activations": passing - kept}
    rows = [{"arm": arm, "together": size, "part": p, "bytes": float(parts[p])} for p in PARTS]
    return pd.DataFrame(rows)


def held_bytes(arm: Arm) -> dict[str, float]:
    """Return the bytes that an arm holds whether or not it is asked, by `PARTS`."""
    network = arm.model.network
    own = [p for name, p in network.named_parameters() if "lora_" not in name]
    held = {"weights": float(sum(p.nbytes for p in own))}
    held["adapter"] = float(_file_bytes(arm.adapter)) if arm.adapter else 0.0
    library = getattr(arm, "library", None)
    if library is None:
        return {**held, "encoder": 0.0, "index": 0.0, "passages": 0.0}
    index: HybridIndex = library.index
    text = sum(len(p.text.encode()) for p in index.passages)
    encoder = 0 if index.retriever == "bm25" else index.embedder.bytes
    return {**held, "encoder": float(encoder), "index": index.bytes, "passages": float(text)}


def _file_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def peak_bytes(work: Callable[[], Any], device: str) -> float:
    """Return the most bytes that torch held at once during some work, beyond those before it."""
    import torch

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return float(torch.cuda.max_memory_allocated() - before)
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as seen:
        work()
    held = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return float(most)


def _summed_up(frames: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    parts = pd.concat(frames, ignore_index=True)
    rows = parts.astype({"bytes": object}).where(parts.notna(), None).to_dict("records")
    return parts, {"parts": rows}
