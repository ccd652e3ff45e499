"""The numbers that the ledger reads from a comparison of retrieval stages.

Each is computed from single questions, paired, clusters resampled; one whose stages or sets the
experiment does not have is left out, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragft.evaluation.ratios import seed_ratio
from ragft.evaluation.statistics import Interval, mean_interval
from ragft.experiments import effects
from ragft.experiments.evaluate import score_matrix
from ragft.experiments.retrieval_sets import MEASURES, OTHER
from ragft.profiles import Profile
from ragft.types import MARKS

if TYPE_CHECKING:
    import pandas as pd

SINGLE = ("bm25", "dense")
"""Stages that search in one way."""
ROOM = 0.9
"""Where what is compared with scores higher, on average over a set, the set is left out of what is
told of all: nothing could find much more there, and no difference would be no evidence."""
KEYS = ["set", "part", "stage"]


Told = tuple[Interval | None, str]
"""An effect, and the sets that it is of."""


@dataclass(frozen=True)
class Scored:
    """The rows of some sets, and how intervals are made."""

    rows: pd.DataFrame
    sizes: Profile
    room: float = math.inf
    """Sets on which what is compared with scores higher are left out."""

    def part(self, part: str, stage: str) -> pd.DataFrame | None:
        """Return the rows of a stage; None where it was not measured on every set there."""
        mine = self.rows[self.rows["part"] == part]
        rows = mine[mine["stage"] == stage]
        missing = set(mine["set"]) - set(rows["set"])
        return None if rows.empty or missing else rows

    def single(self, part: str, score: str) -> pd.DataFrame | None:
        """Return the better of BM25 and dense search on each set, by the mean of `score`.

        Chosen on the very questions that are compared, which favours it.
        """
        both = [self.part(part, stage) for stage in SINGLE]
        if any(rows is None for rows in both):
            return None
        import pandas as pd

        together = pd.concat(both)
        means = together.groupby(["set", "stage"])[score].mean().unstack("stage")
        best = means[list(SINGLE)].idxmax(axis=1)
        return together[together["stage"] == together["set"].map(best)]

    def difference(self, one: pd.DataFrame | None, two: pd.DataFrame | None, score: str) -> Told:
        """Return one − two, paired by question; None where either is missing."""
        one, two = self._with_room(one, two, score)
        if one is None or two is None:
            return None, ""
        return effects.difference(one, two, score, self.sizes), _sets(two)

    def ratio(self, one: pd.DataFrame | None, two: pd.DataFrame | None, score: str) -> Told:
        """Return the mean of one over that of two, which is a single run, paired by question."""
        one, two = self._with_room(one, two, score)
        if one is None or two is None:
            return None, ""
        (above, clusters), (below, _) = (score_matrix(rows, score) for rows in (one, two))
        limits = {"level": self.sizes.level, "n_boot": self.sizes.n_boot}
        found = seed_ratio(above, below[0], clusters, **limits)
        return found, _sets(two)

    def _with_room(
        self, one: pd.DataFrame | None, two: pd.DataFrame | None, score: str
    ) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
        if one is None or two is None:
            return None, None
        means = two.groupby("set")[score].mean()
        kept = set(means.index[means <= self.room])
        one, two = (rows[rows["set"].isin(kept)] for rows in (one, two))
        return (None, None) if two.empty else (one, two)


def quantities(rows: pd.DataFrame, chosen_on: str, sizes: Profile) -> dict[str, Any]:
    """Return every effect that this experiment can tell.

    Parameters
    ----------
    rows : DataFrame
        As `retrieval_quality.Quality.questions`.
    chosen_on : str
        The set on which the fusion was chosen.
    sizes : Profile

    Returns
    -------
    dict
        Name to mean, low, high, n, method, `unit` and `corpus`. 'NAME@SET' is one set's own;
        'NAME' is over the questions of all sets with `ROOM` but `chosen_on`, one weight each.
    """
    # Questions of different sets may have one id, and clusters one name.
    rows = rows.assign(**{k: rows["set"] + "/" + rows[k] for k in ("question_id", "cluster")})
    found: dict[str, Any] = {}
    others = Scored(rows[rows["set"] != chosen_on], sizes, ROOM)
    own = {f"@{name}": Scored(part, sizes) for name, part in rows.groupby("set", sort=False)}
    for suffix, scored in {"": others, **own}.items():
        for unit, made in (("points", _differences(scored)), ("ratio", _ratios(scored))):
            for name, (one, corpus) in made.items():
                found |= effects.quantities({f"{name}{suffix}": one}, unit, corpus=corpus)
    return found


def _sets(rows: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(rows["set"]))


def _differences(scored: Scored) -> dict[str, Told]:
    """Return the paired differences, on all documents and on held-out halves."""
    found: dict[str, Told] = {}
    for score in ("ndcg", "recall"):
        whole = {stage: scored.part("whole", stage) for stage in (*SINGLE, "hybrid")}
        for single in SINGLE:
            found[f"{score}_hybrid_minus_{single}"] = scored.difference(
                whole["hybrid"], whole[single], score
            )
        reranked = scored.part("held out", "hybrid, reranked")
        for stage in (*SINGLE, "hybrid"):
            found[f"{score}_reranked_minus_{stage}"] = scored.difference(
                reranked, scored.part("held out", stage), score
            )
        found[f"{score}_hybrid_reranked_minus_single"] = scored.difference(
            reranked, scored.single("held out", score), score
        )
        for stage, name in (("dense", "tuned"), ("hybrid", "hybrid_tuned")):
            found[f"{score}_{name}_minus_{'generic' if stage == 'dense' else 'hybrid'}"] = (
                scored.difference(
                    scored.part("held out", f"{stage}, tuned"),
                    scored.part("held out", stage),
                    score,
                )
            )
    return found


def _ratios(scored: Scored) -> dict[str, Told]:
    """R1: nDCG@10, tuned dense retriever over the generic one."""
    tuned, generic = (scored.part("held out", stage) for stage in ("dense, tuned", "dense"))
    return {"ndcg_tuned_over_generic": scored.ratio(tuned, generic, "ndcg")}


def summary_rows(
    rows: pd.DataFrame, sizes: Profile
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the means of every set, part and stage, and the shares of first documents.

    Returns
    -------
    summary : list of dict
        set, part, stage, measure, mean, low, high, n and the like.
    marks : list of dict
        set, part, stage, and per mark the share of questions with its interval; only of sets
        whose documents are marked.
    """
    summary = effects.summary(rows, KEYS, MEASURES, sizes)
    marked = rows[rows["first"] != ""]
    return summary, _marked(marked, sizes) if len(marked) else []


def _marked(rows: pd.DataFrame, sizes: Profile) -> list[dict[str, Any]]:
    found = []
    interval: Callable[..., Interval] = mean_interval
    for key, part in rows.groupby(KEYS, sort=False):
        place: Sequence[Any] = key
        for mark in (*MARKS, OTHER):
            share = interval(
                part["first"].eq(mark) * 1.0, part["cluster"], sizes.level, sizes.n_boot
            )
            found.append({**dict(zip(KEYS, place, strict=True)), "first": mark, **share.to_dict()})
    return found
