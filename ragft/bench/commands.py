"""The benchmarks as commands: what each can be told, and what it then measures.

Nothing is printed or kept here, that is the command line's matter; nothing heavy is imported
before a benchmark runs, so that `ragft --help` stays quick.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

Rows = list[dict[str, Any]]


def add_benchmarks(actions: Any, finish: Callable[[argparse.Namespace], int]) -> None:
    """Add a command for each benchmark.

    Parameters
    ----------
    actions : argparse's subparsers
        Of `ragft bench`.
    finish : callable
        What a command runs: it gets the options, whose `measure` takes them and returns the rows.
    """
    for name, (measure, text, numbers) in _BENCHMARKS.items():
        command = actions.add_parser(name, help=text, description=text)
        for number, (default, what) in {**numbers, "repeats": (3, "timings of each side")}.items():
            kind = type(default)
            command.add_argument(f"--{number}", type=kind, default=default, help=what)
        command.add_argument("--record", metavar="FILE", help="keep the rows with their provenance")
        command.add_argument("--json", action="store_true", help="print JSON alone")
        command.set_defaults(run=finish, measure=measure)


def _refresh(options: argparse.Namespace) -> Rows:
    from ragft.bench.refresh import refresh

    return refresh(options.documents, options.share, options.repeats, sample=options.sample or None)


def _retrieval(options: argparse.Namespace) -> Rows:
    from ragft.bench.retrieval import retrieval

    return retrieval(options.passages, options.hybrid, repeats=options.repeats, cores=options.cores)


def _nearest(options: argparse.Namespace) -> Rows:
    from ragft.bench.nearest import nearest

    return nearest(options.vectors, options.repeats, options.cores)


def _answering(options: argparse.Namespace) -> Rows:
    from ragft.bench.answering import answering

    return answering(options.facts, options.repeats)


def _batch(options: argparse.Namespace) -> Rows:
    from ragft.bench.batch import batch

    return batch(options.runs, options.repeats)


def _training(options: argparse.Namespace) -> Rows:
    from ragft.bench.training import training

    return training(options.examples, options.repeats)


_BENCHMARKS: dict[str, tuple[Callable[[argparse.Namespace], Rows], str, dict[str, Any]]] = {
    "refresh": (
        _refresh,
        "refreshing an index against building it",
        {
            "documents": (20_000, "of a made-up world"),
            "share": (0.01, "changed by each refresh"),
            "sample": (0, "texts really embedded, the time of the others counted; 0: all"),
        },
    ),
    "retrieval": (
        _retrieval,
        "searches against other libraries'",
        {
            "passages": (100_000, "of the searches by words and by vectors"),
            "hybrid": (20_000, "passages of the hybrid search"),
            "cores": (1, "that each side may use"),
        },
    ),
    "nearest": (
        _nearest,
        "searches among many vectors against faiss's",
        {
            "vectors": (1_000_000, "that are searched"),
            "cores": (1, "that each side may use"),
        },
    ),
    "answering": (
        _answering,
        "batches against one prompt at a time",
        {"facts": (100, "questions, one a fact")},
    ),
    "batch": (
        _batch,
        "two workers of a grid against one",
        {"runs": (8, "of the grid")},
    ),
    "training": (
        _training,
        "fine-tuning against other ways to do it",
        {"examples": (400, "that are trained on")},
    ),
}
