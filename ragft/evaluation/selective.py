"""Answering only where the model is sure: how wrong it is at every share of questions answered.

What the confidence is (a negative entropy, agreement over samples) is the caller's choice. The
arithmetic of rankings and resamples lives in `ranking`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ragft.evaluation.ranking import (
    Ranking,
    area_of,
    codes_of,
    gap_limits,
    numbers,
    rank,
    resample,
    risk_of,
    share_limits,
)
from ragft.evaluation.statistics import Difference, Interval, mean_interval
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

POINTS = 100
"""Points of a curve, at most."""
Signal = tuple[Sequence, ...]
"""Of one arm: confidence and wrong, and where it abstained if NaN does not say so."""


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """How wrong an arm is when it answers only the questions it is surest of."""

    curve: pd.DataFrame
    """Columns `coverage` (share of all questions answered, in (0, 1], rising), `risk` (share
    wrong among the answered), `low`, `high` (of the risk, point by point) and `n` (answered).
    Ends at the arm's own coverage; no rows where it answered nothing."""
    area: Interval
    """Area under the curve: the risk, averaged over all numbers of questions answered from 1 to
    the arm's own. Arms of different coverage are compared by `risk_difference` instead."""
    risk: Interval
    """Share wrong among all that the arm answered: the end of the curve, and with `coverage` the
    place of the arm's own abstention."""
    asked: int
    """Questions, those left out for want of a value excepted."""
    answered: int

    @property
    def coverage(self) -> float:
        """Share of the questions that the arm answered by itself; NaN without questions."""
        return self.answered / self.asked if self.asked else math.nan


def risk_coverage(
    confidence: Sequence[float],
    wrong: Sequence[float],
    clusters: Iterable[Hashable] | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
    *,
    abstained: Sequence[bool] | None = None,
) -> RiskCoverage:
    """Return the risk at every coverage, answers taken in order of falling confidence.

    Answers of equal confidence are taken in all orders at once: the risk within a tie is the
    one expected of a random order, so that the order of the input does not matter. A question
    that the arm abstained from is asked and never answered: the curve ends before it.

    Parameters
    ----------
    confidence : sequence of float
        One per question, shape (n,), of a single run; higher = surer; may be infinite. NaN = the
        arm abstained, unless `abstained` says so.
    wrong : sequence of float
        1 where the answer was wrong, 0 where it was not, or a share between; not looked at where
        the arm abstained (0 and NaN do as well). NaN elsewhere = unknown: the question is left
        out and counted in `missing` of both intervals.
    clusters : iterable of hashable, optional
        The cluster of each question, same length; None = every question by itself.
    level, n_boot, seed
        Confidence level in (0, 1); number of resamples of clusters, and their seed.
    abstained : sequence of bool, optional
        Where the arm abstained. With it a NaN confidence is a missing value; without it, an
        abstention. Needed where a model that says 'unknown' has an entropy all the same.

    Returns
    -------
    RiskCoverage
        NaN and no curve where nothing was answered. Limits come from resamples of the clusters
        (`ranking.share_limits`), those of `risk` are those of `statistics.mean_interval`.

    Raises
    ------
    RagftError
        Lengths differ, or `wrong` lies outside [0, 1].

    Source: El-Yaniv and Wiener (2010), On the foundations of noise-free selective
    classification, JMLR 11; Geifman and El-Yaniv (2017), Selective classification for deep
    neural networks, NeurIPS; the area: Geifman, Uziel and El-Yaniv (2019), ICLR.

    >>> found = risk_coverage([0.9, 0.8, 0.7, float("nan")], [0, 1, 0, 0])
    >>> found.curve["risk"].round(3).tolist(), found.coverage
    ([0.0, 0.5, 0.333], 0.75)
    """
    import pandas as pd

    (data,) = _answers([(confidence, wrong, abstained)], clusters)
    first = np.ceil(np.linspace(0, data.answered, min(POINTS, data.answered) + 1)[1:] - 1e-9)
    coverage = first / max(data.asked, 1)

    def statistic(weights: np.ndarray) -> np.ndarray:
        return np.column_stack([data.risks(weights, coverage), data.area(weights)])

    # The area is the last column, so that one block of resamples serves all.
    values, draws = statistic(data.once)[0], resample(statistic, data.codes, n_boot, seed)
    *limits, of_area = [
        share_limits(value, drawn, n, data.freedom, level)
        for value, drawn, n in zip(values, draws.T, [*first, data.answered], strict=True)
    ]
    low, high = (np.array([found[i] for found in limits], float) for i in (0, 1))
    points = {"coverage": coverage, "risk": values[:-1], "low": low, "high": high}
    names = None if clusters is None else data.own_clusters
    own = mean_interval(data.wrong[data.ranking.order], names, level, n_boot, seed)
    return RiskCoverage(
        pd.DataFrame({**points, "n": first.astype(int)}),
        data.interval(data.answered, float(values[-1]), *of_area),
        replace(own, missing=data.missing),
        data.asked,
        data.answered,
    )


def risk_at_coverage(
    confidence: Sequence[float],
    wrong: Sequence[float],
    coverage: float,
    clusters: Iterable[Hashable] | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
    *,
    abstained: Sequence[bool] | None = None,
) -> Interval:
    """Return the share wrong among the surest answers, at one share of questions answered.

    For arms compared at equal abstention: give each the same `coverage`, at most the least own
    coverage among them. `risk_difference` pairs two of them.

    Parameters
    ----------
    confidence, wrong, clusters, level, n_boot, seed, abstained
        As in `risk_coverage`.
    coverage : float
        Share of all questions to answer, in (0, 1]. Where it ends within a question or a tie,
        that counts in part.

    Returns
    -------
    Interval
        `n` is the number of questions answered at that coverage. NaN, with n = 0, where the arm
        answers fewer than that, or where it is less than one question.

    Raises
    ------
    RagftError
        As `risk_coverage`; `coverage` is out of range.

    >>> found = risk_at_coverage([0.9, 0.8, 0.7, 0.6], [0, 1, 0, 1], coverage=0.5)
    >>> found.mean, found.n
    (0.5, 2)
    """
    (data,) = _answers([(confidence, wrong, abstained)], clusters)
    n = data.reach(_share(coverage))
    value = data.at(coverage)(data.once)[0] if n else math.nan
    draws = resample(data.at(coverage), data.codes, n_boot, seed)
    limits = share_limits(value, draws, n, data.freedom, level)
    return data.interval(n, float(value), *limits)


def risk_difference(
    a: Signal,
    b: Signal,
    coverage: float | None = None,
    clusters: Iterable[Hashable] | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
) -> Difference:
    """Return the risk of arm `a` minus that of arm `b`, at the same share of questions answered.

    Paired by question: both risks are computed in the same resamples.

    Parameters
    ----------
    a, b : tuple of (confidence, wrong) or (confidence, wrong, abstained)
        Of the same questions in the same order, each as in `risk_coverage`. A question that is
        missing in one of them is left out of both.
    coverage : float, optional
        In (0, 1]; None = the lesser of the two arms' own coverages: the arm that answers more
        abstains from as many questions as the other.
    clusters, level, n_boot, seed
        As in `risk_coverage`.

    Returns
    -------
    Difference
        `n` is the number of questions that each answers; p is two-sided, from the resamples.
        NaN, with n = 0, where one arm answers fewer.

    Raises
    ------
    RagftError
        As `risk_at_coverage`; the arms have different numbers of questions.
    """
    one, other = _answers([a, b], clusters)
    if coverage is None:
        coverage = min(one.answered, other.answered) / one.asked if one.asked else 1.0
    else:
        _share(coverage)
    n = min(one.reach(coverage), other.reach(coverage))
    risks = [float(x.at(coverage)(x.once)[0]) if n else math.nan for x in (one, other)]
    gap = risks[0] - risks[1]
    draws, others = (resample(x.at(coverage), x.codes, n_boot, seed) for x in (one, other))
    freedom = min(one.freedom, other.freedom)
    low, high, method, p = gap_limits(gap, draws - others, n, freedom, level)
    counts = {"missing": one.missing, "clusters": freedom + 1}
    return Difference(gap, low, high, n, method, **counts, one=risks[0], two=risks[1], p=p)


@dataclass(frozen=True)
class _Answers:
    """Answers of an arm that can be ranked, among the questions it was asked."""

    ranking: Ranking
    """Of the questions that it answered."""
    wrong: np.ndarray
    """Shape (asked,); 0 where it abstained."""
    codes: np.ndarray
    missing: int

    @property
    def asked(self) -> int:
        """Questions, answered or not."""
        return len(self.wrong)

    @property
    def answered(self) -> int:
        """Questions answered."""
        return len(self.ranking.order)

    @property
    def own_clusters(self) -> np.ndarray:
        """Cluster of each answer, in the order of the ranking."""
        return self.codes[self.ranking.order]

    @property
    def clusters(self) -> int:
        """Clusters with an answer."""
        return len(np.unique(self.own_clusters))

    @property
    def freedom(self) -> int:
        """Degrees of freedom."""
        return self.clusters - 1

    @property
    def once(self) -> np.ndarray:
        """Weights that draw each question once: the data themselves."""
        return np.ones((1, self.asked))

    def reach(self, coverage: float) -> int:
        """Return how many questions are answered at a coverage; 0 where it is out of reach."""
        n = math.floor(coverage * self.asked + 1e-9)
        return n if coverage * self.asked <= self.answered + 1e-9 else 0

    def risks(self, weights: np.ndarray, coverage: np.ndarray) -> np.ndarray:
        """Return the risk at every coverage: (resamples, questions) to (resamples, points)."""
        first = np.outer(weights.sum(axis=1), coverage)
        return risk_of(self.ranking.sums(weights), self.ranking.sums(weights * self.wrong), first)

    def at(self, coverage: float) -> Callable[[np.ndarray], np.ndarray]:
        """Return the risk at one coverage as a function of the weights."""
        return lambda weights: self.risks(weights, np.array([coverage]))[:, 0]

    def area(self, weights: np.ndarray) -> np.ndarray:
        """Return the area under the curve, (resamples, questions) to (resamples,)."""
        return area_of(self.ranking.sums(weights), self.ranking.sums(weights * self.wrong))

    def interval(self, n: int, value: float, low: float, high: float, method: str) -> Interval:
        """Return an interval with the counts of these answers."""
        counts = {"missing": self.missing, "clusters": self.clusters}
        return Interval(value, low, high, n, method, **counts)


def _answers(signals: Sequence[Signal], clusters: Iterable[Hashable] | None) -> list[_Answers]:
    """Rank the answers of arms to the questions that are known of all of them."""
    parts = [_known(*signal) for signal in signals]
    known = [part[2] for part in parts]
    if len({len(flags) for flags in known}) > 1:
        raise RagftError(f"risk_coverage: arms of {len(known[0])} and {len(known[1])} questions.")
    kept = np.logical_and.reduce(known)
    codes, missing = codes_of("risk_coverage", clusters, kept), int((~kept).sum())
    return [_Answers(rank(score[kept]), wrong[kept], codes, missing) for score, wrong, _ in parts]


def _known(
    confidence: Sequence[float], wrong: Sequence[float], abstained: Sequence[bool] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return confidence (NaN where the arm abstained), wrong, and which questions count."""
    score, errors = numbers("risk_coverage", confidence, wrong)
    silent = np.isnan(score)
    if abstained is not None:
        _, flags = numbers("risk_coverage", confidence, abstained)
        if not np.isin(flags, (0, 1)).all():
            raise RagftError("risk_coverage: `abstained` must be true or false for every question.")
        silent = flags == 1
    known = silent | ~(np.isnan(score) | np.isnan(errors))
    score, errors = np.where(silent, math.nan, score), np.where(silent, 0.0, errors)
    if ((errors < 0) | (errors > 1)).any():
        raise RagftError("risk_coverage: `wrong` must lie in [0, 1] (or be NaN) for every answer.")
    return score, errors, known


def _share(coverage: float) -> float:
    """Return a coverage that can be asked for."""
    if not 0 < coverage <= 1:
        raise RagftError(f"risk_at_coverage: coverage must lie in (0, 1], not {coverage}.")
    return coverage
