"""Commands about documents: retrieval measured alone, today or over a history, and corpora."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ragft.cli.options import (
    FORMS,
    add_command,
    json_option,
    named_source,
    opened,
    print_result,
    print_with_origin,
    source_arguments,
)
from ragft.types import RagftError

if TYPE_CHECKING:
    from ragft.corpora.corpus import Corpus


def add_commands(commands: Any) -> None:
    """Add `retrieve` and `corpus`."""
    _add_retrieve(commands)
    _add_corpus(commands)


def _add_retrieve(commands: Any) -> None:
    command = add_command(commands, "retrieve", _retrieve, "measure retrieval alone")
    source_arguments(command, "--documents", FORMS)
    command.add_argument(
        "--questions",
        metavar="FILE",
        help="JSONL; without, headings and sentences are cut out and must lead back",
    )
    command.add_argument(
        "--retriever",
        choices=("bm25", "dense", "hybrid"),
        help="default: hybrid; with --history bm25",
    )
    command.add_argument("--top-k", type=int, default=10)
    command.add_argument("--run", dest="run_file", metavar="FILE", help="write a TREC run file")
    command.add_argument("--count", type=int, default=300, help="questions made, at most")
    command.add_argument("--seed", type=int, default=0, help="of the questions made")
    command.add_argument(
        "--history",
        action="store_true",
        help="of a git repository: an index made on one day, asked on later ones",
    )
    command.add_argument("--made-on", metavar="DAY", help="with --history, such as 2024-07-31")
    command.add_argument("--days", type=int, default=6, help="with --history: days that are asked")
    command.add_argument("--out", default="results", metavar="FOLDER", help="with --history")
    json_option(command)


def _retrieve(options: argparse.Namespace) -> int:
    from ragft.report import retrieval_text
    from ragft.report.history import known_items_text

    if options.history and (options.questions or options.run_file):
        raise RagftError("--history makes its own questions; leave --questions and --run out")
    corpus = opened(named_source(options, "documents"), options)
    if options.history:
        return _history(options, corpus)
    found, result = _retrieved(options, corpus)
    if options.run_file:
        result.write_trec_run(options.run_file)
    print_with_origin(options, corpus, found, retrieval_text(found) + known_items_text(found))
    return 0


def _retrieved(options: argparse.Namespace, corpus: Corpus) -> tuple[dict[str, Any], Any]:
    from ragft.corpora.corpus import read_questions
    from ragft.experiments.known_item import retrieve_known_items
    from ragft.experiments.retrieval import retrieve

    retriever = options.retriever or "hybrid"
    if options.questions:
        questions = read_questions(options.questions, corpus)
        found = retrieve(corpus.documents, questions, retriever, options.top_k)
        return found.to_dict(), found
    made = retrieve_known_items(
        corpus, retriever, options.top_k, n=options.count, seed=options.seed
    )
    return made.to_dict(), made.result


def _history(options: argparse.Namespace, corpus: Corpus) -> int:
    from ragft.corpora.jsonl import parse_day
    from ragft.experiments.history import history_drift
    from ragft.report.history import history_text

    found = history_drift(
        corpus,
        retriever=options.retriever or "bm25",
        made_on=parse_day(options.made_on, "--made-on"),
        days=options.days,
        n=options.count,
        seed=options.seed,
        out=options.out,
        progress=not options.json,
    ).to_dict()
    print_with_origin(options, corpus, found, history_text(found))
    return 0


def _add_corpus(commands: Any) -> None:
    command = add_command(commands, "corpus", _corpus, "write a corpus and its questions as JSONL")
    command.add_argument("corpus", metavar="world|packages:NAME[==V1,V2]")
    command.add_argument("--out", required=True, metavar="FOLDER")
    command.add_argument("--facts", type=int, default=300)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--dates", metavar="FILE", help="release days of a package (JSON or CSV)")
    json_option(command)


def _corpus(options: argparse.Namespace) -> int:
    from ragft.experiments.tasks import write_task

    spec = options.corpus
    if spec != "world" and not spec.startswith("packages:"):
        spec = f"packages:{spec}"
    found = write_task(
        spec, options.out, facts=options.facts, seed=options.seed, dates=options.dates
    )
    lines = [f"{name}: {value}" for name, value in found.items()]
    print_result(options, found, "\n".join(lines))
    return 0
