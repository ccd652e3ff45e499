"""The cells of the curating experiment: how many examples, how noisy, what is dropped of them.

The behaviour is 'jargon': words with a special sense, each asked beside a document that states the
right value and a wrong one. What is made of the checked answers is decided in `curating` and
`curating_effects`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from ragft import models, prompts
from ragft.corpora.behaviours import Behaviour, Scenario, behaviour_task
from ragft.evaluation.behaviours import check
from ragft.experiments import behaviour_asking
from ragft.experiments.behaviour_cells import READING
from ragft.experiments.behaviour_prompts import SHORT, Shown, shown
from ragft.experiments.grid import asking, training_notes
from ragft.profiles import Profile
from ragft.records import content_key, sha256_json
from ragft.runtime import stopwatch
from ragft.types import Answer, Example

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.finetuned import Training
    from ragft.arms.given import Given
    from ragft.generation.local import LocalModel
    from ragft.training.noise import Noise

NAME = "jargon"
"""The behaviour that is taught."""
AS_GIVEN, FILTERED, RANDOM = "as given", "filtered", "random"
TREATMENTS = (AS_GIVEN, FILTERED, RANDOM)
"""Nothing dropped; the worst share by loss; as many at random, the control of the filter."""
SHARE = 0.2
"""What a treatment drops: the article's worst fifth."""
FIRST = 4
"""The first training, whose losses the filter goes by, is shown so many times fewer examples."""
POOL = 1000
"""Pairs that are made at least, so that smaller grids ask and teach the same and share cells."""
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    sizes: tuple[int, ...]
    """Numbers of examples given, rising."""
    rates: tuple[float, ...]
    """Shares of them that teach a wrong value, rising."""
    asked: int
    """Questions, about subjects that no example is about."""
    shown: int
    """Examples that every training is shown, repeats counted."""

    def cells(self, seeds: Sequence[int]) -> list[tuple[int, float, str, int]]:
        """Return (size, rate, treatment, seed); without noise a filter needs no control."""
        return [
            (size, rate, treatment, seed)
            for size in self.sizes
            for rate in self.rates
            for treatment in TREATMENTS
            for seed in seeds
            if rate or treatment != RANDOM
        ]


def passes(shown: int, examples: int) -> int:
    """Return how often each of some examples is shown, so that together it is about `shown`.

    Whole passes, at least one: with 1,200 shown, 30 examples pass 40 times and 240 five times.
    Small batches keep the steps of all cells as near to each other as these products.
    """
    return max(1, round(shown / examples))


def spoilt(pairs: Sequence[Scenario], rate: float, seed: int) -> tuple[list[Shown], Noise]:
    """Put pairs into words, a share of them with the value of another subject.

    The name and the citation before the value stay right, and the wrong value is one of the same
    kind (another material for a material) where the pairs have one: an annotator who looked into
    the wrong line, and not a broken file.

    Parameters
    ----------
    pairs : sequence of Scenario
    rate : float
        0 to 1, rounded to whole pairs.
    seed : int
        Of the draw.

    Returns
    -------
    list of Shown, Noise
    """
    from ragft.training.noise import inject

    values = [
        Example(
            f"{s.question.relation} of {s.question.subject}",
            s.knows["value"],
            s.question.subject,
            s.question.id,
        )
        for s in pairs
    ]
    said, noise = inject(values, rate, "wrong_value", seed)
    told = [
        replace(s, knows={**s.knows, "value": one.completion})
        for s, one in zip(pairs, said, strict=True)
    ]
    return [shown(NAME, s) for s in told], noise


class Work:
    """The cells of one curating experiment: their keys, and what computing one takes."""

    def __init__(self, plan: Plan, sizes: Profile) -> None:
        self.plan, self.sizes = plan, sizes
        self._noisy = cache(self._made_noisy)  # asked for by the key, the examples and the notes

    @cached_property
    def task(self) -> Behaviour:
        """The pairs of the largest grid, of which smaller numbers are the first, and the asked."""
        return behaviour_task(NAME, pairs=max(POOL, *self.plan.sizes), asked=self.plan.asked)

    @cached_property
    def asked(self) -> list[Shown]:
        """What every cell is asked, in wordings that no example has."""
        return [shown(NAME, s) for s in self.task.asked]

    @cached_property
    def model_hash(self) -> str:
        """Hash of the model's weights, found without loading it."""
        return models.weights_hash(models.locate(self.sizes.model))

    @cached_property
    def model(self) -> LocalModel:
        """The model, loaded when the first cell needs it."""
        from ragft.generation.catalog import load_model

        return load_model(self.sizes.model, device=self.sizes.device, dtype=self.sizes.dtype)

    def key(self, size: int, rate: float, treatment: str, seed: int) -> str:
        """Return the key of a cell: all that its answers depend on."""
        taught, noise = self._noisy(size, rate, seed)
        left = size if treatment == AS_GIVEN else size - round(SHARE * size)
        what = {
            "cell": "curating",
            "version": VERSION,
            "treatment": treatment,
            "training": asdict(self._training(seed, left)),
            "spoilt": list(noise.positions),
            **asking(self.sizes),
        }
        if treatment == FILTERED:
            what["first"] = asdict(self._training(seed, size, FIRST))
        data = sha256_json([_words(taught), _words(self.asked)])
        return content_key(what, corpus=data, model=self.model_hash, seed=seed)

    def compute(
        self, size: int, rate: float, treatment: str, seed: int
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Drop what the treatment drops, train on the rest, ask, and check the answers."""
        from ragft.arms.finetuned import train

        place = {"size": size, "noise": rate, "treatment": treatment, "seed": seed}
        with stopwatch() as watch:
            examples, dropped = self._left(size, rate, treatment, seed)
            trained = train(self.model, examples, self._training(seed, len(examples)))
            questions = [s.question for s in self.asked]
            answers = self._reader(trained.adapter).answer(questions)
        frame = behaviour_asking.checked(self.asked, answers, _scores).assign(**place)
        notes = training_notes(trained, examples, questions)
        return frame, {
            **place,
            "seconds": watch.seconds,
            **notes,
            "filter": self._quality(size, rate, seed, dropped),
        }

    def _left(
        self, size: int, rate: float, treatment: str, seed: int
    ) -> tuple[list[Example], tuple[int, ...]]:
        """Return the examples that a treatment leaves, and the positions that it drops."""
        examples = self._examples(size, rate, seed)
        if treatment == AS_GIVEN:
            return examples, ()
        if treatment == FILTERED:
            dropped = self._worst(examples, seed)
        else:
            order = random.Random(f"dropped-{seed}")
            dropped = tuple(sorted(order.sample(range(size), round(SHARE * size))))
        gone = set(dropped)
        return [e for i, e in enumerate(examples) if i not in gone], dropped

    def _examples(self, size: int, rate: float, seed: int) -> list[Example]:
        taught, _ = self._noisy(size, rate, seed)
        return behaviour_asking.taught_examples(self.model, NAME, taught)

    def _made_noisy(self, size: int, rate: float, seed: int) -> tuple[list[Shown], Noise]:
        return spoilt(self.task.pairs[:size], rate, seed)

    def _worst(self, examples: Sequence[Example], seed: int) -> tuple[int, ...]:
        """Return the worst share by the losses of a short first training on the same examples.

        Short, because right pairs are learnt before errors are (Arpit et al. 2017, A closer look
        at memorization in deep networks, ICML): after a quarter of the training an error still
        has a high loss. The untrained model is no good judge, as it misreads the words of right
        pairs too. On 30 to 300 pairs with 10 to 50 % of errors this found as many of them as
        `cross_losses`, which takes a training for each fold: a value that the document does not
        state surprises whoever has learnt to look there, so no other example need contradict it.
        """
        from ragft.arms.finetuned import train
        from ragft.training.curation import curate
        from ragft.training.losses import example_losses

        first = train(self.model, examples, self._training(seed, len(examples), FIRST))
        losses = example_losses(self.model, examples, first.adapter)
        _, report = curate(examples, drop=("loss",), losses=losses, share=SHARE)
        return report.positions("loss")

    def _training(self, seed: int, examples: int, shorter: int = 1) -> Training:
        """Return how examples are trained: as a behaviour is, but all shown equally much."""
        from ragft.arms.finetuned import training_of

        settings = training_of(self.sizes)
        return replace(
            settings,
            seed=seed,
            epochs=passes(self.plan.shown // shorter, examples),
            min_steps=1,
            learning_rate=settings.learning_rate / READING[1],
        )

    def _reader(self, adapter: Any) -> Given:
        from ragft.arms.base import Decoding
        from ragft.arms.given import Given

        room = behaviour_asking.longest(self.model.tokenizer, self.asked)
        return Given(
            model=self.model,
            passages={s.question.id: s.passages for s in self.asked},
            instruction=SHORT[NAME],
            adapter=adapter,
            decoding=Decoding(max(self.sizes.max_new_tokens, room), self.sizes.batch_size),
        )

    def _quality(
        self, size: int, rate: float, seed: int, dropped: Sequence[int]
    ) -> dict[str, Any] | None:
        """Return what was dropped, held against what was spoilt; None where nothing was dropped."""
        from ragft.training.noise import filter_quality

        _, noise = self._noisy(size, rate, seed)
        found = filter_quality(dropped, noise.positions)
        return {k: getattr(found, k) for k in ("dropped", "spoilt", "both")} if dropped else None


def _words(several: Sequence[Shown]) -> list[Any]:
    """Return all that is said in pairs or questions, as a key holds it."""
    return [
        [
            s.question.id,
            prompts.render(s.question.text, s.passages, instruction=SHORT[NAME]),
            s.completion,
            dict(s.expects),
        ]
        for s in several
    ]


def _scores(expects: Mapping[str, Any], answer: Answer) -> dict[str, float]:
    return check(NAME, answer.raw, expects)
