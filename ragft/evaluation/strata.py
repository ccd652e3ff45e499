"""Means over a whole collection, from questions that were not drawn from it evenly.

Where facts that change are asked before all others, a plain mean says how many of them were asked,
not what happens to the collection: every stratum has to count by its size there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ragft.types import RagftError


def standing_for(
    scores: np.ndarray, strata: Sequence[str], sizes: Mapping[str, float]
) -> np.ndarray:
    """Return scores whose plain mean is the mean over the collection that the questions stand for.

    A score x of stratum g becomes m + w (x - m_g): m_g is the stratum's mean, m the mean of these
    by size, w the stratum's share of the collection over its share of the questions. Their spread,
    over clusters and over seeds, is that of the stratified mean to first order, so intervals and
    differences of them are made as of any other scores.

    Parameters
    ----------
    scores : ndarray
        Shape (seeds, questions); NaN = undefined, and stays so. Where questions of a stratum are
        undefined, it stands for so much less of the collection.
    strata : sequence of str
        The stratum of every question.
    sizes : mapping
        How many members of the collection each stratum has; only ratios matter.

    Returns
    -------
    ndarray
        Shape (seeds, questions), not bound to the range of the scores.

    Raises
    ------
    RagftError
        A stratum of a question without a size above 0, or another number of strata than questions.

    Source: the post-stratified mean and its linearised residuals, Saerndal, Swensson and Wretman
    (1992), Model Assisted Survey Sampling, sections 5.10 and 7.6.

    Examples
    --------
    Three of four questions are of a stratum that is a tenth of the collection:

    >>> float(standing_for(np.array([[1.0, 1, 1, 0]]), "aaab", {"a": 10, "b": 90}).mean())
    0.1
    """
    names, code = np.unique(np.array(list(strata), str), return_inverse=True)
    if len(code) != np.shape(scores)[1]:
        raise RagftError(f"strata: {len(code)} of them for {np.shape(scores)[1]} questions")
    size = np.array([sizes.get(name, 0) for name in names.tolist()], float)
    if not np.all(size > 0):
        raise RagftError(f"strata: no size above 0 for {', '.join(names[~(size > 0)])}")
    each = (size / np.bincount(code))[code]
    return np.stack([_linearised(row, code, each) for row in scores])


def _linearised(row: np.ndarray, code: np.ndarray, each: np.ndarray) -> np.ndarray:
    """Do it for one seed; a question stands for `each` members of the collection."""
    there = ~np.isnan(row)
    found = np.full(row.shape, np.nan)
    if there.any():
        row, code, weight = row[there], code[there], each[there] / each[there].mean()
        of_stratum = np.bincount(code, row) / np.maximum(np.bincount(code), 1)
        found[there] = np.mean(weight * row) + weight * (row - of_stratum[code])
    return found
