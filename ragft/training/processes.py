"""Several processes that train one model: how many there are, and what the first alone does.

They are started by a launcher (`accelerate launch`, `torchrun`), never here. How a batch is shared
among them lives in `batches` and `trainer`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from ragft.runtime import device_of
from ragft.types import RagftError

T = TypeVar("T")
_TOLD_BY = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where launchers say how many they started; those that accelerate reads."""
_LOST = ("timed out", "connection closed", "connection reset", "connection refused")
"""What torch says when another process is gone or late; it has no error of its own kind."""


def launched() -> int:
    """Return how many processes a launcher started; 1 without one."""
    return max(int(os.environ.get(name) or 1) for name in _TOLD_BY)


def join(expected: int, timeout_s: float) -> None:
    """Meet the other processes; nothing where one is expected and one there is.

    Parameters
    ----------
    expected : int
        At least 1. A launcher that starts another number, or one process alone, is an error:
        training would otherwise go on by itself, in another batch, in every one of them.
    timeout_s : float
        Seconds that one process waits for the others, here and in every step.

    Raises
    ------
    RagftError
        Naming both numbers.
    """
    found = launched()
    if found != expected:
        raise RagftError(
            f"processes={expected}, but {found} started: say how many there are, and start them by "
            f"`torchrun --nproc-per-node {max(expected, 2)}` or `accelerate launch --multi_gpu "
            f"--num_processes {max(expected, 2)}` (also on a CPU, where `accelerate launch --cpu` "
            "starts one whatever it is told)"
        )
    if expected > 1 and not distributed.is_initialized():
        from accelerate import PartialState

        with answering(timeout_s):
            PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(seconds=timeout_s))
    if count() != expected:  # the launcher's word is not enough
        raise RagftError(f"processes={expected}, but {count()} met: look at the launcher's set-up")


def count() -> int:
    """Return how many processes have met; 1 where none had to."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def first() -> bool:
    """Tell whether this is the process that writes."""
    return rank() == 0


def sharded() -> bool:
    """Tell whether the launcher asks for weights that are spread over the processes (FSDP)."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def from_first(work: Callable[[], T]) -> T:
    """Do something in the first process alone and return in all of them what it gave.

    Parameters
    ----------
    work : callable
        Returns what can be sent: None, a truth value, a number or a text.

    Raises
    ------
    RagftError
        In all processes, where the first one could not do it.
    """
    if count() == 1:
        return work()
    told: list = [None, None]
    error = None
    if first():
        try:
            told = [work(), None]
        except Exception as raised:  # the others must hear of it, whatever it is
            error, told = raised, [None, str(raised) or type(raised).__name__]
    distributed.broadcast_object_list(told, src=0)
    if error is not None:
        raise error
    if told[1] is not None:
        raise RagftError(told[1])
    return told[0]


def added(*numbers: float) -> list[float]:
    """Return each number, added up over the processes."""
    return _reduced(numbers, distributed.ReduceOp.SUM)


def largest(*numbers: float) -> list[float]:
    """Return each number where it is largest."""
    return _reduced(numbers, distributed.ReduceOp.MAX)


def _reduced(numbers: tuple[float, ...], how: distributed.ReduceOp.RedOpType) -> list[float]:
    if count() == 1:
        return list(numbers)
    told = torch.tensor(numbers, dtype=torch.float64, device=device_of())
    distributed.all_reduce(told, how)
    return told.tolist()


def leave() -> None:
    """Part from the other processes, once all work is done."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


@contextmanager
def answering(timeout_s: float) -> Iterator[None]:
    """Turn torch's words about a process that is gone or late into an error that says so."""
    try:
        yield
    except RuntimeError as error:  # also DistBackendError and its like
        if not any(sign in str(error).lower() for sign in _LOST):
            raise
        raise RagftError(
            f"another process ended, or did not answer within {timeout_s:g} s ({error}): what went "
            "wrong stands in its messages; a run that is started again goes on at its checkpoint"
        ) from error
