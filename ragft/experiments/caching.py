"""Caching: what a memory of earlier answers saves under popular questions, and what it gets wrong.

Requests come one after the other, popular facts more often, in several wordings; halfway the
documents change and the index follows at once. The same requests go to RAG without a memory and
with each kind of it (`arms.cached`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.arms.cached import STAGE, Cached, from_memory
from ragft.evaluation.ratios import mean_ratio
from ragft.evaluation.statistics import Interval, mean_interval
from ragft.experiments import effects
from ragft.experiments.cells import run_cells
from ragft.experiments.freshness import task_on
from ragft.experiments.grid import Grid
from ragft.experiments.timeline import Timeline
from ragft.generation.prefixes import PrefixCache
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.runtime import machine, stopwatch
from ragft.types import Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.base import Arm


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
VERSION = 2
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


@dataclass(frozen=True)
class Caching:
    """What a caching experiment found; the frames are those of the record."""

    summary: pd.DataFrame
    """One row per memory × phase: shares of requests that were hits, right and stale, share of
    the hits that are wrong where RAG itself is right, share of the prompt tokens that need not
    have been read again, mean milliseconds."""
    requests: pd.DataFrame
    """One row per memory × request."""
    quantities: dict[str, Any]
    folder: Path
    record: dict[str, Any]


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
    found = run_cells(
        "caching",
        [(name,) for name in memories],
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
    import pandas as pd

    summary = pd.DataFrame(found.results["summary"])
    return Caching(summary, found.answers, found.results["quantities"], found.folder, found.record)


class _Work:
    """The cells of one caching experiment, one a kind of memory."""

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

    def key(self, name: str) -> str:
        """Return the key of a cell: of another machine it is another."""
        memory = MEMORIES[name]
        what = {"cell": "caching", "version": VERSION, **self.settings, **machine()}
        what |= {"memory": asdict(memory) if memory else None}
        seed = self.sizes.seeds[0]
        return content_key({**what, "grids": [grid.key("rag", seed) for grid in self.grids]})

    def compute(self, name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Send all requests, the index brought up to date between the two phases."""
        import pandas as pd

        memory, arm = MEMORIES[name], self.grids[0].build("rag", self.sizes.seeds[0])
        arm.library = self.grids[0].new_library()
        asked, prefixes = arm, None
        if memory is not None and memory.prefixes:
            prefixes = PrefixCache(memory.prefixes)
        elif memory is not None:
            embedder = None if memory.threshold is None else arm.library.index.embedder
            asked = Cached(arm, embedder, threshold=memory.threshold or 1.0)
        rows = []
        for phase, grid, requests in zip(PHASES, self.grids, self.traffic, strict=True):
            arm.library.prepare(grid.task.corpus)
            arm.answer(grid.task.asked[:1])  # to warm up; no memory sees it
            if phase == "after" and memory is not None and memory.forgets:
                asked.forget()
            if prefixes is not None:
                arm.model.prefixes = prefixes
            rows += self._sent(asked, grid, phase, requests, prefixes)
            if prefixes is not None:
                arm.model.prefixes = None  # other cells' arms have the same model
        return pd.DataFrame(rows).assign(memory=name), {}

    def _sent(
        self,
        asked: Arm,
        grid: Grid,
        phase: str,
        requests: Sequence[tuple[int, int]],
        prefixes: PrefixCache | None,
    ) -> list[dict[str, Any]]:
        """Send the requests of one phase; return a row each."""
        from ragft.evaluation.outcomes import judge

        day = grid.task.day
        worded = [{q.id: q for q in self.line.ask(day, wording)} for wording in self.wordings]
        rows = []
        for number, (fact, wording) in enumerate(requests):
            before = float("nan") if prefixes is None else prefixes.reused
            question: Question = worded[wording][self.facts[fact]]
            with stopwatch() as watch:
                (answer,) = asked.answer([question])
            rows.append(
                {
                    "phase": phase,
                    "number": number,
                    "question_id": question.id,
                    "outcome": judge(question, answer, day, facts=grid.book).outcome,
                    "hit": from_memory(answer),
                    "retrieval": sum(answer.stage_ms.get(stage, 0.0) for stage in RETRIEVAL),
                    "prefill": answer.stage_ms.get("prefill", 0.0),
                    "reused": ((prefixes.reused if prefixes else 0) - before)
                    / max(answer.prompt_tokens, 1),
                    "total": watch.ms,
                }
            )
        return rows


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
