"""`rag`: the model with the passages that a search finds for the question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ragft import prompts
from ragft.arms.base import ModelArm
from ragft.arms.library import Library
from ragft.corpora.corpus import Corpus
from ragft.generation.base import CompletesPrompts
from ragft.types import Changes, Example, Hit, Question, RefreshCost


class RAG(ModelArm):
    """Retrieve, then answer from what was found.

    Parameters
    ----------
    model : CompletesPrompts or str or path
    library : Library, optional
        Shared with other arms where one is given; its own otherwise.
    top_k : int
        Passages in the prompt.
    **options
        As for `ModelArm`.

    Examples
    --------
    >>> arm = RAG("embedded", top_k=3)  # doctest: +SKIP
    >>> arm.prepare(corpus)  # doctest: +SKIP
    >>> arm.answer(questions)[0].text  # doctest: +SKIP
    'Tarmo'
    """

    name = "rag"
    instruction = prompts.READ

    def __init__(
        self,
        model: CompletesPrompts | str | Path = "embedded",
        *,
        library: Library | None = None,
        top_k: int = 4,
        **options: object,
    ) -> None:
        super().__init__(model, **options)
        self.library = library or Library()
        self.top_k = top_k

    def prepare(self, corpus: Corpus, examples: Sequence[Example] = ()) -> RefreshCost:
        """Index the corpus."""
        return self.library.prepare(corpus)

    def refresh(self, changes: Changes) -> RefreshCost:
        """Bring the index up to date; embeds what changed and nothing else."""
        return self.library.refresh(changes)

    def find(self, questions: Sequence[Question], timings: dict[str, float]) -> list[list[Hit]]:
        """Search the library."""
        return self.library.search(questions, self.top_k, timings)
