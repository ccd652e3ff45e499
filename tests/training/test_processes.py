"""Several processes train as one does; what goes wrong in one of them ends all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

import ragft
from ragft import models
from ragft.cli import main
from ragft.training import finetune as module
from ragft.training import methods, processes, trainer
from ragft.training.finetune import finetune
from ragft.types import Example, RagftError

ROOT = Path(ragft.__file__).parents[1]
VALUES = ["Oslo", "31", "unknown", "Ravik 7", "7"]
EXAMPLES = [
    Example(f"Question {n}?\nAnswer:", f" {VALUES[n % 5]}" * (1 + n % 3)) for n in range(11)
]
EXAMPLES.append(Example("Question: " + "Who leads Tarmo? " * 9 + "\nAnswer:", " Velka"))  # alone
SETTINGS = {"rank": 4, "epochs": 3, "learning_rate": 1e-2, "batch_tokens": 96, "progress": False}

TRAIN = """
import json, os, sys, time
from pathlib import Path
from ragft.training import finetune as module, methods, processes, trainer
from ragft.types import Example
given = json.loads(Path(sys.argv[1]).read_text())
if processes.sharded():  # accelerate spreads weights over GPUs alone: a CPU must look like one
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType
    processes.join(2, 60)
    PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.MULTI_GPU)
taken = trainer.Tuner.training_step
def step(self, *arguments):
    spread = [hasattr(part, "to_local") for part in self.model.parameters()]
    assert any(spread) == processes.sharded()
    if processes.rank() == 1 and self.state.global_step == given["at"]:
        exec(given["then"])
    return taken(self, *arguments)
trainer.Tuner.training_step = step
examples = [Example(*pair) for pair in given["examples"]]
for out, options in given["runs"].items():
    halves = Path(out).name == "bf16"
    module.multiplies_bf16 = methods.multiplies_bf16 = lambda *_, halves=halves: halves
    made = module.finetune(given["model"], examples, out=out, processes=2, **options)
    assert made == module.finetune(given["model"], examples, out=out, processes=2, **options)
assert processes.count() == 2
print(f"process {processes.rank()} done", flush=True)
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def together(
    tmp_path: Path,
    model: Path,
    runs: dict,
    at: int = -1,
    then: str = "",
    more: dict[str, str] | None = None,
) -> subprocess.CompletedProcess:
    """Train in two processes; `then` is done by the second one as step number `at` begins."""
    pairs = [(e.prompt, e.completion) for e in EXAMPLES]
    runs = {str(tmp_path / name): options for name, options in runs.items()}
    given = {"model": str(model), "examples": pairs, "runs": runs, "at": at, "then": then}
    (tmp_path / "given.json").write_text(json.dumps(given))
    (tmp_path / "train.py").write_text(TRAIN)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*launcher, "--nproc-per-node=2", tmp_path / "train.py", tmp_path / "given.json"],
        env=environment() | (more or {}),
        capture_output=True,
        text=True,
        timeout=300,
    )


def multiply_in(monkeypatch, bf16: bool) -> None:
    for part in (module, methods):
        monkeypatch.setattr(part, "multiplies_bf16", lambda *_: bf16)


@pytest.fixture
def float32(monkeypatch):
    multiply_in(monkeypatch, bf16=False)


def test_two_processes_take_the_steps_of_one(tiny_model, tmp_path, float32, monkeypatch):
    full = SETTINGS | {"method": "full", "learning_rate": 1e-3}
    mixed = SETTINGS | {"mix_lengths": True, "batch_tokens": 24}  # a row or two a batch
    runs = {"lora": SETTINGS, "full": full, "mixed": mixed}
    done = together(tmp_path, tiny_model, runs | {"bf16": SETTINGS})
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):  # ends of lines may come out of step
        assert done.stdout.count(f"process {rank} done") == 1
    check_like_one(tmp_path, tiny_model, runs)
    multiply_in(monkeypatch, bf16=True)
    add_up_shares(monkeypatch)
    check_like_one(tmp_path, tiny_model, {"bf16": SETTINGS}, within=0)
    assert not list(tmp_path.glob(".*.training"))


def add_up_shares(monkeypatch) -> None:
    """Let this process take the shares of two after each other, before each of its steps.

    In bfloat16 a product over half of a batch is rounded by itself, so that two processes are not
    one that multiplies the whole batch; they are this one, to the bit.
    """
    taken = trainer.Tuner.training_step

    def step(self: trainer.Tuner, model: Any, inputs: dict, *rest: Any) -> Any:
        history = self.state.log_history
        for part in inputs["shares"]:
            loss = taken(self, model, part, *rest)
        last, first = history.pop(), history.pop()
        history.append(last | {key: first[key] + last[key] for key in ("loss", "rows")})
        return loss

    def shares(rows: list, pad: int) -> dict:
        return {"shares": [trainer.share(rows, rank, 2, pad) for rank in (0, 1)]}

    monkeypatch.setattr(trainer.Tuner, "training_step", step)
    monkeypatch.setattr(trainer, "collate", shares)


def check_like_one(tmp_path: Path, model: Path, runs: dict, within: float = 1e-3) -> None:
    """Hold what two processes trained against what this one trains."""
    for name, options in runs.items():
        one = finetune(model, EXAMPLES, out=tmp_path / "one" / name, **options)
        two = json.loads((tmp_path / name / models.ADAPTER_CARD).read_text())
        assert two["settings"].pop("processes") == 2
        measured, settings = two["measured"], two["settings"]
        assert (len(measured["curve"]), measured["tokens_seen"]) == (one.steps, one.tokens_seen)
        assert max(abs(a - b) for a, b in zip(one.curve, measured["curve"], strict=True)) <= within
        assert one.losses[-1] < one.losses[0] - 0.1  # there was something to learn
        assert settings == json.loads((one.adapter / models.ADAPTER_CARD).read_text())["settings"]
        (weights,) = one.adapter.glob("*.safetensors")
        theirs = load_file(tmp_path / name / weights.name)
        for part, values in load_file(weights).items():
            assert torch.allclose(values, theirs[part], rtol=0, atol=within), part


def test_another_number_of_processes_than_was_said_is_an_error(tiny_model, tmp_path, monkeypatch):
    options = SETTINGS | {"out": tmp_path / "out"}
    with pytest.raises(
        RagftError, match=r"processes=2, but 1 started.*torchrun --nproc-per-node 2"
    ):
        finetune(tiny_model, EXAMPLES, processes=2, **options)
    with pytest.raises(RagftError, match="processes=0: must be a whole number"):
        finetune(tiny_model, EXAMPLES, processes=0, **options)
    with pytest.raises(RagftError, match="timeout_s=0: must be above 0"):
        finetune(tiny_model, EXAMPLES, timeout_s=0, **options)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RagftError, match="processes=1, but 2 started"):
        finetune(tiny_model, EXAMPLES, **options)
    assert not (tmp_path / "out").exists()


def test_alone_the_first_process_is_all():
    assert (processes.count(), processes.rank(), processes.first()) == (1, 0, True)
    assert processes.from_first(lambda: "said") == "said"
    assert processes.added(1.5, 2) == [1.5, 2] == processes.largest(1.5, 2)
    processes.leave()


def test_a_process_that_is_gone_or_late_is_told_of():
    with pytest.raises(RagftError, match="did not answer within 5 s .*Timed out.*"):
        with processes.answering(5):
            raise RuntimeError("[gloo] Timed out waiting 5000ms for recv operation to complete")
    with pytest.raises(RuntimeError, match="another matter"):
        with processes.answering(5):
            raise RuntimeError("another matter")


def test_examples_are_trained_on_from_a_file(tiny_model, tmp_path, capsys):
    path = examples_file(tmp_path)
    options = ["--model", str(tiny_model), "--epochs", "1", "--rank", "4", "--json"]
    command = ["train", str(path), *options, "--out", str(tmp_path / "out")]
    assert main(command) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["examples"], made["processes"]) == (12, 1)
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()
    assert main([*command, "--processes=2"]) == 1
    assert "processes=2, but 1 started" in capsys.readouterr().err
    path.write_text('{"prompt": "a"}\n')
    assert main(command) == 1
    assert "examples.jsonl:1: the key 'completion' is missing" in capsys.readouterr().err


def examples_file(tmp_path: Path) -> Path:
    rows = [{"prompt": e.prompt, "completion": e.completion} for e in EXAMPLES]
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["processes", "fsdp"])
def test_the_settings_of_the_launcher_are_such(name):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    path = ROOT / "launch" / f"{name}.yaml"
    settings = load_config_from_file(str(path))  # refuses keys that it does not know
    assert settings.num_processes == 2
    assert settings.distributed_type == {"processes": "MULTI_GPU", "fsdp": "FSDP"}[name]
    if name == "fsdp":
        given = yaml.safe_load(path.read_text())["fsdp_config"]
        assert set(given) <= {action.dest for action in launch_command_parser()._actions}


def accelerated(tmp_path: Path, model: Path, *options: str) -> subprocess.CompletedProcess:
    launcher = [sys.executable, "-m", "accelerate.commands.launch", *options, "-m", "ragft"]
    sizes = ["--model", str(model), "--rank=4", "--epochs=1", "--json", "--processes=2"]
    return subprocess.run(
        [*launcher, "train", examples_file(tmp_path), "--out", tmp_path / "out", *sizes],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.long
def test_accelerate_launches_two_processes_by_the_settings_given(tiny_model, tmp_path):
    path = ROOT / "launch" / "processes.yaml"
    done = accelerated(tmp_path, tiny_model, f"--config_file={path}", "--main_process_port=0")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["processes"] == 2  # and the first process alone prints


@pytest.mark.long
def test_a_launcher_that_runs_one_process_where_two_were_said_is_an_error(tiny_model, tmp_path):
    done = accelerated(tmp_path, tiny_model, "--cpu", "--num_processes=2")
    assert done.returncode != 0
    assert "processes=2, but 1 started" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_an_error_in_one_process_ends_all_and_the_run_goes_on_with_as_many(tiny_model, tmp_path):
    options = SETTINGS | {"checkpoint_every": 2, "dropout": 0.2}
    failed = together(tmp_path, tiny_model, {"cut": options}, 5, "raise MemoryError")
    assert failed.returncode != 0 and "done" not in failed.stdout
    assert "memory ran out in training" in failed.stderr
    left = tmp_path / ".cut.training" / "checkpoints"
    assert sorted(p.parent.name for p in left.glob("*/ragft_complete"))[-1] == "checkpoint-4"
    assert len(list(left.glob("checkpoint-4/rng_state_*"))) == 2
    with pytest.raises(RagftError, match="a run of 2 processes was interrupted .* this one has 1"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "cut", **options)
    done = together(tmp_path, tiny_model, {"cut": options, "whole": options})
    assert done.returncode == 0, done.stderr
    cut, whole = (
        json.loads((tmp_path / name / models.ADAPTER_CARD).read_text()) for name in ("cut", "whole")
    )
    assert cut["measured"]["curve"] == whole["measured"]["curve"]
    weights = [(tmp_path / n / "adapter_model.safetensors").read_bytes() for n in ("cut", "whole")]
    assert weights[0] == weights[1]
    assert finetune(tiny_model, EXAMPLES, out=tmp_path / "one", **options).processes == 1


@pytest.mark.long
def test_a_process_that_hangs_is_not_waited_for_without_end(tiny_model, tmp_path):
    options = SETTINGS | {"timeout_s": 10}
    failed = together(tmp_path, tiny_model, {"out": options}, 3, "time.sleep(3600)")
    assert failed.returncode != 0 and "done" not in failed.stdout
    assert "did not answer within 10 s" in failed.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_weights_spread_over_two_processes_take_the_steps_of_one(tiny_model, tmp_path, float32):
    """FSDP by the settings in `launch/`, as accelerate hands them to processes."""
    given = yaml.safe_load((ROOT / "launch" / "fsdp.yaml").read_text())["fsdp_config"]
    more = {"ACCELERATE_USE_FSDP": "true", "ACCELERATE_TORCH_DEVICE": "cpu"}
    more |= {name.upper(): str(value).lower() for name, value in given.items()}
    for name in ("FSDP_AUTO_WRAP_POLICY", "FSDP_STATE_DICT_TYPE"):
        more[name] = more[name].upper()
    full = SETTINGS | {"method": "full", "learning_rate": 1e-3}
    runs = {"lora": SETTINGS, "full": full}
    done = together(tmp_path, tiny_model, runs, more=more)
    assert done.returncode == 0, done.stderr
    check_like_one(tmp_path, tiny_model, runs)
    cut = {"cut": full | {"checkpoint_every": 2}}
    failed = together(tmp_path, tiny_model, cut, 5, "raise MemoryError", more=more)
    assert failed.returncode != 0 and "memory ran out in training" in failed.stderr
    done = together(tmp_path, tiny_model, cut, more=more)
    assert done.returncode == 0, done.stderr
    check_like_one(tmp_path, tiny_model, cut)
