"""The trainer's hooks: the loss held against TRL's own, the learning rate, the checkpoints."""

from __future__ import annotations

import gc
from copy import deepcopy

import pytest
import torch

from ragft.files import hash_folder, sealed_json
from ragft.training import trainer
from ragft.training.batches import Row, collate
from ragft.training.trainer import COMPLETE, _by_epoch, _last_checkpoint


def test_losses_by_epoch():
    assert _by_epoch([4.0, 2.0, 1.0, 0.0], 2) == [3.0, 0.5]


def test_only_a_checkpoint_marked_whole_is_taken_up(tmp_path):
    assert _last_checkpoint(tmp_path) is None
    for step in (9, 10, 11, 12):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights").write_text(f"of step {step}")
        if step < 12:
            (folder / COMPLETE).write_text(sealed_json({"hash": hash_folder(folder)}))
    (tmp_path / "checkpoint-11" / "weights").write_text("of step 9")
    assert _last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")


def build(tiny_model, folder):
    from ragft.models import open_tokenizer
    from ragft.training import methods
    from ragft.training.adapters import Settings

    chosen = Settings("lora", 4, 8.0, 0.0, "all-linear", 1, 1e-3, 64, 0, 128, "", "")
    rows = [Row([1, 20, 21, 22, 2], 3), Row([1, 30, 31, 2], 2), Row([1, 40, 41, 42, 43, 2], 4)]
    return trainer.build(
        methods.open_base(tiny_model, chosen, 6),
        rows,
        chosen,
        folder=folder,
        tokenizer=open_tokenizer(tiny_model),
        peft_config=methods.configuration(chosen),
        bf16=False,
        progress=False,
        checkpoint_every=None,
    )


@pytest.fixture(scope="module")
def tuner(tiny_model, tmp_path_factory):
    return build(tiny_model, tmp_path_factory.mktemp("tuner"))


def test_all_that_trainings_left_is_looked_for_once_it_is_much(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer.Tuner, "left", 0)
    size = sum(part.numel() for part in build(tiny_model, tmp_path / "0").model.parameters())
    monkeypatch.setattr(trainer.Tuner, "left", 0)
    monkeypatch.setattr(trainer, "LEFT", 2 * size)
    whole, collect = [], gc.collect

    def looked(*args):
        whole.append(gc.get_freeze_count() == 0)
        return collect(*args)

    monkeypatch.setattr(gc, "collect", looked)
    for n in range(1, 7):
        build(tiny_model, tmp_path / str(n)).accelerator.free_memory()
        assert gc.get_freeze_count() == 0
    assert whole == [False, False, True, False, False, True]


def test_what_somebody_froze_stays_frozen(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer.Tuner, "left", 0)
    one = build(tiny_model, tmp_path)
    gc.freeze()
    try:
        one.accelerator.free_memory()
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


def test_the_loss_is_that_of_trl_and_of_the_definition(tuner):
    from trl import SFTTrainer

    batch = collate(tuner.rows, 0)
    network = tuner.model
    ours = tuner.compute_loss(network, dict(batch))
    theirs = SFTTrainer.compute_loss(tuner, network, dict(batch))
    logits = network(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logp = torch.log_softmax(logits.double(), -1)
    # row 0 learns tokens 3 and 4, row 1 tokens 2 and 3, row 2 tokens 4 and 5
    said = [(0, 3), (0, 4), (1, 2), (1, 3), (2, 4), (2, 5)]
    nats = [-logp[row, place - 1, tuner.rows[row].ids[place]] for row, place in said]
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert ours.item() == pytest.approx((sum(nats) / 6).item(), rel=1e-5)


def test_the_learning_rate_rises_and_falls_and_is_never_zero(tuner):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
    schedule = tuner.create_scheduler(40, optimizer)
    rates = []
    for _ in range(40):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    # 5 % of 40 are 2 steps up to the peak; from it 38 steps down, by 1/39 of it each
    assert rates[:3] == pytest.approx([0.4, 0.8, 0.8 * 38 / 39])
    assert rates[-1] == pytest.approx(0.8 / 39)


def test_the_base_is_frozen_and_only_the_adapter_learns(tuner):
    before = {name: part.detach().clone() for name, part in tuner.model.named_parameters()}
    tuner.train()
    moved = {name for name, part in tuner.model.named_parameters() if (part != before[name]).any()}
    assert moved
    assert all("lora_" in name for name in moved)
    trainable = {name for name, part in tuner.model.named_parameters() if part.requires_grad}
    assert trainable == {name for name in before if "lora_" in name}


@pytest.mark.parametrize("tied", [False, True])
def test_halving_what_is_frozen_changes_no_bit(tiny_model, tied):
    from transformers import AutoModelForCausalLM

    before = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    before.requires_grad_(False)
    if tied:
        before.lm_head.weight = before.get_input_embeddings().weight
    after = deepcopy(before)
    trainer.halve_frozen(after)
    assert after.num_parameters() == before.num_parameters()
    assert after.get_input_embeddings().weight.dtype is torch.float32
    assert after.model.layers[0].mlp.up_proj.weight.dtype is torch.bfloat16
    ids = torch.tensor([[1, 20, 21, 22]])
    with torch.autocast("cpu", torch.bfloat16):
        one, two = (network(ids).logits for network in (before, after))
    assert torch.equal(one, two)
