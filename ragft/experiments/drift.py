"""Index and adapter made at one release, asked at the next ones: real facts that moved on.

The same facts are asked on every release day. What was prepared at the first day stays as
it was, or is refreshed; what was true once and is still said shows as stale.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.corpora import packages
from ragft.corpora.corpus import Corpus
from ragft.evaluation.text import same_value
from ragft.experiments.evaluate import score_matrix
from ragft.experiments.grid import Grid
from ragft.experiments.tasks import Task
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.types import Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

LINES: tuple[tuple[str, str], ...] = (
    ("prompt", ""),
    ("rag", "never"),
    ("rag", "refreshed"),
    ("finetuned", "never"),
    ("finetuned_rag", "never"),
    ("oracle", ""),
    ("prior", ""),
)
"""(arm, upkeep): 'never' keeps what was prepared at the first day, 'refreshed' follows."""

MEASURES = ("accuracy", "stale", "confused", "fabricated", "abstained")


@dataclass(frozen=True)
class Drift:
    """What a drift experiment found."""

    summary: pd.DataFrame
    """One row per arm × policy × day × measure, with mean, low, high, n; `group` tells all
    facts from those that changed after the first day."""
    answers: pd.DataFrame
    folder: Path
    record: dict[str, Any]


def known_on(corpus: Corpus, day: date) -> Corpus:
    """Return what an index made on `day` holds: what was in force, its end not yet known."""
    held = [replace(d, valid_to=None) for d in corpus.documents if d.holds_on(day)]
    facts = [replace(f, valid_to=None) for f in corpus.facts if f.holds_on(day)]
    return Corpus(tuple(held), tuple(facts), name=f"{corpus.name} as known on {day}")


def followed(corpus: Corpus, days: Sequence[date], count: int, seed: int = 0) -> dict[str, bool]:
    """Choose the facts to follow: those that change after the first day first, then others.

    Returns
    -------
    dict of str to bool
        Key of the fact ('qualified name:parameter') and whether it changes later; at most
        `count`, in an order drawn from `seed`.
    """
    start = packages.values_on(corpus, days[0])
    later = [packages.values_on(corpus, day) for day in days[1:]]
    moves = {k for k, v in start.items() if any(not same_value(now.get(k, v), v) for now in later)}
    keys = sorted(start)
    random.Random(f"followed-{seed}").shuffle(keys)
    keys.sort(key=lambda k: k not in moves)
    return {key: key in moves for key in keys[:count]}


def asked_on(
    corpus: Corpus, facts: dict[str, bool], day: date, wording: int
) -> tuple[Question, ...]:
    """Ask about the facts that still exist on `day`."""
    questions = packages.questions_about(corpus, list(facts), day, wording=wording)
    return tuple(
        replace(q, metadata={**q.metadata, "changed": facts[q.metadata["key"]]}) for q in questions
    )


class _Timeline:
    """One package, its release days, and the grids that answer on them."""

    def __init__(self, spec: str, facts: int, sizes: Profile, records: Records) -> None:
        name, versions = packages.parse_package_spec(spec)
        self.corpus = packages.package_history(name, versions)
        self.spec, self.sizes, self.records = spec, sizes, records
        self.days = [d for d in sorted(self.corpus.days) if self._starts(d)]
        if len(self.days) < 2:
            raise RagftError(f"packages:{spec}: one release only; drift needs two or more")
        held_out, *_ = packages.HELD_OUT_WORDINGS
        chosen = followed(self.corpus, self.days, facts)
        self.asked = {day: asked_on(self.corpus, chosen, day, held_out) for day in self.days}
        self.taught = tuple(
            q
            for wording in packages.TRAINING_WORDINGS[: sizes.wordings]
            for q in asked_on(self.corpus, chosen, self.days[0], wording)
        )

    def _starts(self, day: date) -> bool:
        return any(d.valid_from == day for d in self.corpus.documents)

    @cached_property
    def grids(self) -> dict[tuple[str, date], Grid]:
        """Return a grid for each (upkeep, day): what is in the index, and what is asked."""
        found = {}
        stale = known_on(self.corpus, self.days[0])
        for day in self.days:
            fresh = known_on(self.corpus, day)
            for policy, corpus in (("never", stale), ("refreshed", fresh)):
                task = Task(f"packages:{self.spec}", corpus, day, self.asked[day], self.taught)
                found[policy, day] = Grid(task, self.sizes, self.records, self.corpus, timed=0)
        return found

    def cells(self, lines: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, date, int]]:
        for arm, policy in lines:
            seeds = self.sizes.seeds if arm.startswith("finetuned") else self.sizes.seeds[:1]
            yield from ((arm, policy, day, seed) for day in self.days for seed in seeds)


def drift(
    package: str = "scikit-learn",
    *,
    lines: Sequence[tuple[str, str]] = LINES,
    model: str = "embedded",
    seeds: Sequence[int] = (0,),
    facts: int = 200,
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Drift:
    """Prepare every arm at a package's first release and ask it at all releases.

    Parameters
    ----------
    package : str
        'NAME' or 'NAME==V1,V2,…'; at least two releases.
    lines : sequence of (arm, upkeep)
        See `LINES`.
    model, seeds, facts, base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        A package with one release, an unknown arm, or what `package_history` raises.
    """
    from tqdm.auto import tqdm

    sizes = profile(base, model=str(model), seeds=tuple(seeds), facts=facts)
    timeline = _Timeline(package, facts, sizes, Records(out, smoke=sizes.name == "smoke"))
    cells = list(timeline.cells(lines))
    grids = timeline.grids
    keys = [grids[policy or "refreshed", day].key(arm, seed) for arm, policy, day, seed in cells]
    run = timeline.records.open(
        "drift",
        content_key({"cells": keys, "n_boot": sizes.n_boot, "level": sizes.level}),
        parameters={"package": package, "days": [d.isoformat() for d in timeline.days]},
        profile=sizes,
        seeds=sizes.seeds,
        hashes={"corpus": timeline.corpus.content_hash},
    )
    if not run.finished:
        frames = []
        for (arm, policy, day, seed), key in tqdm(
            list(zip(cells, keys, strict=True)), desc="drift", unit="cell", disable=not progress
        ):
            grid = grids[policy or "refreshed", day]
            frame, _ = run.cached(key, lambda g=grid, a=arm, s=seed: g.compute(a, s))
            frames.append(frame.assign(condition=policy))
        run.finish(*_summed_up(frames, sizes))
    record, answers = run.load()
    return Drift(summary_frame(record["results"]["summary"]), answers, run.folder, record)


def summary_frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the summary of a record as a frame, its days as dates."""
    import pandas as pd

    frame = pd.DataFrame(rows)
    return frame.assign(day=pd.to_datetime(frame["day"]))


def _summed_up(
    frames: Sequence[pd.DataFrame], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    from ragft.evaluation.outcomes import score_columns
    from ragft.evaluation.statistics import seed_interval

    answers = pd.concat(frames, ignore_index=True)
    where = ["arm", "condition", "day", "seed", "question_id", "cluster", "changed"]
    scores = score_columns(answers).rename(columns={"correct": "accuracy"})
    scored = pd.concat([answers[where], scores], axis=1)
    rows = []
    for group, mine in (("all", scored), ("changed", scored[scored["changed"]])):
        for (arm, policy, day), part in mine.groupby(["arm", "condition", "day"], sort=False):
            place = {"group": group, "arm": arm, "policy": policy, "day": day}
            for measure in MEASURES:
                found = seed_interval(*score_matrix(part, measure), sizes.level, sizes.n_boot)
                rows += [{**place, "measure": measure, **asdict(found)}]
    return answers, {"summary": rows}
