"""Real weights against random ones of the same configuration: whether values move the clocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from ragft import models
from ragft.bench.gpu.device import ATTENTION, Device, Unavailable, timed
from ragft.bench.gpu.settings import Settings
from ragft.bench.gpu.steps import Store, graphed, read, stepper
from ragft.generation.shapes import Shape

NAME = "real"
USES = ("loads", "repeats", "steps", "weights_hash")


def cells(settings: Settings, shapes: Sequence[Shape]) -> list[dict[str, Any]]:
    """Return what is measured: reading and decoding at each load, whatever the shapes."""
    return [
        {"model": settings.real.name, "load": load, "stage": stage}
        for load in settings.loads
        for stage in ("prefill", "decode")
    ]


def measure(device: Device, shape: None, cell: dict[str, Any]) -> dict[str, Any]:
    """Time the same work with both weights in turn, so that a clock that drifts hits both.

    Milliseconds are of a whole prompt, and of one token in decoding.
    """
    networks = device.held("real", lambda: _networks(device))
    load, limit = device.settings.loads[cell["load"]], networks["real"].config
    length = min(load.prompt, limit.max_position_embeddings - 1)
    note = "" if length == load.prompt else f"prompt cut from {load.prompt}: the model's context"
    works = {name: _work(device, one, length, cell["stage"]) for name, one in networks.items()}
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(device.settings.repeats):
        for name, work in works.items():
            found[name] += timed(work, 1, warm=1)
    each = 1000 / (device.settings.steps if cell["stage"] == "decode" else 1)
    real, random = median(found["real"]), median(found["random"])
    return {
        "prompt_tokens": length,
        "real_ms": each * real,
        "random_ms": each * random,
        "real_over_random": real / random,
        "note": note,
    }


def _networks(device: Device) -> dict[str, Any]:
    import torch

    folder, dtype = device.settings.real, device.settings.dtype
    random = device.build(models.open_config(folder), dtype).eval()  # registers the attention
    real = models.open_network(
        folder,
        device=device.settings.device,
        dtype=getattr(torch, dtype),
        attn_implementation=ATTENTION,
    )
    return {"real": real, "random": random}


def _work(device: Device, network: Any, length: int, stage: str) -> Callable[[], Any]:
    """Return the reading of a prompt, or the decoding of some tokens after it."""
    tokens = device.tokens(network.config.vocab_size, 1, length)
    store = Store(network, 1, length + 1)
    if stage == "prefill":
        return lambda: read(network, tokens, store)
    read(network, tokens, store)
    step = stepper(network, store, length)
    try:
        step = graphed(step)
    except Unavailable:
        pass  # both are timed in the same way
    return lambda: [step() for _ in range(device.settings.steps)]


def summary(settings: Settings, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return nothing: the ratios are in the rows."""
    return []
