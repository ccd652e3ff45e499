"""`finetuned`: the model tuned on the facts that are asked, in other words; no passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ragft.arms.base import ModelArm, no_examples
from ragft.corpora.corpus import Corpus
from ragft.generation.base import CompletesPrompts
from ragft.generation.local import LocalModel
from ragft.profiles import Profile
from ragft.runtime import cache_dir
from ragft.training.finetune import FinetuneResult, examples_hash, finetune
from ragft.types import Example, RefreshCost


@dataclass(frozen=True, slots=True)
class Training:
    """How an arm trains; everything here and the seed decide what the adapter becomes."""

    method: str = "lora"
    rank: int = 32
    alpha: int = 64
    epochs: int = 8
    min_steps: int = 1
    learning_rate: float = 2e-3
    batch_tokens: int = 1024
    seed: int = 0

    def continued(self) -> Training:
        """Return the settings for training on from a finished adapter: longer and gentler.

        At the rate of the start a few changed facts erase the others. Of rates between 1/13 and
        the whole of it with 5, 10 or 20 passes this kept most of what was known while it still took
        the changes in, on a world that no experiment uses.
        """
        return replace(self, epochs=20, min_steps=1, learning_rate=self.learning_rate / 8)


def training_of(sizes: Profile) -> Training:
    """Return the training settings of a profile."""
    return Training(
        method="qlora" if sizes.quantization else "lora",
        rank=sizes.rank,
        alpha=sizes.lora_alpha,
        epochs=sizes.epochs,
        min_steps=sizes.min_steps,
        learning_rate=sizes.learning_rate,
        batch_tokens=sizes.train_tokens,
    )


def train(
    model: LocalModel,
    examples: Sequence[Example],
    training: Training,
    start: str | Path | None = None,
) -> FinetuneResult:
    """Train an adapter, or return the finished one for the same base, examples and settings.

    With `start`, training goes on from that adapter.
    """
    from ragft.records import sha256_json

    settings = asdict(training)
    data = examples_hash(examples)
    whole = {"base": model.model_hash, "examples": data, **settings}
    if start is not None:
        whole["start"] = Path(start).name  # named after its own key
    out = cache_dir() / "adapters" / sha256_json(whole)[:24]
    # an experiment may mean its contradictions; the result counts them
    return finetune(model, examples, out=out, start=start, conflicts="allow", **settings)


class Tuned(ModelArm):
    """A model arm that trains an adapter when it is prepared.

    Cooperates with the classes beside it: `class X(Tuned, RAG)` trains and retrieves.

    Parameters
    ----------
    model : CompletesPrompts or str or path
    training : Training
        Two arms with the same model, examples and training share one adapter.
    **options
        As for `ModelArm`; with `adapter` nothing is trained.
    """

    def __init__(
        self,
        model: CompletesPrompts | str | Path = "embedded",
        *,
        training: Training | None = None,
        **options: object,
    ) -> None:
        super().__init__(model, **options)
        self.training = training or Training()
        self.trained: FinetuneResult | None = None

    def prepare(self, corpus: Corpus, examples: Sequence[Example] = ()) -> RefreshCost:
        """Train on the examples, and prepare whatever else the arm has.

        A model on a server is not trained: it answers with the adapter that its address names for
        what the arm teaches.

        Raises
        ------
        RagftError
            There are neither examples nor an adapter, or the server has no adapter for this.
        """
        cost = super().prepare(corpus)
        if self.remote:
            self.adapter = self.adapter or self.model.ready_adapter(self.teaches)
            return cost
        if self.adapter is not None and not examples:
            return cost
        if not examples:
            raise no_examples(self)
        self.trained = train(self.model, examples, self.training)
        self.adapter = self.trained.adapter
        return cost + RefreshCost(
            self.trained.seconds,
            tokens_trained=self.trained.tokens_seen,
            bytes_written=self.trained.adapter_bytes,
        )


class FineTuned(Tuned):
    """Answer from the weights alone, after training on the facts."""

    name = "finetuned"
    teaches = "facts"
