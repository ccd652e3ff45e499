"""The memory that answering takes with passages in the prompt and without, at equal load."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ragft.bench.gpu.bars import BIG, span
from ragft.bench.gpu.bursts import Burst
from ragft.bench.gpu.device import Device
from ragft.bench.gpu.settings import Settings
from ragft.generation.shapes import Shape
from ragft.retrieval.ann import index_bytes

NAME = "memory"
USES = ("loads", "concurrencies", "passages")
DIMENSION = 384
"""Of the vectors in an index, as all-MiniLM-L6-v2 makes them, in float32."""


def cells(settings: Settings, shapes: Sequence[Shape]) -> list[dict[str, Any]]:
    """Return what is measured: each shape and load with each number of questions at once."""
    return [
        {"shape": shape.name, "load": load, "concurrency": count}
        for shape in shapes
        for load in settings.loads
        for count in settings.concurrencies
    ]


def measure(device: Device, shape: Shape, cell: dict[str, Any]) -> dict[str, Any]:
    """Answer one burst in eager mode and split the peak into weights, cache and the rest.

    `rest_bytes` are activations, logits and what kernels need; NaN on a CPU, where nothing counts
    the peak. The vocabulary's logits are computed at the last position of a prompt only.
    """
    load, count = device.settings.loads[cell["load"]], cell["concurrency"]
    network = device.network(shape)
    weights = sum(part.nbytes for part in network.parameters())
    burst = Burst(device, shape, load, count)
    peak = device.peak_memory(burst.answer)
    kept = shape.kv_bytes(count * (load.tokens - 1), device.settings.size)
    taken = burst.store.bytes if math.isnan(burst.store_bytes) else burst.store_bytes
    return {
        "prompt_tokens": load.prompt,
        "completion_tokens": load.completion,
        "weights_bytes": weights,
        "kv_bytes": kept,
        "kv_measured_bytes": taken,
        "rest_bytes": peak - weights - taken,
        "peak_bytes": peak,
        "note": "" if device.cuda else "no peak on a CPU: ratios are of weights and cache",
    }


def summary(settings: Settings, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return RAG over closed book at the same load: the index on the host, and on the GPU.

    `passages` is 0 for an index on the host; its bytes there are no GPU memory. Without a peak
    the ratio is that of weights and cache. The embedding model and a reranker are left out.
    """
    closed = {(r["shape"], r["concurrency"]): _total(r) for r in rows if _is_closed(r)}
    found = []
    for row in rows:
        base = closed.get((row["shape"], row["concurrency"]))
        if base is None or _is_closed(row):
            continue
        for passages in (0, *settings.passages):
            place = {key: row[key] for key in ("shape", "load", "concurrency")}
            more = {"passages": passages, "index_bytes": index_bytes(passages, DIMENSION)}
            ratio = (_total(row) + index_bytes(passages, DIMENSION)) / base
            found.append(place | more | {"rag_over_closed_book": ratio})
    return found


def quantities(settings: Settings, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return L5: peak memory with passages over that without, the largest index on the GPU.

    Of the 8 B shape at every number of questions at once; the prompt is that of RAG as measured,
    and where a long one was loaded, that too.
    """
    found = [
        row["rag_over_closed_book"]
        for row in summary(settings, rows)
        if row["shape"] == BIG and row["passages"] == max(settings.passages)
    ]
    ratio = span(found, "ratio", BIG)
    return {} if ratio is None else {"peak_memory_rag_over_finetuned": ratio}


def _is_closed(row: dict[str, Any]) -> bool:
    return row["load"] == "closed_book"


def _total(row: dict[str, Any]) -> float:
    peak = row["peak_bytes"]
    held = row["weights_bytes"] + row["kv_measured_bytes"]
    return held if peak is None else peak
