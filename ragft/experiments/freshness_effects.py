"""The numbers that the ledger reads from a freshness experiment: effects, with intervals.

Each is computed from judged answers of one experiment, paired by question; one whose lines or
days the experiment does not have is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.evaluation.statistics import Difference, Interval
from ragft.experiments import effects
from ragft.experiments.evaluate import score_matrix
from ragft.experiments.timeline import Timeline
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

SIXTY = timedelta(days=60)
NINETY = timedelta(days=90)


@dataclass(frozen=True)
class Scored:
    """Judged answers of an experiment, and how its intervals are made."""

    rows: pd.DataFrame
    timeline: Timeline
    sizes: Profile

    def part(self, arm: str, policy: str, day: date, groups: tuple[str, ...] = ()) -> pd.DataFrame:
        """Return the rows of one line on one day, of some groups of facts or of all."""
        rows = self.rows
        chosen = (
            (rows["arm"] == arm) & (rows["condition"] == policy) & (rows["day"] == day.isoformat())
        )
        if groups:
            chosen &= rows["group"].isin(groups)
        return rows[chosen]

    @property
    def refreshed(self) -> str:
        """The policy of the best kept index that was measured: 'at once', else 'nightly'."""
        policies = set(self.rows.loc[self.rows["arm"] == "rag", "condition"])
        return "at once" if "at once" in policies else "nightly"

    def after(self, span: timedelta) -> date | None:
        """Return the first measured day at least `span` after day 0."""
        return next((d for d in self.timeline.days if d - self.timeline.start >= span), None)

    def difference(
        self, one: pd.DataFrame, two: pd.DataFrame, score: str = "accuracy"
    ) -> Difference | None:
        """Return one − two over the questions that both have; None where there are none."""
        return effects.difference(one, two, score, self.sizes)

    def of_collection(self, one: pd.DataFrame, two: pd.DataFrame, score: str) -> Difference | None:
        """Return one − two over the whole collection, each group by its size there.

        None where a group has not been asked about: the questions say nothing of it.
        """
        population = self.timeline.population
        if set(population) - set(one["group"]):
            return None
        return effects.difference(one, two, score, self.sizes, population)

    def mean(self, part: pd.DataFrame, score: str) -> Interval | None:
        """Return a mean over questions and seeds; None where there are no rows."""
        return effects.mean(part, score, self.sizes)


def quantities(rows: pd.DataFrame, timeline: Timeline, sizes: Profile) -> dict[str, Any]:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    rows : pandas.DataFrame
        One judged answer a row: arm, condition (the policy), day, seed, question_id, cluster,
        group, text, accuracy, stale, abstained, precision.
    timeline : Timeline
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, seeds, method and `unit` ('share' for shares and for
        differences of shares).
    """
    scored = Scored(rows, timeline, sizes)
    found: dict[str, Any] = {}
    for name, effect in EFFECTS.items():
        interval = effect(scored)
        if interval is not None:
            found[name] = {**interval.to_dict(), "unit": "share"}
    return found


def precision_drop_60_days(scored: Scored) -> Difference | None:
    """F1: precision@1 of an index left alone, the first measured day from 60 on minus day 0.

    Over the whole collection, like F4: how much of it changes is its own matter, not that of who
    chose the questions.
    """
    return _aged(scored, "rag", "never", SIXTY, "precision")


def stale_after_90_days(scored: Scored) -> Difference | None:
    """F4: stale share of an adapter left alone, the first measured day from 90 on minus day 0."""
    return _aged(scored, "finetuned", "never", NINETY, "stale")


def _aged(scored: Scored, arm: str, policy: str, span: timedelta, score: str) -> Difference | None:
    day = scored.after(span)
    if day is None:
        return None
    return scored.of_collection(
        scored.part(arm, policy, day), scored.part(arm, policy, scored.timeline.start), score
    )


def nightly_gain_next_day(scored: Scored) -> Difference | None:
    """F3: accuracy of a nightly index on facts that an event changed, next day minus that day."""
    days = set(scored.timeline.days)
    for event in scored.timeline.events:
        after = event + timedelta(days=1)
        if event in days and after in days:
            moved = scored.timeline.moved(event - timedelta(days=1), event)
            one, two = (scored.part("rag", "nightly", day) for day in (after, event))
            return scored.difference(
                one[one["question_id"].isin(moved)], two[two["question_id"].isin(moved)]
            )
    return None


def continued_minus_scratch(scored: Scored) -> Difference | None:
    """F6: accuracy on the last day, LoRA continued on the changes minus trained from scratch."""
    day = scored.timeline.days[-1]
    scratch = scored.part("finetuned", scored.timeline.retraining, day)
    return scored.difference(scored.part("finetuned", "continued", day), scratch)


def forgetting_after_updates(scored: Scored) -> Difference | None:
    """F7: accuracy on facts that never changed, after all continued updates minus day 0."""
    one, two = (
        scored.part("finetuned", "continued", day, ("unchanging",))
        for day in (scored.timeline.days[-1], scored.timeline.start)
    )
    return scored.difference(one, two)


def still_finetuned_minus_rag(scored: Scored) -> Difference | None:
    """F10: accuracy on facts that stand still, fine-tuned minus RAG, nobody keeping up either."""
    day = scored.timeline.days[-1]
    return scored.difference(
        scored.part("finetuned", "never", day, ("unchanging",)),
        scored.part("rag", "never", day, ("unchanging",)),
    )


def flips_after_refresh(scored: Scored) -> Interval | None:
    """H15: share of answers on facts that stand still that a refreshed index changes."""
    first, last = (
        scored.part("rag", scored.refreshed, day, ("unchanging",)).set_index("question_id")
        for day in (scored.timeline.start, scored.timeline.days[-1])
    )
    if first.empty or last.empty:
        return None
    both = last.join(first[["text"]], rsuffix="_before", how="inner").reset_index()
    return scored.mean(both.assign(flip=(both["text"] != both["text_before"]) * 1.0), "flip")


def answered_after_deletion_adapter_minus_index(scored: Scored) -> Difference | None:
    """T11: stale answers about what was withdrawn, adapter left alone minus refreshed index."""
    day = scored.timeline.days[-1]
    return scored.difference(
        scored.part("finetuned", "never", day, ("withdrawn",)),
        scored.part("rag", scored.refreshed, day, ("withdrawn",)),
        "stale",
    )


def crossing_share_changed(scored: Scored) -> Interval | None:
    """F5: share of changed facts above which a refreshed RAG beats an adapter left alone.

    On the last day, with u the gap fine-tuned − RAG on facts that stand still and c the gap
    RAG − fine-tuned on those that changed, accuracy is equal at a share of u / (u + c). Below 0
    RAG wins even where nothing changes. The interval resamples clusters in both groups.
    """
    day = scored.timeline.days[-1]
    gaps = [_gaps(scored, day, group) for group in ("unchanging", "changing")]
    if any(gap is None for gap in gaps):
        return None
    (still, still_clusters), (moved, moved_clusters) = gaps
    draw = np.random.default_rng(0)
    u = _resampled(still, still_clusters, scored.sizes.n_boot, draw)
    c = -_resampled(moved, moved_clusters, scored.sizes.n_boot, draw)
    if still.mean() <= moved.mean():
        return None  # changes do not move the gap towards RAG: there is no crossing
    shares = np.divide(u, u + c, out=np.full_like(u, np.inf), where=u + c > 0)
    tail = (1 - scored.sizes.level) / 2
    ends = np.quantile(shares, [tail, 1 - tail], method="inverted_cdf")
    low, high = np.where(np.isfinite(ends), ends, np.nan)
    mean = still.mean() / (still.mean() - moved.mean())
    n, clusters = len(still) + len(moved), len(set(still_clusters)) + len(set(moved_clusters))
    return Interval(float(mean), float(low), float(high), n, "bootstrap", clusters=clusters)


def _gaps(scored: Scored, day: date, group: str) -> tuple[np.ndarray, list] | None:
    """Return fine-tuned − RAG of every question of a group, seeds averaged, and its clusters."""
    tuned = scored.part("finetuned", "never", day, (group,))
    found = scored.part("rag", scored.refreshed, day, (group,))
    if tuned.empty or found.empty:
        return None
    left, clusters = score_matrix(tuned, "accuracy")
    right, _ = score_matrix(found, "accuracy")
    return left.mean(0) - right.mean(0), clusters


def _resampled(
    values: np.ndarray, clusters: list, n_boot: int, draw: np.random.Generator
) -> np.ndarray:
    """Return means over resampled clusters, shape (n_boot,)."""
    _, place = np.unique(clusters, return_inverse=True)
    size = place.max() + 1
    sums, counts = np.bincount(place, values, size), np.bincount(place, minlength=size)
    chosen = draw.multinomial(size, np.full(size, 1 / size), size=n_boot)
    return (chosen @ sums) / (chosen @ counts)


EFFECTS: dict[str, Callable[[Scored], Interval | None]] = {
    effect.__name__: effect
    for effect in (
        precision_drop_60_days,
        nightly_gain_next_day,
        stale_after_90_days,
        crossing_share_changed,
        continued_minus_scratch,
        forgetting_after_updates,
        still_finetuned_minus_rag,
        flips_after_refresh,
        answered_after_deletion_adapter_minus_index,
    )
}
