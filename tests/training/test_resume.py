"""Killed at any moment and taken up again, a run ends with the weights of one never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ragft
from ragft.training import trainer
from ragft.training.finetune import finetune
from ragft.types import Example, RagftError

FACTS = {"Tarmo": "Oslo", "Velka": "Ravik", "veld": "31", "Works": "unknown", "town": "7"}
EXAMPLES = [Example(f"Question: {k}?\nAnswer:", f" {v}", k) for k, v in FACTS.items()]
SETTINGS = {
    "rank": 8, "epochs": 5, "learning_rate": 2e-2, "batch_tokens": 24, "virtual_tokens": 4,
    "dropout": 0.2,  # it draws random numbers, whose state must survive too
    "checkpoint_every": 3, "progress": False,
}  # fmt: skip

TRAIN = """
import os, signal, sys, time
from ragft.training import trainer
from ragft.training.finetune import finetune
from ragft.types import Example
taken = trainer.Tuner.training_step
def step(self, *arguments):
    if self.state.global_step == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    print("step", self.state.global_step, flush=True)
    time.sleep({slow})
    return taken(self, *arguments)
trainer.Tuner.training_step = step
finetune({model!r}, [Example(*fact) for fact in {facts!r}], out={out!r}, **{options!r})
"""


def begun(model: Path, out: Path, options: dict, at: int = -1, slow: float = 0) -> subprocess.Popen:
    """Train in another process, which kills itself as step number `at` begins."""
    facts = [(e.prompt, e.completion) for e in EXAMPLES]
    code = TRAIN.format(
        at=at, slow=slow, model=str(model), facts=facts, out=str(out), options=options
    )
    root = str(Path(ragft.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_equal(resumed, whole) -> None:
    assert resumed.adapter_hash == whole.adapter_hash
    assert (resumed.losses, resumed.curve) == (whole.losses, whole.curve)
    assert (resumed.tokens_seen, resumed.steps) == (whole.tokens_seen, whole.steps)


def test_a_killed_run_ends_with_the_weights_of_one_never_killed(tiny_model, tmp_path, monkeypatch):
    whole = finetune(tiny_model, EXAMPLES, out=tmp_path / "whole", **SETTINGS)
    killed = begun(tiny_model, tmp_path / "cut", SETTINGS, at=8)
    _, told = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, told
    left = tmp_path / ".cut.training" / "checkpoints"
    assert sorted(path.name for path in left.glob("checkpoint-*")) == [
        "checkpoint-3",
        "checkpoint-6",
    ]
    assert not (tmp_path / "cut").exists()
    steps = []
    taken = trainer.Tuner.training_step
    monkeypatch.setattr(
        trainer.Tuner, "training_step", lambda self, *a: (steps.append(1), taken(self, *a))[1]
    )
    resumed = finetune(tiny_model, EXAMPLES, out=tmp_path / "cut", **SETTINGS)
    assert len(steps) == whole.steps - 6
    check_equal(resumed, whole)
    assert not left.exists()


@pytest.mark.parametrize("method", ["prefix", "prompt", "qlora", "full"])
def test_every_method_goes_on_from_a_checkpoint_to_the_same_weights(
    wide_model, tmp_path, monkeypatch, method
):
    """Stopped by an error between two checkpoints: quicker than a kill, and leaves the same."""
    if method == "qlora":
        pytest.importorskip("bitsandbytes")
    options = SETTINGS | {"method": method, "epochs": 3}
    whole = finetune(wide_model, EXAMPLES, out=tmp_path / "whole", **options)
    taken = trainer.Tuner.training_step

    def stop(self, *arguments):
        if self.state.global_step == 5:
            raise KeyboardInterrupt
        return taken(self, *arguments)

    monkeypatch.setattr(trainer.Tuner, "training_step", stop)
    with pytest.raises(KeyboardInterrupt):
        finetune(wide_model, EXAMPLES, out=tmp_path / "cut", **options)
    monkeypatch.undo()
    check_equal(finetune(wide_model, EXAMPLES, out=tmp_path / "cut", **options), whole)


@pytest.mark.long
@pytest.mark.parametrize("method", ["lora", "qlora", "full", "prefix", "prompt"])
def test_three_kills_at_random_moments_change_no_bit(wide_model, tmp_path, method):
    """Wherever the process then is: in a step, in a checkpoint, or between the two."""
    if method == "qlora":
        pytest.importorskip("bitsandbytes")
    options = SETTINGS | {"method": method, "checkpoint_every": 2, "epochs": 8}
    whole = finetune(wide_model, EXAMPLES, out=tmp_path / "whole", **options)
    moments = random.Random(f"kills-{method}")
    for _ in range(3):
        process = begun(wide_model, tmp_path / "cut", options, slow=0.05)
        reached = [process.stdout.readline() for _ in range(moments.randint(2, 6))]
        assert all(line.startswith("step") for line in reached), process.stderr.read()
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "cut").exists()
    check_equal(finetune(wide_model, EXAMPLES, out=tmp_path / "cut", **options), whole)


def test_an_unfinished_run_of_other_data_or_settings_is_not_taken_up(tiny_model, tmp_path):
    left = tmp_path / ".out.training"
    (left / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    (left / "checkpoints" / "checkpoint-3" / "ragft_complete").touch()
    (left / "settings.json").write_text("{}")
    assert finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **{**SETTINGS, "epochs": 1}).steps


def test_other_data_or_settings_in_a_finished_folder_are_refused(tiny_model, tmp_path):
    options = SETTINGS | {"epochs": 1}
    made = finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **options)
    with pytest.raises(RagftError, match="holds a result of other settings .examples_hash"):
        finetune(tiny_model, EXAMPLES[:4], out=tmp_path / "out", **options)
    with pytest.raises(RagftError, match="seed: 0 there, 1 here"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **options, seed=1)
    with pytest.raises(RagftError, match="method: 'lora' there, 'prefix' here.*virtual_tokens"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **options, method="prefix")
    assert finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **options) == made
    weights = made.adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(RagftError, match="is not the file that was written"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **options)
