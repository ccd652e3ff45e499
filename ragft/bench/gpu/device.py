"""The device under measurement: one network in its memory at a time, its clock, its memory."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

from ragft.bench.gpu.settings import Settings
from ragft.generation.shapes import Shape
from ragft.runtime import machine, package_versions, timed
from ragft.types import RagftError

if TYPE_CHECKING:
    import torch

    from ragft.experiments.rates import Rates

ATTENTION = "sdpa_causal"
"""Torch's fused attention, told 'causal' by a flag: no mask is ever built. While a graph is
captured transformers builds one, and a mask keeps the fast kernels and grouped keys away."""
WARM = 2
"""Runs before the timed ones: kernels are chosen and memory is found in them."""
LONG_RUN = 10.0
"""Seconds; beyond them the spread of repeats is small and their time is not."""
VERSIONS = ("torch", "transformers", "peft", "bitsandbytes")
"""Packages whose versions move the numbers."""


class Unavailable(RagftError):
    """Something cannot be measured on this machine; the message says why."""


class Device:
    """Where everything is measured.

    Attributes
    ----------
    rates : Rates or None
        What the device does at most; None until it is measured.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rates: Rates | None = None
        self._held: tuple[Any, Any] = (None, None)

    @property
    def cuda(self) -> bool:
        """Whether this is a GPU."""
        return self.settings.device.startswith("cuda")

    def machine(self) -> dict[str, Any]:
        """Return what tells this machine from others: the GPU, or the processor of a CPU run."""
        import torch

        versions = package_versions(VERSIONS)
        if not self.cuda:
            return machine() | {"packages": versions}
        card = torch.cuda.get_device_properties(self.settings.device)
        return {"gpu": card.name, "memory_bytes": card.total_memory, "packages": versions}

    def held(self, key: Any, build: Callable[[], Any]) -> Any:
        """Return what `build` made for this key; anything held for another key goes first."""
        if self._held[0] != key:
            self.release()
            self._held = (key, build())
        return self._held[1]

    def release(self) -> None:
        """Free everything that is held."""
        self._held = (None, None)
        if self.cuda:
            gc.collect()  # the frames of an error may refer to each other
        self.tidy()

    def tidy(self) -> None:
        """Give memory that no tensor uses back to the GPU, so that it has no gaps."""
        import torch

        if self.cuda:
            torch.cuda.empty_cache()

    def network(self, shape: Shape) -> Any:
        """Return a model of this shape with random weights, in evaluation mode."""
        return self.held(shape, lambda: self.build(shape.config(), self.settings.dtype).eval())

    def build(self, config: Any, dtype: str) -> Any:
        """Return a new model of this configuration; its weights are drawn on the device."""
        import torch
        import transformers
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        transformers.AttentionInterface.register(ATTENTION, sdpa_attention_forward)
        torch.manual_seed(0)
        with torch.device(self.settings.device):
            return transformers.AutoModelForCausalLM.from_config(
                config, dtype=getattr(torch, dtype), attn_implementation=ATTENTION
            )

    def tokens(self, vocabulary: int, rows: int, length: int, seed: int = 0) -> torch.Tensor:
        """Return random tokens (rows, length)."""
        import torch

        draws = torch.Generator(self.settings.device).manual_seed(seed)
        shape, place = (rows, length), self.settings.device
        return torch.randint(vocabulary, shape, device=place, generator=draws)

    def seconds(self, work: Callable[[], Any], warm: int = WARM) -> float:
        """Return the median time of a piece of work, `warm` runs before it not counted.

        Work that takes longer than `LONG_RUN` is timed once after its warm-up, not repeatedly.
        """
        before = max(timed(work, warm, warm=0))
        return median(timed(work, 1 if before > LONG_RUN else self.settings.repeats, warm=0))

    def memory(self) -> float:
        """Return the bytes that tensors take on the device now; NaN on a CPU, which counts none."""
        import torch

        return float(torch.cuda.memory_allocated()) if self.cuda else math.nan

    def peak_memory(self, work: Callable[[], Any]) -> float:
        """Return the most bytes that tensors took while `work` ran, what was there before included.

        NaN on a CPU.
        """
        import torch

        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        work()
        return float(torch.cuda.max_memory_allocated()) if self.cuda else math.nan

    def share_of_rate(self, operations: float, seconds: float) -> float:
        """Return the operations a second over the measured ones; NaN before the rates are known."""
        return math.nan if self.rates is None else operations / seconds / self.rates.operations

    def share_of_bandwidth(self, read: float, seconds: float) -> float:
        """Return the bytes a second over the measured ones; NaN before the rates are known."""
        return math.nan if self.rates is None else read / seconds / self.rates.bandwidth(read)

    def share_of_floor(self, operations: float, read: float, seconds: float) -> float:
        """Return the least possible time over the measured one; NaN before the rates are known."""
        if self.rates is None:
            return math.nan
        return self.rates.floor_seconds(operations=operations, bytes_read=read) / seconds


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that the device's memory is full."""
    import torch

    text = str(error).lower()
    kinds = ("out of memory", "cublas_status_alloc_failed")
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(kind in text for kind in kinds)
    )
