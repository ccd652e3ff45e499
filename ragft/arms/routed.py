"""`routed`: RAG whose search a router narrows to the collection that a question is about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ragft.arms.rag import RAG
from ragft.generation.base import CompletesPrompts
from ragft.retrieval.router import CentroidRouter, RoutedIndex
from ragft.types import Hit, Question


class Routed(RAG):
    """Choose a collection, retrieve from it, and answer; where unsure, retrieve from all.

    Parameters
    ----------
    model : CompletesPrompts or str or path
    router : CentroidRouter
        Fitted to the collections of the library.
    **options
        As for `RAG`.
    """

    name = "routed"

    def __init__(
        self,
        model: CompletesPrompts | str | Path = "embedded",
        *,
        router: CentroidRouter,
        **options: object,
    ) -> None:
        super().__init__(model, **options)
        self.router = router

    def find(self, questions: Sequence[Question], timings: dict[str, float]) -> list[list[Hit]]:
        """Search each question's collection."""
        through = RoutedIndex(self.library.index, self.router)
        return self.library.search(questions, self.top_k, timings, through)
