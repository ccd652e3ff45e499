"""Counting words: documents in, the BM25 score of every word in every document that has it out.

The same numbers, to the last bit, as an index of bm25s with its method 'atire' holds; counted by
all words at once and not document by document, which is several times quicker. Splitting and
looking up words takes most of the time, so that their numbers are kept, and only documents that
changed are split again. What a word weighs (its inverse document frequency) is the matter of
`bm25`.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Numbered:
    """Documents as numbers of their words."""

    words: Mapping[str, int]
    """The number of each word, in the order in which they first come."""
    ids: np.ndarray
    """The words of all documents, one after the other; int32."""
    lengths: np.ndarray
    """How many words each document has; int64, shape (documents,)."""

    @property
    def bytes(self) -> int:
        """Memory of the numbers, the words left out."""
        return self.ids.nbytes + self.lengths.nbytes


def numbered(
    documents: Iterable[Sequence[str]], words: Mapping[str, int] | None = None
) -> Numbered:
    """Number the words of tokenised documents, of which there may be none.

    Words that have a number already keep it; others get the next ones.
    """
    known: defaultdict[str, int] = defaultdict(None, words or {})
    known.default_factory = known.__len__
    number, ids, lengths = known.__getitem__, array("i"), array("q")
    for tokens in documents:
        before = len(ids)
        ids.extend(map(number, tokens))
        lengths.append(len(ids) - before)
    return Numbered(dict(known), np.array(ids, np.int32), np.array(lengths, np.int64))


def renumbered(known: Numbered, rows: np.ndarray, documents: Iterable[Sequence[str]]) -> Numbered:
    """Number documents many of which are known.

    Parameters
    ----------
    known : Numbered
    rows : ndarray of int, shape (n,)
        The row of each document among the known ones; -1 where it is the next of `documents`.
    documents : iterable of sequences of str
        The others, tokenised.

    Returns
    -------
    Numbered
        What `numbered` returns for all of them.
    """
    new = numbered(documents, known.words)
    fresh = rows < 0
    at = np.where(fresh, len(known.lengths) + np.cumsum(fresh) - 1, rows)
    ids, lengths = (np.concatenate(x) for x in ((known.ids, new.ids), (known.lengths, new.lengths)))
    begin, lengths = (np.cumsum(lengths) - lengths)[at], lengths[at]
    within = np.cumsum(lengths) - lengths
    ids = ids[np.repeat(begin - within, lengths) + np.arange(lengths.sum())]
    # Of the places of a word, written backwards, the first stays.
    first = np.full(len(new.words), len(ids))
    first[ids[::-1]] = np.arange(len(ids))[::-1]
    order = np.argsort(first)[: np.count_nonzero(first < len(ids))]
    number, names = np.empty(len(first), np.int32), list(new.words)
    number[order] = np.arange(len(order))
    return Numbered({names[old]: n for n, old in enumerate(order.tolist())}, number[ids], lengths)


def scored(documents: Numbered, k1: float, b: float) -> dict[str, np.ndarray]:
    """Score words by document, each of the same weight.

    Parameters
    ----------
    documents : Numbered
    k1, b : float
        See `BM25`.

    Returns
    -------
    dict
        Compressed sparse columns, one a word: 'data' (float64), 'indices' (documents, ascending in
        each column) and 'indptr'.

    Notes
    -----
    Source: Lù, 'BM25S: Orders of magnitude faster lexical search via eager sparse scoring' (2024).
    """
    lengths, columns = documents.lengths, len(documents.words)
    # One number a pair of word and document, so that one sort counts all of them.
    pairs = documents.ids * np.int64(len(lengths)) + np.repeat(np.arange(len(lengths)), lengths)
    pairs.sort()
    first = np.flatnonzero(np.diff(pairs, prepend=-1))
    found = pairs[first]
    times = np.diff(first, append=len(pairs)).astype(np.float64)
    column, document = np.divmod(found, max(1, len(lengths)))
    starts = np.searchsorted(column, np.arange(columns + 1))
    mean = lengths.mean() if columns else 1.0
    data = times * (k1 + 1) / (times + (k1 * (1 - b + b * lengths / mean))[document])
    small = np.int32 if len(lengths) < 2**31 else np.int64  # of a third of the postings' bytes
    return {"data": data, "indices": document.astype(small), "indptr": starts}
