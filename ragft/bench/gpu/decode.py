"""Decoding one token: time and share of the card's bandwidth, launched kernel by kernel and whole.

At small batches a token takes as long as its weights take to be read, if the host keeps up. A
CUDA graph of one step takes the host out of the way; eager mode is measured beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ragft.bench.gpu.bars import BIG, bar
from ragft.bench.gpu.device import Device, Unavailable
from ragft.bench.gpu.settings import Settings
from ragft.bench.gpu.steps import Store, graphed, read, stepper
from ragft.generation.shapes import Shape

NAME = "decode"
USES = ("loads", "repeats", "steps", "batches")


def cells(settings: Settings, shapes: Sequence[Shape]) -> list[dict[str, Any]]:
    """Return what is measured: each shape after each prompt, in each batch."""
    return [
        {"shape": shape.name, "load": load, "batch": batch}
        for shape in shapes
        for load in settings.loads
        for batch in settings.batches
    ]


def measure(device: Device, shape: Shape, cell: dict[str, Any]) -> dict[str, Any]:
    """Decode tokens that each follow the prompt: every step reads the same number of positions."""
    context, batch = device.settings.loads[cell["load"]].prompt, cell["batch"]
    network = device.network(shape)
    store = Store(network, batch, context + 1)
    read(network, device.tokens(shape.vocabulary, 1, context), store)
    store.repeat_first()
    eager, graph, note = step_seconds(device, stepper(network, store, context))
    seconds = eager if math.isnan(graph) else graph
    bytes_read = shape.decode_bytes(context + 1, batch, device.settings.size)
    operations = shape.decode_operations(context + 1, batch)
    return {
        "context": context,
        "ms_per_token": 1000 * seconds,
        "eager_ms": 1000 * eager,
        "graph_ms": 1000 * graph,
        "eager_over_graph": eager / graph,
        "tokens_per_second": batch / seconds,
        "share_of_bandwidth": device.share_of_bandwidth(bytes_read, seconds),
        "eager_share_of_bandwidth": device.share_of_bandwidth(bytes_read, eager),
        "share_of_floor": device.share_of_floor(operations, bytes_read, seconds),
        "note": note,
    }


def step_seconds(device: Device, step: Callable[[], Any]) -> tuple[float, float, str]:
    """Return the seconds of a step in eager mode and as a graph (NaN and a note where none is)."""
    eager = _each(device, step)
    try:
        return eager, _each(device, graphed(step)), ""
    except Unavailable as error:
        return eager, math.nan, f"eager: {error}"


def _each(device: Device, step: Callable[[], Any]) -> float:
    def several() -> None:
        for _ in range(device.settings.steps):
            step()

    return device.seconds(several, warm=1) / device.settings.steps


def summary(settings: Settings, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bar: the 8 B shape alone reads at half the measured bandwidth, at any context."""
    alone = [r["share_of_bandwidth"] for r in rows if r["shape"] == BIG and r["batch"] == 1]
    return [bar("decoding of the 8 B shape at batch 1, share of the bandwidth", 0.5, min, alone)]
