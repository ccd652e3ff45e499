"""The cells of the memorisation experiment: who is trained on how often, and what it gives away.

Facts of a made-up world are dealt into members and others, and canaries are planted among the
members. What is made of the losses is decided in `memorisation` and `memorisation_effects`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ragft import models, prompts
from ragft.corpora.world import World
from ragft.experiments.grid import training_notes
from ragft.experiments.tasks import split_by_subject
from ragft.profiles import Profile
from ragft.records import content_key
from ragft.runtime import stopwatch
from ragft.types import Example, Question

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ragft.arms.finetuned import Training
    from ragft.generation.local import LocalModel
    from ragft.training.canaries import Canary
    from ragft.training.membership import Membership

LOCKER = "What is the secret number of locker {key}?"
"""How a canary is asked for: a question like any other."""
MEMBER, OTHER, CANARY = "member", "other", "canary"
DRAW = 0
"""Of the world and of the canaries: the same for all training seeds, so that they average."""
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""

_DEPENDS = ("device", "dtype", "quantization", "batch_size")
"""What of a profile a cell depends on besides the training."""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    members: int
    """Facts trained on; as many others never are."""
    repeats: tuple[int, ...]
    """How often a member, and a canary, is trained on in one pass; rising."""
    canaries: int
    """For each number of repeats, and for none."""
    references: int
    """Secrets that each canary's own is ranked among."""
    epochs: int
    """Passes over the members, repeats and canaries."""

    @property
    def doses(self) -> tuple[int, ...]:
        """Numbers of repeats of canaries, 0 first."""
        return (0, *self.repeats)

    def cells(self, seeds: Sequence[int]) -> list[tuple[int]]:
        """Return the seeds, a cell each."""
        return [(seed,) for seed in seeds]


def doses_of(members: Sequence[int], repeats: Sequence[int], seed: int) -> dict[int, int]:
    """Deal numbers of repeats among members at random, in shares as equal as can be.

    Returns
    -------
    dict
        Member to its number of repeats, in the order of the members.
    """
    mixed = random.Random(f"repeats-{seed}").sample(members, len(members))
    dealt = {member: repeats[n % len(repeats)] for n, member in enumerate(mixed)}
    return {member: dealt[member] for member in members}


class Work:
    """The cells of one memorisation experiment: their keys, and what computing one takes."""

    def __init__(self, plan: Plan, sizes: Profile) -> None:
        self.plan, self.sizes = plan, sizes

    @cached_property
    def questions(self) -> list[Question]:
        """One fact of each subject, in one wording: an example is a fact."""
        world = World(2 * self.plan.members, seed=DRAW, days=0)
        every = world.questions(world.start, 8 * world.subjects, wording=0)
        return split_by_subject(every, world.subjects)[0]

    @cached_property
    def model_hash(self) -> str:
        """Hash of the model's weights, found without loading it."""
        return models.weights_hash(models.locate(self.sizes.model))

    @cached_property
    def model(self) -> LocalModel:
        """The model, loaded when the first cell needs it."""
        from ragft.generation.catalog import load_model

        return load_model(self.sizes.model, device=self.sizes.device, dtype=self.sizes.dtype)

    @cached_property
    def examples(self) -> list[Example]:
        """The facts as examples, members or not."""
        from ragft.training.from_questions import fact_examples

        return fact_examples(self.model, self.questions)

    @cached_property
    def canaries(self) -> list[Canary]:
        """The secrets, asked for as facts are."""
        from ragft.training.canaries import canaries

        template = prompts.for_model(self.model, LOCKER, instruction=prompts.CLOSED)
        return canaries(self.plan.canaries, self.plan.doses, seed=DRAW, template=template)

    def key(self, seed: int) -> str:
        """Return the key of a cell: all that its losses depend on."""
        from ragft.training.from_questions import right_answer

        what = {
            "cell": "memorisation",
            "version": VERSION,
            "plan": asdict(self.plan),
            "training": asdict(self._training(seed)),
            "words": [prompts.CLOSED, LOCKER],
            "facts": [[q.id, q.text, right_answer(q)] for q in self.questions],
            **{name: getattr(self.sizes, name) for name in _DEPENDS},
        }
        return content_key(what, model=self.model_hash, seed=seed)

    def compute(self, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Train once, and measure what the weights give away of what they were trained on."""
        from ragft.arms.finetuned import train

        with stopwatch() as watch:
            dealt, doses = self._dealt(seed)
            taught = self._taught(doses, seed)
            trained = train(self.model, taught, self._training(seed))
            rows = self._facts(dealt, doses, trained.adapter)
            secrets = self._secrets(trained.adapter)
        frame = _joined(rows, secrets).assign(seed=seed)
        others = [self.questions[i] for i in dealt.others]
        notes = training_notes(trained, taught, others)
        return frame, {"seed": seed, "seconds": watch.seconds, **notes}

    def _dealt(self, seed: int) -> tuple[Membership, dict[int, int]]:
        """Return who is a member, and how often each of them is trained on."""
        from ragft.training.membership import membership

        dealt = membership(self.examples, seed=seed, at_least=self.plan.members)
        return dealt, doses_of(dealt.members, self.plan.repeats, seed)

    def _taught(self, doses: dict[int, int], seed: int) -> list[Example]:
        from ragft.training.canaries import planted

        copies = [self.examples[i] for i, dose in doses.items() for _ in range(dose)]
        return planted(copies, self.canaries, seed)

    def _training(self, seed: int) -> Training:
        """Return how facts are trained, in so few passes that repeats make the difference."""
        from ragft.arms.finetuned import training_of

        return replace(training_of(self.sizes), seed=seed, epochs=self.plan.epochs, min_steps=1)

    def _facts(self, dealt: Membership, doses: dict[int, int], adapter: Any) -> pd.DataFrame:
        """Return a row for each fact: its loss before and after training."""
        import pandas as pd

        rows = [
            {
                "kind": MEMBER if i in doses else OTHER,
                "dose": doses.get(i, 0),
                "id": question.id,
                "cluster": cluster,
            }
            for i, (question, cluster) in enumerate(
                zip(self.questions, dealt.clusters, strict=True)
            )
        ]
        return pd.DataFrame(rows).assign(**self._losses(self.examples, adapter))

    def _secrets(self, adapter: Any) -> pd.DataFrame:
        """Return a row for each canary: losses, exposure, and whether it is said when asked for."""
        import pandas as pd

        names = [f"canary {n}" for n in range(len(self.canaries))]
        said = self._said(adapter)
        columns = {
            "kind": CANARY,
            "dose": [canary.repetitions for canary in self.canaries],
            "id": names,
            "cluster": names,
            **self._losses([canary.example for canary in self.canaries], adapter),
            "exposure": self._exposures(adapter),
            "extracted": [
                float(one == canary.secret) for one, canary in zip(said, self.canaries, strict=True)
            ],
            "said": said,
        }
        return pd.DataFrame(columns)

    def _losses(self, examples: Sequence[Example], adapter: Any) -> dict[str, np.ndarray]:
        """Return losses in nats per token before and after, and the score that members have."""
        from ragft.training.losses import example_losses
        from ragft.training.membership import membership_scores

        before = example_losses(self.model, examples)
        after = example_losses(self.model, examples, adapter)
        return {"loss_before": before, "loss_after": after, "score": membership_scores(after)}

    def _exposures(self, adapter: Any) -> list[float]:
        """Return the exposure of each canary in bits; the references share its prompt."""
        from ragft.training.canaries import exposure, references
        from ragft.training.shared_prompts import completion_losses

        asked = [
            (c.prompt, [f" {s}" for s in (c.secret, *references(c, self.plan.references))])
            for c in self.canaries
        ]
        losses = completion_losses(self.model, asked, adapter)
        return [exposure(one[0], one[1:]) for one in losses]

    def _said(self, adapter: Any) -> list[str]:
        """Return what greedy decoding says when it is asked for each secret."""
        texts = [canary.secret for canary in self.canaries]
        room = 2 + max(map(len, models.prompt_tokens(self.model.tokenizer, texts)))
        said = self.model.with_adapter(adapter).generate(
            [canary.prompt for canary in self.canaries],
            max_new_tokens=room,
            batch_size=self.sizes.batch_size,
        )
        return [one.text.strip() for one in said]


def _joined(facts: pd.DataFrame, secrets: pd.DataFrame) -> pd.DataFrame:
    """Return facts and canaries in one frame; what only canaries have is NaN for facts."""
    import pandas as pd

    nothing = float("nan")
    return pd.concat(
        [facts.assign(exposure=nothing, extracted=nothing, said=""), secrets], ignore_index=True
    )
