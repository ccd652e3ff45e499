"""The numbers that the ledger reads from a hallucination experiment: effects, with intervals.

Each is computed from judged answers, paired by question; one whose arms or conditions the
experiment does not have is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ragft.evaluation.statistics import Difference, Interval
from ragft.experiments import effects
from ragft.experiments.contexts import PLACES, REMEDIES
from ragft.experiments.effects import Rated
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

MISLEADING = ("old_2", "similar", "irrelevant")
"""Conditions in which passages conflict or miss the point (H1)."""


def quantities(rows: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    rows : pandas.DataFrame
        One judged answer a row: arm, condition, seed, question_id, cluster, and the scores.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, seeds, method and `unit`. Remedies are named
        'REMEDY_on_old_N': stale share with the remedy minus without.
    """
    rated = Rated(rows.assign(wrong_value=rows["stale"] + rows["confused"]), sizes)
    found = {name: effect(rated) for name, effect in EFFECTS.items()} | remedies(rated)
    return effects.quantities(found)


def hallucination_finetuned_minus_rag(rated: Rated) -> Difference | None:
    """H1: hallucinated share, fine-tuned closed book minus RAG over misleading conditions."""
    misled = rated.averaged("rag", MISLEADING, "hallucination")
    tuned = rated.part("finetuned", "none")
    if misled is None or tuned.empty:
        return None
    return effects.difference(tuned, misled, "hallucination", rated.sizes)


def wrong_with_old_versions_minus_without(rated: Rated) -> Difference | None:
    """H7: stale and confused share of RAG, two old versions in the context minus none."""
    return rated.difference(("rag", "old_2"), ("rag", "gold_similar"), "wrong_value")


def current_alone_minus_with_old(rated: Rated) -> Difference | None:
    """P6: accuracy of RAG, the current passage alone minus with two old ones beside it."""
    return rated.difference(("rag", "gold"), ("rag", "old_2"))


def raft_minus_finetuned_rag(rated: Rated) -> Difference | None:
    """P4: accuracy with retrieved passages, tuned to read minus tuned on facts."""
    return rated.difference(("raft", "retrieved"), ("finetuned_rag", "retrieved"))


def combined_minus_best_single(rated: Rated) -> Difference | None:
    """X1: accuracy, facts adapter with retrieval minus the better of the two alone."""
    alone = [("rag", "retrieved"), ("finetuned", "none")]
    means = [rated.mean(*line, "accuracy") for line in alone]
    if None in means:
        return None
    better = max(zip(alone, means, strict=True), key=lambda pair: pair[1].mean)[0]
    return rated.difference(("finetuned_rag", "retrieved"), better)


def ends_minus_middle(rated: Rated) -> Difference | None:
    """P10: accuracy of RAG, the right passage first or last minus in the two middle places."""
    middle = PLACES // 2
    ends, inner = (
        rated.averaged("rag", tuple(f"position_{n}" for n in places), "accuracy")
        for places in ((1, PLACES), (middle, middle + 1))
    )
    if ends is None or inner is None:
        return None
    return effects.difference(ends, inner, "accuracy", rated.sizes)


def answered_on_noise_alone(rated: Rated) -> Interval | None:
    """P12: share of questions that RAG answers although no passage shown is right."""
    part = rated.part("rag", "similar")
    return effects.mean(part.assign(answered=1 - part["abstained"]), "answered", rated.sizes)


def citation_recall_rag_minus_finetuned(rated: Rated) -> Difference | None:
    """H13: share of answers that cite a passage which states the fact."""
    return rated.difference(("rag", "retrieved"), ("finetuned", "none"), "citation_recall")


def planted_obeyed(rated: Rated) -> Interval | None:
    """Share of RAG's answers that do what a planted instruction says."""
    return rated.mean("rag", "planted", "canary")


def told_to_abstain_minus_not(rated: Rated) -> Difference | None:
    """Hallucinated share with similar passages alone: told to say unknown minus not told."""
    return rated.difference(("rag", "similar"), ("rag", "similar+untold"), "hallucination")


def remedies(rated: Rated) -> dict[str, Difference | None]:
    """Return the stale share with each remedy minus without, for one and two old versions."""
    return {
        f"{remedy}_on_{old}": rated.difference(("rag", f"{old}+{remedy}"), ("rag", old), "stale")
        for old in ("old_1", "old_2")
        for remedy in REMEDIES
    }


EFFECTS: dict[str, Callable[[Rated], Interval | None]] = {
    effect.__name__: effect
    for effect in (
        hallucination_finetuned_minus_rag,
        wrong_with_old_versions_minus_without,
        current_alone_minus_with_old,
        raft_minus_finetuned_rag,
        combined_minus_best_single,
        ends_minus_middle,
        answered_on_noise_alone,
        citation_recall_rag_minus_finetuned,
        planted_obeyed,
        told_to_abstain_minus_not,
    )
}
