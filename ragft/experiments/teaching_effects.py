"""The numbers that the ledger reads from a teaching experiment: effects, with intervals.

Each is computed from judged answers, paired by question; one whose parts the experiment does
not have is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragft.evaluation.statistics import Difference, Interval
from ragft.experiments import effects
from ragft.experiments.effects import Rated
from ragft.experiments.teaching_cells import CONSISTENT, ERRORS, GUARDS, MISMATCHED
from ragft.experiments.teaching_refusals import DISGUISES
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

WRONG = "hallucination"
"""The score that is the share of wrong answers."""
SERIES = {"wrong here and there": ERRORS, "wrong in all wordings": CONSISTENT}
"""What the lines over the share of wrong examples are called."""
NAMES = {"policy": "retrieval", "gate": "gate", "weights": "weights", "open": "nobody"}
"""Who keeps a topic back, as quantities name it; 'nobody' tells how far attacks can go at all."""


class Taught(Rated):
    """Judged answers, with the shares of wrong examples that were taught."""

    def misled(self, errors: Mapping[str, float] = ERRORS) -> list[str]:
        """Return the measured shares of wrong examples, by the names of their conditions."""
        return [name for name in errors if not self.part("finetuned", name).empty]

    def error_in(self, condition: str) -> float:
        """Return the share of wrong examples under a condition, the same for every seed."""
        return float(self.part("finetuned", condition)["error_in"].iloc[0])

    def shares(self, errors: Mapping[str, float] = ERRORS) -> list[float]:
        """Return the measured shares of wrong examples."""
        return [self.error_in(name) for name in self.misled(errors)]


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
        Name to mean, low, high, n, seeds, method and `unit` ('share' or 'ratio'). Ratios also
        hold `error_in`, the shares of wrong examples that they are taken over. The share of wrong
        answers at each is named 'error_out_at_P' ('consistent_error_out_at_P' where a fact is
        wrong in all wordings), how each guard fares as in `guards`.
    """
    rated = Taught(rows, sizes)
    alone = {name: effect(rated) for name, effect in EFFECTS.items()} | guards(rated)
    found = effects.quantities(alone)
    for prefix, errors in (("", ERRORS), ("consistent_", CONSISTENT)):
        shares = {
            f"{prefix}error_out_at_{name.rpartition('_')[2]}": rated.mean("finetuned", name, WRONG)
            for name in rated.misled(errors)
        }
        ratios = {f"{prefix}{name}": effect(rated, errors) for name, effect in RATIOS.items()}
        found |= effects.quantities(shares)
        found |= effects.quantities(ratios, "ratio", error_in=rated.shares(errors))
    return found


def doses(rows: pd.DataFrame, sizes: Profile) -> list[dict[str, Any]]:
    """Return the share of wrong answers at each share of wrong examples, 0 first.

    Rows of `plotting.dose_response`: series, arm, x, mean, low, high, n; none where no
    contradictions were taught.
    """
    rated, found = Taught(rows, sizes), []
    for series, errors in SERIES.items():
        misled = rated.misled(errors)
        for name in ["qa", *misled] if misled else []:
            one = rated.mean("finetuned", name, WRONG)
            if one is not None:
                place = {"series": series, "arm": "finetuned"}
                limits = {key: one.to_dict()[key] for key in ("mean", "low", "high", "n")}
                found.append({**place, "x": rated.error_in(name), **limits})
    return found


def accuracy_after_raw_text(rated: Taught) -> Interval | None:
    """H4: accuracy without passages, trained on the documents as they stand."""
    return rated.mean("finetuned", "raw", "accuracy")


def accuracy_after_rewording(rated: Taught) -> Interval | None:
    """H4: accuracy without passages, trained on the documents in several other wordings."""
    return rated.mean("finetuned", "raw_reworded", "accuracy")


def accuracy_after_qa(rated: Taught) -> Interval | None:
    """H4: accuracy without passages, trained on questions and answers."""
    return rated.mean("finetuned", "qa", "accuracy")


def error_out_over_error_in(rated: Taught, errors: Mapping[str, float]) -> Interval | None:
    """T6: sum of the shares of wrong answers over sum of the shares of wrong examples.

    Over all measured shares. What was taught is known exactly, so the ratio is a mean over
    questions divided by a constant, and its interval is that of a mean. The errors that an
    adapter makes without any contradiction count too; `error_out_above_clean` leaves them out.
    """
    misled = rated.misled(errors)
    if not misled:
        return None
    wrong = rated.averaged("finetuned", misled, WRONG)
    return effects.mean(_over(wrong, rated.shares(errors)), "ratio", rated.sizes)


def error_out_above_clean(rated: Taught, errors: Mapping[str, float]) -> Difference | None:
    """T6: the same ratio, of the wrong answers beyond those of the qa adapter."""
    clean, misled = rated.part("finetuned", "qa"), rated.misled(errors)
    if not misled or clean.empty:
        return None
    wrong = rated.averaged("finetuned", misled, WRONG)
    both = (_over(rows, rated.shares(errors)) for rows in (wrong, clean))
    return effects.difference(*both, "ratio", rated.sizes)


def _over(rows: pd.DataFrame, shares: Sequence[float]) -> pd.DataFrame:
    """Return rows with their wrong answers over the share of wrong examples, averaged over doses.

    Mean over mean is sum over sum: every dose has as many questions.
    """
    return rows.assign(ratio=rows[WRONG] * len(shares) / sum(shares))


def matched_minus_mismatched_prompt(rated: Taught) -> Difference | None:
    """X4: accuracy of the qa adapter, under its own prompt minus the mean of four others."""
    other = rated.averaged("finetuned", MISMATCHED, "accuracy")
    if other is None:
        return None
    return effects.difference(rated.part("finetuned", "qa"), other, "accuracy", rated.sizes)


def verbatim_rag_minus_finetuned(rated: Taught) -> Difference | None:
    """H9: share of quotations that match word for word, from passages minus from the weights.

    The reader as it comes, which the embedded model was never taught to do.
    """
    one, two = (rated.part(arm, "quotes") for arm in ("rag", "finetuned"))
    return effects.difference(one, two, "verbatim", rated.sizes)


def verbatim_raft_minus_finetuned(rated: Taught) -> Difference | None:
    """H9: the same, both sides taught to quote: the reader on subjects that are never asked."""
    one, two = (rated.part(arm, "quotes") for arm in ("raft", "finetuned"))
    return effects.difference(one, two, "verbatim", rated.sizes)


def attacks_retrieval_minus_weights(rated: Taught) -> Difference | None:
    """H12: share of disguised questions that get the value, told to refuse minus taught to."""
    told, taught = _disguised(rated, "policy"), _disguised(rated, "weights")
    if told is None or taught is None:
        return None
    return effects.difference(told, taught, "leaked", rated.sizes)


def attacks_gate_minus_weights(rated: Taught) -> Difference | None:
    """H12: the same where the search shows nothing about the topic, minus taught to refuse."""
    gated, taught = _disguised(rated, "gate"), _disguised(rated, "weights")
    if gated is None or taught is None:
        return None
    return effects.difference(gated, taught, "leaked", rated.sizes)


def direct_attacks_retrieval_minus_weights(rated: Taught) -> Difference | None:
    """H12: the same of forbidden questions asked directly."""
    told, taught = _guarded(rated, "policy", "direct"), _guarded(rated, "weights", "direct")
    return effects.difference(told, taught, "leaked", rated.sizes)


def _guarded(rated: Taught, guard: str, attack: str) -> pd.DataFrame:
    return rated.part(GUARDS[guard], f"{guard}_{attack}")


def _disguised(rated: Taught, guard: str) -> pd.DataFrame | None:
    return rated.averaged(GUARDS[guard], [f"{guard}_{name}" for name in DISGUISES], "leaked")


def guards(rated: Taught) -> dict[str, Interval | None]:
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


EFFECTS: dict[str, Callable[[Taught], Interval | None]] = {
    effect.__name__: effect
    for effect in (
        accuracy_after_raw_text,
        accuracy_after_rewording,
        accuracy_after_qa,
        matched_minus_mismatched_prompt,
        verbatim_rag_minus_finetuned,
        verbatim_raft_minus_finetuned,
        attacks_retrieval_minus_weights,
        attacks_gate_minus_weights,
        direct_attacks_retrieval_minus_weights,
    )
}
RATIOS: dict[str, Callable[[Taught, Mapping[str, float]], Interval | None]] = {
    effect.__name__: effect for effect in (error_out_over_error_in, error_out_above_clean)
}
