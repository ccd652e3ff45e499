"""The command line: reads options, calls one function of the library, prints what it gave.

Nothing is computed here. Results go to standard output, progress and messages to
standard error, so that `--json` prints JSON alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ragft.cli import comparing, documents, models, notebooks, workbench
from ragft.types import RagftError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status (0 good, 1 a user's error, 130 interrupted)."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except RagftError as error:
        print(f"ragft: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "ragft: interrupted; finished cells are kept, the same command goes on", file=sys.stderr
        )
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="ragft",
        description="Prompt, retrieve, fine-tune, or both? Measured, on facts that change.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for group in (notebooks, comparing, documents, models, workbench):
        group.add_commands(commands)
    return top
