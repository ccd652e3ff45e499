"""`given`: the passages that an experiment hands out; not an arm of its own in any table.

With it a context condition (old versions beside the gold passage, nothing relevant, the
gold passage at a certain place) is data, and answering is the same code as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ragft import prompts
from ragft.arms.base import ModelArm
from ragft.generation.base import CompletesPrompts
from ragft.types import Hit, Passage, Question


class Given(ModelArm):
    """Answer from passages handed over, by question id.

    Parameters
    ----------
    model : CompletesPrompts or str or path
    passages : mapping of question id to sequence of Passage
        A question that is not in it is shown none.
    ordered : bool
        Show them in order of date; else exactly as handed over.
    instruction : str
        What opens the prompt.
    shots : sequence of (question, answer)
        Demonstrations, shown behind the passages.
    **options
        As for `ModelArm`.
    """

    name = "given"

    def __init__(
        self,
        model: CompletesPrompts | str | Path,
        passages: Mapping[str, Sequence[Passage]],
        *,
        ordered: bool = True,
        instruction: str = prompts.READ,
        shots: Sequence[tuple[str, str]] = (),
        **options: object,
    ) -> None:
        super().__init__(model, **options)
        self.passages, self.shots = passages, tuple(shots)
        self.ordered, self.instruction = ordered, instruction

    def find(self, questions: Sequence[Question], timings: dict[str, float]) -> list[list[Hit]]:
        """Return what was handed over."""
        return [
            [Hit(p, 1.0, n, "given") for n, p in enumerate(self.passages.get(q.id, ()), 1)]
            for q in questions
        ]

    def demonstrations(self, question: Question) -> Sequence[tuple[str, str]]:
        """Return the same demonstrations for every question."""
        return self.shots
