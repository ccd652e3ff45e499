"""The numbers that the ledger reads from the probes: effects, with intervals.

One whose arms or probes the experiment does not have is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ragft.evaluation.statistics import Difference, Interval, mean_interval
from ragft.evaluation.tracing import UNTRACEABLE
from ragft.experiments import effects
from ragft.experiments.effects import Rated
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

SHIFTED = ("asked", "casual", "format")
"""Probes that ask for trained facts in other words or another form (H11)."""
UNCERTAINTIES = {
    "semantic": "semantic entropy",
    "naive": "entropy of the samples",
    "token_entropy": "mean token entropy",
    "improbability": "1 - probability",
    "length": "answer length",
}
"""Measures of doubt, higher = more likely wrong, and how they are shown."""


def quantities(rows: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    """Return every effect that the probes can tell.

    Parameters
    ----------
    rows : pandas.DataFrame
        One judged answer a row: arm, condition (the probe), number, seed, question_id, cluster,
        text, the scores, cause, entropy, logprob and completion_tokens; and rows of agreement.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, seeds, method and `unit`.
    """
    rated = Rated(rows, sizes)
    found = {name: effect(rated) for name, effect in EFFECTS.items()}
    return effects.quantities(found) | uncertainties(rated)


def wrong_on_neighbours_finetuned_minus_base(rated: Rated) -> Difference | None:
    """H3: wrong share on facts near the trained ones, fine-tuned minus prompt only."""
    return rated.difference(("finetuned", "neighbours"), ("prompt", "neighbours"), "hallucination")


def own_set_minus_shifted(rated: Rated) -> Difference | None:
    """H11: accuracy of fine-tuned, trained wordings minus other wordings and forms."""
    shifted = rated.averaged("finetuned", SHIFTED, "accuracy")
    own = rated.part("finetuned", "trained")
    if shifted is None or own.empty:
        return None
    return effects.difference(own, shifted, "accuracy", rated.sizes)


def two_hop_both_minus_one(rated: Rated) -> Difference | None:
    """H10: accuracy of RAG, both documents given minus the mean over either alone."""
    one = rated.averaged("rag", ("two_hop_first", "two_hop_second"), "accuracy")
    both = rated.part("rag", "two_hop_both")
    if one is None or both.empty:
        return None
    return effects.difference(both, one, "accuracy", rated.sizes)


def agreement_finetuned_minus_rag(rated: Rated) -> Difference | None:
    """H6: agreement over repeats and rewordings, fine-tuned minus RAG over an index that keeps
    old versions."""
    return rated.difference(("finetuned", "agreement"), ("rag", "agreement_old"), "agreement")


def agreement_rag_old_minus_current(rated: Rated) -> Difference | None:
    """Agreement of RAG, old versions in the index minus current ones alone."""
    return rated.difference(("rag", "agreement_old"), ("rag", "agreement"), "agreement")


def risk_curves(rated: Rated) -> dict[str, list[dict[str, Any]]]:
    """Return how wrong every arm is when it answers only what it is surest of.

    Over the asked facts and their neighbours, which all arms have alike; sure means a low mean
    token entropy. With the first training seed.

    Returns
    -------
    dict
        'curves': a row per arm and point with coverage, risk, low, high, n and the area under the
        curve; 'marks': a row per arm, where it abstains by itself.
    """
    from ragft.evaluation.uncertainty import risk_coverage

    curves, marks = [], []
    for arm, confidence, wrong, abstained, clusters in _signals(rated):
        found = risk_coverage(
            confidence, wrong, clusters, rated.sizes.level, rated.sizes.n_boot, abstained=abstained
        )
        area, risk = found.area, found.risk
        areas = {"area": area.mean, "area_low": area.low, "area_high": area.high}
        curves += [{"arm": arm, **row, **areas} for row in found.curve.to_dict("records")]
        own = {"risk": risk.mean, "low": risk.low, "high": risk.high, "n": found.answered}
        marks.append({"arm": arm, "coverage": found.coverage, **own})
    return {"curves": curves, "marks": marks}


def _signals(rated: Rated) -> Iterator[tuple]:
    """Yield (arm, confidence, wrong, abstained, clusters) over questions that all arms have.

    An arm of which no entropy is known is left out.
    """
    rows = rated.rows[rated.rows["condition"].isin(("asked", "neighbours"))]
    rows = rows[rows["seed"] == rows["seed"].min()]
    for arm, part in rows.groupby("arm", sort=False):
        part = part.sort_values("question_id")
        if part["entropy"].isna().all():
            continue  # a server's model: how sure it is cannot be told, and is not 'never'
        yield (
            arm, -part["entropy"].to_numpy(), part["hallucination"].to_numpy(),
            (part["abstained"] == 1).to_numpy(), part["cluster"].tolist(),
        )  # fmt: skip


def failures_traced_rag(rated: Rated) -> Interval | None:
    """H14: share of RAG's wrong answers, all probes together, that have one step as their cause."""
    rows = rated.rows[(rated.rows["arm"] == "rag") & rated.rows["cause"].notna()]
    if rows.empty:
        return None
    traced = (rows["cause"] != UNTRACEABLE).astype(float)
    return mean_interval(traced, rows["cluster"], rated.sizes.level, rated.sizes.n_boot)


def wrong_at_equal_abstention(rated: Rated) -> Difference | None:
    """Wrong share of fine-tuned minus RAG, each answering as many of the same questions."""
    from ragft.evaluation.uncertainty import risk_difference

    signals = {arm: signal for arm, *signal in _signals(rated)}
    if not {"rag", "finetuned"} <= set(signals):
        return None
    *tuned, clusters = signals["finetuned"]
    found = signals["rag"][:3]
    return risk_difference(tuned, found, None, clusters, rated.sizes.level, rated.sizes.n_boot)


def uncertainties(rated: Rated) -> dict[str, Any]:
    """P9: AUROC of every measure of doubt for right against wrong, and semantic minus naive.

    Of 'finetuned', asked about trained facts and their neighbours, with the first training seed;
    right or wrong is its greedy answer. Empty where nothing was sampled.
    """
    from ragft.evaluation.uncertainty import auroc, auroc_difference

    frame = doubts(rated.rows)
    if frame is None:
        return {}
    sizes = rated.sizes
    against = (frame["accuracy"], frame["cluster"], sizes.level, sizes.n_boot)
    found = {
        f"auroc_{name}": effects.quantity(auroc(-frame[name], *against)) for name in UNCERTAINTIES
    }
    gap = auroc_difference(-frame["semantic"], -frame["naive"], *against)
    return {**found, "auroc_semantic_minus_naive": effects.quantity(gap)}


def doubts(rows: pd.DataFrame) -> pd.DataFrame | None:
    """Return a row a question: whether the greedy answer is right, and every measure of doubt.

    Columns question_id, cluster, accuracy and `UNCERTAINTIES`; None where nothing was sampled.
    """
    import numpy as np
    import pandas as pd

    from ragft.evaluation.uncertainty import naive_entropy, semantic_entropy

    mine = rows[(rows["arm"] == "finetuned") & (rows["seed"] == rows["seed"].min())]
    drawn = mine[mine["condition"] == "sampled"]
    greedy = mine[mine["condition"].isin(("asked", "neighbours"))]
    if drawn.empty or greedy.empty:
        return None
    samples = drawn.groupby("question_id", sort=False).agg(
        {"text": list, "logprob": list, "completion_tokens": list}
    )
    frame = greedy.set_index("question_id").join(samples, rsuffix="_drawn", how="inner")
    told = zip(
        frame["text_drawn"], frame["logprob_drawn"], frame["completion_tokens_drawn"], strict=True
    )
    pairs = [(semantic_entropy(texts), naive_entropy(lp, tokens)) for texts, lp, tokens in told]
    return pd.DataFrame(
        {
            "question_id": frame.index,
            "cluster": frame["cluster"].to_numpy(),
            "accuracy": frame["accuracy"].to_numpy(),
            "semantic": [semantic for semantic, _ in pairs],
            "naive": [naive for _, naive in pairs],
            "token_entropy": frame["entropy"].to_numpy(),
            "improbability": 1 - np.exp(frame["logprob"].to_numpy()),
            "length": frame["completion_tokens"].to_numpy(float),
        }
    )


EFFECTS: dict[str, Callable[[Rated], Interval | None]] = {
    effect.__name__: effect
    for effect in (
        wrong_on_neighbours_finetuned_minus_base,
        own_set_minus_shifted,
        two_hop_both_minus_one,
        agreement_finetuned_minus_rag,
        agreement_rag_old_minus_current,
        failures_traced_rag,
        wrong_at_equal_abstention,
    )
}
