"""The numbers that the ledger reads from a knowledge experiment: effects, with intervals.

Each is computed from judged answers, paired by question; one whose parts the experiment does not
have is left out, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.evaluation.ratios import ratio_of_rates
from ragft.evaluation.statistics import Difference, Interval
from ragft.experiments import effects
from ragft.experiments.knowledge_cells import REWORDED, STORED
from ragft.experiments.knowledge_data import NEW, TRAINED, UNLIKE
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Known:
    """Judged answers of an experiment, and how its intervals are made."""

    rows: pd.DataFrame
    sizes: Profile

    def part(self, name: str, form: str = NEW, copies: int = 0) -> pd.DataFrame:
        """Return the rows of one part, asked in one form."""
        rows = self.rows
        mine = rows[(rows["part"] == name) & (rows["condition"] == form)]
        return mine[mine["copies"] == copies]

    def over(self, name: str, forms: Iterable[str] = UNLIKE) -> pd.DataFrame:
        """Return one row a seed and question: accuracy averaged over forms; empty without one."""
        parts = [self.part(name, form) for form in forms]
        if any(part.empty for part in parts):
            return self.rows.iloc[:0]
        return effects.averaged(parts, "accuracy")

    def copies(self, name: str) -> list[int]:
        """Return in how many wordings a part was measured, rising."""
        mine = self.rows.loc[self.rows["part"] == name, "copies"]
        return sorted(int(n) for n in mine.unique())

    def mean(self, *where: Any, score: str = "accuracy") -> Interval | None:
        """Return the mean of a score; None where not measured."""
        return effects.mean(self.part(*where), score, self.sizes)

    def gap(self, one: pd.DataFrame, two: pd.DataFrame, score: str = "accuracy") -> Any:
        """Return right answers of one side minus those of the other; None without one of them."""
        if one.empty or two.empty:
            return None
        return effects.difference(one, two, score, self.sizes)


def quantities(rows: pd.DataFrame, notes: Sequence[dict[str, Any]], sizes: Profile) -> dict:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    rows : pandas.DataFrame
        One judged answer a row: part, copies, condition (the form), seed, question_id, cluster,
        accuracy, hallucination.
    notes : sequence of dict
        Of the cells, `text_tokens` among them.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, seeds, method and `unit`.
    """
    told = Known(rows, sizes)
    found = effects.quantities({name: effect(told) for name, effect in GAPS.items()}, "points")
    found |= effects.quantities({name: effect(told) for name, effect in LEVELS.items()})
    ratio = {"hallucination_finetuned_over_base": hallucination_finetuned_over_base(told)}
    found |= effects.quantities(ratio, "ratio")
    tokens = text_tokens(notes)
    slope = accuracy_per_tenfold_tokens(told, tokens)
    shown = ", ".join(f"{tokens[n]:,}" for n in told.copies(REWORDED) if n in tokens)
    more = {"note": f"{shown} tokens of text, each read in the same number of passes"}
    return found | effects.quantities({"accuracy_per_tenfold_tokens": slope}, "points", **more)


def text_tokens(notes: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Return the tokens of reworded text by the number of rewordings."""
    return {n["copies"]: n["text_tokens"] for n in notes if n["part"] == REWORDED}


def hallucination_finetuned_over_base(told: Known) -> Interval | None:
    """H2: wrong answers without passages, tuned on questions and answers over the base."""
    one, two = (told.mean(name, score="hallucination") for name in ("qa", "prompt"))
    return None if one is None or two is None else ratio_of_rates(one, two)


def gain_in_minus_out_of_distribution(told: Known) -> Difference | None:
    """H5: what tuning gains on questions in the trained wording, minus on four other forms."""
    gains = []
    for forms in ((TRAINED,), UNLIKE):
        tuned, base = told.over("qa", forms), told.over("prompt", forms)
        if tuned.empty or base.empty:
            return None
        before = base.set_index("question_id")["accuracy"]
        gain = tuned["accuracy"].to_numpy() - tuned["question_id"].map(before).to_numpy()
        gains.append(tuned.assign(accuracy=gain))
    return told.gap(*gains)


def domain_accuracy_finetuned_minus_rag(told: Known) -> Difference | None:
    """H8: right answers in a wording never trained, tuned minus RAG."""
    return told.gap(told.part("qa"), told.part("rag"))


def domain_accuracy_finetuned_minus_rag_like_trained(told: Known) -> Difference | None:
    """H8: the same in the trained wording."""
    return told.gap(told.part("qa", TRAINED), told.part("rag", TRAINED))


def domain_accuracy_finetuned_minus_rag_unlike_trained(told: Known) -> Difference | None:
    """H8: the same over all four forms that were never trained."""
    return told.gap(told.over("qa"), told.over("rag"))


def trained_format_minus_other(told: Known) -> Difference | None:
    """T7: right answers in the one wording trained, minus the mean over four other forms."""
    return told.gap(told.part("qa_1", TRAINED), told.over("qa_1"))


def trained_format_minus_other_several_wordings(told: Known) -> Difference | None:
    """T7: the same of a model that was trained in several wordings."""
    return told.gap(told.part("qa", TRAINED), told.over("qa"))


def new_facts_rag_minus_tuned(told: Known) -> Difference | None:
    """P1: right answers about new facts, RAG minus tuned on texts with their paraphrases."""
    return told.gap(told.part("rag"), told.part("reworded"))


def paraphrases_minus_raw_text(told: Known) -> Difference | None:
    """P1: what paraphrases add to training on the texts."""
    return told.gap(told.part("reworded"), told.part("raw"))


def raw_text_minus_base(told: Known) -> Difference | None:
    """P1: what training on the texts as they stand adds to the base."""
    return told.gap(told.part("raw"), told.part("prompt"))


def several_wordings_minus_one(told: Known) -> Difference | None:
    """P2: facts drawn out by questions, stored in the most wordings minus in one."""
    copies = told.copies(STORED)
    if len(copies) < 2 or copies[0] != 1:
        return None
    most, one = (told.part(STORED, NEW, n) for n in (copies[-1], 1))
    return told.gap(most, one)


def gain_of_tuning(told: Known) -> Difference | None:
    """P13: right answers, tuned on questions and answers minus the base."""
    return told.gap(told.part("qa"), told.part("prompt"))


def rag_on_top_of_tuning(told: Known) -> Difference | None:
    """P13: right answers of the tuned model, with passages minus without."""
    return told.gap(told.part("both"), told.part("qa"))


def gain_of_rag(told: Known) -> Difference | None:
    """P13: right answers of the base, with passages minus without."""
    return told.gap(told.part("rag"), told.part("prompt"))


def both_minus_rag(told: Known) -> Difference | None:
    """P13: right answers with passages, tuned minus not."""
    return told.gap(told.part("both"), told.part("rag"))


def accuracy_per_tenfold_tokens(told: Known, tokens: dict[int, int]) -> Interval | None:
    """P11: slope of accuracy over the logarithm (base 10) of the tokens of reworded text.

    Least squares in every question and seed; the slope of the means is the mean of the slopes,
    so its interval is that of a mean.
    """
    copies = [n for n in told.copies(REWORDED) if n in tokens]
    if len(copies) < 2:
        return None
    parts = [told.part(REWORDED, NEW, n) for n in copies]
    x = np.array([math.log10(tokens[n]) for n in copies])
    keys = ["seed", "question_id", "cluster"]
    wide = [part.set_index(keys)["accuracy"] for part in parts]
    y = np.array([one[wide[0].index].to_numpy(float) for one in wide])
    slope = (x - x.mean()) @ y / ((x - x.mean()) ** 2).sum()
    rows = wide[0].index.to_frame(index=False).assign(slope=slope)
    return effects.mean(rows, "slope", told.sizes)


def _level(part: str, form: str = NEW) -> Callable[[Known], Interval | None]:
    return lambda told: told.mean(part, form)


GAPS: dict[str, Callable[[Known], Interval | None]] = {
    effect.__name__: effect
    for effect in (
        gain_in_minus_out_of_distribution,
        domain_accuracy_finetuned_minus_rag,
        domain_accuracy_finetuned_minus_rag_like_trained,
        domain_accuracy_finetuned_minus_rag_unlike_trained,
        trained_format_minus_other,
        trained_format_minus_other_several_wordings,
        new_facts_rag_minus_tuned,
        paraphrases_minus_raw_text,
        raw_text_minus_base,
        several_wordings_minus_one,
        gain_of_tuning,
        rag_on_top_of_tuning,
        gain_of_rag,
        both_minus_rag,
    )
}
LEVELS = {
    f"accuracy_of_{part}": _level(part)
    for part in ("prompt", "rag", "qa", "qa_1", "both", "raw", "reworded")
}


def doses(
    rows: pd.DataFrame, notes: Sequence[dict[str, Any]], sizes: Profile
) -> dict[str, list[dict[str, Any]]]:
    """Return accuracy over wordings, and over tokens of rewording, as a record holds it.

    Returns
    -------
    dict
        'wordings' and 'tokens': rows of `plotting.dose_response` (series, arm, x, mean, low,
        high, n); none where not measured.
    """
    told, tokens = Known(rows, sizes), text_tokens(notes)
    found: dict[str, list[dict[str, Any]]] = {"wordings": [], "tokens": []}
    for name, part, series in (
        ("wordings", STORED, "stored text"),
        ("tokens", REWORDED, "reworded text"),
    ):
        for n in told.copies(part):
            one = told.mean(part, NEW, n)
            if one is not None:
                x = n if part == STORED else tokens[n]
                found[name].append(
                    {"series": series, "arm": "finetuned", "x": x, **effects.limits(one)}
                )
    return found
