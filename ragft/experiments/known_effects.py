"""The numbers that the ledger reads from the experiment on what a model knew before.

Each is computed from judged answers; one whose parts the experiment does not have is left out,
never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragft.evaluation.groups import difference_of_differences
from ragft.evaluation.statistics import Difference, Interval
from ragft.experiments import effects
from ragft.experiments.evaluate import score_matrix, scored
from ragft.experiments.known_cells import (
    BEFORE,
    CONTROL,
    EARLY,
    LATE,
    NEW,
    PASSES,
    POPULARITY,
    PROBE,
    UNKNOWN,
    WHOLE,
)
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("accuracy", "hallucination", "abstained")
PLACE = ["part", "arm", "length", "share", "condition"]
RARE, POPULAR = "tail", "head"
SERIES = {EARLY: "early stop", LATE: "late"}
"""What the lines over the share of unknown facts are called."""
LEARNT = 0.95
"""Accuracy from which on a note says that retrieval has nothing left to lead in."""


@dataclass(frozen=True)
class Known:
    """Rated answers of an experiment, and how its intervals are made."""

    rows: pd.DataFrame
    """One row a place, seed and fact; see `rate`."""
    sizes: Profile

    def of(self, condition: str, length: str = BEFORE, share: float | None = None) -> pd.DataFrame:
        """Return what was answered after training on a share of unknown facts, or before any."""
        rows = self.rows
        found = (rows["part"] == UNKNOWN) & (rows["condition"] == condition)
        found &= rows["length"] == length
        return rows[found & (rows["share"] == share if share is not None else True)]

    def by_popularity(self, arm: str, length: str, stratum: str) -> pd.DataFrame:
        """Return what an arm answered about popular or rare facts."""
        rows = self.rows
        found = (rows["part"] == POPULARITY) & (rows["condition"] == stratum)
        return rows[found & (rows["arm"] == arm) & (rows["length"] == length)]

    def shares(self, length: str) -> list[float]:
        """Return the measured shares of unknown facts, rising."""
        return sorted(self.of(CONTROL, length)["share"].dropna().unique().tolist())

    def mean(self, rows: pd.DataFrame, score: str = "accuracy") -> Interval | None:
        """Return the mean of a score; None where no row has a value."""
        return effects.mean(rows, score, self.sizes)

    def difference(
        self, one: pd.DataFrame, two: pd.DataFrame, score: str = "accuracy"
    ) -> Difference | None:
        """Return one − two, paired by fact; None where either is missing."""
        return effects.difference(one, two, score, self.sizes)


def rate(answers: pd.DataFrame) -> pd.DataFrame:
    """Return one row a place, seed and fact: its scores, averaged over the wordings.

    Parameters
    ----------
    answers : pandas.DataFrame
        One judged answer a row, with `PLACE`, seed, question_id, cluster and outcome.
    """
    keys = [*PLACE, "seed", "question_id", "cluster"]
    rows = scored(answers, keys)
    found = rows.groupby(keys, sort=False, dropna=False)[list(MEASURES)].mean()
    return found.reset_index()


def quantities(rows: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `rate`.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n (facts), seeds, method, `unit`, and `note` where something has
        to be said of it.
    """
    told = Known(rows, sizes)
    found = effects.quantities(of_unknown_facts(told) | of_popularity(told))
    for name, note in notes(told).items():
        if name in found:
            found[name]["note"] = note
    return found


def of_unknown_facts(told: Known) -> dict[str, Interval | None]:
    """P3: what training on unknown facts does to known ones that it says nothing about.

    'known_facts_LENGTH_P' is the accuracy on them with P % of unknown facts; without a length in
    the name of a difference it is the late one.
    """
    before = told.of(CONTROL)
    found = {"known_facts_before": told.mean(before)}
    for length, ending in ((LATE, ""), (EARLY, "_early")):
        none, all_new = (told.of(CONTROL, length, share) for share in (0.0, 1.0))
        for share in told.shares(length):
            level = told.mean(told.of(CONTROL, length, share))
            found[f"known_facts_{length}_{100 * share:.0f}"] = level
        name = "known_facts_unknown_minus_known_training" + ending
        found[name] = told.difference(all_new, none)
        name = "hallucination_unknown_minus_known_training" + ending
        found[name] = told.difference(all_new, none, "hallucination")
        name = "known_facts_known_training_minus_before" + ending
        found[name] = told.difference(none, before)
        found["unknown_facts_learnt" + ending] = told.mean(told.of(NEW, length, 1.0))
    return found


def of_popularity(told: Known) -> dict[str, Interval | None]:
    """P8: by how much retrieval leads fine-tuning on rare facts and on popular ones."""
    found: dict[str, Interval | None] = {}
    for length, ending in ((WHOLE, ""), (EARLY, "_early")):
        for stratum, name in ((RARE, "rare"), (POPULAR, "popular")):
            sides = _sides(told, length, stratum)
            found[f"rag_lead_{name}{ending}"] = told.difference(*sides)
        found["rag_lead_rare_minus_popular" + ending] = rag_lead(told, length)
    return found


def _sides(told: Known, length: str, stratum: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    rag = told.by_popularity("rag", BEFORE, stratum)
    return rag, told.by_popularity("finetuned", length, stratum)


def rag_lead(told: Known, length: str) -> Interval | None:
    """Return the lead of RAG over fine-tuning on rare facts minus that on popular ones.

    Other facts, other subjects: the two leads are independent, but for the training seeds.
    """
    import pandas as pd

    rare, popular = (_sides(told, length, stratum) for stratum in (RARE, POPULAR))
    if any(side.empty for side in (*rare, *popular)):
        return None
    rag, tuned = (pd.concat(sides) for sides in zip(rare, popular, strict=True))
    (one, clusters), (two, _) = (score_matrix(side, "accuracy") for side in (rag, tuned))
    names = rag.pivot(index="seed", columns="question_id", values="accuracy").columns
    sizes = told.sizes
    return difference_of_differences(
        one, two, names.isin(rare[0]["question_id"]), clusters, sizes.level, sizes.n_boot
    )


def notes(told: Known) -> dict[str, str]:
    """Return what has to be said of some effects, by their names."""
    found = {}
    for length, ending in ((WHOLE, ""), (EARLY, "_early")):
        tuned = [told.by_popularity("finetuned", length, s) for s in (POPULAR, RARE)]
        rates = [rows["accuracy"].mean() for rows in tuned]
        if all(rate >= LEARNT for rate in rates):
            shown = " and ".join(f"{100 * rate:.1f} %" for rate in rates)
            found["rag_lead_rare_minus_popular" + ending] = (
                f"fine-tuned, {shown} of the popular and the rare facts are right: retrieval has "
                "hardly anything left to lead in"
            )
    return found


def doses(told: Known) -> list[dict[str, Any]]:
    """Return the accuracy on known facts over the share of unknown facts that were trained.

    Rows of `plotting.dose_response`: series ('early stop', 'late', and 'before training', which
    is the same at every share), arm, x (per cent), mean, low, high, n.
    """
    found = []
    for length, series in SERIES.items():
        for share in told.shares(length):
            level = told.mean(told.of(CONTROL, length, share))
            found.append(_point(series, "finetuned", share, level))
    before = told.mean(told.of(CONTROL))
    measured = sorted({share for length in PASSES for share in told.shares(length)})
    found += [_point("before training", "prompt", share, before) for share in measured]
    return [row for row in found if row]


def _point(series: str, arm: str, share: float, level: Interval | None) -> dict[str, Any]:
    if level is None:
        return {}
    limits = {key: level.to_dict()[key] for key in ("mean", "low", "high", "n")}
    return {"series": series, "arm": arm, "x": 100 * share, **limits}


def summaries(told: Known) -> dict[str, list[dict[str, Any]]]:
    """Return the means with their intervals, as a record holds them.

    'summary' by condition, length and share (none before training), 'strata' by arm, length and
    stratum, 'probe' by stratum: `known` is the share of its facts that the model gets right in
    both wordings, `unknown` in neither.
    """
    rows, sizes = told.rows, told.sizes
    mixed, popular = rows[rows["part"] == UNKNOWN], rows[rows["part"] == POPULARITY]
    summary = effects.summary(
        mixed[mixed["length"] == BEFORE], ["condition", "length"], MEASURES, sizes
    )
    summary += effects.summary(mixed, ["condition", "length", "share"], MEASURES, sizes)
    probe = rows[rows["part"] == PROBE].rename(columns={"condition": "stratum"})
    sure = probe.assign(known=probe["accuracy"] == 1.0, unknown=probe["accuracy"] == 0.0)
    sure = sure.astype({"known": float, "unknown": float})
    strata = popular.rename(columns={"condition": "stratum"})
    return {
        "summary": summary,
        "strata": effects.summary(strata, ["arm", "length", "stratum"], MEASURES, sizes),
        "probe": effects.summary(sure, ["stratum"], ("known", "unknown"), sizes),
    }
