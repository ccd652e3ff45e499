"""Collections with questions whose documents are known, and how a search of one is scored.

What is compared with what lives in `retrieval_quality` and `retrieval_chunking`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.corpora.corpus import Corpus
from ragft.evaluation.retrieval_metrics import ndcg_at_k, recall_at_k, reciprocal_rank
from ragft.profiles import Profile
from ragft.records import sha256_json
from ragft.retrieval.fusion import Fusion
from ragft.retrieval.index import EmbedsTexts, HybridIndex
from ragft.types import Document, Hit, Passage, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

CUTOFF = 10
"""Documents that every measure looks at."""
MEASURES = ("recall", "ndcg", "mrr")
"""Recall@10, nDCG@10, and the reciprocal rank within 10."""
OTHER = "other"
"""The first document is none of the question's own."""
WEIGHTS = ((1.0, 0.25), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0), (0.25, 1.0))
"""Of BM25 and of the vectors, to choose from."""
DEPTHS = (20, 50, 100)
"""Of the rankings that are fused, to choose from."""
CONSTANTS = (1, 10, 60)
"""`k` of reciprocal rank fusion, to choose from."""
_BATCH = 256


@dataclass(frozen=True)
class Searched:
    """Documents, and questions with the documents that should be found."""

    name: str
    documents: tuple[Document, ...]
    questions: tuple[Question, ...]
    supporting: tuple[tuple[str, ...], ...]
    """Per question the ids of its documents; questions without any have no score."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Of documents by id: right, wrong or noise."""

    @cached_property
    def content_hash(self) -> str:
        """Hash of all that a score depends on."""
        asked = [[q.id, q.text, q.cluster_key, *ids] for q, ids in self._pairs()]
        documents = Corpus(self.documents).content_hash
        return sha256_json([documents, asked, dict(self.marks)])

    def _pairs(self) -> Iterable[tuple[Question, tuple[str, ...]]]:
        return zip(self.questions, self.supporting, strict=True)


def searched_set(
    corpus: Corpus, questions: Iterable[Question] | None = None, name: str = ""
) -> Searched:
    """Return a collection ready to be searched.

    Parameters
    ----------
    corpus : Corpus
    questions : iterable of Question, optional
        The corpus's own where None. Where a question names no supporting documents and documents
        are marked, its own documents (`metadata.documents`) marked right are to be found.
    name : str
        The corpus's where ''.

    Raises
    ------
    RagftError
        No name, no question, or not one document that is to be found.
    """
    asked = tuple(corpus.questions if questions is None else questions)
    name = name or corpus.name
    if not name or not asked:
        raise RagftError(f"retrieval set {name!r}: give it a name and at least one question")
    known, marks = {d.id for d in corpus.documents}, dict(corpus.marks)
    wanted = []
    for question in asked:
        ids = question.supporting_on(question.asked_on)
        if not ids and marks:
            ids = tuple(
                i for i in question.metadata.get("documents", ()) if marks.get(i) == "right"
            )
        wanted.append(tuple(i for i in ids if i in known))
    if not any(wanted):
        raise RagftError(
            f"retrieval set {name}: no question names a supporting document of the corpus; do the "
            "files belong together?"
        )
    return Searched(name, corpus.documents, asked, tuple(wanted), marks)


def usual_cut(sizes: Profile, chunking: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return arguments of `chunk`: those given, or sentences up to the profile's size."""
    plain = {"strategy": "sentences", "size": sizes.chunk_size, "overlap": sizes.chunk_overlap}
    return dict(plain if chunking is None else chunking)


def drawn(held: Searched, most: int, seed: int = 0) -> Searched:
    """Return a collection with at most so many of its questions, drawn."""
    order = np.random.default_rng(seed).permutation(len(held.questions))[:most]
    kept = sorted(order.tolist())
    questions = tuple(held.questions[n] for n in kept)
    return replace(held, questions=questions, supporting=tuple(held.supporting[n] for n in kept))


class Remembering:
    """An embedder that embeds the same questions once, for many searches that are not timed.

    Parameters
    ----------
    embedder : Embedder
    """

    def __init__(self, embedder: EmbedsTexts) -> None:
        self._embedder, self._known = embedder, {}
        self.model_hash = getattr(embedder, "model_hash", "")

    @property
    def embedded(self) -> int:
        """Texts that really went through the model."""
        return self._embedder.embedded

    def embed(self, texts: Sequence[str], cached: bool = True) -> np.ndarray:
        """Return unit vectors, float32 of shape (texts, dimension)."""
        if cached or not texts:
            return self._embedder.embed(texts, cached=cached)
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            vectors = self._embedder.embed(new, cached=True)
            self._known.update(zip(new, vectors, strict=True))
        return np.stack([self._known[text] for text in texts])


def ranked_documents(hits: Iterable[Hit]) -> list[str]:
    """Return the ids of the first `CUTOFF` documents, each where its best passage is."""
    return list(dict.fromkeys(hit.passage.doc_id for hit in hits))[:CUTOFF]


def search_rows(index: Any, held: Searched) -> pd.DataFrame:
    """Search all questions and score each.

    Parameters
    ----------
    index : HybridIndex, RoutedIndex or ShardedIndex
    held : Searched

    Returns
    -------
    DataFrame
        A row a question: question_id, cluster, `MEASURES`, and `first`, the mark of the document
        that comes first ('' where documents are not marked or nothing was found).
    """
    passages = getattr(index, "passages", None) or index.index.passages
    most = max(Counter(p.doc_id for p in passages).values())
    rankings: list[list[str]] = []
    for start in range(0, len(held.questions), _BATCH):
        texts = [q.text for q in held.questions[start : start + _BATCH]]
        rankings += map(ranked_documents, index.search(texts, top_k=CUTOFF * most))
    return scored_rows(rankings, held)


def scored_rows(rankings: Sequence[Sequence[str]], held: Searched) -> pd.DataFrame:
    """Return the scores of rankings of documents, one a question; see `search_rows`."""
    import pandas as pd

    columns = {
        "question_id": [q.id for q in held.questions],
        "cluster": [q.cluster_key for q in held.questions],
        "recall": recall_at_k(rankings, held.supporting, CUTOFF),
        "ndcg": ndcg_at_k(rankings, held.supporting, CUTOFF),
        "mrr": reciprocal_rank(rankings, held.supporting, CUTOFF),
        "first": [_first(q, r, held.marks) for q, r in zip(held.questions, rankings, strict=True)],
    }
    return pd.DataFrame(columns)


def _first(question: Question, ranking: Sequence[str], marks: Mapping[str, str]) -> str:
    """Return the mark of the first document, as far as it is one of the question's own."""
    if not marks or not ranking:
        return ""
    own = question.metadata.get("documents")
    return marks.get(ranking[0], OTHER) if own is None or ranking[0] in own else OTHER


def choices() -> list[tuple[Fusion, int]]:
    """Return the fusions and depths to choose from, the plainest first."""
    ranks = [Fusion("rrf", weights, k) for k in CONSTANTS for weights in WEIGHTS]
    scores = [Fusion(method, weights) for method in ("minmax", "zscore") for weights in WEIGHTS]
    return [(fusion, depth) for depth in DEPTHS for fusion in (*ranks, *scores)]


def fusion_rows(held: Searched, passages: Sequence[Passage], embedder: EmbedsTexts) -> pd.DataFrame:
    """Score every fusion and depth of `choices` on a collection.

    Both rankings are made once, and fused in all ways.

    Returns
    -------
    DataFrame
        A row a choice: method, bm25, dense, k, depth, and the mean nDCG@10.
    """
    import pandas as pd

    texts = [q.text for q in held.questions]
    parts = [
        _deep(HybridIndex(passages, retriever=retriever, embedder=embedder), texts)
        for retriever in ("bm25", "dense")
    ]
    rows = []
    for fusion, depth in choices():
        rankings = []
        for pair in zip(*parts, strict=True):
            cut = [(positions[:depth], scores[:depth]) for positions, scores in pair]
            order, _ = fusion.fuse(cut, passages)
            found = dict.fromkeys(passages[i].doc_id for i in order.tolist())
            rankings.append(list(found)[:CUTOFF])
        values = ndcg_at_k(rankings, held.supporting, CUTOFF)
        place = {"method": fusion.method, "k": fusion.k, "depth": depth}
        weights = dict(zip(("bm25", "dense"), fusion.weights, strict=True))
        rows.append({**place, **weights, "ndcg": float(np.nanmean(values))})
    return pd.DataFrame(rows)


def best_fusion(rows: pd.DataFrame) -> tuple[Fusion, int]:
    """Return the fusion and depth with the highest nDCG@10, the plainest of equals."""
    best = rows.loc[rows["ndcg"].idxmax()]
    fusion = Fusion(best["method"], (best["bm25"], best["dense"]), int(best["k"]))
    return fusion, int(best["depth"])


def _deep(index: HybridIndex, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return each query's ranking by one retriever, as deep as any choice goes."""
    place = {p.id: n for n, p in enumerate(index.passages)}
    rankings = []
    for hits in index.search(texts, top_k=max(DEPTHS)):
        # As in a search: a BM25 score of exactly 0 is no vote.
        hits = [h for h in hits if index.retriever == "dense" or h.score != 0]
        positions = np.array([place[h.passage.id] for h in hits], dtype=np.int64)
        rankings.append((positions, np.array([h.score for h in hits], dtype=np.float64)))
    return rankings
