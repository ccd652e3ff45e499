"""The formulas of ragas and RAGChecker over verdicts: which passage supports which claim.

Who gives the verdicts does not matter here: known facts do in `rag_metrics`, a judging model may
elsewhere. An average over no claims is NaN, where both packages say 0.

Sources: Es, James, Espinosa-Anke and Schockaert (2024), RAGAS: Automated evaluation of retrieval
augmented generation, arXiv 2309.15217, and the ragas package; Ru et al. (2024), RAGChecker: A
fine-grained framework for diagnosing retrieval-augmented generation, arXiv 2408.08067.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ragft.types import RagftError

Verdicts = Sequence[Sequence[bool]] | np.ndarray
"""Shape (claims, passages): whether the passage supports the claim; (claims, 0) without any."""


def faithfulness(supported: Verdicts) -> float:
    """Return the share of the answer's claims that some passage supports (ragas, RAGChecker).

    NaN without claims (an abstention) and without passages: there is nothing to be faithful to.

    >>> faithfulness([[True, False], [False, False]])
    0.5
    """
    supported = _verdicts(supported)
    return _share(supported.any(axis=1)) if supported.shape[1] else math.nan


def hallucination(supported: Verdicts, correct: Sequence[bool]) -> float:
    """Return the share of the answer's claims that are wrong and in no passage (RAGChecker).

    Without passages every wrong claim is one: RAGChecker says 0 there, which would make a model
    that reads nothing look best. NaN without claims.

    >>> hallucination([[]], [False])
    1.0
    """
    unsupported = ~_verdicts(supported).any(axis=1)
    return _share(unsupported & ~_flags(correct, len(unsupported), "claims"))


def self_knowledge(supported: Verdicts, correct: Sequence[bool]) -> float:
    """Return the share of the answer's claims that are right and in no passage (RAGChecker).

    NaN without claims. With passages, faithfulness + hallucination + self-knowledge is 1.

    >>> self_knowledge([[False], [True]], [True, True])
    0.5
    """
    unsupported = ~_verdicts(supported).any(axis=1)
    return _share(unsupported & _flags(correct, len(unsupported), "claims"))


def noise_sensitivity(
    supported: Verdicts, correct: Sequence[bool], relevant: Sequence[bool], mode: str = "relevant"
) -> float:
    """Return the share of the answer's claims that are wrong and come from passages (ragas).

    Parameters
    ----------
    supported : array of bool, shape (claims, passages)
    correct : sequence of bool, shape (claims,)
    relevant : sequence of bool, shape (passages,)
        Whether the passage supports a claim of the right answer.
    mode : {'relevant', 'irrelevant'}
        Claims that a relevant passage supports, or those that only irrelevant ones do.

    Returns
    -------
    float
        In [0, 1], lower is better; NaN without claims or without passages.

    Raises
    ------
    RagftError
        `mode` is another word.

    >>> noise_sensitivity([[False, True]], [False], [True, False], "irrelevant")
    1.0
    """
    if mode not in ("relevant", "irrelevant"):
        raise RagftError(f"noise_sensitivity: mode {mode!r} is not 'relevant' or 'irrelevant'.")
    supported = _verdicts(supported)
    claims, passages = supported.shape
    wrong = ~_flags(correct, claims, "claims")
    relevant = _flags(relevant, passages, "passages")
    if not passages:
        return math.nan
    from_relevant = (supported & relevant).any(axis=1)
    chosen = from_relevant if mode == "relevant" else supported.any(axis=1) & ~from_relevant
    return _share(chosen & wrong)


def context_precision(relevant: Sequence[bool]) -> float:
    """Return how far ahead the relevant passages rank: the mean of precision@k over their ranks.

    0.0 where passages were shown and none is relevant, as in ragas; NaN where none was shown.

    Parameters
    ----------
    relevant : sequence of bool, shape (passages,)
        Best rank first.

    >>> round(context_precision([True, False, True]), 4)
    0.8333
    """
    relevant = np.asarray(relevant, bool)
    if not len(relevant):
        return math.nan
    precision = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
    return float(precision[relevant].mean()) if relevant.any() else 0.0


def context_recall(stated: Verdicts) -> float:
    """Return the share of the right answer's claims that some passage states (ragas).

    0.0 where a search found no passage; NaN without right claims.

    Parameters
    ----------
    stated : array of bool, shape (claims of the right answer, passages)

    >>> context_recall([[False, True], [False, False]])
    0.5
    """
    return _share(_verdicts(stated).any(axis=1))


def context_utilization(stated: Verdicts, said: Sequence[bool]) -> float:
    """Return, of the right claims that passages state, the share that is answered (RAGChecker).

    NaN where no passage states any: there was nothing to use (RAGChecker says 0).

    Parameters
    ----------
    stated : array of bool, shape (claims of the right answer, passages)
    said : sequence of bool, shape (claims of the right answer,)

    >>> context_utilization([[True], [True], [False]], [True, False, False])
    0.5
    """
    recalled = _verdicts(stated).any(axis=1)
    return _share(_flags(said, len(recalled), "right claims")[recalled])


def _verdicts(values: Verdicts) -> np.ndarray:
    """Return verdicts of shape (claims, passages)."""
    table = np.asarray(values, bool)
    if table.shape == (0,):
        return table.reshape(0, 0)
    if table.ndim != 2:
        raise RagftError(f"verdicts: give shape (claims, passages), not {table.shape}.")
    return table


def _flags(values: Sequence[bool], n: int, of: str) -> np.ndarray:
    """Return one flag for each of n claims or passages; numpy would stretch a single one."""
    flags = np.asarray(values, bool)
    if flags.shape != (n,):
        raise RagftError(f"verdicts: {flags.size} flags for {n} {of}; give one of each.")
    return flags


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else math.nan
