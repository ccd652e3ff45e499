"""`fewshot`: the model with a few answered questions of the same kind in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ragft.arms.base import ModelArm
from ragft.generation.base import CompletesPrompts
from ragft.types import Question


class Fewshot(ModelArm):
    """Show demonstrations before the question.

    Parameters
    ----------
    model : CompletesPrompts or str or path
    shots : sequence of (question, answer)
        About subjects that are never asked, so that they show the form and not the facts.
    **options
        As for `ModelArm`.
    """

    name = "fewshot"

    def __init__(
        self,
        model: CompletesPrompts | str | Path = "embedded",
        *,
        shots: Sequence[tuple[str, str]] = (),
        **options: object,
    ) -> None:
        super().__init__(model, **options)
        self.shots = tuple(shots)

    def demonstrations(self, question: Question) -> Sequence[tuple[str, str]]:
        """Return the same demonstrations for every question."""
        return self.shots
