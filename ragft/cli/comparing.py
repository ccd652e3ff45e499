"""Commands that ask the arms: a comparison, and what led to one answer."""

from __future__ import annotations

import argparse
from typing import Any

from ragft.cli.options import (
    FORMS,
    add_command,
    facts_of,
    facts_option,
    json_option,
    keep_record,
    model_option,
    named_source,
    opened,
    print_result,
    print_with_origin,
    profile_option,
    source_arguments,
)


def add_commands(commands: Any) -> None:
    """Add `compare` and `explain`."""
    _add_compare(commands)
    _add_explain(commands)


def _add_compare(commands: Any) -> None:
    command = add_command(commands, "compare", _compare, "compare the arms on one corpus")
    source_arguments(command, "--corpus", f"world|packages:NAME[==V1,V2]|{FORMS}")
    command.add_argument("--questions", metavar="FILE", help="JSONL; needed with documents")
    command.add_argument(
        "--arms", nargs="+", metavar="ARM", help="default: all that the corpus allows"
    )
    model_option(command)
    command.add_argument("--seeds", nargs="+", type=int, metavar="SEED")
    facts_option(command)
    profile_option(command)
    command.add_argument("--out", default="results", metavar="FOLDER")
    command.add_argument("--record", metavar="FILE", help="keep a copy of the record there")
    json_option(command)


def _compare(options: argparse.Namespace) -> int:
    from ragft.experiments.compare import ARMS, compare
    from ragft.profiles import profile
    from ragft.report import comparison_text

    sizes = profile(options.profile)
    named = named_source(options, "corpus", "world")
    made = named == "world" or named.startswith("packages:")
    corpus = named if made or not options.questions else opened(named, options)
    found = compare(
        corpus,
        arms=options.arms or [arm for arm in ARMS if made or arm != "prior"],
        model=options.model or sizes.model,
        seeds=options.seeds or sizes.seeds,
        facts=facts_of(options),
        questions=options.questions,
        base=sizes,
        out=options.out,
        progress=not options.json,
    )
    if options.record:
        keep_record(options, (found.folder / "record.json").read_text(encoding="utf-8"))
    print_with_origin(options, corpus, found.to_dict(), comparison_text(found.to_dict()))
    return 0


def _add_explain(commands: Any) -> None:
    command = add_command(
        commands, "explain", _explain, "show what led to one answer, step by step"
    )
    command.add_argument("question", metavar="QUESTION", help="its text, or its id in the corpus")
    command.add_argument(
        "--corpus", default="world", metavar="SOURCE", help=f"world|packages:NAME[==V1,V2]|{FORMS}"
    )
    command.add_argument("--questions", metavar="FILE", help="JSONL; needed with documents")
    command.add_argument("--arm", default="rag", help="rag, raft or finetuned_rag")
    model_option(command)
    facts_option(command)
    profile_option(command)
    json_option(command)


def _explain(options: argparse.Namespace) -> int:
    from ragft.experiments.tracing import explain
    from ragft.profiles import profile
    from ragft.report import explanation_text

    sizes = profile(options.profile)
    found = explain(
        options.question,
        options.arm,
        options.corpus,
        model=options.model or sizes.model,
        questions=options.questions,
        facts=facts_of(options),
        base=sizes,
    )
    print_result(options, found.to_dict(), explanation_text(found))
    return 0
