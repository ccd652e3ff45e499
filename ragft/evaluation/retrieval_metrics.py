"""How good a ranking is: recall, nDCG and reciprocal rank, one number per question.

A question without relevant ids has no such number: NaN, to be counted, never 0. Means and
intervals are made in `evaluation.statistics`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from ragft.types import RagftError

Rankings = Sequence[Sequence[str]]
Relevant = Sequence[Collection[str]]


def recall_at_k(rankings: Rankings, relevant: Relevant, k: int = 10) -> np.ndarray:
    """Return the share of the relevant ids that are among the first `k`.

    Parameters
    ----------
    rankings : sequence of sequences of str
        Per question the found ids, best first, without repetition; may be empty or short.
    relevant : sequence of collections of str
        Per question the ids that should be found.
    k : int
        At least 1.

    Returns
    -------
    ndarray of float64, shape (questions,)
        0 to 1; NaN where nothing is relevant.

    Raises
    ------
    RagftError
        Different numbers of questions, `k` below 1, an id twice in one ranking.

    Examples
    --------
    >>> recall_at_k([["a", "b"], ["c"]], [{"b", "x"}, set()], k=2).tolist()
    [0.5, nan]
    """
    return _each(rankings, relevant, k, lambda gains, n: gains.sum() / n)


def ndcg_at_k(rankings: Rankings, relevant: Relevant, k: int = 10) -> np.ndarray:
    """Return the normalised discounted cumulative gain of the first `k`, with binary relevance.

    A relevant id at rank r gives 1 / log2(r + 1); the sum is divided by that of the best
    possible ranking. Parameters, returns and errors as in `recall_at_k`.

    Notes
    -----
    Source: Järvelin, Kekäläinen, 'Cumulated gain-based evaluation of IR techniques' (ACM TOIS
    2002), with the discount that trec_eval uses.

    Examples
    --------
    >>> ndcg_at_k([["a", "b"]], [{"a"}]).tolist()
    [1.0]
    """
    discount = 1 / np.log2(np.arange(2, k + 2)) if k > 0 else np.empty(0)
    return _each(
        rankings, relevant, k, lambda gains, n: gains @ discount[: len(gains)] / discount[:n].sum()
    )


def reciprocal_rank(rankings: Rankings, relevant: Relevant, k: int | None = None) -> np.ndarray:
    """Return 1 / rank of the first relevant id, 0 where none is found; their mean is MRR.

    Parameters, returns and errors as in `recall_at_k`; `k` None looks through all that was found.

    Examples
    --------
    >>> reciprocal_rank([["a", "b"], ["a"]], [{"b"}, {"b"}]).tolist()
    [0.5, 0.0]
    """

    def first(gains: np.ndarray, n: int) -> float:
        return 1 / (gains.argmax() + 1) if gains.any() else 0.0

    longest = max(map(len, rankings), default=0) or 1
    return _each(rankings, relevant, longest if k is None else k, first)


def _each(
    rankings: Rankings, relevant: Relevant, k: int, measure: Callable[[np.ndarray, int], float]
) -> np.ndarray:
    if len(rankings) != len(relevant):
        raise RagftError(
            f"retrieval metrics: {len(rankings)} rankings for {len(relevant)} questions; "
            "give one of each per question."
        )
    if k < 1:
        raise RagftError(f"retrieval metrics: k must be at least 1, not {k}.")
    values = np.full(len(rankings), np.nan)
    for i, (found, wanted) in enumerate(zip(rankings, relevant, strict=True)):
        if len(set(found)) < len(found):
            raise RagftError(f"retrieval metrics: ranking {i} holds one id twice.")
        wanted = set(wanted)
        if wanted:
            gains = np.array([item in wanted for item in found[:k]], dtype=np.float64)
            values[i] = measure(gains, len(wanted))
    return values
