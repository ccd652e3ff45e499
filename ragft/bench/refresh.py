"""What refreshing a small share of an index costs, against building it from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from ragft.arms.library import Library
from ragft.bench import row
from ragft.corpora.corpus import Corpus
from ragft.corpora.world import World
from ragft.retrieval.dense import Embedder
from ragft.retrieval.index import EmbedsTexts
from ragft.types import Changes, Document, RagftError

RETRIEVERS = ("hybrid", "dense", "bm25")


def refresh(
    documents: int = 20_000,
    share: float = 0.01,
    repeats: int = 3,
    embedder: EmbedsTexts | None = None,
) -> list[dict[str, Any]]:
    """Build an index, then change a share of its documents again and again.

    Parameters
    ----------
    documents : int
        Of a made-up world, at least 1.
    share : float
        Of them that each refresh changes, above 0 and at most 1 / repeats: every refresh changes
        other documents.
    repeats : int
        Refreshes, at least 1.
    embedder : optional
        By default all-MiniLM-L6-v2 without a cache, so that every text is really embedded.

    Returns
    -------
    list of dict
        One row for each retriever; the ratio is seconds of a refresh / seconds of building, and
        the note says how many passages were embedded for how many changed documents.

    Raises
    ------
    RagftError
        A number is out of range.
    """
    changed = round(documents * share)
    if documents < 1 or repeats < 1 or not 1 <= changed <= documents // repeats:
        raise RagftError(
            f"bench refresh: {documents} documents, share {share}, {repeats} repeats; each "
            "refresh needs at least one document, and all of them no more than there are"
        )
    corpus = _collection(documents)
    made = embedder or Embedder(cache=None)
    return [_measured(corpus, name, changed, repeats, made) for name in RETRIEVERS]


def _collection(count: int) -> Corpus:
    world = World(subjects=count, seed=0)
    return Corpus(tuple(islice(world.corpus().documents, count)), name=f"{count} documents")


def _measured(
    corpus: Corpus, retriever: str, changed: int, repeats: int, embedder: EmbedsTexts
) -> dict[str, Any]:
    library = Library(retriever=retriever, embedder=embedder)
    if retriever != "bm25":
        library.index.embedder.embed(["warm"])  # loads the model, which no refresh pays for
    built = library.prepare(corpus)
    costs = [library.refresh(Changes(changed=new)) for new in _edits(corpus, changed, repeats)]
    embedded = [cost.passages_embedded for cost in costs]
    return row(
        f"refresh {retriever}",
        len(corpus.documents),
        "building from nothing",
        [cost.seconds / built.seconds for cost in costs],
        f"{changed} documents changed each time, passages embedded {embedded}; "
        f"building embedded {built.passages_embedded}",
    )


def _edits(corpus: Corpus, count: int, repeats: int) -> Iterator[tuple[Document, ...]]:
    """Yield changed documents, others every time."""
    step = len(corpus.documents) // count
    for n in range(repeats):
        chosen = corpus.documents[n::step][:count]
        yield tuple(replace(d, text=f"{d.text} Checked again in round {n}.") for d in chosen)
