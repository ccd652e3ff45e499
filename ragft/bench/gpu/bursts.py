"""Answering questions that arrive together, in static batches of our own.

All of a burst are read, as many at once as `steps.READ_AT_ONCE` lets, and then written step by
step: the plainest engine there is. Its lengths are equal, so that it wastes nothing by padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ragft.bench.gpu.device import Device
from ragft.bench.gpu.settings import Load
from ragft.bench.gpu.steps import Store, read, stepper
from ragft.generation.shapes import Shape

if TYPE_CHECKING:
    import torch


class Burst:
    """Questions of one load that are answered at once.

    Parameters
    ----------
    device : Device
    shape : Shape
    load : Load
    count : int
        Questions.
    """

    def __init__(self, device: Device, shape: Shape, load: Load, count: int) -> None:
        self.load, self.network = load, device.network(shape)
        self.tokens: torch.Tensor = device.tokens(shape.vocabulary, count, load.prompt)
        before = device.memory()
        # The last token written is never read again, so it needs no room.
        self.store = Store(self.network, count, load.tokens - 1)
        self.store_bytes = device.memory() - before
        """Of the keys and values, as the device counts them; NaN on a CPU."""
        self.step = stepper(self.network, self.store, load.tokens - 2)

    def answer(self, step: Callable[[], Any] | None = None) -> None:
        """Read all prompts and write all completions; `step` stands in for the eager step.

        Reading gives the first token. Every further step is the last one, which reads the most.
        """
        read(self.network, self.tokens, self.store)
        for _ in range(self.load.completion - 1):
            (step or self.step)()
