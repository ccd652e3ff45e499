"""Does a model know what it does not know? AUROC of a signal, and entropies of samples.

Arrays in, intervals out: which signal is asked (token entropy, agreement, length) is the caller's
choice. Risk-coverage curves live in `selective`, ranking and resampling in `ranking`, when two
answers say the same in `text`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ragft.evaluation.outcomes import abstains
from ragft.evaluation.ranking import (
    Ranking,
    auroc_of,
    codes_of,
    gap_limits,
    numbers,
    rank,
    resample,
    share_limits,
)
from ragft.evaluation.selective import (
    RiskCoverage,
    risk_at_coverage,
    risk_coverage,
    risk_difference,
)
from ragft.evaluation.statistics import Difference, Interval
from ragft.evaluation.text import value_keys
from ragft.types import RagftError

__all__ = [
    "RiskCoverage",
    "auroc",
    "auroc_difference",
    "naive_entropy",
    "risk_at_coverage",
    "risk_coverage",
    "risk_difference",
    "semantic_entropy",
    "value_groups",
]


def auroc(
    scores: Sequence[float],
    right: Sequence[float],
    clusters: Iterable[Hashable] | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the chance that a right answer has a higher score than a wrong one.

    Ties count half: the area under the ROC curve, which is the Mann-Whitney U divided by the
    number of pairs. 0.5 is a score that says nothing. For a signal that is high where answers
    are wrong (an entropy), pass its negative.

    Clusters are resampled, and the spread of the resamples tells how many independent answers
    the AUROC is worth; the limits are Wilson's on that many ('score', see
    `ranking.share_limits`). A resample without any right or any wrong answer has no AUROC and is
    left out. That happens where the rarer kind of answers stands in a handful of clusters, and
    the spread is then too small; the limits are wide all the same, as their t quantile has the
    degrees of freedom of these clusters alone. Where all resamples agree, the AUROC is worth as
    many answers as there are of the rarer kind, which is cautious.

    Parameters
    ----------
    scores : sequence of float
        One per question, shape (n,), of a single run; may be infinite.
    right : sequence of 0 and 1
        Whether the answer was right. A question where this or the score is NaN is left out and
        counted in `missing`.
    clusters : iterable of hashable, optional
        The cluster of each question, same length; None = every question by itself.
    level : float
        Confidence level in (0, 1).
    n_boot : int
        Number of resamples.
    seed : int
        Of the resampling; the same seed gives the same interval.

    Returns
    -------
    Interval
        NaN where there is no right or no wrong answer; limits are NaN where all answers of one
        kind stand in a single cluster.

    Raises
    ------
    RagftError
        Lengths differ, or `right` holds anything but 0, 1 and NaN.

    Source: Hanley and McNeil (1982), The meaning and use of the area under a receiver operating
    characteristic (ROC) curve, Radiology 143. That the variance is never above A (1 - A) / (the
    rarer kind), which makes that n cautious: Birnbaum and Klose (1957), Bounds for the variance
    of the Mann-Whitney statistic, Annals of Mathematical Statistics 28.

    >>> auroc([0.9, 0.3, 0.8, 0.3], [1, 1, 0, 0]).mean  # wins 2 pairs, ties 1, loses 1
    0.625
    """
    data = _Classes.of([scores], right, clusters)
    (value,), (draws,) = data.values(), data.draws(n_boot, seed)
    low, high, method = share_limits(value, draws, data.rarer, data.freedom, level)
    return Interval(value, low, high, data.n, method, **data.counts())


def auroc_difference(
    a: Sequence[float],
    b: Sequence[float],
    right: Sequence[float],
    clusters: Iterable[Hashable] | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int = 0,
) -> Difference:
    """Return the AUROC of `a` minus that of `b`, two signals about the same answers.

    Paired: both are computed from the same questions and in the same resamples.

    Parameters
    ----------
    a, b : sequence of float
        Scores as in `auroc`. A question where either is NaN is left out of both.
    right, clusters, level, n_boot, seed
        As in `auroc`.

    Returns
    -------
    Difference
        With a two-sided p from the resamples. `method` is 't' below 12 degrees of freedom and
        'score' where all resamples agree. NaN where there is no right or no wrong answer.

    Raises
    ------
    RagftError
        As `auroc`.
    """
    data = _Classes.of([a, b], right, clusters)
    (one, other), (draws, others) = data.values(), data.draws(n_boot, seed)
    gap = one - other
    low, high, method, p = gap_limits(gap, draws - others, data.rarer, data.freedom, level)
    return Difference(gap, low, high, data.n, method, **data.counts(), one=one, two=other, p=p)


def semantic_entropy(
    samples: Sequence[str],
    logprobs: Sequence[float] | None = None,
    tokens: Sequence[int] | None = None,
) -> float:
    """Return the entropy of what several answers to one question mean, in nats.

    Answers that say the same value are one meaning (`value_groups`).

    Parameters
    ----------
    samples : sequence of str
        Answers drawn at a temperature above 0.
    logprobs : sequence of float, optional
        Log probability of each sample. None: a meaning is as likely as it is frequent (the
        paper's discrete variant); else as the probabilities of its samples add up to, divided
        by those of all samples.
    tokens : sequence of int, optional
        Tokens of each sample, at least 1: log probabilities are divided by them, as in the
        paper, so that long answers do not count for nothing.

    Returns
    -------
    float
        0 (all say the same) to log(number of samples); NaN without samples, where a log
        probability is NaN, or where no sample has a probability above 0.

    Raises
    ------
    RagftError
        Lengths differ, `tokens` comes without `logprobs` or holds a number below 1.

    Source: Farquhar, Kossen, Kuhn and Gal (2024), Detecting hallucinations in large language
    models using semantic entropy, Nature 630.

    >>> round(semantic_entropy(["Oslo", "oslo.", "Bergen", "Bergen"]), 3)  # log 2
    0.693
    """
    if logprobs is None and tokens is not None:
        raise RagftError("semantic_entropy: `tokens` are of use with `logprobs` only.")
    groups = value_groups(samples)
    given = np.zeros(len(groups)) if logprobs is None else _per_token(logprobs, tokens)
    if len(given) != len(groups):
        raise RagftError(f"semantic_entropy: {len(given)} logprobs for {len(groups)} samples.")
    highest = given.max(initial=-math.inf)
    if not math.isfinite(highest):
        return math.nan
    weights = np.bincount(groups, weights=np.exp(given - highest))
    shares = weights[weights > 0] / weights.sum()
    return float(-(shares * np.log(shares)).sum()) + 0.0  # never -0.0


def naive_entropy(logprobs: Sequence[float], tokens: Sequence[int] | None = None) -> float:
    """Return the mean negative log probability of several answers to one question, in nats.

    The predictive entropy, estimated from samples: it takes two wordings of one value for
    uncertainty, which `semantic_entropy` does not.

    Parameters
    ----------
    logprobs : sequence of float
        Log probability of each sample.
    tokens : sequence of int, optional
        Tokens of each sample, at least 1 (NaN where they are not known): log probabilities are
        divided by them. The paper's 'naive entropy' is normalised by length in this way.

    Returns
    -------
    float
        0 or above; NaN without samples, or where a log probability or a number of tokens is NaN.

    Raises
    ------
    RagftError
        Lengths differ, or `tokens` holds a number below 1.

    Source: Farquhar et al. (2024), Nature 630, Methods; Malinin and Gales (2021), Uncertainty
    estimation in autoregressive structured prediction, ICLR.

    >>> naive_entropy([-2.0, -6.0], tokens=[1, 3])
    2.0
    """
    given = _per_token(logprobs, tokens)
    return float(-given.mean()) + 0.0 if len(given) else math.nan


def value_groups(samples: Sequence[str]) -> list[int]:
    """Return the number of the meaning of every answer, from 0 in order of appearance.

    Answers that say the same value (`text.same_value`) are in one group, and so are two that
    both say the same as a third: bare auto is what 'auto' says in quotes, and what Auto says as
    a word. All abstentions form one group. An empty sequence gives an empty list.
    """
    groups: list[tuple[set[Hashable], list[int]]] = []
    for place, text in enumerate(samples):
        keys: set[Hashable] = {"abstains"} if abstains(text) else set(value_keys(text))
        places = [place]
        alike = [group for group in groups if not keys.isdisjoint(group[0])]
        groups = [group for group in groups if keys.isdisjoint(group[0])]
        for known, members in alike:
            keys |= known
            places += members
        groups.append((keys, places))
    groups.sort(key=lambda group: min(group[1]))
    number = {place: n for n, (_, places) in enumerate(groups) for place in places}
    return [number[place] for place in range(len(samples))]


def _per_token(logprobs: Sequence[float], tokens: Sequence[int] | None) -> np.ndarray:
    """Return log probabilities, divided by their numbers of tokens where these are given."""
    given = np.asarray(logprobs, float)
    if tokens is None:
        return given
    lengths = np.asarray(tokens, float)
    if lengths.shape != given.shape or (lengths < 1).any():
        raise RagftError(
            f"entropy: `tokens` must be one number of 1 or more for each of {len(given)} logprobs."
        )
    return given / lengths


@dataclass(frozen=True)
class _Classes:
    """Right and wrong answers, ranked by one or more scores."""

    rankings: list[Ranking]
    right: np.ndarray
    codes: np.ndarray
    missing: int

    @classmethod
    def of(cls, scores: Sequence, right: Sequence, clusters: Iterable | None) -> _Classes:
        """Rank the answers of which both score and truth are known."""
        table = numbers("auroc", right, *scores)
        known = ~np.isnan(table).any(axis=0)
        right, *scores = table[:, known]
        if not np.isin(right, (0, 1)).all():
            raise RagftError("auroc: `right` must be 0, 1 or NaN for every answer.")
        codes = codes_of("auroc", clusters, known)
        return cls([rank(score) for score in scores], right, codes, int((~known).sum()))

    @property
    def n(self) -> int:
        """Answers that count."""
        return len(self.right)

    @property
    def rarer(self) -> int:
        """Answers of the rarer kind."""
        return int(min(self.right.sum(), (1 - self.right).sum()))

    @property
    def freedom(self) -> int:
        """Clusters that hold answers of the rarer kind, less one."""
        return min(len(np.unique(self.codes[self.right == kind])) for kind in (0, 1)) - 1

    def counts(self) -> dict[str, int]:
        """Return the counts of an `Interval`."""
        return {"missing": self.missing, "clusters": len(np.unique(self.codes))}

    def values(self) -> list[float]:
        """Return the AUROC of every score; NaN where one kind of answers is missing."""
        return [float(value) for value in self._aurocs(np.ones((1, self.n)))[0]]

    def draws(self, n_boot: int, seed: int) -> np.ndarray:
        """Return the AUROC of every score in every resample, shape (scores, n_boot)."""
        return resample(self._aurocs, self.codes, n_boot, seed).T

    def _aurocs(self, weights: np.ndarray) -> np.ndarray:
        right, wrong = weights * self.right, weights * (1 - self.right)
        return np.stack([auroc_of(r.sums(right), r.sums(wrong)) for r in self.rankings], axis=-1)
