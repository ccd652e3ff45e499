"""BM25 over tokenised documents, with the scores of rank-bm25's `BM25Okapi` at bm25s' speed.

Words in, scores out; passages, filters and dates live in `retrieval.index`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from ragft.retrieval.counting import Numbered, numbered, scored
from ragft.retrieval.topk import top_k as best
from ragft.types import RagftError

COMMON = 8
"""A term in more than one of so many documents is common: its scores are kept, when it was asked
for once, as one number a document, which is added several times faster than postings."""
MOST_COLUMNS = 64
"""Common terms whose scores are kept so."""
_TOKEN = re.compile(r"\w+(?:\.\w+)*")
_INNER_DOT = re.compile(r"\.\w")


def tokenize(text: str) -> list[str]:
    """Return the words of a text in lower case, identifiers whole and in parts.

    `sklearn.svm.SVC` and `n_jobs` are then found by their full names and by any part of
    them. Numbers such as 1.5.2 stay whole. No stemming, no stop words: rare words weigh
    more by themselves.

    Parameters
    ----------
    text : str
        May be empty, which gives an empty list.

    Examples
    --------
    >>> tokenize("SVC of sklearn.svm, n_jobs=3.5")
    ['svc', 'of', 'sklearn.svm', 'sklearn', 'svm', 'n_jobs', 'n', 'jobs', '3.5']
    """
    text = text.lower()
    words = _TOKEN.findall(text)
    if "_" not in text and not _INNER_DOT.search(text):
        return words
    tokens: list[str] = []
    for word in words:
        tokens.append(word)
        if ("." in word or "_" in word) and not word.replace(".", "").isdigit():
            dotted = word.split(".")
            tokens += [part for part in dotted if part != word]
            tokens += [bit for part in dotted if "_" in part for bit in part.split("_") if bit]
    return tokens


@dataclass(frozen=True)
class Postings:
    """The scores of every word in every document that has it, as compressed sparse columns."""

    words: Mapping[str, int]
    """Each word's column."""
    data: np.ndarray
    """Scores, float64, column after column."""
    indices: np.ndarray
    """The document of each score, ascending within a column."""
    indptr: np.ndarray
    """Where each column begins, and where the last one ends."""


class BM25:
    """Okapi BM25 whose scores equal rank-bm25's.

    A term in more than half of the documents has a negative inverse document frequency; as
    in rank-bm25 it is replaced by `epsilon` times the mean of all raw ones.

    Parameters
    ----------
    k1 : float
        How fast repetitions of a term stop counting, >= 0.
    b : float
        How much long documents are held back, 0 to 1.
    epsilon : float
        Share of the mean inverse document frequency that very common terms get.
    backend : {'bm25s', 'rank_bm25'}
        'bm25s' scores words when it indexes them, as that library does (see `counting`);
        'rank_bm25' is the slow reference; the scores are the same.

    Raises
    ------
    RagftError
        Unknown backend.

    Notes
    -----
    Source: Trotman, Puurula, Burgess, 'Improvements to BM25 and Language Models Examined'
    (ADCS 2014), in the variant ATIRE, and rank_bm25 0.2.2.

    Examples
    --------
    >>> bm25 = BM25().fit([["a", "b"], ["b", "c"], ["d"]])
    >>> int(bm25.scores(["c"]).argmax())
    1
    """

    def __init__(
        self, k1: float = 1.5, b: float = 0.75, epsilon: float = 0.25, backend: str = "bm25s"
    ) -> None:
        if backend not in ("bm25s", "rank_bm25"):
            raise RagftError(f"BM25: unknown backend {backend!r}; choose bm25s or rank_bm25.")
        self.k1, self.b, self.epsilon, self.backend = k1, b, epsilon, backend
        self._n: int | None = None
        self._columns: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self._n or 0

    @property
    def bytes(self) -> float:
        """Memory of the postings, the words left out; NaN for the slow reference."""
        if self.backend == "rank_bm25":
            return float("nan")
        index = getattr(self, "_index", None)
        if index is None:
            return 0.0
        postings = (part for part in index.scores.values() if hasattr(part, "nbytes"))
        return float(sum(part.nbytes for part in (*postings, *self._columns.values())))

    def fit(self, tokenised: Iterable[Sequence[str]]) -> BM25:
        """Index documents, each a sequence of tokens; documents and corpus may be empty.

        Raises
        ------
        RagftError
            A document is a string that was not tokenised.
        """
        documents = (_checked(tokens, "document") for tokens in tokenised)
        if self.backend == "bm25s":
            return self.fit_numbered(numbered(documents))
        self._n, self._index = _rank_bm25_index(documents, self.k1, self.b, self.epsilon)
        return self

    def fit_numbered(self, documents: Numbered) -> BM25:
        """Index documents whose words are numbered already; not by the slow reference."""
        self._n, self._columns = len(documents.lengths), {}
        self._index = _counted_index(documents, self.k1, self.b, self.epsilon)
        return self

    def postings(self) -> Postings:
        """Return what was fitted, to be written down; `restored` takes it back.

        Raises
        ------
        RagftError
            Nothing is fitted, or by the slow reference.
        """
        if self._n is None or self.backend != "bm25s":
            raise RagftError("BM25: only what bm25s has fitted has postings; call fit(tokenised).")
        if self._index is None:
            return Postings({}, np.empty(0), np.empty(0, np.int64), np.zeros(1, np.int64))
        arrays = (np.asarray(self._index.scores[name]) for name in ("data", "indices", "indptr"))
        return Postings(self._index.vocab_dict, *arrays)

    def restored(self, documents: int, postings: Postings) -> BM25:
        """Take what `postings` gave for so many documents, in place of `fit`."""
        self._n, self._columns = documents, {}
        scores = {"data": postings.data, "indices": postings.indices, "indptr": postings.indptr}
        held = SimpleNamespace(vocab_dict=dict(postings.words), scores=scores)
        self._index = held if postings.words else None
        return self

    def scores(self, query_tokens: Sequence[str], out: np.ndarray | None = None) -> np.ndarray:
        """Score every document for one query.

        Parameters
        ----------
        query_tokens : sequence of str
            A token that occurs twice counts twice; unknown ones count 0; may be empty.
        out : ndarray of float64, shape (documents,), optional
            Memory for the scores; the slow reference does not use it.

        Returns
        -------
        ndarray of float64, shape (documents,)
            Empty for an empty corpus. Scores may be negative in small corpora.

        Raises
        ------
        RagftError
            Before `fit`, or the query is a string that was not tokenised.
        """
        if self._n is None:
            raise RagftError("BM25: nothing is indexed yet; call fit(tokenised) first.")
        tokens = _checked(query_tokens, "query")
        if self._index is None:
            return np.zeros(self._n)
        if self.backend == "rank_bm25":
            # 0 / 0 for an absent word where k1 = 0, or b = 1 and the document is empty.
            with np.errstate(invalid="ignore"):
                return np.nan_to_num(self._index.get_scores(tokens), nan=0.0)
        known = self._index.vocab_dict
        total = np.empty(self._n) if out is None else out
        terms = [known[t] for t in tokens if t in known]
        first = self._columns.get(terms[0]) if terms else None
        total[:] = 0 if first is None else first
        for term in terms if first is None else terms[1:]:
            self._add(term, total)
        return total

    def _add(self, term: int, total: np.ndarray) -> None:
        """Add the scores of one term, by its number, to those of all documents."""
        column = self._columns.get(term)
        if column is not None:
            total += column
            return
        index = self._index.scores
        start, end = index["indptr"][term : term + 2]
        documents, scores = index["indices"][start:end], index["data"][start:end]
        if len(documents) * COMMON < len(total) or len(self._columns) == MOST_COLUMNS:
            np.add.at(total, documents, scores)
            return
        self._columns[term] = np.zeros_like(total)
        self._columns[term][documents] = scores
        total += self._columns[term]

    def search(
        self, queries: Sequence[str] | Sequence[Sequence[str]], top_k: int = 10
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the best documents, equal scores in the order of the documents.

        Scores of 0 and below are kept: with very common terms they are rightful.

        Parameters
        ----------
        queries : sequence of str, or sequence of those
            The tokens of one query, or of several.
        top_k : int
            At least 1; more than there are documents gives all of them.

        Returns
        -------
        indices : ndarray of int64, shape (k,) or (queries, k)
        scores : ndarray of float64, of the same shape
        """
        if not isinstance(top_k, int) or top_k < 1:
            raise RagftError(f"BM25: top_k must be a whole number of at least 1, not {top_k!r}.")
        if not queries or isinstance(queries[0], str):
            scores = self.scores(queries)
            indices = best(scores, top_k)
            return indices, scores[indices]
        indices, scores = [], []
        room = np.empty(len(self))  # for all of them: new memory costs as much as scoring does
        for query in queries:
            found = self.scores(query, room)
            indices.append(best(found, top_k))
            scores.append(found[indices[-1]])
        return np.stack(indices), np.stack(scores)


def _checked(tokens: Sequence[str], what: str) -> list[str]:
    if isinstance(tokens, str):
        raise RagftError(f"BM25: a {what} must be a list of tokens, not a string: use tokenize().")
    return list(tokens)


# Both makers return None without a single token, when there is nothing to index and a mean over all
# words would divide by zero.


def _counted_index(documents: Numbered, k1: float, b: float, epsilon: float):
    if not documents.words:
        return None
    scores = scored(documents, k1, b)
    frequency = np.diff(scores["indptr"])
    idf = _okapi_idf(frequency, len(documents.lengths), epsilon)
    scores["data"] *= np.repeat(idf, frequency)
    return SimpleNamespace(vocab_dict=documents.words, scores=scores)


def _okapi_idf(frequency: np.ndarray, n: int, epsilon: float) -> np.ndarray:
    """Return rank-bm25's idf of terms that are found in `frequency` of `n` documents."""
    raw = np.log(n - frequency + 0.5) - np.log(frequency + 0.5)
    return np.where(raw < 0, epsilon * raw.mean(), raw)


def _rank_bm25_index(documents: Iterable[list[str]], k1: float, b: float, epsilon: float):
    from rank_bm25 import BM25Okapi

    documents = list(documents)
    index = BM25Okapi(documents, k1=k1, b=b, epsilon=epsilon) if any(documents) else None
    return len(documents), index
