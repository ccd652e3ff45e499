"""Throughput: how many questions a second an arm can take and still answer in time.

Load is offered by `load`, on the real clock: what this finds holds for one machine with nothing
else running on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.evaluation.statistics import Comparison, Interval
from ragft.experiments import effects
from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.grid import Grid
from ragft.experiments.load import (
    Capacity,
    Clock,
    Load,
    WallClock,
    answering,
    highest_load,
    offer,
    poisson_arrivals,
)
from ragft.experiments.tasks import Task
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.runtime import machine, stopwatch
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

ARMS = ("prompt", "rag", "finetuned", "finetuned_rag", "raft")
QUANTILES = (0.5, 0.95, 0.99)
LIGHT, HEAVY = 0.2, 1.4
"""Loads between which is searched, as shares of what one server can answer without a pause."""
WARM_UP = 3
"""Questions asked before anything is timed."""
GRACE = 2.0
"""A run ends after this many times its window; what waits then is never answered."""
VERSION = 3
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


class Throughput(Finished):
    """What a throughput experiment found.

    `answers` has one row per request: arm, rate, intended, started, finished, in seconds.
    """

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row per arm × offered load.

        Quantiles of the latency in seconds with their limits, goodput, and whether the queue grew.
        """
        return _numbers(self.results["curves"])

    @cached_property
    def capacities(self) -> pd.DataFrame:
        """One row per arm: the highest load within the limit, what lies surely below and above."""
        return _numbers(self.results["capacities"])


def throughput(
    task: Task,
    *,
    arms: Sequence[str] = ARMS,
    limit: float = 1.0,
    seconds: float = 30.0,
    steps: int = 6,
    batch: int = 1,
    model: str = "embedded",
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
    clock: Clock | None = None,
) -> Throughput:
    """Offer every arm more and more load, and find the highest that meets a limit.

    Parameters
    ----------
    task : Task
    arms : sequence of str
        Of `ARMS`; each is trained once, with the first seed of the profile.
    limit : float
        Seconds within which 95 % of the questions must be answered.
    seconds : float
        Length of every run.
    steps : int
        Loads tried between a light and a heavy one.
    batch : int
        Questions that are answered together, at most.
    model, base, out, progress
        As for `compare`.
    clock : Clock, optional
        None: the real one.

    Raises
    ------
    RagftError
        An unknown arm or one twice, a limit or length that is not above 0, or nothing to ask.
    """
    if not arms or len(set(arms)) < len(arms) or set(arms) - set(ARMS):
        raise RagftError(f"throughput: arms={list(arms)}: choose of {', '.join(ARMS)}, none twice")
    if not (0 < limit < math.inf and 0 < seconds < math.inf) or steps < 0:
        raise RagftError(
            f"throughput: limit={limit} and seconds={seconds} must be above 0, steps={steps} not "
            "below"
        )
    sizes = profile(base, model=str(model))
    sizes = replace(sizes, seeds=sizes.seeds[:1])
    records = Records(out, smoke=sizes.name == "smoke")
    work = _Work(task, sizes, records, (limit, seconds, steps, batch), clock or WallClock())
    return run_cells(
        Throughput,
        "throughput",
        [(arm,) for arm in arms],
        work.key,
        work.compute,
        lambda frames, notes: _summed_up(frames, notes, limit, seconds),
        records=records,
        sizes=sizes,
        settings={"version": VERSION, "limit": limit},
        parameters={"corpus": task.name, "arms": list(arms), "limit": limit, "seconds": seconds,
                    "steps": steps, "batch": batch, **task.counts},
        hashes={"corpus": task.content_hash, "model": work.grid.model_hash},
        progress=progress,
    )  # fmt: skip


class _Work:
    """The cells of one throughput experiment, one an arm."""

    def __init__(
        self, task: Task, sizes: Profile, records: Records, settings: tuple, clock: Clock
    ) -> None:
        self.task, self.sizes, self.settings, self.clock = task, sizes, settings, clock
        self.grid = Grid(task, sizes, records, timed=0)
        if not task.asked:
            raise RagftError(f"{task.name}: there is nothing to ask")

    def key(self, arm: str) -> str:
        """Return the key of a cell: of another machine it is another."""
        what = {"cell": "throughput", "version": VERSION, "settings": self.settings, **machine()}
        return content_key({**what, "grid": self.grid.key(arm, self.sizes.seeds[0])})

    def compute(self, arm: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Search for the highest load of an arm, and keep every request on the way."""
        import pandas as pd

        limit, seconds, steps, batch = self.settings
        serve = answering(self.grid.prepared(arm, self.sizes.seeds[0]), self.task.asked)
        alone = self._service_seconds(serve)
        runs: list[pd.DataFrame] = []

        def measure(rate: float) -> Load:
            arrivals = poisson_arrivals(rate, seconds, seed=len(runs))
            load = offer(
                serve, arrivals, seconds, batch=batch, time_limit=GRACE * seconds, clock=self.clock
            )
            columns = {n: getattr(load, n) for n in ("intended", "started", "finished", "free")}
            runs.append(pd.DataFrame({"rate": rate, **columns}))
            return load

        found = highest_load(measure, limit, LIGHT / alone, HEAVY * batch / alone, steps=steps)
        frame = pd.concat(runs, ignore_index=True).assign(arm=arm)
        return frame, {"arm": arm, "service_seconds": alone, "capacity": _told(found)}

    def _service_seconds(self, serve: Any, count: int = 10) -> float:
        """Return the median time of one question on an idle server."""
        times = []
        for number in range(WARM_UP + count):
            before = self.clock.now()
            with stopwatch():  # which waits for a GPU
                serve([number])
            times.append(self.clock.now() - before)
        return float(np.median(times[WARM_UP:]))


def _told(found: Capacity) -> dict[str, float | None]:
    """Return a capacity as a record holds it."""
    values = {"rate": found.rate, "low": found.low, "high": found.high}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _numbers(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame, what is undefined as NaN."""
    import pandas as pd

    return pd.DataFrame(rows).map(lambda x: math.nan if x is None else x)


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[dict[str, Any]], limit: float, seconds: float
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    requests = pd.concat(frames, ignore_index=True)
    curves = [
        _point(arm, rate, _load(part, seconds), limit)
        for (arm, rate), part in requests.groupby(["arm", "rate"], sort=False)
    ]
    capacities = [
        {"arm": note["arm"], **note["capacity"], "service_seconds": note["service_seconds"]}
        for note in notes
    ]
    counts = requests.groupby("arm").size()
    by_arm = {row["arm"]: row for row in capacities}
    found = {f"capacity_{a}": _interval(row, counts.get(a, 0)) for a, row in by_arm.items()}
    ratio = _goodput_ratio(by_arm.get("finetuned"), by_arm.get("rag"), len(requests))
    quantities = effects.quantities(found, "questions a second")
    quantities |= effects.quantities({"goodput_finetuned_over_rag": ratio}, "ratio")
    return requests, {"curves": curves, "capacities": capacities, "quantities": quantities}


def _load(part: pd.DataFrame, seconds: float) -> Load:
    columns = (part[name].to_numpy() for name in ("intended", "started", "finished", "free"))
    return Load(*columns, seconds=seconds)


def _point(arm: str, rate: float, load: Load, limit: float) -> dict[str, Any]:
    """Return one point of a curve; a quantile of what was never answered is None."""
    point = {"arm": arm, "rate": rate, "n": len(load.intended), "grew": load.grew}
    point["goodput"] = load.goodput(limit)
    for q in QUANTILES:
        found = load.quantile(q)
        for name in ("value", "low", "high"):
            value = getattr(found, name)
            point[f"p{q * 100:.0f}_{name}"] = value if math.isfinite(value) else None
    return point


def _interval(row: dict[str, Any], n: Any) -> Interval | None:
    """Return a highest load with what lies surely on either side; None where none met the limit."""
    if row["rate"] is None:
        return None
    low, high = (math.nan if row[name] is None else row[name] for name in ("low", "high"))
    return Interval(row["rate"], low, high, int(n), method="bracket")


def _goodput_ratio(
    over: dict[str, Any] | None, under: dict[str, Any] | None, n: int
) -> Comparison | None:
    """L3: highest load within the limit, one arm / the other, in the worst case either way."""
    if over is None or under is None or None in (over["rate"], under["rate"]):
        return None

    def divided(top: float | None, bottom: float | None) -> float:
        return math.nan if top is None or not bottom else top / bottom

    low, high = divided(over["low"], under["high"]), divided(over["high"], under["low"])
    one, two = over["rate"], under["rate"]
    return Comparison(one / two, low, high, n, method="bracket", one=one, two=two)
