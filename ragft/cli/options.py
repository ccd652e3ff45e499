"""What several commands share: options, the documents they name, and how a result is printed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ragft.profiles import PROFILES
from ragft.types import RagftError

if TYPE_CHECKING:
    from ragft.corpora.corpus import Corpus

FORMS = "FILE|FOLDER|git:REPO[@BRANCH]|dataset:ID[@REVISION][:SPLIT]"
"""Documents that a command takes, see `corpora.sources`."""


def add_command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    """Add a command that calls `run` with its options, and return its parser."""
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def profile_option(command: argparse.ArgumentParser) -> None:
    """Add `--profile`."""
    command.add_argument("--profile", default="cpu", choices=PROFILES)


def model_option(command: argparse.ArgumentParser) -> None:
    """Add `--model`, which may be one on a server."""
    command.add_argument(
        "--model",
        help="embedded, resident, a Hugging Face id, a folder or the URL of a server, "
        "such as http://host:8000/v1#model-id",
    )


def facts_option(command: argparse.ArgumentParser) -> None:
    """Add `--facts`."""
    command.add_argument("--facts", type=int, help="facts trained and asked about")


def facts_of(options: argparse.Namespace) -> int | None:
    """Return the facts asked for; None leaves their number to the profile."""
    if options.facts is not None and options.facts < 1:
        raise RagftError(f"--facts {options.facts}: at least 1")
    return options.facts


def json_option(command: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    command.add_argument("--json", action="store_true", help="print JSON alone")


def print_result(options: argparse.Namespace, value: Any, text: str) -> None:
    """Print a value as JSON where that is asked for, else its text."""
    from ragft.records import to_json

    print(to_json(value) if options.json else text)


def keep_record(options: argparse.Namespace, text: str) -> None:
    """Write a record into the file that `--record` names."""
    from ragft.records import atomic_write

    atomic_write(options.record, text)


def source_arguments(command: argparse.ArgumentParser, option: str, forms: str) -> None:
    """Add documents, named by their place or by an option, and which of their files count."""
    command.add_argument("source", nargs="?", metavar="SOURCE", help=forms)
    command.add_argument(option, metavar="SOURCE", help="the same")
    command.add_argument(
        "--include",
        action="append",
        metavar="PATTERN",
        help="of a folder or repository: paths such as 'docs/*.md'; may be given again",
    )


def named_source(options: argparse.Namespace, option: str, default: str | None = None) -> str:
    """Return what is named, by its place or by its option."""
    given = [name for name in (options.source, getattr(options, option)) if name]
    if len(given) > 1:
        raise RagftError(f"{given[0]} and --{option} {given[1]}: name one source")
    if not given and not default:
        raise RagftError(f"no documents: name {FORMS}")
    return given[0] if given else str(default)


def opened(named: str, options: argparse.Namespace) -> Corpus:
    """Return the documents that are named."""
    from ragft.corpora.sources import open_corpus

    history = getattr(options, "history", False)
    return open_corpus(named, include=options.include or "*", history=history)


def print_with_origin(
    options: argparse.Namespace, corpus: Corpus | str, found: dict[str, Any], text: str
) -> None:
    """Print a result, and of the user's own documents where they came from and what was skipped."""
    from ragft.report import printable

    origin = None if isinstance(corpus, str) else corpus.origin
    if origin is not None:
        lines = "\n".join(map(printable, str(origin).split("\n")))
        found, text = {**found, "source": origin.to_dict()}, f"{text}\n\n{lines}"
    print_result(options, found, text)
