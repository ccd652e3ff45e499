"""Retrieval on documents that nobody has written questions for.

Documents are cut into passages, one heading or sentence of a passage is taken out of it, and the
passage must be found again. How the questions are made lives in `corpora.known_item`, how finding
is measured in `experiments.retrieval`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ragft.chunking import chunk
from ragft.corpora.corpus import Corpus
from ragft.corpora.known_item import KnownItems, known_items
from ragft.experiments.retrieval import RetrievalResult, retrieve
from ragft.retrieval.index import EmbedsTexts
from ragft.types import Document, RagftError

STRATEGY = "markdown"
"""How documents are cut: from heading to heading, long sections by sentences."""
SIZE = 128
"""Tokens of a passage, at most."""


@dataclass(frozen=True)
class KnownItemRetrieval:
    """What a retriever found of passages that something was cut out of."""

    result: RetrievalResult
    """Its documents are passages: ids 'DOCUMENT#3'."""
    asked: KnownItems

    def to_dict(self) -> dict[str, Any]:
        """Return what `RetrievalResult.to_dict` does, and under 'known_items' what was asked."""
        return {**self.result.to_dict(), "known_items": self.asked.counts()}


def pieces(documents: Iterable[Document], size: int = SIZE) -> list[Document]:
    """Return the passages of documents as documents of their own, of the same source and dates.

    Passages never overlap: a sentence would stand in two of them, and neither be the one.
    """
    return [
        Document(
            p.id, p.text, p.title, p.source or p.doc_id, p.collection, p.valid_from, p.valid_to
        )
        for p in chunk(documents, STRATEGY, size)
    ]


def retrieve_known_items(
    corpus: Corpus,
    retriever: str = "hybrid",
    top_k: int = 10,
    *,
    n: int = 300,
    seed: int = 0,
    embedder: EmbedsTexts | None = None,
) -> KnownItemRetrieval:
    """Ask for headings and sentences of a corpus; the passage they were cut out of is right.

    Parameters
    ----------
    corpus : Corpus
        Its documents in force on one day.
    retriever, top_k, embedder
        As for `retrieve`.
    n, seed
        As for `known_items`.

    Raises
    ------
    RagftError
        No heading or sentence can be asked about; says why. Or as for `retrieve`.
    """
    asked = known_items(pieces(corpus.documents), n, seed)
    if not asked.questions:
        raise RagftError(nothing_to_ask(corpus.name, asked))
    found = retrieve(
        asked.documents,
        asked.questions,
        retriever,
        top_k,
        chunking={"strategy": "whole"},
        embedder=embedder,
    )
    return KnownItemRetrieval(found, asked)


def nothing_to_ask(name: str, asked: KnownItems) -> str:
    """Return the message for a corpus without a heading or sentence that can be asked about."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in asked.left_out.items())
    return (
        f"{name or 'the corpus'}: no heading or sentence can be asked about "
        f"({reasons or 'it has none'}); give --questions FILE."
    )
