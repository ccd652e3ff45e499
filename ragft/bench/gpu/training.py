"""Training: tokens a second, share of the card's rate, memory, and what an adapter weighs.

Operations are counted, not read off a profiler. A forward pass takes 2 per weight and token (a
multiply-add counts as two); the backward pass takes as many again for the gradients of the
inputs, and as many again for those of the weights (Kaplan et al. 2020, 'Scaling Laws for Neural
Language Models', section 2.1: 6 per weight and token in all). Frozen weights need no gradient, so
LoRA takes 4 (its own matrices, below 1 %, are left out). Attention multiplies activations alone:
its backward pass takes twice its forward pass either way (Chowdhery et al. 2022, 'PaLM',
appendix B, which also defines utilisation as such a count over the time). The output layer counts
for the positions of the completion, the only ones projected. No gradient checkpointing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ragft.bench.gpu.bars import BIG, bar, span
from ragft.bench.gpu.device import Device
from ragft.bench.gpu.settings import Load, Settings
from ragft.bench.gpu.tuning import (
    METHODS,
    adapter_bytes,
    trainable,
    trained_parameters,
    training_step,
)
from ragft.generation.shapes import Shape

NAME = "training"
USES = ("loads", "repeats", "rank", "step_tokens", "examples", "epochs", "full_below")


def cells(settings: Settings, shapes: Sequence[Shape]) -> list[dict[str, Any]]:
    """Return what is measured: each shape, method and load at each number of tokens a step.

    Examples longer than a step are left out, and all weights of shapes above `full_below`.
    """
    return [
        {"shape": shape.name, "method": method, "load": name, "step_tokens": tokens}
        for shape in shapes
        for method in METHODS
        if method != "full" or shape.parameters <= settings.full_below
        for name, load in settings.loads.items()
        for tokens in settings.step_tokens
        if load.tokens <= tokens
    ]


def measure(device: Device, shape: Shape, cell: dict[str, Any]) -> dict[str, Any]:
    """Take training steps; `peak_bytes` is over all of them, the optimiser's state included."""
    load, method = device.settings.loads[cell["load"]], cell["method"]
    rows = cell["step_tokens"] // load.tokens
    network = device.held((shape, method), lambda: trainable(device, shape, method))
    step = training_step(device, network, shape.vocabulary, load, rows)
    times: list[float] = []
    peak = device.peak_memory(lambda: times.append(device.seconds(step)))
    trained = trained_parameters(network)
    adapters = 0 if method == "full" else trained
    return {
        "example_tokens": load.tokens,
        "rows": rows,
        "seconds": times[0],
        "tokens_per_second": rows * load.tokens / times[0],
        "share_of_rate": device.share_of_rate(operations(shape, method, load, rows), times[0]),
        "weights_bytes": sum(part.nbytes for part in network.parameters()),
        "peak_bytes": peak,
        "trainable_parameters": trained,
        "total_parameters": shape.parameters + adapters,
        "trainable_share": trained / (shape.parameters + adapters),
        "adapter_bytes": None if method == "full" else adapter_bytes(network),
        "note": "" if device.cuda else "no peak on a CPU",
    }


def operations(shape: Shape, method: str, load: Load, rows: int) -> int:
    """Return the operations of a training step on so many examples; see the top of this file."""
    linear = 2 * shape.layer_weights * load.tokens
    linear += 2 * shape.vocabulary * shape.hidden * load.completion
    attention = 2 * shape.layers * shape.hidden * load.tokens**2
    return rows * ((3 if method == "full" else 2) * linear + 3 * attention)


def summary(settings: Settings, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bar, the memory of QLoRA over LoRA, and hours extrapolated from tokens a second.

    The bar: the 8 B shape trains with LoRA at 35 % of the measured rate in its best step.
    """
    shares = [r["share_of_rate"] for r in rows if r["shape"] == BIG and r["method"] == "lora"]
    found = [bar("LoRA of the 8 B shape, share of the bfloat16 rate", 0.35, max, shares)]
    return found + _memory_ratios(rows) + _hours(settings, rows)


def quantities(settings: Settings, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return T1, T2 and T10 of the 8 B shape: share trained, QLoRA's memory, seconds of training.

    Seconds are those of LoRA, from the smallest to the largest training set, over all lengths.
    """
    big = [row for row in rows if row["shape"] == BIG]
    lora = [row for row in big if row["method"] == "lora"]
    ratios = [row["memory_qlora_over_lora"] for row in _memory_ratios(big)]
    seconds = [3600 * row["hours"] for row in _hours(settings, lora)]
    found = {
        "trainable_share": span({row["trainable_share"] for row in lora}, "share", BIG),
        "memory_qlora_over_lora": span(ratios, "ratio", BIG),
        "training_seconds": span(seconds, "seconds", BIG),
    }
    return {name: one for name, one in found.items() if one is not None}


def _memory_ratios(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = ("shape", "load", "step_tokens")
    lora = {tuple(r[key] for key in keys): r for r in rows if r["method"] == "lora"}
    found = []
    for row in rows:
        other = lora.get(tuple(row[key] for key in keys))
        if row["method"] == "qlora" and other and row["peak_bytes"] and other["peak_bytes"]:
            ratio = row["peak_bytes"] / other["peak_bytes"]
            found.append({key: row[key] for key in keys} | {"memory_qlora_over_lora": ratio})
    return found


def _hours(settings: Settings, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the hours of whole training runs, at the fastest step of each kind."""
    best: dict[tuple, dict[str, Any]] = {}
    for row in rows:
        place = (row["shape"], row["method"], row["load"])
        if place not in best or row["tokens_per_second"] > best[place]["tokens_per_second"]:
            best[place] = row
    return [
        {
            "shape": shape,
            "method": method,
            "load": load,
            "examples": count,
            "epochs": settings.epochs,
            "example_tokens": row["example_tokens"],
            "hours": count
            * settings.epochs
            * row["example_tokens"]
            / row["tokens_per_second"]
            / 3600,
            "note": "extrapolated from tokens a second",
        }
        for (shape, method, load), row in best.items()
        for count in settings.examples
    ]
