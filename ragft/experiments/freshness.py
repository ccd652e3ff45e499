"""Freshness drift: arms prepared on day 0, kept up by a policy or not, asked on later days.

The same facts are asked on every measured day. What a policy lets an arm know on a day is
decided in `upkeep`, what is true on it in `timeline`; here the answers are computed, judged and
summed up, and the numbers that the ledger reads are made in `freshness_effects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ragft.experiments.cells import Finished, distinct, run_cells
from ragft.experiments.embedder import vector_dtype
from ragft.experiments.evaluate import score_matrix, scored
from ragft.experiments.freshness_effects import quantities
from ragft.experiments.grid import Grid
from ragft.experiments.tasks import Task
from ragft.experiments.timeline import Timeline, known_on, package_timeline
from ragft.experiments.upkeep import (
    Policy,
    Upkeep,
    index_day,
    policy_of,
    refresh_costs,
    upkeep_share,
)
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key, sha256_json
from ragft.types import Answer, Question, RagftError, RefreshCost

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ragft.training.finetune import FinetuneResult

Line = tuple[str, str]
"""(arm, policy)."""

MEASURES = (
    "accuracy", "stale", "confused", "fabricated", "abstained", "hallucination", "precision",
)  # fmt: skip
TIMED = 40
"""Questions of day 0 that each arm is asked one at a time, for its latency."""
REDUCED: tuple[Line, ...] = (
    ("prompt", ""),
    ("rag", "never"),
    ("rag", "nightly"),
    ("finetuned", "never"),
    ("finetuned", "continued"),
    ("finetuned_rag", "nightly"),
    ("oracle", ""),
)
"""Lines that minutes on two cores are enough for."""
AGED: tuple[Line, ...] = (("rag", "never"), ("finetuned", "never"))
"""Lines that nobody keeps up."""
FULL: tuple[Line, ...] = (
    ("prompt", ""),
    ("rag", "never"),
    ("rag", "weekly"),
    ("rag", "nightly"),
    ("rag", "at once"),
    ("rag", "kept"),
    ("finetuned", "never"),
    ("finetuned", "monthly"),
    ("finetuned", "continued"),
    ("finetuned", "rehearsed"),
    ("finetuned_rag", "never"),
    ("finetuned_rag", "nightly"),
    ("finetuned_rag", "monthly"),
    ("raft", "never"),
    ("raft", "nightly"),
    ("oracle", ""),
    ("prior", ""),
)


class Freshness(Finished):
    """What a freshness experiment found."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per group × arm × policy × day × measure, with mean, low, high, n."""
        return dated(self.results["summary"])

    @cached_property
    def costs(self) -> pd.DataFrame:
        """One row per arm × policy × day: what upkeep has cost so far, day 0 included.

        Empty where that was not measured.
        """
        return dated(self.results["costs"])


def freshness(
    timeline: Timeline,
    *,
    lines: Sequence[Line] = REDUCED,
    model: str = "embedded",
    seeds: Sequence[int] = (0,),
    base: str | Profile = "cpu",
    timed: bool = True,
    out: str | Path = "results",
    progress: bool = True,
) -> Freshness:
    """Prepare every arm on day 0, keep it up by its policy, and ask it on every measured day.

    Parameters
    ----------
    timeline : Timeline
        From `world_timeline` or `package_timeline`.
    lines : sequence of (arm, policy)
        See `upkeep.POLICIES`.
    model : str
        'embedded', 'resident', a Hugging Face id or a folder.
    seeds : sequence of int
        Training seeds; lines that do not train run once.
    base : Profile or its name
    timed : bool
        Measure also what upkeep costs (all work is done once more, without a cache) and how
        quickly each arm answers; otherwise `costs` is empty.
    out : path
        Folder of the records.
    progress : bool
        Show a bar over the cells.

    Raises
    ------
    RagftError
        No lines or one twice, no seeds, or a policy that an arm or a timeline does not have.
    """
    if not lines or len(set(lines)) < len(lines):
        raise RagftError(f"lines={list(lines)}: give at least one (arm, policy), and none twice")
    sizes = profile(base, model=str(model), seeds=distinct(seeds))
    work = _Work(timeline, sizes, Records(out, smoke=sizes.name == "smoke"))
    cells = work.cells(lines)

    def sum_up(frames: list[pd.DataFrame], notes: list[dict]) -> tuple[pd.DataFrame, dict]:
        named = [
            frame.assign(condition=name) for (_, name, *_), frame in zip(cells, frames, strict=True)
        ]
        answers, results = _summed_up(named, timeline, sizes)
        results["costs"] = work.costs(lines) if timed else []
        results["latencies"] = work.latencies(lines) if timed else []
        results["quantities"] |= work.upkeep_share(lines) if timed else {}
        return answers, results

    return run_cells(
        Freshness,
        "freshness",
        cells,
        work.key,
        work.compute,
        sum_up,
        records=work.records,
        sizes=sizes,
        settings={"summary": work.summary_sizes, "timed": timed},
        parameters={
            "timeline": timeline.name,
            "days": [day.isoformat() for day in timeline.days],
            "lines": [list(line) for line in lines],
            "facts": {
                group: sum(g == group for g in timeline.groups.values())
                for group in dict.fromkeys(timeline.groups.values())
            },
        },
        hashes={"corpus": timeline.corpus.content_hash, "model": work.grid.model_hash},
        progress=progress,
    )


def made_at_each_release(
    spec: str, facts: int, count: int | None = None, **size: Any
) -> list[Freshness]:
    """Make index and adapter at each release of a package, and ask at all later ones.

    Parameters
    ----------
    spec, facts
        As for `package_timeline`; each release has its own facts, those that change after it
        before others.
    count : int, optional
        Releases to begin at, the first ones; by default all but the last.
    **size
        As for `freshness`; `lines` are always `AGED`, and nothing is timed.
    """
    whole = package_timeline(spec, facts)
    made = [package_timeline(spec, facts, first=n) for n in range(len(whole.days) - 1)[:count]]
    return [freshness(line, **{**size, "lines": AGED, "timed": False}) for line in made]


def dated(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return rows of a record as a frame, with days as dates and undefined numbers as NaN."""
    import pandas as pd

    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame
    for column in ("mean", "low", "high", "se_seed"):
        if column in frame:
            frame[column] = frame[column].astype(float)
    return frame.assign(day=pd.to_datetime(frame["day"]))


def task_on(line: Timeline, day: date, known: date | None = None, kept: bool = False) -> Task:
    """Return what is asked on a day of a timeline, over what an index knows on it.

    Parameters
    ----------
    line : Timeline
    day : date
        Of the questions.
    known : date, optional
        Of the collection; None: the same.
    kept : bool
        Whether old versions stay in the collection.
    """
    corpus = known_on(line.corpus, known or day, kept)
    return Task(line.name, corpus, day, line.asked(day), (), line.others)


class _Work:
    """The cells of one freshness experiment: their keys, and what computing one takes."""

    def __init__(self, timeline: Timeline, sizes: Profile, records: Records) -> None:
        self.timeline, self.sizes, self.records = timeline, sizes, records
        self.grids: dict[tuple[date, bool, date], Grid] = {}
        self.grid = self._grid(timeline.start, False, timeline.start)
        self.said: dict[tuple, Any] = {}
        """Most days ask what another day has asked, of the same passages and adapter."""
        self.summary_sizes = {"n_boot": sizes.n_boot, "level": sizes.level}

    def _grid(self, known: date, kept: bool, day: date) -> Grid:
        """Return what answers on a day from an index that knows the collection of another."""
        place = (known, kept, day)
        if place not in self.grids:
            task = task_on(self.timeline, day, known, kept)
            whole = self.timeline.corpus
            self.grids[place] = Grid(task, self.sizes, self.records, whole, timed=0)
        return self.grids[place]

    def cells(self, lines: Sequence[Line]) -> list[tuple[str, str, date, int]]:
        """Return (arm, policy, day, seed), ordered so that one index serves many in a row."""
        found = [
            (arm, name, day, seed)
            for arm, name in lines
            for day in self.timeline.days
            for seed in self.grid.seeds_of(arm)
        ]
        return sorted(found, key=lambda cell: (self._place(*cell[:3]), lines.index(cell[:2])))

    def _policy(self, arm: str, name: str) -> Policy:
        return policy_of(arm, name, self.timeline)

    def _place(self, arm: str, name: str, day: date) -> tuple[date, bool, date]:
        policy = self._policy(arm, name)
        return index_day(policy, self.timeline, day), policy.kept, day

    def key(self, arm: str, name: str, day: date, seed: int) -> str:
        """Return the key of a cell: two policies that come to the same thing share it."""
        grid = self._grid(*self._place(arm, name, day))
        policy = self._policy(arm, name)
        taught = ""
        if policy.adapter:
            taught = sha256_json([policy.adapter, self.upkeep(seed).lessons(policy, day)])
        return content_key(
            {"cell": "freshness", "grid": grid.key(arm, seed), "taught": taught}, seed=seed
        )

    def upkeep(self, seed: int) -> Upkeep:
        """Return the adapters of a training seed."""
        return Upkeep(
            self.timeline, self.sizes.wordings, self.grid.training(seed), lambda: self.grid.model
        )

    def compute(self, arm: str, name: str, day: date, seed: int) -> tuple[pd.DataFrame, dict]:
        """Answer one day's questions with what the arm knows on it, and judge the answers."""
        from ragft.evaluation.outcomes import FactBook
        from ragft.experiments.evaluate import answers_frame

        grid = self._grid(*self._place(arm, name, day))
        built = grid.build(arm, seed)
        built.adapter = self._adapter(arm, name, day, seed)
        built.said = self.said
        built.prepare(grid.task.corpus)
        answers = built.answer(grid.task.asked)
        frame = answers_frame(
            grid.task.asked, answers, FactBook(self.timeline.corpus.facts), arm=arm, seed=seed,
            day=day,
        )  # fmt: skip
        precise = [_precise(q, a, day) for q, a in zip(grid.task.asked, answers, strict=True)]
        group = [q.metadata["group"] for q in grid.task.asked]
        notes = {"dropped_passages": getattr(built, "dropped", 0)}
        return frame.assign(precision=precise, group=group), notes

    def _adapter(self, arm: str, name: str, day: date, seed: int) -> Path | None:
        policy = self._policy(arm, name)
        if arm == "raft":
            return self._reader(seed)
        if not policy.adapter:
            return None
        return self.upkeep(seed).adapters(policy, day)[-1].adapter

    def _reader(self, seed: int) -> Path:
        """Return the reading adapter of day 0; it holds no facts, so it never ages."""
        return self.grid.prepared("raft", seed).adapter

    def costs(self, lines: Sequence[Line]) -> list[dict[str, Any]]:
        """Return what each line's upkeep has cost up to each measured day, means over seeds."""
        rows = []
        policies = [self._policy(*line) for line in lines]
        for (arm, name), policy in zip(lines, policies, strict=True):
            index = []
            if arm in ("rag", "raft", "finetuned_rag"):
                index = self._index_costs(_measured_as(policy, policies))
                index = index[:1] if policy.index == "never" else index
            for day in self.timeline.days:
                spent = sum((c for d, c in index if d <= day), RefreshCost())
                trained = self._training_costs(arm, policy, day)
                total = {k: v + trained[k] for k, v in asdict(spent).items()}
                rows.append({"arm": arm, "policy": name, "day": day.isoformat(), **total})
        return rows

    def latencies(self, lines: Sequence[Line]) -> list[dict[str, Any]]:
        """Time every arm on questions of day 0, one at a time, after one that is not counted."""
        firsts = {arm: (arm, name) for arm, name in reversed(lines)}
        rows = [
            {"arm": arm, **_percentiles(self._milliseconds(*line), self.sizes)}
            for arm, line in firsts.items()
        ]
        return rows[::-1]

    def upkeep_share(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Return the share of its cost that goes into upkeep of a nightly index (F2)."""
        line = ("rag", "nightly")
        if line not in lines:
            return {}
        found = upkeep_share(
            self._index_costs(self._policy(*line)),
            self._milliseconds(*line),
            (self.timeline.days[-1] - self.timeline.start).days,
            self.sizes.level,
            self.sizes.n_boot,
        )
        return {"upkeep_share_of_cost": {**found.to_dict(), "unit": "share"}} if found else {}

    def _milliseconds(self, arm: str, name: str) -> np.ndarray:
        """Return the times of `TIMED` single answers on day 0."""
        import pandas as pd

        start, seed = self.timeline.start, self.sizes.seeds[0]
        key = content_key({"cell": "latency", "of": self.key(arm, name, start, seed), "n": TIMED})

        def compute() -> tuple[pd.DataFrame, dict]:
            grid = self._grid(start, False, start)
            built = grid.build(arm, seed)
            built.adapter = self._adapter(arm, name, start, seed)
            built.prepare(grid.task.corpus)
            return pd.DataFrame({"ms": grid.latencies(built, TIMED)}), {}

        return self.records.cached(key, compute)[0]["ms"].to_numpy()

    def _index_costs(self, policy: Policy) -> list[tuple[date, RefreshCost]]:
        """Measure an index policy once, on an index that starts empty and has no cache."""
        import pandas as pd

        key = content_key(
            {
                "cell": "index upkeep",
                "policy": asdict(policy) | {"adapter": ""},
                "until": self.timeline.days[-1].isoformat(),
                "start": self.timeline.start.isoformat(),
                "retriever": self.sizes.retriever,
                "embedding_model": self.sizes.embedding_model,
                "dtype": vector_dtype(self.sizes),
            },
            corpus=self.timeline.corpus.content_hash,
        )

        def compute() -> tuple[pd.DataFrame, dict]:
            found = refresh_costs(policy, self.timeline, self.grid.new_library(cached=False))
            return pd.DataFrame([{"day": d.isoformat(), **asdict(c)} for d, c in found]), {}

        frame, _ = self.records.cached(key, compute)
        rows = frame.to_dict("records")
        return [
            (date.fromisoformat(row["day"]), RefreshCost(**{k: row[k] for k in row if k != "day"}))
            for row in rows
        ]

    def _training_costs(self, arm: str, policy: Policy, day: date) -> dict[str, float]:
        trained: list[list[FinetuneResult]] = []
        if policy.adapter:
            trained = [self.upkeep(seed).adapters(policy, day) for seed in self.sizes.seeds]
        per_seed = [
            RefreshCost(
                sum(a.seconds for a in chain),
                tokens_trained=sum(a.tokens_seen for a in chain),
                bytes_written=sum(a.adapter_bytes for a in chain),
            )
            for chain in trained
        ] or [RefreshCost()]
        return {k: fmean(asdict(cost)[k] for cost in per_seed) for k in asdict(per_seed[0])}


def _percentiles(ms: np.ndarray, sizes: Profile) -> dict[str, float | int]:
    """Return median and 95th percentile in milliseconds, the latter with a bootstrap interval."""
    import numpy as np
    from scipy.stats import bootstrap

    def high(values: np.ndarray, axis: int) -> np.ndarray:
        return np.quantile(values, 0.95, axis=axis)

    found = bootstrap(
        (ms,), high, n_resamples=sizes.n_boot, confidence_level=sizes.level, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return {
        "n": len(ms),
        "p50": float(np.median(ms)),
        "p95": float(np.quantile(ms, 0.95)),
        "p95_low": float(found.low),
        "p95_high": float(found.high),
    }


def _measured_as(policy: Policy, policies: Sequence[Policy]) -> Policy:
    """Return the policy whose measurement serves for this one: 'never' is the others' day 0."""
    kept_up = [p for p in policies if p.index not in ("", "never") and not p.kept]
    return kept_up[0] if policy.index == "never" and kept_up else policy


def _precise(question: Question, answer: Answer, day: date) -> float:
    """Tell whether the passage ranked first states what is right on the day (precision@1)."""
    stating = {d for a in question.answers if a.holds_on(day) for d in a.documents}
    if not answer.hits or not stating:
        return float("nan")
    first = min(answer.hits, key=lambda hit: hit.rank)
    return float(first.passage.doc_id in stating)


def _summed_up(
    frames: Sequence[pd.DataFrame],
    timeline: Timeline,
    sizes: Profile,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    where = ["arm", "condition", "day", "seed", "question_id", "cluster", "group", "text"]
    rated = scored(answers, [*where, "precision"])
    asked = list(timeline.groups)
    moved = [
        {
            "day": day.isoformat(),
            "share": len(timeline.moved(timeline.start, day)) / len(asked),
        }
        for day in timeline.days
    ]
    results = {
        "summary": _summary(rated, sizes),
        "moved": moved,
        "events": [day.isoformat() for day in timeline.events],
        "quantities": quantities(rated, timeline, sizes),
    }
    return answers, results


def _summary(rated: pd.DataFrame, sizes: Profile) -> list[dict[str, Any]]:
    from ragft.evaluation.statistics import seed_interval

    rows = []
    parts = {"all": rated, **{str(name): part for name, part in rated.groupby("group")}}
    for group, mine in parts.items():
        for (arm, policy, day), part in mine.groupby(["arm", "condition", "day"], sort=False):
            place = {"group": group, "arm": arm, "policy": policy, "day": day}
            for measure in MEASURES:
                if part[measure].isna().all():
                    continue  # not applicable: nothing is retrieved, or nothing is defined
                found = seed_interval(*score_matrix(part, measure), sizes.level, sizes.n_boot)
                rows.append({**place, "measure": measure, **found.to_dict()})
    return rows
