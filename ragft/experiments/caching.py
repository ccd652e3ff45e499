"""Caching: what a memory of earlier answers saves under popular questions, and what it gets wrong.

Requests come one after the other, popular facts more often, in several wordings; halfway the
documents change and the index follows at once. Every request goes to RAG without a memory and with
each kind of it (`arms.cached`), in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.arms.cached import STAGE, Cached, from_memory
from ragft.evaluation.ratios import mean_ratio
from ragft.evaluation.statistics import Interval, mean_interval
from ragft.experiments import effects
from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.grid import Grid
from ragft.experiments.timeline import Timeline, task_on
from ragft.generation.prefixes import PrefixCache
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.runtime import machine, stopwatch
from ragft.types import Answer, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.base import Arm
    from ragft.arms.library import Library


@dataclass(frozen=True)
class Memory:
    """A kind of memory."""

    threshold: float | None = None
    """Least cosine of two questions that count as one; None: only the same words do."""
    forgets: bool = False
    """Whether a refresh of the index empties it."""
    prefixes: int = 0
    """Above 0 no answers are kept but so many prompts as they were read, see `PrefixCache`."""


NONE = "no memory"
MEMORIES: dict[str, Memory | None] = {
    NONE: None,
    "prompt prefixes": Memory(prefixes=64),
    "same words": Memory(),
    "same words, emptied": Memory(forgets=True),
    "near 0.95": Memory(0.95),
    "near 0.85": Memory(0.85),
}
"""Kinds of memory by name, and none."""
PHASES = ("before", "after")
"""Of the change."""
RETRIEVAL = (STAGE, "embed", "search")
"""Stages in which something is looked up."""
VERSION = 3
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


class Caching(Finished):
    """What a caching experiment found: an answer is a request to one of the memories."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per memory × phase.

        Shares of requests that were hits, right and stale, share of the hits that are wrong where
        RAG itself is right, share of the prompt tokens that need not have been read again, mean
        milliseconds.
        """
        return self.frame("summary")


def traffic(
    facts: int, wordings: int, count: int, exponent: float = 1.0, seed: int = 0
) -> list[tuple[int, int]]:
    """Return the requests: number of the fact and of the wording, each.

    Facts are asked about in proportion to 1 / rank^exponent, the ranks being drawn; wordings
    are equally popular.

    Parameters
    ----------
    facts, wordings : int
        At least 1.
    count : int
        Requests.
    exponent : float
        0 or above; 0 makes all facts equally popular.
    seed : int

    Raises
    ------
    RagftError
        A number is out of range.

    Source: Zipf's law as caches meet it, Breslau et al. (1999), INFOCOM.
    """
    if facts < 1 or wordings < 1 or count < 0 or exponent < 0:
        raise RagftError(
            f"traffic: {facts} facts and {wordings} wordings must be 1 or more, count={count} and "
            f"exponent={exponent} not below 0"
        )
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, facts + 1) ** exponent
    ranks = rng.permutation(facts)
    chosen = ranks[rng.choice(facts, size=count, p=popularity / popularity.sum())]
    return list(zip(chosen.tolist(), rng.integers(0, wordings, count).tolist(), strict=True))


def caching(
    line: Timeline,
    *,
    requests: int = 1000,
    exponent: float = 1.0,
    memories: Sequence[str] = tuple(MEMORIES),
    model: str = "embedded",
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Caching:
    """Send the same requests to RAG with and without a memory, before and after a change.

    Parameters
    ----------
    line : Timeline
        Asked on its first and on its last day, about the facts that both days know.
    requests : int
        On each of the two days.
    exponent : float
        Of their popularity, see `traffic`.
    memories : sequence of str
        Of `MEMORIES`.
    model, base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        An unknown memory or one twice, a number out of range, or a timeline of one day.
    """
    if not memories or len(set(memories)) < len(memories) or set(memories) - set(MEMORIES):
        raise RagftError(
            f"caching: memories={list(memories)}: choose of {', '.join(MEMORIES)}, none twice"
        )
    if len(line.days) < 2 or requests < 1:
        raise RagftError(
            f"caching: {line.name} has {len(line.days)} days and {requests} requests are wanted; "
            "give 2 days and 1 request or more"
        )
    sizes = profile(base, model=str(model))
    sizes = replace(sizes, seeds=sizes.seeds[:1])
    work = _Work(line, sizes, Records(out, smoke=sizes.name == "smoke"), requests, exponent)
    return run_cells(
        Caching,
        "caching",
        [tuple(memories)],
        work.key,
        work.compute,
        lambda frames, _: _summed_up(frames, sizes),
        records=work.grids[0].records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "version": VERSION},
        parameters={"corpus": line.name, "requests": requests, "exponent": exponent,
                    "memories": list(memories), "facts": len(work.facts)},
        hashes={"corpus": line.corpus.content_hash, "model": work.grids[0].model_hash},
        progress=progress,
    )  # fmt: skip


class _Work:
    """The one cell of a caching experiment: all memories together."""

    def __init__(
        self, line: Timeline, sizes: Profile, records: Records, requests: int, exponent: float
    ) -> None:
        self.line, self.sizes = line, sizes
        self.days: tuple[date, date] = (line.days[0], line.days[-1])
        self.grids = [
            Grid(task_on(line, day), sizes, records, line.corpus, timed=0) for day in self.days
        ]
        self.wordings = (line.asked_wording, *line.training_wordings)
        self.facts = self._known_on_both()
        # One draw, so that what is popular on the first day is so on the last.
        drawn = traffic(len(self.facts), len(self.wordings), 2 * requests, exponent)
        self.traffic = (drawn[:requests], drawn[requests:])
        self.settings = {"requests": requests, "exponent": exponent}

    def _known_on_both(self) -> list[str]:
        """Return the ids of the facts that hold on both days, whatever their values."""
        first, last = (
            {q.id for q in self.line.ask(day, self.line.asked_wording)} for day in self.days
        )
        return [i for i in self.line.groups if i in first & last]

    def key(self, *names: str) -> str:
        """Return the key of the cell of some memories: of another machine it is another."""
        chosen = {name: MEMORIES[name] for name in names}
        what = {"cell": "caching", "version": VERSION, **self.settings, **machine()}
        what |= {"memories": {name: asdict(m) if m else None for name, m in chosen.items()}}
        seed = self.sizes.seeds[0]
        return content_key({**what, "grids": [grid.key("rag", seed) for grid in self.grids]})

    def compute(self, *names: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Send all requests, the index brought up to date between the two phases.

        Every request goes to all memories in turn, so that a machine that is slower for a while
        is so for all of them.
        """
        import pandas as pd

        library = self.grids[0].new_library()
        lines = [self._line(name, library) for name in names]
        rows = []
        for phase, grid, requests in zip(PHASES, self.grids, self.traffic, strict=True):
            library.prepare(grid.task.corpus)
            for line in lines:
                line.arm.answer(grid.task.asked[:1])  # to warm up; no memory sees it
                if phase == "after" and line.memory is not None and line.memory.forgets:
                    line.asked.forget()
            rows += self._sent(lines, grid, phase, requests)
        return pd.DataFrame(rows), {}

    def _line(self, name: str, library: Library) -> _Line:
        """Return an arm behind one memory; all search the same index."""
        memory, arm = MEMORIES[name], self.grids[0].build("rag", self.sizes.seeds[0])
        arm.library = library
        if memory is None:
            return _Line(name, None, arm, arm, None)
        if memory.prefixes:
            return _Line(name, memory, arm, arm, PrefixCache(memory.prefixes))
        embedder = None if memory.threshold is None else library.index.embedder
        asked = Cached(arm, embedder, threshold=memory.threshold or 1.0)
        return _Line(name, memory, arm, asked, None)

    def _sent(
        self,
        lines: Sequence[_Line],
        grid: Grid,
        phase: str,
        requests: Sequence[tuple[int, int]],
    ) -> list[dict[str, Any]]:
        """Send the requests of one phase to every line; return a row each."""
        from ragft.evaluation.outcomes import judge

        day = grid.task.day
        worded = [{q.id: q for q in self.line.ask(day, wording)} for wording in self.wordings]
        rows = []
        for number, (fact, wording) in enumerate(requests):
            question: Question = worded[wording][self.facts[fact]]
            first = number % len(lines)  # none always comes after the same other one
            for line in (*lines[first:], *lines[:first]):
                answer, ms, reused = line.send(question)
                rows.append(
                    {
                        "memory": line.name,
                        "phase": phase,
                        "number": number,
                        "question_id": question.id,
                        "outcome": judge(question, answer, day, facts=grid.book).outcome,
                        "hit": from_memory(answer),
                        "retrieval": sum(answer.stage_ms.get(stage, 0.0) for stage in RETRIEVAL),
                        "prefill": answer.stage_ms.get("prefill", 0.0),
                        "reused": reused / max(answer.prompt_tokens, 1),
                        "total": ms,
                    }
                )
        rows.sort(key=lambda row: [line.name for line in lines].index(row["memory"]))
        return rows


@dataclass
class _Line:
    """An arm behind one memory."""

    name: str
    memory: Memory | None
    arm: Arm
    asked: Arm
    """What requests are sent to: the arm, or the memory before it."""
    prefixes: PrefixCache | None

    def send(self, question: Question) -> tuple[Answer, float, float]:
        """Return the answer, its milliseconds, and the prompt's tokens that were not read anew."""
        if self.prefixes is None:
            with stopwatch() as watch:
                (answer,) = self.asked.answer([question])
            return answer, watch.ms, float("nan")
        before, model = self.prefixes.reused, self.arm.model
        model.prefixes = self.prefixes
        try:
            with stopwatch() as watch:
                (answer,) = self.asked.answer([question])
        finally:
            model.prefixes = None  # all lines have the same model
        return answer, watch.ms, self.prefixes.reused - before


def _summed_up(
    frames: Sequence[pd.DataFrame], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    requests = pd.concat(frames, ignore_index=True)
    requests["right"] = requests["outcome"].eq("correct") * 1.0
    requests["stale"] = requests["outcome"].eq("stale") * 1.0
    plain = requests[requests["memory"] == NONE].set_index(["phase", "number"])["right"]
    places = pd.MultiIndex.from_frame(requests[["phase", "number"]])
    itself = plain.reindex(places).to_numpy()
    # Of a hit alone, and only where it is known what RAG itself would have said.
    harm = (requests["right"].eq(0) & (itself == 1)) * 1.0
    requests["wrong_hit"] = harm.where(requests["hit"] & ~np.isnan(itself))
    groups = requests.groupby(["memory", "phase"], sort=False)
    rows = [
        {"memory": memory, "phase": phase, "requests": len(part), **_means(part)}
        for (memory, phase), part in groups
    ]
    return requests, {"summary": rows, "quantities": _quantities(dict(list(groups)), sizes)}


def _means(part: pd.DataFrame) -> dict[str, float | None]:
    """Return the means of one memory in one phase; None where nothing is defined."""
    named = {"hit": "hit", "right": "right", "stale": "stale", "wrong_hit": "wrong_hit"}
    named |= {"reused": "reused", "prefill": "prefill_ms"}
    named |= {"retrieval": "retrieval_ms", "total": "total_ms"}
    return {
        name: float(part[column].mean()) if part[column].notna().any() else None
        for column, name in named.items()
    }


def _quantities(
    parts: Mapping[tuple[str, str], pd.DataFrame], sizes: Profile
) -> dict[str, dict[str, Any]]:
    """Return what the ledger and the tables read; what was not measured is left out."""
    options = {"level": sizes.level, "n_boot": sizes.n_boot}
    ratios: dict[str, Interval | None] = {}
    shares: dict[str, Interval | None] = {}
    without = parts.get((NONE, "before"))
    for name, memory in MEMORIES.items():
        mine = [parts.get((name, phase)) for phase in PHASES]
        if memory is None or any(part is None for part in mine):
            continue
        if memory.prefixes:
            if without is not None:
                both = (mine[0]["prefill"], without["prefill"])
                found = mean_ratio(*both, without["question_id"], **options)
                ratios["reading_time_prefixes_over_none"] = found
            continue
        short = name.replace(",", "").replace(" ", "_").replace(".", "")
        for phase, part in zip(PHASES, mine, strict=True):
            clusters = part["question_id"].tolist()
            shares[f"hits_{short}_{phase}"] = mean_interval(part["hit"] * 1.0, clusters, **options)
            shares[f"wrong_hits_{short}_{phase}"] = mean_interval(
                part["wrong_hit"], clusters, **options
            )
        if without is not None:
            both = (mine[0]["retrieval"], without["retrieval"])
            ratios[f"retrieval_time_{short}"] = mean_ratio(*both, without["question_id"], **options)
    if "retrieval_time_same_words" in ratios:  # L8, by the memory that can never mistake a question
        ratios["retrieval_time_cached_over_uncached"] = ratios.pop("retrieval_time_same_words")
    return effects.quantities(ratios, "ratio") | effects.quantities(shares)
