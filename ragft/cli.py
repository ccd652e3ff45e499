"""The command line: reads options, calls one function of the library, prints what it gave.

Nothing is computed here. Results go to standard output, progress and messages to
standard error, so that `--json` prints JSON alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.types import RagftError

if TYPE_CHECKING:
    from ragft.corpora.corpus import Corpus

PROFILES = ("smoke", "cpu", "gpu")
FORMS = "FILE|FOLDER|git:REPO[@BRANCH]|dataset:ID[@REVISION][:SPLIT]"
"""Documents that a command takes, see `corpora.sources`."""


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
    _add_reproduce(commands)
    _add_run(commands)
    _add_batch(commands)
    _add_compare(commands)
    _add_retrieve(commands)
    _add_explain(commands)
    _add_corpus(commands)
    _add_doctor(commands)
    _add_train(commands)
    _add_model(commands)
    _add_claims(commands)
    _add_bench(commands)
    _add_readme(commands)
    return top


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _model_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        help="embedded, resident, a Hugging Face id, a folder or the URL of a server, "
        "such as http://host:8000/v1#model-id",
    )


def _json_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON alone")


def _print(options: argparse.Namespace, value: Any, text: str) -> None:
    from ragft.records import to_json

    print(to_json(value) if options.json else text)


def _add_reproduce(commands: Any) -> None:
    command = _command(commands, "reproduce", _reproduce, "run the numbered notebooks in order")
    command.add_argument("--profile", default="cpu", choices=PROFILES)
    command.add_argument(
        "--only", nargs="+", default=[], metavar="NN", help="numbers, such as 00 01"
    )
    command.add_argument(
        "--full", action="store_true", help="the full grid of every notebook (hours)"
    )
    command.add_argument("--notebooks", default="notebooks", metavar="FOLDER")
    command.add_argument("--results", default="results", metavar="FOLDER")
    command.add_argument("--figures", default="figures", metavar="FOLDER")
    command.add_argument("--force", action="store_true", help="run finished ones again")
    command.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="notebooks at once, those that time things alone; default: 2, with under 4 cores 1",
    )


def _reproduce(options: argparse.Namespace) -> int:
    from ragft import batch

    smoke = options.profile == "smoke"
    figures = Path(options.results) / "smoke" / "figures" if smoke else Path(options.figures)
    runs = batch.reproduce(
        options.notebooks,
        options.profile,
        options.only,
        results=Path(options.results).absolute(),
        figures=figures.absolute(),
        parameters={"full": True} if options.full else None,
        force=options.force,
        jobs=options.jobs,
    )
    print(batch.table(runs))
    return int(any(run.status == "failed" for run in runs))


def _add_run(commands: Any) -> None:
    command = _command(commands, "run", _run, "run one notebook with parameters")
    command.add_argument("notebook")
    command.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE")
    command.add_argument("--out", metavar="FILE", help="where the executed notebook goes")
    command.add_argument("--force", action="store_true", help="run it again if it is finished")


def _run(options: argparse.Namespace) -> int:
    from ragft import batch

    path = Path(options.notebook)
    if not path.suffix:
        path = batch.numbered_notebooks("notebooks", [options.notebook])[0]
    out = Path(options.out) if options.out else Path("results") / "notebooks" / path.name
    run = batch.run_notebook(
        path, out, batch.parse_assignments(options.parameters), force=options.force, progress=True
    )
    print(batch.table([run]))
    return 0


def _add_batch(commands: Any) -> None:
    command = _command(commands, "batch", _batch, "run notebooks with a grid of parameters")
    command.add_argument(
        "grid",
        metavar="GRID.yaml",
        help='notebooks: ["00_start_here"], parameters: {profile: [smoke], seed: [0, 1, 2]}',
    )
    command.add_argument("--out", required=True, metavar="FOLDER", help="goes on in it, too")
    command.add_argument("--notebooks", default="notebooks", metavar="FOLDER")
    command.add_argument(
        "--jobs", type=int, metavar="N", help="runs at once; default: a core and 3 GB each"
    )
    command.add_argument(
        "--retries", type=int, default=1, metavar="N", help="of a run that fails; default: 1"
    )
    command.add_argument("--force", action="store_true", help="run finished ones again")
    command.add_argument("--dry-run", action="store_true", help="list the runs, start none")
    command.add_argument("--engine", default="local", help="local (default) or ray")
    command.add_argument("--address", metavar="HOST:PORT", help="of a Ray cluster")
    _json_option(command)


def _batch(options: argparse.Namespace) -> int:
    from ragft import batch
    from ragft.report.grid import grid_text, read_runs
    from ragft.report.grid_page import PageWriter

    if options.dry_run:
        planned = batch.read_grid(options.grid, options.notebooks)
        lines = [f"{run.name}  {run.parameters}" for run in planned]
        values = [{"name": run.name, "parameters": run.parameters} for run in planned]
        _print(options, values, "\n".join([*lines, f"{len(planned)} runs"]))
        return 0
    writer = PageWriter(options.out)
    records = batch.run_grid(
        options.grid,
        options.out,
        notebooks=options.notebooks,
        jobs=options.jobs,
        retries=options.retries,
        force=options.force,
        engine=options.engine,
        address=options.address,
        progress=not options.json,
        after=writer.changed,
    )
    runs = read_runs(options.out)
    _print(options, runs, f"{grid_text(runs)}\nPage: {writer.write()}")
    return int(any(record["status"] != "finished" for record in records))


def _add_compare(commands: Any) -> None:
    command = _command(commands, "compare", _compare, "compare the arms on one corpus")
    _source_arguments(command, "--corpus", f"world|packages:NAME[==V1,V2]|{FORMS}")
    command.add_argument("--questions", metavar="FILE", help="JSONL; needed with documents")
    command.add_argument(
        "--arms", nargs="+", metavar="ARM", help="default: all that the corpus allows"
    )
    _model_option(command)
    command.add_argument("--seeds", nargs="+", type=int, metavar="SEED")
    command.add_argument("--facts", type=int, help="facts trained and asked about")
    command.add_argument("--profile", default="cpu", choices=PROFILES)
    command.add_argument("--out", default="results", metavar="FOLDER")
    command.add_argument("--record", metavar="FILE", help="keep a copy of the record there")
    _json_option(command)


def _compare(options: argparse.Namespace) -> int:
    from ragft.experiments.compare import ARMS, compare
    from ragft.profiles import profile
    from ragft.report import comparison_text

    sizes = profile(options.profile)
    if options.facts is not None and options.facts < 1:
        raise RagftError(f"--facts {options.facts}: at least 1")
    named = _source(options, "corpus", "world")
    made = named == "world" or named.startswith("packages:")
    corpus = named if made or not options.questions else _opened(named, options)
    found = compare(
        corpus,
        arms=options.arms or [arm for arm in ARMS if made or arm != "prior"],
        model=options.model or sizes.model,
        seeds=options.seeds or sizes.seeds,
        facts=options.facts,
        questions=options.questions,
        base=sizes,
        out=options.out,
        progress=not options.json,
    )
    if options.record:
        from ragft.records import atomic_write

        atomic_write(options.record, (found.folder / "record.json").read_text(encoding="utf-8"))
    _print_with_origin(options, corpus, found.to_dict(), comparison_text(found.to_dict()))
    return 0


def _add_retrieve(commands: Any) -> None:
    command = _command(commands, "retrieve", _retrieve, "measure retrieval alone")
    _source_arguments(command, "--documents", FORMS)
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
    _json_option(command)


def _retrieve(options: argparse.Namespace) -> int:
    from ragft.report import retrieval_text
    from ragft.report.history import known_items_text

    if options.history and (options.questions or options.run_file):
        raise RagftError("--history makes its own questions; leave --questions and --run out")
    corpus = _opened(_source(options, "documents"), options)
    if options.history:
        return _history(options, corpus)
    found, result = _retrieved(options, corpus)
    if options.run_file:
        result.write_trec_run(options.run_file)
    _print_with_origin(options, corpus, found, retrieval_text(found) + known_items_text(found))
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
    _print_with_origin(options, corpus, found, history_text(found))
    return 0


def _source_arguments(command: argparse.ArgumentParser, option: str, forms: str) -> None:
    command.add_argument("source", nargs="?", metavar="SOURCE", help=forms)
    command.add_argument(option, metavar="SOURCE", help="the same")
    command.add_argument(
        "--include",
        action="append",
        metavar="PATTERN",
        help="of a folder or repository: paths such as 'docs/*.md'; may be given again",
    )


def _source(options: argparse.Namespace, option: str, default: str | None = None) -> str:
    """Return what is named, by its place or by its option."""
    given = [name for name in (options.source, getattr(options, option)) if name]
    if len(given) > 1:
        raise RagftError(f"{given[0]} and --{option} {given[1]}: name one source")
    if not given and not default:
        raise RagftError(f"no documents: name {FORMS}")
    return given[0] if given else str(default)


def _opened(named: str, options: argparse.Namespace) -> Corpus:
    from ragft.corpora.sources import open_corpus

    history = getattr(options, "history", False)
    return open_corpus(named, include=options.include or "*", history=history)


def _print_with_origin(
    options: argparse.Namespace, corpus: Corpus | str, found: dict[str, Any], text: str
) -> None:
    """Print a result, and of the user's own documents where they came from and what was skipped."""
    from ragft.report import printable

    origin = None if isinstance(corpus, str) else corpus.origin
    if origin is not None:
        lines = "\n".join(map(printable, str(origin).split("\n")))
        found, text = {**found, "source": origin.to_dict()}, f"{text}\n\n{lines}"
    _print(options, found, text)


def _add_explain(commands: Any) -> None:
    command = _command(commands, "explain", _explain, "show what led to one answer, step by step")
    command.add_argument("question", metavar="QUESTION", help="its text, or its id in the corpus")
    command.add_argument(
        "--corpus", default="world", metavar="SOURCE", help=f"world|packages:NAME[==V1,V2]|{FORMS}"
    )
    command.add_argument("--questions", metavar="FILE", help="JSONL; needed with documents")
    command.add_argument("--arm", default="rag", help="rag, raft or finetuned_rag")
    _model_option(command)
    command.add_argument("--facts", type=int, help="facts trained and asked about")
    command.add_argument("--profile", default="cpu", choices=PROFILES)
    _json_option(command)


def _explain(options: argparse.Namespace) -> int:
    from ragft.experiments.tracing import explain
    from ragft.profiles import profile
    from ragft.report import explanation_text

    if options.facts is not None and options.facts < 1:
        raise RagftError(f"--facts {options.facts}: at least 1")
    sizes = profile(options.profile)
    found = explain(
        options.question,
        options.arm,
        options.corpus,
        model=options.model or sizes.model,
        questions=options.questions,
        facts=options.facts,
        base=sizes,
    )
    _print(options, found.to_dict(), explanation_text(found))
    return 0


def _add_corpus(commands: Any) -> None:
    command = _command(commands, "corpus", _corpus, "write a corpus and its questions as JSONL")
    command.add_argument("corpus", metavar="world|packages:NAME[==V1,V2]")
    command.add_argument("--out", required=True, metavar="FOLDER")
    command.add_argument("--facts", type=int, default=300)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--dates", metavar="FILE", help="release days of a package (JSON or CSV)")
    _json_option(command)


def _corpus(options: argparse.Namespace) -> int:
    from ragft.experiments.tasks import write_task

    spec = options.corpus
    if spec != "world" and not spec.startswith("packages:"):
        spec = f"packages:{spec}"
    found = write_task(
        spec, options.out, facts=options.facts, seed=options.seed, dates=options.dates
    )
    lines = [f"{name}: {value}" for name, value in found.items()]
    _print(options, found, "\n".join(lines))
    return 0


def _add_doctor(commands: Any) -> None:
    command = _command(commands, "doctor", _doctor, "show hardware, versions and models to be had")
    _json_option(command)


def _doctor(options: argparse.Namespace) -> int:
    from ragft.doctor import examine
    from ragft.report import doctor_text

    found = examine()
    _print(options, found, doctor_text(found))
    return 0


def _add_train(commands: Any) -> None:
    command = _command(commands, "train", _train, "fine-tune a model; alone or under a launcher")
    command.add_argument(
        "examples", metavar="EXAMPLES.jsonl", help='{"prompt": …, "completion": …} a line'
    )
    command.add_argument("--out", required=True, metavar="FOLDER", help="goes on in it, too")
    command.add_argument(
        "--model", default="embedded", help="embedded, resident, a Hugging Face id or a folder"
    )
    command.add_argument("--method", default="lora", help="lora, qlora, full, prefix or prompt")
    command.add_argument("--start", metavar="FOLDER", help="an adapter to go on from")
    command.add_argument("--conflicts", default="refuse", choices=("refuse", "allow"))
    for name, kind in _TRAINING.items():
        command.add_argument(
            f"--{name.replace('_', '-')}", type=kind, metavar=kind.__name__[0].upper()
        )
    for name in ("gradient_checkpointing", "mix_lengths"):
        command.add_argument(f"--{name.replace('_', '-')}", action="store_true")
    command.add_argument("--no-resume", action="store_true", help="start an interrupted run again")
    command.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="that torchrun or accelerate launch started; default: 1",
    )
    command.add_argument(
        "--timeout", type=float, default=1800, metavar="SECONDS", help="for a process to answer"
    )
    _json_option(command)


_TRAINING = {"rank": int, "alpha": float, "dropout": float, "virtual_tokens": int, "epochs": int}
_TRAINING |= {"min_steps": int, "learning_rate": float, "batch_tokens": int, "seed": int}
_TRAINING |= {"max_length": int, "checkpoint_every": int}
"""Numbers of `ragft train`, as `finetune` takes them; what is not given is left to it."""


def _train(options: argparse.Namespace) -> int:
    from ragft.training import processes
    from ragft.training.finetune import finetune
    from ragft.training.from_jsonl import read_examples

    given = {name: getattr(options, name) for name in _TRAINING}
    made = finetune(
        options.model,
        read_examples(options.examples),
        out=options.out,
        method=options.method,
        start=options.start,
        conflicts=options.conflicts,
        gradient_checkpointing=options.gradient_checkpointing,
        mix_lengths=options.mix_lengths,
        resume=not options.no_resume,
        progress=not options.json,
        processes=options.processes,
        timeout_s=options.timeout,
        **{name: value for name, value in given.items() if value is not None},
    )
    if processes.first():
        seconds = f"{made.seconds:.0f} s, {made.processes} processes"
        text = f"{made.adapter}: {made.steps} steps, loss {made.losses[-1]:.3f}, {seconds}"
        _print(options, made, text)
    processes.leave()
    return 0


def _add_model(commands: Any) -> None:
    command = _command(commands, "model", None, "pretrain or evaluate the embedded model")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    train = _command(actions, "pretrain", _pretrain, "pretrain the embedded model (hours on a CPU)")
    train.add_argument("--out", required=True, metavar="FOLDER", help="resumes what it finds there")
    train.add_argument("--tokens", type=int, help="tokens in all")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument(
        "--resident", action="store_true", help="teach the embedded model the resident world"
    )
    test = _command(actions, "evaluate", _evaluate, "measure what the model card states")
    test.add_argument("--model", default="embedded")
    test.add_argument("--questions", type=int, default=500, help="for each score")
    test.add_argument(
        "--seeds", nargs="*", type=int, default=[0, 1, 2], help="of the learning scores"
    )
    test.add_argument(
        "--package", default="scikit-learn", help="real signatures to read; '' for none"
    )
    test.add_argument("--profile", default="cpu", choices=PROFILES)
    test.add_argument("--record", metavar="FILE", help="keep the scores with their provenance")
    _json_option(test)


def _pretrain(options: argparse.Namespace) -> int:
    from ragft.generation.embedded.pretrain import RESIDENT, Recipe, pretrain

    given = {"tokens": options.tokens} if options.tokens else {}
    recipe = RESIDENT if options.resident else Recipe()
    print(pretrain(options.out, replace(recipe, seed=options.seed, **given)))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from ragft.experiments.embedded import evaluate_model
    from ragft.report import intervals_text

    found = evaluate_model(
        options.model,
        n=options.questions,
        seeds=options.seeds,
        package=options.package or None,
        base=options.profile,
    )
    values = {name: interval.to_dict() for name, interval in found.items()}
    if options.record:
        from ragft.experiments.embedded import scores_record
        from ragft.records import atomic_write, to_json

        atomic_write(options.record, to_json(scores_record(options.model, values)))
    _print(options, values, intervals_text(values))
    return 0


def _add_claims(commands: Any) -> None:
    command = _command(commands, "claims", _claims, "hold the articles' claims against the records")
    command.add_argument("--records", default="figures/data", metavar="FOLDER")
    _json_option(command)
    command.add_argument("--figure", metavar="FOLDER", help="draw the ledger there: claims.png")


def _claims(options: argparse.Namespace) -> int:
    from ragft.claims import counts, ledger, table
    from ragft.report import columns

    rows = ledger(options.records)
    parts = [f"{group}\n{columns(cells)}" for group, cells in table(rows).items()]
    parts.append(", ".join(f"{count} {name}" for name, count in counts(rows).items()))
    found = [row.to_dict() for row in rows]
    if options.figure:
        from ragft import plotting, report

        report.publish(plotting.ledger(found), options.figure, "claims", {"rows": found})
    _print(options, found, "\n\n".join(parts))
    return 0


def _add_bench(commands: Any) -> None:
    from ragft.bench.commands import add_benchmarks

    command = _command(commands, "bench", None, "measure speed, as ratios within one run")
    add_benchmarks(command.add_subparsers(required=True, metavar="BENCHMARK"), _bench)


def _bench(options: argparse.Namespace) -> int:
    from ragft.report import bench_text

    rows = options.measure(options)
    found = {"bench": rows}
    if options.record:
        from ragft.records import atomic_write, provenance, to_json

        atomic_write(options.record, to_json(found | provenance()))
    _print(options, found, bench_text(rows))
    return 0


def _add_readme(commands: Any) -> None:
    command = _command(commands, "readme", _readme, "write the tables of Markdown files anew")
    command.add_argument("files", nargs="+", metavar="FILE")


def _readme(options: argparse.Namespace) -> int:
    from ragft.readme import fill

    for name in options.files:
        print(f"{name}: {'changed' if fill(name) else 'as it was'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
