"""What this machine does at most: bytes read and operations done in a second, measured.

Counted work over these rates is a floor: the time below which a stage cannot go on this machine.
What is counted lives with the thing that does it (`generation.shapes`, `experiments.floors`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ragft.profiles import Profile
from ragft.runtime import device_of, timed
from ragft.types import RagftError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

READ_SIZES = tuple(2**power for power in range(20, 31))
"""Bytes of the buffers that are read, 1 MiB to 1 GiB: from a core's own cache to the memory."""
CHECK_SIZES = READ_SIZES[:4:2]
"""Enough to see that all works."""


@dataclass(frozen=True)
class Rates:
    """Measured rates of one device; the best of several repeats, since they serve as limits."""

    device: str
    dtype: str
    operations: float
    """Of a large matrix product, a second; a multiply-add counts as two."""
    reads: tuple[tuple[int, float], ...]
    """(bytes of the buffer, bytes read a second), the smallest buffer first."""

    def bandwidth(self, working_set: float) -> float:
        """Return the bytes a second at which a working set of so many bytes can be read.

        The best rate from the largest measured buffer that is no larger on: small buffers stay
        in caches and are read faster, so that a floor computed from it never lies too high.
        """
        fitting = sum(size <= working_set for size, _ in self.reads)
        return max(rate for _, rate in self.reads[max(fitting - 1, 0) :])

    def floor_seconds(
        self, operations: float = 0.0, bytes_read: float = 0.0, working_set: float | None = None
    ) -> float:
        """Return the least time that some work takes: the longer of computing and reading.

        Parameters
        ----------
        operations : float
            A multiply-add counts as two.
        bytes_read : float
            Each byte as often as it is read.
        working_set : float, optional
            Bytes that are read over and over; None: each of `bytes_read` once.
        """
        reading = bytes_read / self.bandwidth(bytes_read if working_set is None else working_set)
        return max(operations / self.operations, reading)

    def to_dict(self) -> dict[str, Any]:
        """Return the rates as a record keeps them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Rates:
        """Return rates as they were recorded."""
        return cls(**{**row, "reads": tuple((int(size), rate) for size, rate in row["reads"])})


def read_sizes(sizes: Profile) -> tuple[int, ...]:
    """Return the buffers that an experiment of this profile reads."""
    return CHECK_SIZES if sizes.name == "smoke" else READ_SIZES


def rates_of(sizes: Profile) -> Rates:
    """Measure this machine as a profile uses it: on its device, in its precision."""
    return measure_rates(device_of(sizes.device), sizes.dtype, read_sizes(sizes))


def measure_rates(
    device: str = "cpu",
    dtype: str = "float32",
    sizes: Sequence[int] = READ_SIZES,
    side: int | None = None,
    repeats: int = 7,
) -> Rates:
    """Measure how fast a device reads and computes, with as many threads as torch has.

    Parameters
    ----------
    device : str
        'cpu' or 'cuda'.
    dtype : str
        Of the matrix product, a torch type's name such as 'float32' or 'bfloat16'.
    sizes : sequence of int
        Bytes of the buffers that are read, each at least 1024.
    side : int, optional
        Of the square matrices; None: 1024 on a CPU, 8192 on a GPU.
    repeats : int
        Timings of each, after one that does not count.

    Raises
    ------
    RagftError
        No size, one that is too small, or fewer than one repeat.
    """
    import torch

    if not sizes or min(sizes) < 1024 or repeats < 1:
        raise RagftError(
            f"rates: sizes={tuple(sizes)}, repeats={repeats}; give sizes of 1024 bytes or more and "
            "at least 1 repeat"
        )
    side = side or (8192 if device.startswith("cuda") else 1024)
    return Rates(
        device=device,
        dtype=dtype,
        operations=2 * side**3 / _product_seconds(side, device, getattr(torch, dtype), repeats),
        reads=tuple((size, size / _read_seconds(size, device, repeats)) for size in sorted(sizes)),
    )


def _product_seconds(side: int, device: str, dtype: torch.dtype, repeats: int) -> float:
    import torch

    one = torch.randn(side, side, device=device).to(dtype)
    return min(timed(lambda: one @ one, repeats, warm=1))


def _read_seconds(size: int, device: str, repeats: int) -> float:
    """Return the least time in which a buffer is read: two ways, since neither is always best."""
    import torch

    buffer = torch.ones(size // 4, device=device)  # zeros may be one and the same page
    half = len(buffer) // 2
    ways = (buffer.sum, lambda: torch.dot(buffer[:half], buffer[half : 2 * half]))
    return min(min(timed(way, repeats, warm=1)) for way in ways)
