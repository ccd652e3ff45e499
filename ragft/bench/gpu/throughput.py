"""Answers and tokens a second against the number of questions that arrive together.

Two engines answer the same bursts: continuous batching of transformers, as its users have it, and
the static batches of `bursts`, which are near the best where all prompts are of one length.
Without a flash attention package transformers lets every token look at the cache of all requests
behind a mask, which costs the more the larger the burst is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ragft.bench.gpu.bursts import Burst
from ragft.bench.gpu.continuous import running
from ragft.bench.gpu.device import Device, Unavailable
from ragft.bench.gpu.settings import Load, Settings
from ragft.bench.gpu.steps import graphed
from ragft.generation.shapes import Shape

NAME = "throughput"
USES = ("loads", "repeats", "concurrencies")
ENGINES = ("static", "continuous")
MOST_TOKENS = 300_000
"""Of a burst, for continuous batching: behind masks, larger ones take minutes each. The static
batches answer all."""


def cells(settings: Settings, shapes: Sequence[Shape]) -> list[dict[str, Any]]:
    """Return what is measured: each shape, load and concurrency with each engine."""
    return [
        {"shape": shape.name, "load": name, "concurrency": count, "engine": engine}
        for shape in shapes
        for name, load in settings.loads.items()
        for engine in ENGINES
        for count in settings.concurrencies
        if engine == "static" or count * load.tokens <= MOST_TOKENS
    ]


def measure(device: Device, shape: Shape, cell: dict[str, Any]) -> dict[str, Any]:
    """Answer one burst, from the arrival of all questions to the last token of all answers."""
    load, count = device.settings.loads[cell["load"]], cell["concurrency"]
    engine = {"static": _static, "continuous": _continuous}[cell["engine"]]
    seconds, note = engine(device, shape, load, count)
    return {
        "prompt_tokens": load.prompt,
        "completion_tokens": load.completion,
        "seconds": seconds,
        "answers_per_second": count / seconds,
        "tokens_per_second": count * load.completion / seconds,
        "note": note,
    }


def _static(device: Device, shape: Shape, load: Load, count: int) -> tuple[float, str]:
    burst, note = Burst(device, shape, load, count), ""
    step = burst.step
    try:
        step = graphed(step)
    except Unavailable as error:
        note = f"eager: {error}"
    return device.seconds(lambda: burst.answer(step), warm=1), note


def _continuous(device: Device, shape: Shape, load: Load, count: int) -> tuple[float, str]:
    seeds = iter(range(1, 1000))  # new prompts each time: none is found in a cache
    with running(device.network(shape), load, count) as answers:

        def answer() -> None:
            tokens = device.tokens(shape.vocabulary, count, load.prompt, next(seeds))
            answers(tokens.tolist())

        return device.seconds(answer, warm=1), ""


def summary(settings: Settings, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, per shape, load and concurrency, the faster engine and its answers a second.

    `over_closed_book` is the answers a second over those of the closed book at the same
    concurrency, each with its faster engine; None where that was not measured.
    """
    best: dict[tuple, dict[str, Any]] = {}
    for row in rows:
        place = (row["shape"], row["load"], row["concurrency"])
        if place not in best or row["seconds"] < best[place]["seconds"]:
            best[place] = row
    found = []
    for (shape, load, count), row in best.items():
        closed = best.get((shape, "closed_book", count))
        speed = row["answers_per_second"]
        found.append(
            {
                "shape": shape,
                "load": load,
                "concurrency": count,
                "engine": row["engine"],
                "answers_per_second": speed,
                "over_closed_book": speed / closed["answers_per_second"] if closed else None,
            }
        )
    return found
