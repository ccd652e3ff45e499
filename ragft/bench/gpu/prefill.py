"""Reading a prompt: time, tokens a second, and the share of what the card multiplies at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ragft.bench.gpu.bars import BIG, bar
from ragft.bench.gpu.device import Device
from ragft.bench.gpu.settings import Settings
from ragft.bench.gpu.steps import Store, read
from ragft.generation.shapes import Shape

NAME = "prefill"
USES = ("loads", "repeats")
MANY = 2000
"""Tokens from which on reading is limited by multiplying, so that the bar is asked."""


def cells(settings: Settings, shapes: Sequence[Shape]) -> list[dict[str, Any]]:
    """Return what is measured: each shape with each prompt length."""
    return [{"shape": shape.name, "load": load} for shape in shapes for load in settings.loads]


def measure(device: Device, shape: Shape, cell: dict[str, Any]) -> dict[str, Any]:
    """Read one prompt; only the logits of its last position are computed."""
    length = device.settings.loads[cell["load"]].prompt
    network = device.network(shape)
    store = Store(network, 1, length)
    tokens = device.tokens(shape.vocabulary, 1, length)
    seconds = device.seconds(lambda: read(network, tokens, store))
    operations = shape.prefill_operations(length)
    weights = shape.decode_bytes(0, size=device.settings.size)
    return {
        "prompt_tokens": length,
        "seconds": seconds,
        "tokens_per_second": length / seconds,
        "share_of_rate": device.share_of_rate(operations, seconds),
        "share_of_floor": device.share_of_floor(operations, weights, seconds),
    }


def summary(settings: Settings, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bar: the 8 B shape reads a few thousand tokens at 40 % of the measured rate."""
    long = [r["share_of_rate"] for r in rows if r["shape"] == BIG and r["prompt_tokens"] >= MANY]
    return [bar("prefill of the 8 B shape, share of the bfloat16 rate", 0.4, min, long)]
