"""`cached`: an arm behind a memory of earlier answers, by the same words or the same meaning.

What such a memory gains and what it gets wrong is measured in `experiments.caching`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ragft import prompts
from ragft.corpora.corpus import Corpus
from ragft.runtime import stopwatch
from ragft.types import Answer, Changes, Example, Question, RagftError, RefreshCost

if TYPE_CHECKING:
    from ragft.arms.base import Arm
    from ragft.retrieval.index import EmbedsTexts

STAGE = "cache"
"""The stage in which the memory is searched; of an answer from memory it is the only one."""


class Cached:
    """Give an earlier answer where a question was asked before, else ask the arm and remember.

    Questions are answered in their order, each after those before it have been remembered. The
    day of a question plays no part: that the memory does not notice a change is what it costs.

    Parameters
    ----------
    arm : Arm
    embedder : EmbedsTexts, optional
        None: only the same words count, case and spaces aside. With one, also the nearest earlier
        question, if it is near enough.
    threshold : float
        Least cosine similarity that counts as near enough, from -1 to 1.
    size : int
        Answers remembered, at least 1; the one not used for longest is forgotten first.
    forgets : bool
        Whether `refresh` empties the memory.

    Attributes
    ----------
    hits, misses : int
        Questions answered from memory, and by the arm.

    Raises
    ------
    RagftError
        `threshold` or `size` is out of range.
    """

    def __init__(
        self,
        arm: Arm,
        embedder: EmbedsTexts | None = None,
        *,
        threshold: float = 0.95,
        size: int = 10_000,
        forgets: bool = True,
    ) -> None:
        if not -1 <= threshold <= 1 or size < 1:
            raise RagftError(
                f"Cached: threshold={threshold} must lie from -1 to 1, size={size} be 1 or more"
            )
        self.arm, self.embedder = arm, embedder
        self.threshold, self.size, self.forgets = threshold, size, forgets
        self.name, self.teaches = arm.name, arm.teaches
        self.hits = self.misses = 0
        self.forget()

    def forget(self) -> None:
        """Empty the memory."""
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._keys: list[str] = []
        """The remembered questions, in the rows of `_vectors`."""
        self._vectors = np.empty((0, 0), np.float32)

    def prepare(self, corpus: Corpus, examples: Sequence[Example] = ()) -> RefreshCost:
        """Prepare the arm, with an empty memory."""
        self.forget()
        return self.arm.prepare(corpus, examples)

    def refresh(self, changes: Changes) -> RefreshCost:
        """Bring the arm up to date, and empty the memory where it `forgets`."""
        if self.forgets:
            self.forget()
        return self.arm.refresh(changes)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, from memory where possible."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Answer:
        with stopwatch() as watch:
            key = prompts.one_line(question.text).casefold()
            found, vector = self._find(key)
        if found is not None:
            self.hits += 1
            self._answers.move_to_end(found)
            return replace(self._answers[found], stage_ms={STAGE: watch.ms})
        self.misses += 1
        (answer,) = self.arm.answer([question])
        self._remember(key, answer, vector)
        return replace(answer, stage_ms={STAGE: watch.ms, **answer.stage_ms})

    def _find(self, key: str) -> tuple[str | None, np.ndarray | None]:
        """Return the remembered question that counts as the same, and the vector of this one."""
        if key in self._answers or self.embedder is None:
            return (key if key in self._answers else None), None
        vector = self.embedder.embed([key], cached=False)[0]
        if not self._keys:
            return None, vector
        likeness = self._vectors[: len(self._keys)] @ vector
        best = int(likeness.argmax())
        return (self._keys[best] if likeness[best] >= self.threshold else None), vector

    def _remember(self, key: str, answer: Answer, vector: np.ndarray | None) -> None:
        row = len(self._keys)
        if len(self._answers) == self.size:
            oldest, _ = self._answers.popitem(last=False)
            row = self._keys.index(oldest) if vector is not None else row
        self._answers[key] = answer
        if vector is None:
            return
        if row == len(self._vectors):  # twice as much room, so that few rows are ever copied
            room = np.empty((max(64, row), len(vector)), np.float32)
            self._vectors = np.concatenate([self._vectors.reshape(-1, len(vector)), room])
        self._keys[row : row + 1] = [key]
        self._vectors[row] = vector


def from_memory(answer: Answer) -> bool:
    """Tell whether an answer came from a memory."""
    return set(answer.stage_ms) == {STAGE}
