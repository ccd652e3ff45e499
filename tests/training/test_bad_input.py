"""What fine-tuning refuses, and in which words."""

from __future__ import annotations

import json
import shutil

import peft
import pytest
import torch

from ragft.training import trainer
from ragft.training.finetune import finetune
from ragft.training.rows import conflicting, tokenise
from ragft.types import Example, RagftError

FACTS = {"Tarmo": "Oslo", "Velka": "Ravik", "veld": "31", "Works": "unknown", "town": "7"}
EXAMPLES = [Example(f"Question: {k}?\nAnswer:", f" {v}", k) for k, v in FACTS.items()]
SETTINGS = {
    "method": "lora", "rank": 8, "epochs": 4, "learning_rate": 2e-2, "batch_tokens": 64,
    "progress": False,
}  # fmt: skip
TWICE = [*EXAMPLES, Example(EXAMPLES[0].prompt, " Bergen"), EXAMPLES[1]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"examples": []}, "no examples to train on"),
        (
            {"examples": [Example("a", " b"), Example("a", " ")]},
            "example 1 has an empty completion",
        ),
        ({"examples": [Example("", " b")]}, "example 0 has an empty prompt"),
        (
            {"examples": [Example("0 " * 200, " 1")]},
            r"example 0: its prompt has \d+ tokens .* 128 fit",
        ),
        (
            {"examples": [Example("0 " * 50, " 1")], "method": "prompt", "virtual_tokens": 100},
            r"example 0: its prompt has \d+ tokens .* 28 fit",
        ),
        ({"max_length": 5}, "at most 5 fit"),
        ({"method": "dora"}, "method='dora': choose one of lora, qlora, full, prefix, prompt, or"),
        ({"method": peft.LoraConfig(task_type="SEQ_CLS")}, "a LoraConfig with task_type='SEQ_CLS'"),
        (
            {"method": peft.IA3Config(target_modules=["query"], feedforward_modules=[])},
            "method: PEFT cannot tune this model so .*query",
        ),
        ({"rank": 33}, r"rank=33 is larger than the model is wide \(32\)"),
        ({"rank": 17}, r"rank=17 is larger than layer [kv]_proj \(16 × 32\); choose at most 16"),
        ({"rank": 0}, "rank=0: must be a whole number of at least 1"),
        ({"epochs": 0}, "epochs=0"),
        ({"virtual_tokens": 0}, "virtual_tokens=0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: must be above 0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"target_modules": ["q_proj", "query"]}, "no layer 'query'; choose from .*q_proj"),
        ({"conflicts": "no"}, "conflicts='no': choose 'refuse' or 'allow'"),
        ({"examples": TWICE}, r"1 of the prompts .* such as 'Question: Tarmo.*' \(' Oslo', ' Be"),
        (
            {"method": "prefix", "gradient_checkpointing": True},
            "method prefix: cannot be trained with gradient_checkpointing=True",
        ),
    ],
)
def test_errors_name_what_was_wrong(tiny_model, tmp_path, options, message):
    options = {**SETTINGS, "examples": EXAMPLES, **options}
    with pytest.raises(RagftError, match=message):
        finetune(tiny_model, options.pop("examples"), out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_rank_may_be_larger_than_a_layer_that_gets_no_matrices(tiny_model, tmp_path):
    options = SETTINGS | {"rank": 20, "target_modules": ["q_proj", "o_proj"], "epochs": 1}
    assert finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **options).trainable


def test_conflicting_answers_are_counted_and_trained_on_when_told_to(tiny_model, tmp_path):
    assert conflicting(TWICE) == {EXAMPLES[0].prompt: (" Oslo", " Bergen")}
    assert conflicting([*EXAMPLES, EXAMPLES[1]]) == {}  # the same twice is no conflict
    options = SETTINGS | {"epochs": 1}
    both = finetune(tiny_model, TWICE, out=tmp_path / "both", conflicts="allow", **options)
    assert (both.examples, both.conflicting) == (7, 1)
    again = finetune(tiny_model, EXAMPLES, out=tmp_path / "one", conflicts="allow", **options)
    assert finetune(tiny_model, EXAMPLES, out=tmp_path / "one", **options) == again


def test_a_tokenizer_without_an_end_token_is_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "endless")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token": None}))
    with pytest.raises(RagftError, match="names no eos_token; add one"):
        finetune(folder, EXAMPLES, out=tmp_path / "out", **SETTINGS)


def test_a_tokenizer_that_adds_its_own_end_does_not_double_it(ending_model, tiny_model):
    rows, _ = tokenise(ending_model, EXAMPLES, None)
    for row in rows:
        assert row.ids.count(2) == 1 and row.ids[-1] == 2
    assert rows == tokenise(tiny_model, EXAMPLES, None)[0]


@pytest.mark.usefixtures("no_bitsandbytes")
def test_qlora_without_bitsandbytes_names_the_extra(wide_model, tmp_path):
    with pytest.raises(RagftError, match=r"pip install 'ragft\[qlora\]'"):
        finetune(wide_model, EXAMPLES, out=tmp_path / "out", **{**SETTINGS, "method": "qlora"})


def test_a_loss_that_is_not_a_number_names_the_step(tiny_model, tmp_path):
    with pytest.raises(RagftError, match=r"the loss became nan at step \d+: lower learning_rate"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "o", **{**SETTINGS, "learning_rate": 1e30})


def test_the_last_good_checkpoint_is_kept_and_no_bad_one_is_marked(
    tiny_model, tmp_path, monkeypatch
):
    """The weights are spoilt at the end of step 6: its checkpoint is written, but not marked."""
    saved = trainer.Keeper.on_step_end

    def spoil(self, args, state, control, model=None, **named):
        if state.global_step == 6:
            with torch.no_grad():
                next(p for p in model.parameters() if p.requires_grad).fill_(float("nan"))
        saved(self, args, state, control, **named)

    monkeypatch.setattr(trainer.Keeper, "on_step_end", spoil)
    options = SETTINGS | {"batch_tokens": 24, "checkpoint_every": 1}
    with pytest.raises(RagftError, match=r"nan at step 7: .* is kept in .*checkpoint-5$"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **options)
    left = tmp_path / ".out.training" / "checkpoints"
    assert (left / "checkpoint-5" / trainer.COMPLETE).exists()
    assert not (left / "checkpoint-6" / trainer.COMPLETE).exists()
    monkeypatch.undo()  # taken up again, it ends as if nothing had happened
    done = finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **options)
    whole = finetune(tiny_model, EXAMPLES, out=tmp_path / "whole", **options)
    assert done.adapter_hash == whole.adapter_hash


def test_weights_spoilt_by_the_last_step_are_not_kept(tiny_model, tmp_path, monkeypatch):
    def spoil(self, args, state, control, model=None, **_):
        if state.global_step == state.max_steps:
            with torch.no_grad():
                next(p for p in model.parameters() if p.requires_grad).fill_(float("inf"))

    monkeypatch.setattr(trainer.Keeper, "on_step_end", spoil)
    with pytest.raises(RagftError, match="no longer a number after the last step: lower learning"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **SETTINGS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
)
def test_memory_that_runs_out_says_what_to_do(tiny_model, tmp_path, monkeypatch, error):
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(trainer.Tuner, "training_step", full)
    with pytest.raises(RagftError, match=r"memory ran out .* lower batch_tokens \(now 64\)"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **SETTINGS)


def test_another_error_of_torch_is_not_taken_for_it(tiny_model, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(trainer.Tuner, "training_step", fail)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **SETTINGS)


def test_a_full_disk_is_told(tiny_model, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainer.Tuner, "_save_checkpoint", full)
    with pytest.raises(RagftError, match=r"no checkpoint can be written \(No space left"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "out", checkpoint_every=1, **SETTINGS)
