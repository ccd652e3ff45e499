"""Freshness drift: arms prepared on day 0, kept up by a policy or not, asked on later days.

The same facts are asked on every measured day. What a policy lets an arm know on a day is
decided in `upkeep`, what is true on it in `timeline`, who answers in `freshness_cells`; here the
answers are summed up, and the numbers that the ledger reads are made in `freshness_effects`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.experiments.cells import Finished, distinct, frame, run_cells
from ragft.experiments.evaluate import score_matrix, scored
from ragft.experiments.freshness_cells import Line, Work
from ragft.experiments.freshness_costs import Costs
from ragft.experiments.freshness_effects import quantities
from ragft.experiments.timeline import Timeline, package_timeline
from ragft.experiments.upkeep import POLICIES
from ragft.profiles import Profile, profile
from ragft.records import Records
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd


MEASURES = (
    "accuracy", "stale", "confused", "fabricated", "abstained", "hallucination", "precision",
)  # fmt: skip
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
REPLICATED: tuple[Line, ...] = tuple(
    (arm, name) for arm, name in FULL if POLICIES[arm][name].adapter in ("", "never")
)
"""Lines that tell whether another world leads to the same: all but those that train again and
again, which take three quarters of the time."""
VERSION = 2
"""Raised when the meaning of a number changes, so that older records are not reused."""


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
    work = Work(timeline, sizes, Records(out, smoke=sizes.name == "smoke"))
    cells, costs = work.cells(lines), Costs(work)

    def sum_up(frames: list[pd.DataFrame], notes: list[dict]) -> tuple[pd.DataFrame, dict]:
        named = [
            part.assign(condition=name) for (_, name, *_), part in zip(cells, frames, strict=True)
        ]
        answers, results = _summed_up(named, timeline, sizes)
        results["costs"] = costs.upkeep(lines) if timed else []
        results["latencies"] = costs.latencies(lines) if timed else []
        results["quantities"] |= costs.upkeep_share(lines) if timed else {}
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
        settings={"summary": {"n_boot": sizes.n_boot, "level": sizes.level}, "timed": timed,
                  "version": VERSION},
        parameters={
            "timeline": timeline.name,
            "days": [day.isoformat() for day in timeline.days],
            "lines": [list(line) for line in lines],
            "facts": dict(Counter(timeline.groups.values())),
            "population": dict(timeline.population),
        },
        hashes={"corpus": timeline.corpus.content_hash, "model": work.grid.model_hash},
        progress=progress,
    )  # fmt: skip


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

    made = frame(rows)
    return made if made.empty else made.assign(day=pd.to_datetime(made["day"]))


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
