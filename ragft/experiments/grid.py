"""The cells of a comparison: what computing one takes, and the key it is cached under.

Every heavy part (model, index, training examples) is made when the first cell needs it, so
that a grid whose cells are all cached loads none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ragft import models
from ragft.corpora.corpus import Corpus
from ragft.experiments.embedder import embedder_of, vector_dtype
from ragft.experiments.grid_arms import BUILDERS
from ragft.experiments.tasks import Task
from ragft.profiles import Profile
from ragft.records import Records, content_key, sha256_json
from ragft.retrieval import embedding_model
from ragft.runtime import stopwatch
from ragft.types import Example, Question

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.base import Arm
    from ragft.arms.finetuned import Training
    from ragft.arms.library import Library
    from ragft.evaluation.outcomes import FactBook
    from ragft.retrieval.index import EmbedsTexts
    from ragft.training.adapters import FinetuneResult
    from ragft.types import RefreshCost

TEACHES = {
    "finetuned": "facts",
    "finetuned_rag": "facts",
    "raft": "reading",
    "placebo": "other_facts",
    "oracle_raft": "reading",
}
"""What arms train on; of a model on a server, what a ready adapter must have been taught."""
TRAINED = tuple(TEACHES)
"""Arms that have one run per training seed; the others have one."""

TIMED = 12
"""Questions asked one at a time, for latencies."""

ASKING = ("device", "dtype", "quantization", "batch_size", "max_new_tokens")
"""Sizes that an answer from the weights depends on, besides those of its training."""

VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


_libraries: dict[tuple, Library] = {}
"""The last index made, so that grids over the same corpus share it."""


class Grid:
    """The cells of one comparison: their keys, and what computing one takes."""

    def __init__(
        self,
        task: Task,
        sizes: Profile,
        records: Records,
        whole: Corpus | None = None,
        timed: int = TIMED,
    ) -> None:
        self.task, self.sizes, self.records, self.timed = task, sizes, records, timed
        self.whole = whole or task.corpus
        """Its facts are judged against; more than `task.corpus` where that is out of date."""
        self._examples: dict[str, list[Example]] = {}

    @cached_property
    def model_hash(self) -> str:
        """What answers are cached under: the hash of the weights, found without loading them."""
        from ragft.generation.catalog import model_hash

        return model_hash(self.sizes.model)

    @property
    def remote(self) -> bool:
        """Whether the model is on a server, where nothing can be trained."""
        return models.is_server(self.sizes.model)

    @cached_property
    def model(self):
        """The model, loaded when the first cell needs it."""
        from ragft.generation.catalog import load_model

        return load_model(self.sizes.model, device=self.sizes.device, dtype=self.sizes.dtype)

    @property
    def library(self) -> Library:
        """The passages that all retrieving arms share, indexed when the first one needs them."""
        sizes = self.sizes
        chunking = (self.task.chunking, sizes.chunk_size, sizes.chunk_overlap)
        dense = (sizes.retriever, sizes.embedding_model, vector_dtype(sizes))
        key = (self.task.corpus.content_hash, *dense, *chunking)
        if key not in _libraries:
            _libraries.clear()  # one at a time: an index can be large
            _libraries[key] = self.new_library()
            _libraries[key].prepare(self.task.corpus)
        return _libraries[key]

    def new_library(self, cached: bool = True, embedder: EmbedsTexts | None = None) -> Library:
        """Return an empty library; without `cached`, every vector is computed anew.

        An `embedder` takes the place of the profile's own.
        """
        from ragft.arms.library import Library

        sizes = self.sizes
        if embedder is None and sizes.retriever != "bm25":
            embedder = embedder_of(sizes, cached)
        return Library(
            retriever=sizes.retriever,
            strategy=self.task.chunking,
            size=sizes.chunk_size,
            overlap=sizes.chunk_overlap,
            embedder=embedder,
        )

    @cached_property
    def book(self) -> FactBook | None:
        """What is known of every subject, to judge answers against; None without facts."""
        from ragft.evaluation.outcomes import FactBook

        return FactBook(self.whole.facts) if self.whole.facts else None

    def examples(self, teaches: str) -> list[Example]:
        """Return the training examples of a kind ('facts', 'other_facts', 'reading'), made once."""
        if teaches not in self._examples:
            make = {"facts": self._facts, "other_facts": self._other_facts}.get(teaches)
            self._examples[teaches] = make() if make else self._reading()
        return self._examples[teaches]

    def _facts(self) -> list[Example]:
        from ragft.training.from_questions import fact_examples

        return fact_examples(self.model, self.task.taught)

    def _other_facts(self) -> list[Example]:
        """Return as many examples as there are of the asked facts, about other subjects."""
        from ragft.training.from_questions import fact_examples

        others = [q for q in self.task.others if q.answerable]
        return fact_examples(self.model, others[: len(self.task.taught)])

    def _reading(self) -> list[Example]:
        from ragft.training.from_questions import reading_examples

        asked = list(self.task.others[: self.sizes.reading_examples])
        found = self.library.search(asked, self.sizes.top_k, {}) if asked else []
        return reading_examples(
            self.model, asked, [[hit.passage for hit in hits] for hits in found]
        )

    def cells(self, arms: Sequence[str]) -> list[tuple[str, int]]:
        """Return the (arm, seed) pairs."""
        return [(arm, seed) for arm in arms for seed in self.seeds_of(arm)]

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """Return the training seeds of an arm; one that does not train has the first alone."""
        return self.sizes.seeds if arm in TRAINED and not self.remote else self.sizes.seeds[:1]

    def key(self, arm: str, seed: int) -> str:
        """Return the key of a cell: everything that its answers depend on.

        Raises
        ------
        RagftError
            The arm trains, the model is on a server, and no ready adapter is named: told before
            any cell is computed.
        """
        if self.remote and arm in TEACHES:
            self.model.ready_adapter(TEACHES[arm])
        size = {k: v for k, v in asdict(self.sizes).items() if k not in ("seeds", "name", "model")}
        if self.sizes.embedding_model != "auto" and self.sizes.retriever != "bm25":
            # A folder's name says nothing about what lies in it.
            folder = embedding_model.model_folder(self.sizes.embedding_model)
            size["embedding_model"] = embedding_model.model_hash(folder)
        return content_key(
            {"cell": "compare", "version": VERSION, "arm": arm, "timed": self.timed, **size},
            corpus=sha256_json([self.task.content_hash, self.whole.content_hash]),
            model=self.model_hash if arm != "prior" else "",
            seed=seed,
        )

    def compute(self, arm: str, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Prepare an arm, ask it everything, and judge its answers."""
        from ragft.experiments.evaluate import answers_frame

        asked = self.task.asked
        built = self.build(arm, seed)
        cost = self.prepare(built)
        where = {"arm": arm, "day": self.task.day, "seed": seed, "marks": self.task.corpus.marks}
        frame = answers_frame(asked, built.answer(asked), self.book, **where)
        examples = self._examples_for(built)
        trained = getattr(built, "trained", None)
        meta = {
            "arm": arm,
            "seed": seed,
            "prepare": asdict(cost),
            "training_seconds": trained.seconds if trained else None,
            "examples": len(examples),
            "leakage": _leakage(examples, asked) if examples else None,
            "dropped_passages": getattr(built, "dropped", 0),
            "latency_ms": self.latencies(built, self.timed) if seed == self.sizes.seeds[0] else [],
        }
        return frame, meta

    def latencies(self, arm: Arm, count: int) -> list[float]:
        """Ask questions one at a time, after one that is not counted; in milliseconds."""
        return one_by_one(arm, self.task.asked[: count + 1]) if count else []

    def build(self, arm: str, seed: int) -> Arm:
        """Return an arm, not prepared yet."""
        return BUILDERS[arm](self, seed)

    def prepare(self, arm: Arm) -> RefreshCost:
        """Prepare an arm: index what it searches, train it on what it is to learn."""
        return arm.prepare(self.task.corpus, self._examples_for(arm))

    def _examples_for(self, arm: Arm) -> Sequence[Example]:
        return self.examples(arm.teaches) if arm.teaches and not self.remote else ()

    def prepared(self, arm: str, seed: int) -> Arm:
        """Return an arm that can be asked."""
        built = self.build(arm, seed)
        self.prepare(built)
        return built

    def training(self, seed: int) -> Training:
        """Return the training settings of a seed."""
        from ragft.arms.finetuned import training_of

        return replace(training_of(self.sizes), seed=seed)

    def reading_training(self, seed: int) -> Training:
        """Return the training settings for learning to read, which takes fewer passes."""
        return replace(
            self.training(seed),
            epochs=self.sizes.reading_epochs,
            min_steps=1,
            learning_rate=self.sizes.reading_learning_rate,
        )

    def decoding(self) -> dict[str, Any]:
        """Return what all arms that ask the model have in common."""
        from ragft.arms.base import Decoding

        return {
            "model": self.model,
            "decoding": Decoding(self.sizes.max_new_tokens, self.sizes.batch_size),
        }

    def retrieving(self) -> dict[str, Any]:
        """Return what all arms that retrieve have in common."""
        return {**self.decoding(), "library": self.library, "top_k": self.sizes.top_k}


def asking(sizes: Profile) -> dict[str, Any]:
    """Return the sizes that an answer from the weights depends on, as a key holds them."""
    return {name: getattr(sizes, name) for name in ASKING}


def training_notes(
    trained: FinetuneResult, examples: Sequence[Example], asked: Sequence[Question]
) -> dict[str, Any]:
    """Return what a training took, and what its examples share with what is asked."""
    return {
        "examples": trained.examples,
        "steps": trained.steps,
        "tokens": trained.tokens_seen,
        "training_seconds": trained.seconds,
        "losses": [trained.losses[0], trained.losses[-1]],
        "leakage": _leakage(examples, asked),
    }


def one_by_one(arm: Arm, questions: Sequence[Question]) -> list[float]:
    """Return the milliseconds of each question but the first, each asked alone."""
    found = []
    for question in questions:
        with stopwatch() as watch:
            arm.answer([question])
        found.append(watch.ms)
    return found[1:]


def _leakage(examples: Sequence[Example], asked: Sequence[Question]) -> dict[str, int]:
    """Count asked questions that occur in training prompts, and asked subjects trained on."""
    from ragft.training.leakage import leakage

    found = leakage(examples, asked)
    return {
        "questions": len({question for _, question in found.normalised}),
        "subjects": len(found.subjects),
    }
