"""The numbers that the ledger reads from a behaviour experiment: effects, and learning curves.

Each is computed from checked answers, paired by question; one whose parts the experiment does not
have is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ragft.evaluation.ratios import mean_ratio
from ragft.evaluation.statistics import Difference, Interval
from ragft.experiments import effects
from ragft.experiments.behaviour_curves import examples_knowledge_over_behaviour, note_on_curves
from ragft.experiments.behaviour_data import ALLOWED, BOTH, CONSTRAINED, DIRECT, LOOKALIKE
from ragft.experiments.behaviour_rated import ALL, Behaved
from ragft.experiments.teaching_refusals import DISGUISES
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd


def quantities(rows: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    rows : pandas.DataFrame
        One checked answer a row: arm, part, condition, pairs, seed, question_id, cluster, the
        scores of `evaluation.behaviours`, and prompt_tokens.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, seeds, method, `unit`, and `note` where something has to be
        said of it.
    """
    told = Behaved(rows.assign(both=rows["passed"] * rows["right"]), sizes)
    shares = {name: effect(told) for name, effect in SHARES.items()}
    ratios = {name: effect(told) for name, effect in RATIOS.items()}
    found = effects.quantities(shares) | effects.quantities(ratios, "ratio")
    notes = {name: note(told) for name, note in NOTES.items() if name in found}
    for name, note in notes.items():
        if note:
            found[name]["note"] = note
    return found


def valid_output_tuned_minus_prompted(told: Behaved) -> Difference | None:
    """B1: share of answers that parse and fit the schema, tuned minus prompted."""
    return told.gain("json", "fits")


def right_output_tuned_minus_prompted(told: Behaved) -> Difference | None:
    """B1: share whose fields are all right, too."""
    return told.gain("json", "right")


def valid_output_constrained_minus_prompted(told: Behaved) -> Difference | None:
    """B1: what a decoder that follows the schema gains without any training."""
    one, two = (told.rated("prompt", part) for part in ("json" + CONSTRAINED, "json"))
    return told.difference(one, two, "fits")


def valid_record_tuned_minus_prompted(told: Behaved) -> Difference | None:
    """B1: of a schema that the embedded model has never seen, tuned minus prompted."""
    return told.gain("record", "fits")


def valid_record_constrained_minus_prompted(told: Behaved) -> Difference | None:
    """B1: of that schema, constrained decoding minus plain decoding, both prompted."""
    one, two = (told.rated("prompt", part) for part in ("record" + CONSTRAINED, "record"))
    return told.difference(one, two, "fits")


def right_record_tuned_minus_constrained(told: Behaved) -> Difference | None:
    """B1: share whose fields are all right, tuned minus constrained decoding of the prompted."""
    one, two = told.rated("finetuned", "record"), told.rated("prompt", "record" + CONSTRAINED)
    return told.difference(one, two, "right")


def jargon_wrong_untuned(told: Behaved) -> Interval | None:
    """B2: share of special words that the untuned model gets wrong, the glossary in its prompt."""
    return _wrong(told, told.rated("prompt", "jargon"))


def jargon_wrong_undefined(told: Behaved) -> Interval | None:
    """B2: the same where no prompt says what the words mean."""
    return _wrong(told, told.rated("finetuned", "jargon", ALL, 0))


def jargon_wrong_tuned(told: Behaved) -> Interval | None:
    """B2: the same of the tuned model, whose prompt does not say it either."""
    tuned = told.rated("finetuned", "jargon")
    return None if tuned.empty else _wrong(told, tuned)


def _wrong(told: Behaved, rows: pd.DataFrame) -> Interval | None:
    if rows.empty:
        return None
    return effects.mean(rows.assign(wrong=1 - rows["passed"]), "wrong", told.sizes)


def style_tuned_minus_prompted(told: Behaved) -> Difference | None:
    """B3: share of answers that keep every rule of the style, tuned minus prompted."""
    return told.gain("style", "passed")


def refusals_tuned_minus_prompted(told: Behaved) -> Difference | None:
    """B4: refused share of disguised forbidden questions, tuned minus prompted."""
    return told.gain("refusal", "refused", tuple(DISGUISES))


def direct_refusals_tuned_minus_prompted(told: Behaved) -> Difference | None:
    """B4: the same of forbidden questions asked directly."""
    return told.gain("refusal", "refused", DIRECT)


def over_refusals_tuned_minus_prompted(told: Behaved) -> Difference | None:
    """B4: refused share of allowed questions, those among them that name a forbidden topic."""
    return told.gain("refusal", "refused", (ALLOWED, LOOKALIKE))


def lookalikes_refused_tuned(told: Behaved) -> Interval | None:
    """B4: share of allowed questions that name a forbidden topic and are refused once tuned."""
    return told.mean("finetuned", "refusal", LOOKALIKE, score="refused")


def taxonomy_tuned_minus_prompted(told: Behaved) -> Difference | None:
    """B5: share of notes filed under the right leaf, tuned minus prompted."""
    return told.gain("taxonomy", "passed")


def taxonomy_tuned_minus_fewshot(told: Behaved) -> Difference | None:
    """B5: the same against the prompt that also shows examples."""
    return told.gain("taxonomy", "passed", over="fewshot")


def both_minus_best_single(told: Behaved) -> Difference | None:
    """B6: share well-formed and correct, behaviour adapter with RAG minus the better one alone.

    The better one is picked on the very questions that are compared, which favours it.
    """
    alone = [rows for arm in ("rag", "finetuned") if not (rows := told.rated(arm, BOTH)).empty]
    if len(alone) < 2:
        return None
    better = max(alone, key=lambda rows: rows["both"].mean())
    return told.difference(told.rated("finetuned_rag", BOTH), better, "both")


def style_prompt_tokens_tuned_over_prompted(told: Behaved) -> Interval | None:
    """B3: prompt tokens of an answer, tuned over prompted."""
    return told.over("style", "prompt_tokens", ("finetuned", "prompt"), mean_ratio)


def _note_on_prompt(part: str) -> Callable[[Behaved], str]:
    """Return what says that a prompted model does not behave at all, where that is so."""

    def note(told: Behaved) -> str:
        rows = told.rated("prompt", part)
        if rows.empty or rows["passed"].mean() >= 0.05:
            return ""
        rate = 100 * rows["passed"].mean()
        return f"the prompted model hardly follows this instruction at all: {rate:.1f} % pass"

    return note


def _note_on_refusals(told: Behaved) -> str:
    rows = told.rated("prompt", "refusal", (DIRECT, *DISGUISES))
    rate = 100 * rows["refused"].mean()
    return "" if rate >= 5 else f"the prompted model refuses {rate:.1f} % of what is forbidden"


NOTES: dict[str, Callable[[Behaved], str]] = {
    "valid_output_tuned_minus_prompted": _note_on_prompt("json"),
    "valid_record_tuned_minus_prompted": _note_on_prompt("record"),
    "jargon_wrong_untuned": _note_on_prompt("jargon"),
    "style_tuned_minus_prompted": _note_on_prompt("style"),
    "refusals_tuned_minus_prompted": _note_on_refusals,
    "taxonomy_tuned_minus_prompted": _note_on_prompt("taxonomy"),
    "examples_knowledge_over_behaviour": note_on_curves,
}
SHARES: dict[str, Callable[[Behaved], Interval | None]] = {
    effect.__name__: effect
    for effect in (
        valid_output_tuned_minus_prompted,
        right_output_tuned_minus_prompted,
        valid_output_constrained_minus_prompted,
        valid_record_tuned_minus_prompted,
        valid_record_constrained_minus_prompted,
        right_record_tuned_minus_constrained,
        jargon_wrong_untuned,
        jargon_wrong_undefined,
        jargon_wrong_tuned,
        style_tuned_minus_prompted,
        refusals_tuned_minus_prompted,
        direct_refusals_tuned_minus_prompted,
        over_refusals_tuned_minus_prompted,
        lookalikes_refused_tuned,
        taxonomy_tuned_minus_prompted,
        taxonomy_tuned_minus_fewshot,
        both_minus_best_single,
    )
}
RATIOS: dict[str, Callable[[Behaved], Interval | None]] = {
    effect.__name__: effect
    for effect in (
        style_prompt_tokens_tuned_over_prompted,
        examples_knowledge_over_behaviour,
    )
}
