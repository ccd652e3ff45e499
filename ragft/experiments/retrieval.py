"""Retrieval alone: are the right documents found, how fast, before any model answers.

Documents are cut, indexed and searched; a document ranks where its best passage ranks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ragft.chunking import chunk
from ragft.evaluation.retrieval_metrics import ndcg_at_k, recall_at_k, reciprocal_rank
from ragft.evaluation.statistics import Interval, mean_interval
from ragft.files import atomic_write
from ragft.retrieval.index import EmbedsTexts, HybridIndex
from ragft.types import Document, Hit, Question, RagftError

CUTOFF = 10
"""Ranks that recall and nDCG look at, whatever `top_k` is, so that results stay comparable."""
_BATCH = 256


@dataclass(frozen=True)
class RetrievalResult:
    """What a retriever found for each question, and how good and how fast it was."""

    retriever: str
    questions: tuple[Question, ...]
    rankings: tuple[tuple[tuple[str, float], ...], ...]
    """Per question: (document id, score of its best passage), best first, at most `top_k`."""
    recall: np.ndarray
    """Recall@10 per question, shape (questions,); NaN without supporting documents."""
    ndcg: np.ndarray
    """nDCG@10 per question, likewise."""
    rr: np.ndarray
    """Reciprocal rank per question within max(top_k, 10) documents, likewise."""
    passages: int
    """Passages in the index."""
    absent_supporting: int
    """Supporting documents, over all questions, that are not among the documents."""
    index_seconds: float
    """Cutting, embedding and indexing."""
    stage_ms: Mapping[str, float]
    """Milliseconds over all questions: 'embed' (only with vectors) and 'search'."""

    @property
    def queries_per_second(self) -> float:
        """Questions answered per second of embedding and searching, in batches."""
        return 1000 * len(self.questions) / sum(self.stage_ms.values())

    def interval(self, values: np.ndarray) -> Interval:
        """Return the mean of per-question values with its interval over clusters."""
        clusters = [q.cluster_key for q in self.questions]
        return mean_interval(values, clusters)

    def to_dict(self) -> dict[str, Any]:
        """Return `n, recall@10, ndcg@10, mrr, queries_per_second` and `missing`.

        `n` counts the questions that were scored; `missing` says how many had no supporting
        documents, and how many supporting documents are not among the documents. Undefined
        means are None.
        """
        scored = ~np.isnan(self.recall)
        named = {"recall@10": self.recall, "ndcg@10": self.ndcg, "mrr": self.rr}
        return {
            "n": int(scored.sum()),
            **{name: _bounds(self.interval(values)) for name, values in named.items()},
            "queries_per_second": self.queries_per_second,
            "missing": {
                "without_supporting": int((~scored).sum()),
                "supporting_not_in_documents": self.absent_supporting,
            },
        }

    def write_trec_run(self, path: str | Path) -> Path:
        """Write the rankings as a TREC run: `question Q0 document rank score tag`.

        Equal scores are lowered by the least step a 32-bit number knows, since other tools
        order them as they like. Returns the path.

        Raises
        ------
        RagftError
            An id holds white space, which the format cannot; or the file cannot be written.
        """
        return atomic_write(path, "".join(self._run_lines()))

    def _run_lines(self) -> Iterator[str]:
        for question, ranking in zip(self.questions, self.rankings, strict=True):
            above = np.float32(np.inf)
            for rank, (document, score) in enumerate(ranking, start=1):
                for name in (question.id, document):
                    if not name or any(c.isspace() for c in name):
                        raise RagftError(f"TREC run: the id {name!r} is blank or holds a space.")
                above = min(np.float32(score), np.nextafter(above, np.float32(-np.inf)))
                yield f"{question.id} Q0 {document} {rank} {above:.9g} ragft-{self.retriever}\n"


def retrieve(
    documents: Iterable[Document],
    questions: Iterable[Question],
    retriever: str = "hybrid",
    top_k: int = 10,
    chunking: Mapping[str, Any] | None = None,
    embedder: EmbedsTexts | None = None,
) -> RetrievalResult:
    """Search every question's supporting documents.

    Parameters
    ----------
    documents : iterable of Document
        At least one with text.
    questions : iterable of Question
        At least one. `supporting_on(asked_on)` are the documents to be found; questions
        without any are searched and counted, not scored.
    retriever : {'hybrid', 'bm25', 'dense'}
    top_k : int
        Documents to keep per question; the measures look at the first 10 in any case.
    chunking : mapping, optional
        Arguments of `chunking.chunk`; its defaults otherwise.
    embedder : Embedder, optional
        Made when needed.

    Raises
    ------
    RagftError
        No documents, no questions, `top_k` below 1, or not one supporting document among
        the documents (the files do not belong together).
    """
    documents, questions = list(documents), tuple(questions)
    relevant = [q.supporting_on(q.asked_on) for q in questions]
    absent = _check(documents, questions, relevant, top_k)
    start = time.perf_counter()
    passages = chunk(documents, **(chunking or {}))
    index = HybridIndex(passages, retriever=retriever, embedder=embedder)
    index.build()
    seconds = time.perf_counter() - start
    timings: dict[str, float] = {}
    rankings = _rank_documents(index, questions, max(top_k, CUTOFF), timings)
    ids = [[document for document, _ in ranking] for ranking in rankings]
    return RetrievalResult(
        retriever=retriever,
        questions=questions,
        rankings=tuple(ranking[:top_k] for ranking in rankings),
        recall=recall_at_k(ids, relevant, CUTOFF),
        ndcg=ndcg_at_k(ids, relevant, CUTOFF),
        rr=reciprocal_rank(ids, relevant),
        passages=len(index),
        absent_supporting=absent,
        index_seconds=seconds,
        stage_ms=timings,
    )


def _check(
    documents: Sequence[Document],
    questions: Sequence[Question],
    relevant: Sequence[Sequence[str]],
    top_k: int,
) -> int:
    if not any(d.text.strip() for d in documents):
        raise RagftError("retrieve: there are no documents with text; nothing can be found.")
    if not questions:
        raise RagftError("retrieve: there are no questions to search for.")
    if not isinstance(top_k, int) or top_k < 1:
        raise RagftError(f"retrieve: top_k must be a whole number of at least 1, not {top_k!r}.")
    known = {d.id for d in documents}
    wanted = [i for ids in relevant for i in ids]
    absent = sum(i not in known for i in wanted)
    if wanted and absent == len(wanted):
        raise RagftError(
            f"retrieve: none of the {absent} supporting documents (such as {wanted[0]!r}) is among "
            "the documents; do the two files belong together?"
        )
    return absent


def _rank_documents(
    index: HybridIndex, questions: Sequence[Question], top_k: int, timings: dict[str, float]
) -> list[tuple[tuple[str, float], ...]]:
    # If no document has more than m passages, top_k * m of them come from at least top_k documents.
    most = max(Counter(p.doc_id for p in index.passages).values())
    rankings = []
    for start in range(0, len(questions), _BATCH):
        texts = [q.text for q in questions[start : start + _BATCH]]
        found = index.search(texts, top_k=top_k * most, timings=timings)
        rankings += [tuple(_best_passages(hits).items())[:top_k] for hits in found]
    return rankings


def _best_passages(hits: Iterable[Hit]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for hit in hits:
        scores.setdefault(hit.passage.doc_id, hit.score)
    return scores


def _bounds(interval: Interval) -> dict[str, float | None]:
    values = interval.to_dict()
    return {name: values[name] for name in ("mean", "low", "high")}
