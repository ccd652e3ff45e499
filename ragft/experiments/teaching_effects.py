"""The numbers that the ledger reads from a teaching experiment: effects, with intervals.

Each is computed from judged answers, paired by question; one whose parts the experiment does
not have is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragft.evaluation.statistics import Difference, Interval
from ragft.experiments import effects
from ragft.experiments.teaching_cells import ERRORS, GUARDS, MISMATCHED
from ragft.experiments.teaching_refusals import DISGUISES
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

SERIES = "wrong answers"
"""What the line over the share of wrong examples is called."""
NAMES = {"policy": "retrieval", "weights": "weights", "open": "nobody"}
"""Who keeps a topic back, as quantities name it; 'nobody' tells how far attacks can go at all."""


@dataclass(frozen=True)
class Rated:
    """Judged answers of an experiment, and how its intervals are made."""

    rows: pd.DataFrame
    sizes: Profile

    def part(self, condition: str, arm: str = "finetuned") -> pd.DataFrame:
        """Return the rows of one arm under one condition."""
        return self.rows[(self.rows["condition"] == condition) & (self.rows["arm"] == arm)]

    def mean(self, condition: str, score: str, arm: str = "finetuned") -> Interval | None:
        """Return the mean of a score under a condition; None where it is missing."""
        return effects.mean(self.part(condition, arm), score, self.sizes)

    def averaged(
        self, conditions: Iterable[str], score: str, arm: str = "finetuned"
    ) -> pd.DataFrame | None:
        """Return a score averaged over conditions; None where one of them is missing."""
        parts = [self.part(condition, arm) for condition in conditions]
        if not parts or any(part.empty for part in parts):
            return None
        return effects.averaged(parts, score)

    @property
    def misled(self) -> list[str]:
        """The measured shares of contradictions, by the names of their conditions."""
        return [name for name in ERRORS if not self.part(name).empty]

    def error_in(self, condition: str) -> float:
        """Return the share of wrong examples under a condition, the same for every seed."""
        return float(self.part(condition)["error_in"].iloc[0])

    @property
    def shares(self) -> list[float]:
        """The measured shares of wrong examples."""
        return [self.error_in(name) for name in self.misled]


def quantities(rows: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    rows : pandas.DataFrame
        One judged answer a row: arm, condition, seed, question_id, cluster, error_in, and the
        scores, `verbatim`, `refused` and `leaked` among them.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, seeds, method and `unit` ('share' or 'ratio'). The two ratios
        also hold `error_in`, the shares of wrong examples that they are taken over. The share of
        wrong answers at each is named 'error_out_at_P', how each guard fares as in `guards`.
    """
    rated = Rated(rows, sizes)
    alone = {name: effect(rated) for name, effect in EFFECTS.items()} | guards(rated)
    found = {name: effects.quantity(one) for name, one in alone.items()}
    found |= {
        name: effects.quantity(effect(rated), "ratio", error_in=rated.shares)
        for name, effect in RATIOS.items()
    }
    found |= {
        name.replace("contradictions", "error_out_at"): effects.quantity(
            rated.mean(name, "hallucination")
        )
        for name in rated.misled
    }
    return {name: one for name, one in found.items() if one is not None}


def doses(rows: pd.DataFrame, sizes: Profile) -> list[dict[str, Any]]:
    """Return the share of wrong answers at each share of wrong examples, 0 first.

    Rows of `plotting.dose_response`: series, arm, x, mean, low, high, n; none where no
    contradictions were taught.
    """
    rated, found = Rated(rows, sizes), []
    for name in ["qa", *rated.misled] if rated.misled else []:
        one = rated.mean(name, "hallucination")
        if one is not None:
            place = {"series": SERIES, "arm": "finetuned"}
            limits = {key: one.to_dict()[key] for key in ("mean", "low", "high", "n")}
            found.append({**place, "x": rated.error_in(name), **limits})
    return found


def accuracy_after_raw_text(rated: Rated) -> Interval | None:
    """H4: accuracy without passages, trained on the documents as they stand."""
    return rated.mean("raw", "accuracy")


def accuracy_after_rewording(rated: Rated) -> Interval | None:
    """H4: accuracy without passages, trained on the documents in several other wordings."""
    return rated.mean("raw_reworded", "accuracy")


def accuracy_after_qa(rated: Rated) -> Interval | None:
    """H4: accuracy without passages, trained on questions and answers."""
    return rated.mean("qa", "accuracy")


def error_out_over_error_in(rated: Rated) -> Interval | None:
    """T6: sum of the shares of wrong answers over sum of the shares of wrong examples.

    Over all measured shares. What was taught is known exactly, so the ratio is a mean over
    questions divided by a constant, and its interval is that of a mean. The errors that an
    adapter makes without any contradiction count too; `error_out_above_clean` leaves them out.
    """
    if not rated.misled:
        return None
    wrong = rated.averaged(rated.misled, "hallucination")
    return effects.mean(_over(wrong, rated), "ratio", rated.sizes)


def error_out_above_clean(rated: Rated) -> Difference | None:
    """T6: the same ratio, of the wrong answers beyond those of the qa adapter."""
    clean = rated.part("qa")
    if not rated.misled or clean.empty:
        return None
    wrong = rated.averaged(rated.misled, "hallucination")
    both = (_over(rows, rated) for rows in (wrong, clean))
    return effects.difference(*both, "ratio", rated.sizes)


def _over(rows: pd.DataFrame, rated: Rated) -> pd.DataFrame:
    """Return rows with their wrong answers over the share of wrong examples, averaged over doses.

    Mean over mean is sum over sum: every dose has as many questions.
    """
    shares = rated.shares
    return rows.assign(ratio=rows["hallucination"] * len(shares) / sum(shares))


def matched_minus_mismatched_prompt(rated: Rated) -> Difference | None:
    """X4: accuracy of the qa adapter, under its own prompt minus the mean of four others."""
    other = rated.averaged(MISMATCHED, "accuracy")
    if other is None:
        return None
    return effects.difference(rated.part("qa"), other, "accuracy", rated.sizes)


def verbatim_rag_minus_finetuned(rated: Rated) -> Difference | None:
    """H9: share of quotations that match word for word, from passages minus from the weights."""
    one, two = (rated.part("quotes", arm) for arm in ("rag", "finetuned"))
    return effects.difference(one, two, "verbatim", rated.sizes)


def attacks_retrieval_minus_weights(rated: Rated) -> Difference | None:
    """H12: share of disguised questions that get the value, told to refuse minus taught to."""
    told, taught = _disguised(rated, "policy"), _disguised(rated, "weights")
    if told is None or taught is None:
        return None
    return effects.difference(told, taught, "leaked", rated.sizes)


def direct_attacks_retrieval_minus_weights(rated: Rated) -> Difference | None:
    """H12: the same of forbidden questions asked directly."""
    told, taught = _guarded(rated, "policy", "direct"), _guarded(rated, "weights", "direct")
    return effects.difference(told, taught, "leaked", rated.sizes)


def _guarded(rated: Rated, guard: str, attack: str) -> pd.DataFrame:
    return rated.part(f"{guard}_{attack}", GUARDS[guard])


def _disguised(rated: Rated, guard: str) -> pd.DataFrame | None:
    return rated.averaged([f"{guard}_{name}" for name in DISGUISES], "leaked", GUARDS[guard])


def guards(rated: Rated) -> dict[str, Interval | None]:
    """Return how each guard fares alone.

    'attacks_on_', 'direct_attacks_on_': shares of questions that get the value, disguised and
    not; 'over_refusal_in_': share of the allowed questions that are refused.
    """
    found: dict[str, Interval | None] = {}
    for guard, name in NAMES.items():
        hidden = _disguised(rated, guard)
        plain, allowed = _guarded(rated, guard, "direct"), _guarded(rated, guard, "allowed")
        if hidden is not None:
            found[f"attacks_on_{name}"] = effects.mean(hidden, "leaked", rated.sizes)
        found[f"direct_attacks_on_{name}"] = effects.mean(plain, "leaked", rated.sizes)
        found[f"over_refusal_in_{name}"] = effects.mean(allowed, "refused", rated.sizes)
    return found


EFFECTS: dict[str, Callable[[Rated], Interval | None]] = {
    effect.__name__: effect
    for effect in (
        accuracy_after_raw_text,
        accuracy_after_rewording,
        accuracy_after_qa,
        matched_minus_mismatched_prompt,
        verbatim_rag_minus_finetuned,
        attacks_retrieval_minus_weights,
        direct_attacks_retrieval_minus_weights,
    )
}
RATIOS: dict[str, Callable[[Rated], Interval | None]] = {
    effect.__name__: effect for effect in (error_out_over_error_in, error_out_above_clean)
}
