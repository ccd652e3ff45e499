"""What a model is asked for: options in range, prompts in batches, draws of their own.

None of it knows the model; answering lives in `local`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ragft.types import RagftError

if TYPE_CHECKING:
    import torch


def check(max_new_tokens: int, temperature: float, num_samples: int, batch_size: int) -> None:
    """Refuse options that are out of range.

    Raises
    ------
    RagftError
        Naming the option.
    """
    counts = {
        "max_new_tokens": max_new_tokens,
        "num_samples": num_samples,
        "batch_size": batch_size,
    }
    for name, value in counts.items():
        if value < 1:
            raise RagftError(f"{name}={value}: must be at least 1")
    if not 0 <= temperature < float("inf"):
        raise RagftError(f"temperature={temperature}: must be 0 or above")
    if num_samples > 1 and temperature == 0:
        raise RagftError(f"num_samples={num_samples} needs a temperature above 0: greedy has one")


def certain(text: str, stops: Sequence[str]) -> str:
    """Return the part of a growing text that no further token can change.

    A byte of a character that is not whole reads as U+FFFD; a stop is left out of a text, so
    nothing that could be the beginning of one is certain.
    """
    text = text.rstrip("\ufffd")
    for length in range(min(len(text), max((len(stop) for stop in stops), default=1) - 1), 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return text[:-length]
    return text


def stops_of(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the texts that end a completion, as a tuple."""
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def cut(text: str, stops: Sequence[str]) -> str:
    """Return a text up to the first stop in it."""
    for stop in stops:
        text = text.split(stop, 1)[0]
    return text


def batches(
    lengths: Sequence[int], size: int, most_tokens: int | None = None
) -> Iterator[list[int]]:
    """Yield row numbers, the longest first: what does not fit the memory fails at once."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        room = size if most_tokens is None else max(1, most_tokens // lengths[order[start]])
        yield order[start : start + min(size, room)]
        start += min(size, room)


def drawn(seed: int, batch: Sequence[int], samples: int, steps: int) -> torch.Tensor:
    """Return uniform numbers (prompts × samples, steps) that depend on seed and prompt alone."""
    import torch

    draws = [
        np.random.default_rng([seed, i, s]).random(steps) for i in batch for s in range(samples)
    ]
    return torch.from_numpy(np.stack(draws)).float()
