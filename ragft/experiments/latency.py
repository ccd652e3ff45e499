"""Latency: where the time of an answer goes, per arm, against index size, passages and batch.

Questions are asked one batch after the other with nothing else running; what happens when they
come faster than they are answered is the matter of `experiments.load`. Every time is measured from
outside the arm, after a warm-up, with nothing judged in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.chunking import chunk
from ragft.corpora.corpus import Corpus
from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.crowd import CrowdEmbedder, crowd
from ragft.experiments.floors import Point, extrapolated, floors, point_of
from ragft.experiments.grid import Grid
from ragft.experiments.latency_effects import QUANTILES, SERVER_STAGES, STAGES, quantities
from ragft.experiments.rates import Rates, rates_of, read_sizes
from ragft.experiments.tasks import Task
from ragft.generation.base import SERVED
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.retrieval.index import searched_text
from ragft.runtime import machine, stopwatch
from ragft.types import Answer, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.base import Arm
    from ragft.arms.library import Library

SEARCHING = ("rag", "finetuned_rag", "raft")
ARMS = ("prompt", "finetuned", *SEARCHING)
AXES = {
    "index": "passages in the index",
    "passages": "passages in the prompt",
    "batch": "questions answered together",
}
"""What is varied, one at a time; the others stay as at the base point."""
MEASURES = ("total", "ttft", "per_token", *dict.fromkeys((*STAGES, *SERVER_STAGES)))
"""Milliseconds of which quantiles are taken, where there are any."""
BASE = ("batch", 1)
"""The axis and value at which every arm is measured; answers are also streamed there."""
RATES = ("", "rates", 0)
"""The cell in which the machine's rates are measured, for the floors."""
VERSION = 8
"""Raised when the meaning of a point changes, so that older cells are not reused."""


@dataclass(frozen=True)
class Sweep:
    """The values of every axis; the first index size and the profile's `top_k` are the base."""

    indexes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    passages: tuple[int, ...] = (1, 2, 4, 8)
    batches: tuple[int, ...] = (1, 4, 16, 64)
    questions: int = 300
    """Asked at every point, over and over where the task has fewer."""
    warm_up: int = 5
    """Questions asked before, whose times count for nothing."""
    swept: tuple[str, ...] = ARMS
    """Arms that go along all axes; the others are measured at the base point alone."""


FULL = Sweep()
REDUCED = Sweep(
    indexes=(2_500, 5_000, 10_000, 20_000), batches=(1, 4, 16), questions=20, swept=("rag",)
)
"""Points that a minute on two cores is enough for."""


class Latency(Finished):
    """What a latency experiment found.

    `answers` has one row per arm × axis × value × question, in milliseconds and tokens.
    """

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per arm × axis × value × measure × q: value, low, high (milliseconds), n."""
        return self.frame("summary")

    @cached_property
    def floors(self) -> pd.DataFrame:
        """One row per arm × axis × value × stage: floor, mean (milliseconds), and mean / floor."""
        return self.frame("floors")

    @cached_property
    def extrapolated(self) -> pd.DataFrame:
        """One row per arm × documents × model × stage, see `floors.extrapolated`."""
        return self.frame("extrapolated")

    @property
    def times(self) -> pd.DataFrame:
        """The answers: their times."""
        return self.answers


def latency(
    task: Task,
    sweep: Sweep = FULL,
    *,
    arms: Sequence[str] = ARMS,
    model: str = "embedded",
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Latency:
    """Measure how long every arm takes, stage by stage.

    Parameters
    ----------
    task : Task
        Its passages are in every index; a crowd fills it up to the size that is measured.
    sweep : Sweep
    arms : sequence of str
        Of `ARMS`; each is trained once, with the first seed of the profile.
    model, base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        An unknown arm or one twice, an axis without values or with one out of range, or a task
        that has more passages than the smallest index.
    """
    _check(task, sweep, arms)
    sizes = profile(base, model=str(model))
    sizes = replace(sizes, seeds=sizes.seeds[:1])
    work = _Work(task, sweep, sizes, Records(out, smoke=sizes.name == "smoke"))
    return run_cells(
        Latency,
        "latency",
        [*work.cells(arms), RATES],
        work.key,
        work.compute,
        lambda frames, notes: _summed_up(frames, notes, sizes),
        records=work.grid.records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "version": VERSION},
        parameters={"corpus": task.name, "arms": list(arms), "sweep": asdict(sweep), **task.counts},
        hashes={"corpus": task.content_hash, "model": work.grid.model_hash},
        progress=progress,
    )


def _check(task: Task, sweep: Sweep, arms: Sequence[str]) -> None:
    if not arms or len(set(arms)) < len(arms) or set(arms) - set(ARMS):
        raise RagftError(f"latency: arms={list(arms)}: choose of {', '.join(ARMS)}, none twice")
    for name in ("indexes", "passages", "batches"):
        values = getattr(sweep, name)
        if not values or min(values) < 1 or list(values) != sorted(set(values)):
            raise RagftError(f"latency: {name}={values}: give whole numbers from 1 on, in order")
    if sweep.questions < 1 or sweep.warm_up < 0:
        raise RagftError(
            f"latency: questions={sweep.questions} must be 1 or more, warm_up={sweep.warm_up} 0"
        )
    if not task.asked:
        raise RagftError(f"{task.name}: there is nothing to ask")
    if len(task.corpus) > sweep.indexes[0] and set(arms) & set(SEARCHING):
        raise RagftError(
            f"latency: {task.name} has {len(task.corpus)} documents, so no index of "
            f"{sweep.indexes[0]} can hold them; begin with a larger one"
        )


class _Work:
    """The points of one latency experiment: their keys, and what measuring one takes."""

    def __init__(self, task: Task, sweep: Sweep, sizes: Profile, records: Records) -> None:
        self.task, self.sweep, self.sizes = task, sweep, sizes
        self.grid = Grid(task, sizes, records, timed=0)
        self._libraries: dict[int, Library] = {}
        self._adapters: dict[str, Path | None] = {}

    def cells(self, arms: Sequence[str]) -> Iterator[tuple[str, str, int]]:
        """Yield (arm, axis, value), ordered so that one index serves many in a row."""
        sweep = self.sweep
        for arm in arms:
            swept = arm in sweep.swept
            for value in sweep.batches if swept else (1,):
                yield arm, "batch", value
        searching = [arm for arm in arms if arm in SEARCHING and arm in sweep.swept]
        for value in sweep.passages:
            for arm in searching:
                yield arm, "passages", value
        for value in sweep.indexes:
            for arm in searching:
                yield arm, "index", value

    def key(self, arm: str, axis: str, value: int) -> str:
        """Return the key of a point: of another machine it is another."""
        what = {"cell": "latency", "version": VERSION, "axis": axis, "value": value}
        if (arm, axis, value) == RATES:
            used = {"device": self.sizes.device, "dtype": self.sizes.dtype}
            return content_key({**what, **machine(), **used, "sizes": read_sizes(self.sizes)})
        what |= {"smallest": self.sweep.indexes[0], "questions": self.sweep.questions}
        what |= {"warm_up": self.sweep.warm_up, **machine()}
        return content_key({**what, "grid": self.grid.key(arm, self.sizes.seeds[0])})

    def compute(self, arm: str, axis: str, value: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Ask all questions at one point, and note the times."""
        import pandas as pd

        if (arm, axis, value) == RATES:
            return pd.DataFrame(), {"rates": rates_of(self.sizes).to_dict()}
        built = self._arm(arm, value if axis == "index" else self.sweep.indexes[0])
        if axis == "passages":
            built.top_k = value
        asked = [self.task.asked[n % len(self.task.asked)] for n in range(self.sweep.questions)]
        for question in asked[: self.sweep.warm_up]:
            built.answer([question])
        size = value if axis == "batch" else 1
        rows = []
        for start in range(0, len(asked), size):
            group = asked[start : start + size]
            with stopwatch() as watch:
                answers = built.answer(group)
            rows += [_row(q, a, watch.ms, len(group)) for q, a in zip(group, answers, strict=True)]
        if (axis, value) == BASE and hasattr(built, "stream"):
            for row, question in zip(rows, asked, strict=True):
                row["ttft"] = _first_token_ms(built, question)
        frame = pd.DataFrame(rows)
        place = {"arm": arm, "axis": axis, "value": value}
        point = point_of(built, frame, [question.text for question in asked], size)
        notes = {**place, "dropped": built.dropped, "point": point.to_dict()}
        return frame.assign(**place), notes

    def _arm(self, name: str, count: int) -> Arm:
        """Return an arm that is ready, over an index of so many passages where it searches."""
        seed = self.sizes.seeds[0]
        if name not in self._adapters:
            self._adapters[name] = self.grid.prepared(name, seed).adapter
        built = self.grid.build(name, seed)
        built.adapter = self._adapters[name]
        if name in SEARCHING:
            built.library = self._library(count)
        return built

    def _library(self, count: int) -> Library:
        if count not in self._libraries:
            self._libraries.clear()  # one at a time: an index can be large
            self._libraries[count] = self._crowded(count)
        return self._libraries[count]

    def _crowded(self, count: int) -> Library:
        """Return a library of the task's passages and of as many others as it takes."""
        own, library = self.task.corpus, self.grid.new_library()
        others = crowd(count - len(own))
        if self.sizes.retriever != "bm25":
            texts = [
                [searched_text(p) for p in chunk(part, **library.chunking)]
                for part in (own.documents, others)
            ]
            drawing = CrowdEmbedder(library.index.embedder, *texts)
            library = self.grid.new_library(embedder=drawing)
        library.prepare(Corpus((*own.documents, *others), name=f"{own.name} in a crowd"))
        return library


def _first_token_ms(arm: Arm, question: Question) -> float:
    """Ask one question and listen until the first token comes."""
    pieces = arm.stream(question)
    with stopwatch() as watch:
        next(pieces)
    pieces.close()
    return watch.ms


def _row(question: Question, answer: Answer, ms: float, together: int) -> dict[str, Any]:
    """Return the times of one answer; stages are its share of the batch, the total all of it."""
    known = SERVER_STAGES if SERVED in answer.stage_ms else STAGES
    stages = {name: answer.stage_ms.get(name, 0.0) for name in known[:-1]}
    later = answer.completion_tokens - 1  # the first token is there when the prompt is read
    return {
        "question_id": question.id,
        "cluster": question.cluster_key,
        **dict.fromkeys(STAGES, float("nan")),
        **stages,
        "own": ms / together - sum(stages.values()),
        "total": ms,
        "ttft": float("nan"),
        "per_token": stages.get("decode", float("nan")) / later if later > 0 else float("nan"),
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "together": together,
    }


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[dict[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    from ragft.evaluation.quantiles import quantile

    *frames, _ = frames  # the last cell is that of the rates
    times = pd.concat(frames, ignore_index=True)
    rows = []
    for (arm, axis, value), part in times.groupby(["arm", "axis", "value"], sort=False):
        for measure in MEASURES:
            for q in QUANTILES if measure in part and part[measure].notna().any() else ():
                options = {"level": sizes.level, "n_boot": sizes.n_boot}
                found = quantile(part[measure], q, part["question_id"], **options)
                place = {"arm": arm, "axis": axis, "at": int(value), "measure": measure, "q": q}
                rows.append({**place, **found.to_dict()})
    tokens = times[(times["axis"] == "batch") & (times["value"] == 1)].groupby("arm")
    means = tokens[["prompt_tokens", "completion_tokens"]].mean()
    return times, {
        "summary": rows,
        **_limits(times, notes),
        "tokens": {
            arm: {"prompt": float(row.iloc[0]), "completion": float(row.iloc[1])}
            for arm, row in means.iterrows()
        },
        "quantities": quantities(times, sizes),
    }


def _limits(times: pd.DataFrame, notes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the machine's rates, every point's floors, and what lies beyond the points."""
    *points, last = notes
    rates = Rates.from_dict(last["rates"])
    grouped = times.groupby(["arm", "axis", "value"])[list(STAGES)].mean()
    lowest, beyond = [], {}
    grown = {note["arm"] for note in points if note["axis"] == "index"}
    for note in points:
        place = (note["arm"], note["axis"], note["value"])
        point, means = Point.from_dict(note["point"]), grouped.loc[place].to_dict()
        named = {"arm": note["arm"], "axis": note["axis"], "at": note["value"]}
        lowest += [{**named, **row} for row in floors(point, rates, means)]
        if note["axis"] == "index" or (note["axis"], note["value"]) == BASE:
            # Of the base point, and then of ever larger indexes: the largest one stays. From a
            # small index alone nothing is told of a large one.
            rows = extrapolated(point, rates, means)
            rows = [r for r in rows if r["documents"] is None or note["arm"] in grown]
            beyond[note["arm"]] = [{"arm": note["arm"], **row} for row in rows]
    far = [row for rows in beyond.values() for row in rows]
    return {"rates": last["rates"], "floors": lowest, "extrapolated": far}
