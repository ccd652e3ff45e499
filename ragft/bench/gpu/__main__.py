"""The command line of the GPU benchmark: reads options, calls `measure`, prints what came out."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace

from ragft.bench.gpu import SECTIONS, measure
from ragft.bench.gpu.settings import Settings, check_settings, read_lengths
from ragft.bench.gpu.sweep import FAILED, NO_MEMORY, NOT_REACHED, Section
from ragft.generation.shapes import SHAPES, TOY, Shape
from ragft.types import RagftError

RECORD = "figures/data/06_latency.json"
"""The committed record whose lengths of prompts and answers are taken."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, 1 where a row failed or an option is wrong, 130 interrupted."""
    options = parser().parse_args(arguments)
    try:
        sections = measure(
            _settings(options),
            options.out,
            _shapes(options),
            options.only,
            options.minutes,
            lambda line: print(line, file=sys.stderr, flush=True),
            options.commit,
        )
    except RagftError as error:
        print(f"ragft.bench.gpu: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; rows are kept, the same command goes on", file=sys.stderr)
        return 130
    for section in sections:
        print(_told(section))
    return int(any(section.count(FAILED) for section in sections))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    top = argparse.ArgumentParser(
        prog="python -m ragft.bench.gpu",
        description="Measure what answering and training cost on one GPU, on published shapes.",
    )
    add = top.add_argument
    add("--out", required=True, metavar="FOLDER", help="records; those there are not made again")
    add("--check", action="store_true", help="a toy shape on the CPU in under a minute")
    add("--shapes", nargs="+", metavar="NAME", help=f"of {', '.join(SHAPES)}; default all")
    add("--only", nargs="+", default=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS))
    add("--minutes", type=float, default=math.inf, metavar="N", help="begin no row after these")
    add("--lengths", metavar="FILE", help="JSON: closed_book and rag, each prompt and completion")
    add("--figures-record", default=RECORD, metavar="PATH", help=f"lengths; default {RECORD}")
    add("--rank", type=int, metavar="N", help=f"of the LoRA matrices; default {Settings.rank}")
    add("--real", default="embedded", metavar="FOLDER", help="model with real weights")
    add("--commit", metavar="TEXT", help="recorded where the code lies in no git repository")
    return top


def _settings(options: argparse.Namespace) -> Settings:
    from ragft import models

    if options.rank is not None and options.rank < 1:
        raise RagftError(f"--rank {options.rank}: must be at least 1")
    if math.isnan(options.minutes) or options.minutes < 0:
        raise RagftError(f"--minutes {options.minutes}: must be 0 or above")
    rank = {} if options.rank is None else {"rank": options.rank}
    real = models.locate(options.real)
    if options.check:
        return replace(check_settings(), real=real, **rank)
    _needs_gpu()
    loads = read_lengths(options.lengths, options.figures_record)
    return Settings(loads=loads, real=real, **rank)


def _needs_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise RagftError("no GPU that torch can use here; --check runs a toy shape on the CPU")


def _shapes(options: argparse.Namespace) -> list[Shape]:
    known = {TOY.name: TOY} if options.check else SHAPES
    for name in options.shapes or ():
        if name not in known:
            raise RagftError(f"--shapes: no shape {name!r}; choose from {', '.join(known)}")
    return [known[name] for name in options.shapes or known]


def _told(section: Section) -> str:
    """Return a line on a section, and one on each of its bars."""
    notes = {name: section.count(name.strip(": ")) for name in (NO_MEMORY, NOT_REACHED, FAILED)}
    parts = [f"{len(section.measured)} rows measured"]
    parts += [f"{count} {name.strip(': ')}" for name, count in notes.items() if count]
    lines = [f"{section.module.NAME}: {', '.join(parts)}; {section.path}"]
    for row in section.summary():
        if row.get("measured") is not None:
            reached = "reached" if row["met"] else "NOT reached"
            lines.append(f"  {row['quantity']}: {row['measured']:.3f}, {row['bar']} {reached}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
