"""What keeping an arm up and asking it costs: passages embedded, tokens trained, time.

All of it is measured once more, on an index that starts empty and has no cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ragft.experiments.embedder import vector_dtype
from ragft.experiments.freshness_cells import Line, Work
from ragft.experiments.upkeep import Policy, refresh_costs, upkeep_share
from ragft.profiles import Profile
from ragft.records import content_key
from ragft.types import RefreshCost

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ragft.training.finetune import FinetuneResult

TIMED = 40
"""Questions of day 0 that each arm is asked one at a time, for its latency."""


class Costs:
    """What the lines of a freshness experiment cost."""

    def __init__(self, work: Work) -> None:
        self.work, self.timeline, self.sizes = work, work.timeline, work.sizes

    def upkeep(self, lines: Sequence[Line]) -> list[dict[str, Any]]:
        """Return what each line's upkeep has cost up to each measured day, means over seeds."""
        rows = []
        policies = [self.work.policy(*line) for line in lines]
        for (arm, name), policy in zip(lines, policies, strict=True):
            index = []
            if arm in ("rag", "raft", "finetuned_rag"):
                index = self._index_costs(_measured_as(policy, policies))
                index = index[:1] if policy.index == "never" else index
            for day in self.timeline.days:
                spent = sum((c for d, c in index if d <= day), RefreshCost())
                trained = self._training_costs(policy, day)
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
            self._index_costs(self.work.policy(*line)),
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
        key = content_key(
            {"cell": "latency", "of": self.work.key(arm, name, start, seed), "n": TIMED}
        )

        def compute() -> tuple[pd.DataFrame, dict]:
            grid = self.work.grid_on(start, False, start)
            built = grid.build(arm, seed)
            built.adapter = self.work.adapter(arm, name, start, seed)
            built.prepare(grid.task.corpus)
            return pd.DataFrame({"ms": grid.latencies(built, TIMED)}), {}

        return self.work.records.cached(key, compute)[0]["ms"].to_numpy()

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
            found = refresh_costs(policy, self.timeline, self.work.grid.new_library(cached=False))
            return pd.DataFrame([{"day": d.isoformat(), **asdict(c)} for d, c in found]), {}

        frame, _ = self.work.records.cached(key, compute)
        rows = frame.to_dict("records")
        return [
            (date.fromisoformat(row["day"]), RefreshCost(**{k: row[k] for k in row if k != "day"}))
            for row in rows
        ]

    def _training_costs(self, policy: Policy, day: date) -> dict[str, float]:
        trained: list[list[FinetuneResult]] = []
        if policy.adapter:
            trained = [self.work.upkeep(seed).adapters(policy, day) for seed in self.sizes.seeds]
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
