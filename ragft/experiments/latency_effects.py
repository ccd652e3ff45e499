"""The numbers that the ledger reads from a latency experiment.

Each is computed from single times, paired by question; one whose arms or points the experiment
does not have is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragft.evaluation.quantiles import quantile
from ragft.evaluation.ratios import mean_ratio, quantile_ratio
from ragft.evaluation.statistics import Interval
from ragft.experiments import effects
from ragft.generation.base import SERVED
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

STAGES = ("embed", "search", "prefill", "decode", "own")
"""Where the time goes; 'own' is all that is neither model nor index."""
SERVER_STAGES = (*STAGES[:2], SERVED, STAGES[-1])
"""The same where the model is on a server: what it does in its time cannot be told."""
SEARCH = ("embed", "search")
"""The stages that only retrieval has."""
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Timed:
    """Single times of an experiment, and how its intervals are made."""

    rows: pd.DataFrame
    sizes: Profile

    def part(self, arm: str, axis: str = "batch", value: int = 1) -> pd.DataFrame | None:
        """Return the rows of one point, one a question; None where it was not measured."""
        rows = self.rows
        mine = rows[(rows["arm"] == arm) & (rows["axis"] == axis) & (rows["value"] == value)]
        return None if mine.empty else mine.reset_index(drop=True)

    def largest(self, arm: str) -> pd.DataFrame | None:
        """Return the rows of an arm at the largest index; None where none was measured."""
        rows = self.rows[(self.rows["arm"] == arm) & (self.rows["axis"] == "index")]
        return None if rows.empty else self.part(arm, "index", rows["value"].max())

    @property
    def options(self) -> dict[str, Any]:
        """Level and number of resamples."""
        return {"level": self.sizes.level, "n_boot": self.sizes.n_boot}

    def median_seconds(self, rows: pd.DataFrame, stages: Sequence[str]) -> Interval:
        """Return the median of some stages together, in seconds."""
        seconds = rows[list(stages)].sum(axis=1) / 1000
        found = quantile(seconds, 0.5, rows["question_id"], **self.options)
        return Interval(found.value, found.low, found.high, found.n, clusters=found.clusters)


def quantities(times: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    times : pandas.DataFrame
        As `latency.Latency.times`; the questions of every point in the same order.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, method and `unit` ('ratio' or 'seconds').
    """
    timed = Timed(times, sizes)
    ratios = {name: effect(timed) for name, effect in RATIOS.items()}
    seconds = {name: effect(timed) for name, effect in SECONDS.items()}
    return effects.quantities(ratios, "ratio") | effects.quantities(seconds, "seconds")


def latency_rag_over_finetuned(timed: Timed) -> Interval | None:
    """L1: median time to a whole answer, RAG over the largest index / fine-tuned."""
    rag, tuned = timed.largest("rag"), timed.part("finetuned")
    if rag is None or tuned is None:
        return None
    return quantile_ratio(rag["total"], tuned["total"], 0.5, rag["question_id"], **timed.options)


def prompt_tokens_rag_over_finetuned(timed: Timed) -> Interval | None:
    """L6: prompt tokens of an answered question, RAG / fine-tuned."""
    rag, tuned = timed.part("rag"), timed.part("finetuned")
    if rag is None or tuned is None:
        return None
    return mean_ratio(
        rag["prompt_tokens"], tuned["prompt_tokens"], rag["question_id"], **timed.options
    )


def retrieval_seconds(timed: Timed) -> Interval | None:
    """L2: median time of embedding the question and searching the largest index."""
    rag = timed.largest("rag")
    return None if rag is None else timed.median_seconds(rag, SEARCH)


def slower_of_decode_and_search_seconds(timed: Timed) -> Interval | None:
    """L4: the larger of the medians of decoding (fine-tuned) and searching (largest index)."""
    rag, tuned = timed.largest("rag"), timed.part("finetuned")
    if rag is None or tuned is None:
        return None
    both = (timed.median_seconds(rag, ["search"]), timed.median_seconds(tuned, ["decode"]))
    return max(both, key=lambda found: found.mean)


def largest_own_share(timed: Timed) -> Interval | None:
    """Share of an arm's time that is neither model nor index, one question at a time: the most."""
    parts = [timed.part(arm) for arm in dict.fromkeys(timed.rows["arm"])]
    shares = [
        mean_ratio(part["own"], part["total"], part["question_id"], **timed.options)
        for part in parts
        if part is not None
    ]
    return max(shares, key=lambda found: found.mean, default=None)


RATIOS: dict[str, Callable[[Timed], Interval | None]] = {
    effect.__name__: effect
    for effect in (latency_rag_over_finetuned, prompt_tokens_rag_over_finetuned, largest_own_share)
}
SECONDS: dict[str, Callable[[Timed], Interval | None]] = {
    effect.__name__: effect for effect in (retrieval_seconds, slower_of_decode_and_search_seconds)
}
