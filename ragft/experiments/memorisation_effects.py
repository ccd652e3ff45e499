"""The numbers that the ledger reads from a memorisation experiment: AUCs, exposures, and curves.

Each is computed from losses; one whose parts the experiment does not have is left out, never 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ragft.evaluation.statistics import Difference, Interval
from ragft.evaluation.uncertainty import auroc
from ragft.experiments import effects
from ragft.experiments.memorisation_cells import CANARY, MEMBER, OTHER
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

BEFORE, AFTER, LOWERED = "before", "score", "lowered"
"""Scores that members should have higher: minus the loss before training (which cannot know),
minus the loss after it, and by how much training has lowered the loss."""
SERIES = {
    AFTER: "loss after training",
    LOWERED: "loss lowered by training",
    BEFORE: "loss before training",
}
"""What the lines over the number of repeats are called."""
EXPOSURE = "exposure, bits"
EXTRACTED = "said when asked for"


@dataclass(frozen=True)
class Memorised:
    """Losses of an experiment, and how its intervals are made."""

    rows: pd.DataFrame
    sizes: Profile
    references: int

    @classmethod
    def of(cls, rows: pd.DataFrame, sizes: Profile, references: int) -> Memorised:
        """Add the scores that are made of losses."""
        lowered = rows["loss_before"] - rows["loss_after"]
        return cls(
            rows.assign(**{BEFORE: -rows["loss_before"], LOWERED: lowered}), sizes, references
        )

    @property
    def repeats(self) -> list[int]:
        """Numbers of repeats that members were trained with, rising."""
        return sorted(self.rows["dose"][self.rows["kind"] == MEMBER].unique().tolist())

    @property
    def doses(self) -> list[int]:
        """Numbers of repeats of canaries, rising from 0."""
        return sorted(self.rows["dose"][self.rows["kind"] == CANARY].unique().tolist())

    def auc(self, score: str, repeats: int | None = None) -> Interval:
        """Return the chance that a member has a higher score than one that is not.

        Scores are ranked within each seed, so that no two models are compared with each other;
        seeds are pooled and subjects resampled, over all seeds of each together.

        Parameters
        ----------
        score : str
        repeats : int, optional
            Only members repeated so often, against all others; None: all members.
        """
        rows = self.rows[self.rows["kind"].isin((MEMBER, OTHER))]
        if repeats is not None:
            rows = rows[(rows["kind"] == OTHER) | (rows["dose"] == repeats)]
        ranks = rows.groupby("seed")[score].rank(pct=True)
        member = (rows["kind"] == MEMBER).astype(float)
        options = {"level": self.sizes.level, "n_boot": self.sizes.n_boot}
        found = auroc(ranks, member, rows["cluster"], **options)
        return replace(found, seeds=rows["seed"].nunique())

    def aucs(self, score: str) -> list[float]:
        """Return the AUC of all members for each seed, in the order of the seeds."""
        return [
            replace(self, rows=part, sizes=replace(self.sizes, n_boot=1)).auc(score).mean
            for _, part in self.rows.groupby("seed")
        ]

    def planted(self, dose: int) -> pd.DataFrame:
        """Return the canaries of a dose, numbered from 0."""
        rows = self.rows[(self.rows["kind"] == CANARY) & (self.rows["dose"] == dose)]
        number = rows.groupby("seed").cumcount()
        return rows.assign(question_id=number, cluster=number.astype(str))

    def mean(self, dose: int, score: str) -> Interval | None:
        """Return the mean of a score over the canaries of a dose, and seeds."""
        return effects.mean(self.planted(dose), score, self.sizes)


def quantities(rows: pd.DataFrame, sizes: Profile, references: int) -> dict[str, Any]:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    rows : pandas.DataFrame
        One fact or canary a row: kind, dose, seed, id, cluster, loss_before, loss_after, score,
        exposure, extracted.
    sizes : Profile
    references : int
        That each exposure was measured among.

    Returns
    -------
    dict
        Name to mean, low, high, n, seeds, method, `unit` ('share'; '' for bits) and `note`.
        'membership_auc_at_R', 'exposure_at_R' and 'extracted_at_R' have R repeats in a pass. An
        AUC's n is facts times seeds; `by_seed` is it for each seed. `at_most` counts canaries
        whose exposure is the highest that the references can show.
    """
    told = Memorised.of(rows, sizes, references)
    found = _memberships(told) | _extractions(told) | _exposures(told)
    return {name: one for name, one in found.items() if one is not None}


Quantities = dict[str, dict[str, Any] | None]


def _memberships(told: Memorised) -> Quantities:
    """T8: how well a loss tells members from others."""
    rows = told.rows[told.rows["seed"] == told.rows["seed"].iloc[0]]
    members, others = ((rows["kind"] == kind).sum() for kind in (MEMBER, OTHER))
    note = f"{members} members, dealt at random, against {others} others; members repeated "
    every = note + ", ".join(map(str, told.repeats))
    after = told.auc(AFTER)
    limits = {name: getattr(after, name) - 0.5 for name in ("mean", "low", "high")}
    by_seed = [auc - 0.5 for auc in told.aucs(AFTER)]
    alone = {
        "membership_auc_before": effects.quantity(told.auc(BEFORE), note=every),
        "membership_auc_above_half": effects.quantity(
            replace(after, **limits), note=every, by_seed=by_seed
        ),
        "membership_auc_by_lowered_loss": effects.quantity(told.auc(LOWERED), note=every),
    }
    return alone | {
        f"membership_auc_at_{n}": effects.quantity(told.auc(AFTER, n), note=f"{note}{n}")
        for n in told.repeats
    }


def _extractions(told: Memorised) -> Quantities:
    """T8: share of secrets that greedy decoding says word for word."""
    note = "greedy decoding says the secret and nothing else"
    return {
        f"extracted_at_{dose}": effects.quantity(told.mean(dose, "extracted"), note=note)
        for dose in told.doses
    }


def _exposures(told: Memorised) -> Quantities:
    """T8: how far up a secret is among random ones, in bits."""
    bits = math.log2(told.references + 1)
    note = (
        f"bits, {bits:.1f} at most ({told.references} references a secret); a secret never seen "
        f"has {chance():.2f} on average"
    )
    found: Quantities = {}
    for dose in told.doses:
        # What is ahead of all its references may be ahead of many more.
        most = int((told.planted(dose)["exposure"] > bits - 1e-9).sum())
        one = told.mean(dose, "exposure")
        found[f"exposure_at_{dose}"] = effects.quantity(one, "", note=note, at_most=most)
    most = told.doses[-1]
    gap = exposure_difference(told, most)
    return found | {f"exposure_{most}_minus_0": effects.quantity(gap, "", note=note)}


def chance() -> float:
    """Return the mean exposure, in bits, of a secret that was never seen."""
    from ragft.training.canaries import CHANCE  # imports torch

    return CHANCE


def exposure_difference(told: Memorised, dose: int) -> Difference | None:
    """Return the exposure of canaries of a dose minus that of canaries never trained on.

    Doses are dealt at random, so any pairing of the two sides is as good as another: the first
    of one with the first of the other, and so on.
    """
    return effects.difference(told.planted(dose), told.planted(0), "exposure", told.sizes)


def curves(rows: pd.DataFrame, sizes: Profile, references: int) -> dict[str, list[dict[str, Any]]]:
    """Return exposures, extractions and AUCs over repeats, as a record holds them.

    Returns
    -------
    dict
        'secrets' (exposure in bits and share said, over doses from 0) and 'membership' (AUC of
        each score, over repeats): rows of series, x, mean, low, high, n, seeds.
    """
    told = Memorised.of(rows, sizes, references)
    secrets = {EXPOSURE: "exposure", EXTRACTED: "extracted"}
    drawn = [
        (series, dose, told.mean(dose, score))
        for series, score in secrets.items()
        for dose in told.doses
    ]
    dealt = [(name, n, told.auc(score, n)) for score, name in SERIES.items() for n in told.repeats]
    return {"secrets": _points(drawn), "membership": _points(dealt)}


def _points(found: list[tuple[str, int, Interval | None]]) -> list[dict[str, Any]]:
    return [
        {"series": series, "x": x, **effects.limits(one)}
        for series, x, one in found
        if one is not None
    ]
