"""Commands about weights: fine-tuning a model, and the embedded one made and measured."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from ragft.cli.options import add_command, json_option, keep_record, print_result, profile_option


def add_commands(commands: Any) -> None:
    """Add `train` and `model`."""
    _add_train(commands)
    _add_model(commands)


def _add_train(commands: Any) -> None:
    command = add_command(commands, "train", _train, "fine-tune a model; alone or under a launcher")
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
    for name in ("gradient_checkpointing", "mix_lengths", "compiled"):
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
    json_option(command)


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
        compiled=options.compiled,
        resume=not options.no_resume,
        progress=not options.json,
        processes=options.processes,
        timeout_s=options.timeout,
        **{name: value for name, value in given.items() if value is not None},
    )
    if processes.first():
        seconds = f"{made.seconds:.0f} s, {made.processes} processes"
        text = f"{made.adapter}: {made.steps} steps, loss {made.losses[-1]:.3f}, {seconds}"
        print_result(options, made, text)
    processes.leave()
    return 0


def _add_model(commands: Any) -> None:
    command = add_command(commands, "model", None, "pretrain or evaluate the embedded model")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    train = add_command(actions, "pretrain", _pretrain, "pretrain the embedded model (hours)")
    train.add_argument("--out", required=True, metavar="FOLDER", help="resumes what it finds there")
    train.add_argument("--tokens", type=int, help="tokens in all")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument(
        "--resident", action="store_true", help="teach the embedded model the resident world"
    )
    test = add_command(actions, "evaluate", _evaluate, "measure what the model card states")
    test.add_argument("--model", default="embedded")
    test.add_argument("--questions", type=int, default=500, help="for each score")
    test.add_argument(
        "--seeds", nargs="*", type=int, default=[0, 1, 2], help="of the learning scores"
    )
    test.add_argument(
        "--package", default="scikit-learn", help="real signatures to read; '' for none"
    )
    profile_option(test)
    test.add_argument("--record", metavar="FILE", help="keep the scores with their provenance")
    json_option(test)


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
        from ragft.records import to_json

        keep_record(options, to_json(scores_record(options.model, values)))
    print_result(options, values, intervals_text(values))
    return 0
