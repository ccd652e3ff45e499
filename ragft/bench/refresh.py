"""What refreshing a small share of an index costs, against building it from nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from statistics import median
from typing import Any

import numpy as np

from ragft.arms.library import Library
from ragft.bench import row
from ragft.corpora.corpus import Corpus
from ragft.corpora.world import World
from ragft.retrieval.dense import Embedder
from ragft.retrieval.index import EmbedsTexts
from ragft.runtime import stopwatch
from ragft.types import Changes, Document, RagftError

RETRIEVERS = ("hybrid", "dense", "bm25")


def refresh(
    documents: int = 20_000,
    share: float = 0.01,
    repeats: int = 3,
    embedder: EmbedsTexts | None = None,
    sample: int | None = None,
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
    sample : int, optional
        Texts that are embedded to learn how long one takes, at least 1; all others then get drawn
        vectors, and that time is added for each of them. None: all are embedded, which takes
        hours for 100,000 on a few cores.

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
    if sample is not None and not 1 <= sample <= documents:
        raise RagftError(f"bench refresh: sample {sample}; give 1 to the {documents} documents")
    corpus = _collection(documents)
    made = embedder or Embedder(cache=None)
    if sample is not None:
        made = _Counted(made, [d.text for d in corpus.documents[:: documents // sample]][:sample])
    return [_measured(corpus, name, changed, repeats, made) for name in RETRIEVERS]


def _collection(count: int) -> Corpus:
    world = World(subjects=count, seed=0)
    return Corpus(tuple(islice(world.iter_documents(), count)), name=f"{count} documents")


class _Counted:
    """An embedder that draws vectors and counts the seconds that embedding would have taken.

    Parameters
    ----------
    embedder : EmbedsTexts
    sample : sequence of str
        Texts that it embeds, to learn how long one takes.
    """

    def __init__(self, embedder: EmbedsTexts, sample: Sequence[str]) -> None:
        embedder.embed(sample[:1])  # loads the model
        with stopwatch() as watch:
            self._dimension = embedder.embed(sample).shape[1]
        self.seconds, self.measured = watch.seconds / len(sample), len(sample)
        self.embedded, self._rng = 0, np.random.default_rng(0)

    def embed(self, texts: Sequence[str], cached: bool = True) -> np.ndarray:
        """Return drawn unit vectors, float32 of shape (texts, dimension)."""
        self.embedded += len(texts)
        made = self._rng.standard_normal((len(texts), self._dimension), dtype=np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def _measured(
    corpus: Corpus, retriever: str, changed: int, repeats: int, embedder: EmbedsTexts
) -> dict[str, Any]:
    library = Library(retriever=retriever, embedder=embedder)
    if retriever != "bm25":
        library.index.embedder.embed(["warm"])  # loads the model, which no refresh pays for
    built = library.prepare(corpus)
    costs = [library.refresh(Changes(changed=new)) for new in _edits(corpus, changed, repeats)]
    embedded = [cost.passages_embedded for cost in costs]
    each = getattr(embedder, "seconds", 0.0)
    whole = built.seconds + each * built.passages_embedded
    counted = ""
    if each and built.passages_embedded:
        counted = f" at {1000 * each:.1f} ms each, measured on {embedder.measured}"
    return row(
        f"refresh {retriever}",
        len(corpus.documents),
        "building from nothing",
        [(cost.seconds + each * cost.passages_embedded) / whole for cost in costs],
        f"{changed} documents changed each time, passages embedded {embedded}; "
        f"building embedded {built.passages_embedded}{counted}; all else {built.seconds:.1f} s to "
        f"build and {median(cost.seconds for cost in costs):.1f} s to refresh",
    )


def _edits(corpus: Corpus, count: int, repeats: int) -> Iterator[tuple[Document, ...]]:
    """Yield changed documents, others every time."""
    step = len(corpus.documents) // count
    for n in range(repeats):
        chosen = corpus.documents[n::step][:count]
        yield tuple(replace(d, text=f"{d.text} Checked again in round {n}.") for d in chosen)
