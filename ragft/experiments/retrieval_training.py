"""Models for retrieval that learn from one half of a collection's documents.

How they are trained lives in `retrieval.tune`; what they are worth on the other half is measured
in `retrieval_quality`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ragft.chunking import chunk
from ragft.experiments.retrieval_sets import Searched
from ragft.profiles import Profile
from ragft.records import Records, content_key
from ragft.retrieval.pairs import Half, Pair, mine_pairs, split_by_documents, title_pairs
from ragft.retrieval.rerank import Reranker
from ragft.retrieval.tune import Tuning, train_reranker, tune_embedder
from ragft.types import Question

VERSION = 1
"""Raised when training changes, so that older models are not reused."""


@dataclass(frozen=True)
class Training:
    """How much is learnt from a collection's own questions."""

    embedder: Tuning = Tuning(epochs=2, batch_size=64, learning_rate=6e-5)
    reranker: Tuning = Tuning(epochs=2, batch_size=16, learning_rate=1e-4, max_length=160)
    embedder_pairs: int = 1200
    """Of questions and of titles, at most, drawn at random."""
    reranker_pairs: int = 600
    negatives: int = 1
    """Hard ones of a pair for the embedder, beside all other texts of its batch."""
    reranker_negatives: int = 2
    titles: bool = True
    """Whether the embedder also learns to find a text by its document's title."""
    share: float = 0.5
    """Of the documents, to train on."""
    split_seed: int = 0
    rerank_depth: int = 20
    """Candidates that the reranker looks at."""


def usual_training() -> Training:
    """Return the usual training, in bfloat16 where the machine multiplies that in hardware."""
    from ragft.runtime import multiplies_bf16

    usual, half = Training(), multiplies_bf16()
    return replace(
        usual,
        embedder=replace(usual.embedder, bf16=half),
        reranker=replace(usual.reranker, bf16=half),
    )


class Trained:
    """Models that learnt from one half of a collection, each made the first time it is needed.

    Parameters
    ----------
    sets : mapping of str to Searched
    training : Training
    chunking : mapping
        Arguments of `chunk`.
    sizes : Profile
        Names the embedding model that training starts from.
    model_hash : str
        Of that model.
    records : Records
        Where the models are kept.
    """

    def __init__(
        self,
        sets: Mapping[str, Searched],
        training: Training,
        chunking: Mapping[str, Any],
        sizes: Profile,
        model_hash: str,
        records: Records,
    ) -> None:
        self.sets, self.training, self.chunking = sets, training, chunking
        self.sizes, self.model_hash, self.records = sizes, model_hash, records
        self._split: dict[str, tuple[Half, Searched]] = {}

    def halves(self, name: str) -> tuple[Half, Searched]:
        """Return the half to train on, and the held-out one as a collection of its own."""
        if name not in self._split:
            one, how = self.sets[name], self.training
            trained, held = split_by_documents(
                one.documents, _with_supporting(one), how.share, how.split_seed
            )
            kept = Searched(name, held.documents, held.questions, held.supporting, one.marks)
            self._split[name] = trained, kept
        return self._split[name]

    def reranker(self, name: str, seed: int, given: str | Path | None = None) -> Reranker:
        """Return the reranker of a set, or a given one as it is."""
        folder = given or self.folder(name, "reranker", seed)
        return Reranker(folder, bf16=self.training.reranker.bf16)

    def key(self, name: str, kind: str, seed: int) -> str:
        """Return the key of a model, 'embedder' or 'reranker': all that its weights depend on."""
        tuning: Tuning = getattr(self.training, kind)
        count = {"pairs": getattr(self.training, f"{kind}_pairs")}
        count |= {"negatives": self._negatives(kind), "share": self.training.share}
        count |= {"split_seed": self.training.split_seed, "chunking": self.chunking}
        count |= {"titles": self.training.titles and kind == "embedder"}
        what = {"model": kind, "version": VERSION, "tuning": asdict(replace(tuning, seed=seed))}
        base = self.sizes.embedding_model
        corpus = self.sets[name].content_hash
        return content_key({**what, **count, "base": base}, corpus=corpus, model=self.model_hash)

    def _negatives(self, kind: str) -> int:
        return self.training.negatives if kind == "embedder" else self.training.reranker_negatives

    def folder(self, name: str, kind: str, seed: int) -> Path:
        """Return the folder of a model trained on a set's other half, made the first time."""
        train = tune_embedder if kind == "embedder" else train_reranker
        tuning = replace(getattr(self.training, kind), seed=seed)

        def build(folder: Path) -> None:
            pairs = self._pairs(name, kind)
            train(pairs, folder / "model", base=self.sizes.embedding_model, tuning=tuning)

        return self.records.built(self.key(name, kind, seed), build) / "model"

    def _pairs(self, name: str, kind: str) -> list[Pair]:
        half = self.halves(name)[0]
        passages = chunk(half.documents, **self.chunking)
        most, split = getattr(self.training, f"{kind}_pairs"), self.training.split_seed
        how = {"negatives": self._negatives(kind), "seed": split}
        pairs = mine_pairs(passages, half.questions, half.supporting, **how)
        if kind == "embedder" and self.training.titles:
            pairs += title_pairs(half.documents, **how)
        drawn = np.random.default_rng(split).permutation(len(pairs))[:most]
        return [pairs[i] for i in sorted(drawn)]


def _with_supporting(one: Searched) -> list[Question]:
    """Return the questions, each naming the documents to be found of this collection."""
    pairs = zip(one.questions, one.supporting, strict=True)
    return [replace(q, supporting=ids, answers=()) for q, ids in pairs]
