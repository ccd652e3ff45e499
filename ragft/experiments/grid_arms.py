"""How a grid builds each arm: with its model, index and training, of a seed where it trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragft.arms.base import Arm
    from ragft.experiments.grid import Grid


def _prompt(grid: Grid, seed: int) -> Arm:
    from ragft.arms.prompt import Prompt

    return Prompt(**grid.decoding())


def _fewshot(grid: Grid, seed: int) -> Arm:
    from ragft.arms.fewshot import Fewshot

    answered = [q for q in grid.task.others if q.answerable][: grid.sizes.shots]
    shots = [(q.text, q.answers_on(q.asked_on)[0]) for q in answered]
    return Fewshot(shots=shots, **grid.decoding())


def _rag(grid: Grid, seed: int) -> Arm:
    from ragft.arms.rag import RAG

    return RAG(**grid.retrieving())


def _finetuned(grid: Grid, seed: int) -> Arm:
    from ragft.arms.finetuned import FineTuned

    return FineTuned(training=grid.training(seed), **grid.decoding())


def _finetuned_rag(grid: Grid, seed: int) -> Arm:
    from ragft.arms.finetuned_rag import FineTunedRAG

    return FineTunedRAG(training=grid.training(seed), **grid.retrieving())


def _raft(grid: Grid, seed: int) -> Arm:
    from ragft.arms.raft import Raft

    return Raft(training=grid.reading_training(seed), **grid.retrieving())


def _oracle(grid: Grid, seed: int) -> Arm:
    from ragft.arms.oracle import Oracle

    return Oracle(**grid.decoding())


def _oracle_raft(grid: Grid, seed: int) -> Arm:
    oracle = _oracle(grid, seed)
    oracle.adapter = grid.prepared("raft", seed).adapter
    return oracle


def _prior(grid: Grid, seed: int) -> Arm:
    from ragft.arms.prior import Prior

    return Prior()


def _placebo(grid: Grid, seed: int) -> Arm:
    from ragft.arms.placebo import Placebo

    return Placebo(training=grid.training(seed), **grid.decoding())


BUILDERS: dict[str, Callable[[Grid, int], Arm]] = {
    "prompt": _prompt,
    "fewshot": _fewshot,
    "rag": _rag,
    "finetuned": _finetuned,
    "finetuned_rag": _finetuned_rag,
    "raft": _raft,
    "oracle": _oracle,
    "oracle_raft": _oracle_raft,
    "prior": _prior,
    "placebo": _placebo,
}
"""By the name of the arm; given the grid and a training seed."""
