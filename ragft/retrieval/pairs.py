"""What a retriever is trained on: questions, the passages that answer them, and some that do not.

Halves are made by documents, so that what is measured was never trained on. The training itself
lives in `tune`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ragft.retrieval.bm25 import BM25, tokenize
from ragft.retrieval.parts import searched_text
from ragft.retrieval.topk import top_k
from ragft.types import Document, Passage, Question, RagftError

NEAREST = 20
"""The first passages by BM25 that hard negatives are drawn from."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A query, a text that answers it, and texts that only look as if they did."""

    query: str
    positive: str
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Half:
    """Some of the documents, and the questions about them."""

    documents: tuple[Document, ...]
    questions: tuple[Question, ...]
    supporting: tuple[tuple[str, ...], ...]
    """Per question the ids of its supporting documents that are in this half, at least one."""


def split_by_documents(
    documents: Iterable[Document],
    questions: Iterable[Question],
    share: float = 0.5,
    seed: int = 0,
) -> tuple[Half, Half]:
    """Split a collection into a half to train on and one that is held out.

    Documents are drawn, all versions of one source together. A question goes where most of its
    supporting documents are (held out where as many are in both) and keeps those; the others
    count for neither half, so that no question and no document is in both.

    Parameters
    ----------
    documents : iterable of Document
    questions : iterable of Question
        Those without a supporting document among `documents` are left out.
    share : float
        Of the sources, for training; in (0, 1).
    seed : int
        The same seed gives the same halves, whatever the order of the documents.

    Returns
    -------
    trained, held : Half

    Raises
    ------
    RagftError
        A share out of range, or a half without a question.
    """
    documents, questions = list(documents), list(questions)
    if not 0 < share < 1:
        raise RagftError(f"split: share must lie between 0 and 1, not {share!r}.")
    sources = sorted({_source(d) for d in documents})
    order = np.random.default_rng(seed).permutation(len(sources))
    chosen = {sources[i] for i in order[: round(share * len(sources))]}
    trained = {d.id for d in documents if _source(d) in chosen}
    others = {d.id for d in documents} - trained
    asked: dict[bool, list[tuple[Question, tuple[str, ...]]]] = {True: [], False: []}
    for question in questions:
        wanted = question.supporting_on(question.asked_on)
        parts = [tuple(i for i in wanted if i in half) for half in (others, trained)]
        of_trained = len(parts[1]) > len(parts[0])
        if parts[of_trained]:
            asked[of_trained].append((question, parts[of_trained]))
    if not asked[True] or not asked[False]:
        raise RagftError(
            f"split: of {len(questions)} questions {len(asked[True])} are about the documents for "
            f"training and {len(asked[False])} about the others; both need one. Give "
            "more questions with supporting documents, or another share."
        )
    halves = ((trained, asked[True]), (others, asked[False]))
    return tuple(
        Half(
            tuple(d for d in documents if d.id in ids),
            tuple(q for q, _ in rows),
            tuple(wanted for _, wanted in rows),
        )
        for ids, rows in halves
    )


def mine_pairs(
    passages: Sequence[Passage],
    questions: Sequence[Question],
    supporting: Sequence[Sequence[str]],
    *,
    negatives: int = 1,
    seed: int = 0,
) -> list[Pair]:
    """Pair questions with passages of their supporting documents and with hard negatives.

    The positive passage of a document is the one that BM25 finds best for the question. Hard
    negatives are drawn from the first `NEAREST` passages by BM25 of documents that do not support
    the question. Judgements are never complete, so a few of them may answer it all the same.

    Parameters
    ----------
    passages : sequence of Passage
        Of the half for training alone.
    questions : sequence of Question
    supporting : sequence of sequences of str
        Per question the ids of its documents; ids without a passage are passed over.
    negatives : int
        For each pair, at least 0; fewer where there are not so many other passages.
    seed : int
        Of the draws, which depend on nothing else than it and the number of the question.

    Returns
    -------
    list of Pair
        One for each question and supporting document, in their order; empty without any.

    Raises
    ------
    RagftError
        `negatives` is below 0.
    """
    if negatives < 0:
        raise RagftError(f"pairs: negatives must be at least 0, not {negatives!r}.")
    texts = [searched_text(p) for p in passages]
    bm25 = BM25().fit(map(tokenize, texts))
    rows_of: dict[str, list[int]] = {}
    for row, passage in enumerate(passages):
        rows_of.setdefault(passage.doc_id, []).append(row)
    pairs = []
    for number, (question, wanted) in enumerate(zip(questions, supporting, strict=True)):
        scores = bm25.scores(tokenize(question.text))
        every = question.supporting_on(question.asked_on)
        near = _others(scores, rows_of, {*wanted, *every})
        rng = np.random.default_rng([seed, number])
        for document in wanted:
            rows = rows_of.get(document, [])
            if rows:
                best = rows[int(np.argmax(scores[rows]))]
                drawn = rng.permutation(near)[:negatives].tolist()
                pairs.append(Pair(question.text, texts[best], tuple(texts[i] for i in drawn)))
    return pairs


def _others(
    scores: np.ndarray, rows_of: Mapping[str, Sequence[int]], right: set[str]
) -> np.ndarray:
    """Return the best rows of documents that are not `right`, at most `NEAREST`."""
    mine = [row for document in right for row in rows_of.get(document, ())]
    first = top_k(scores, NEAREST + len(mine))
    return first[~np.isin(first, mine)][:NEAREST]


def title_pairs(documents: Iterable[Document], *, negatives: int = 0, seed: int = 0) -> list[Pair]:
    """Pair the title of each document with its text, the title taken out where it opens it.

    Weak questions that need no people: there are more of them than of real ones.

    Parameters
    ----------
    documents : iterable of Document
        Of the half for training alone. Those without a title, or with nothing else, have no pair.
    negatives : int
        Hard ones for each pair, as for `mine_pairs`: texts of other documents.
    seed : int

    Raises
    ------
    RagftError
        `negatives` is below 0.
    """
    titled = []
    for document in documents:
        title, text = document.title.strip(), document.text.strip()
        body = text.removeprefix(title).strip() if title else ""
        if body:
            words = " ".join(title.replace("_", " ").split())
            passage = Passage(document.id, document.id, body, 0, len(body))
            titled.append((passage, Question(document.id, words, supporting=(document.id,))))
    passages, questions = [p for p, _ in titled], [q for _, q in titled]
    wanted = [q.supporting for q in questions]
    return mine_pairs(passages, questions, wanted, negatives=negatives, seed=seed)


def _source(document: Document) -> str:
    return document.source or document.id
