"""The trainer's hooks: batches, padding, and the loss held against TRL's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.training.trainer import Row, TokenBatches, _by_epoch, _last_checkpoint, collate


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=50),
    budget=st.integers(1, 200),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_batches_hold_every_row_once_and_keep_to_the_budget(lengths, budget, seed):
    batches = TokenBatches(lengths, budget, seed)
    for epoch in (0, 1, 2):
        batches.set_epoch(epoch)
        made = list(batches)
        assert len(made) == len(batches)
        assert sorted(i for batch in made for i in batch) == list(range(len(lengths)))
        for batch in made:
            padded = len(batch) * max(lengths[i] for i in batch)
            assert padded <= budget or len(batch) == 1
        assert made == list(batches)  # asked again, the same order


def test_batches_differ_between_epochs_and_seeds():
    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = TokenBatches([5] * 20, 20, seed)
        batches.set_epoch(epoch)
        return list(batches)

    assert len({str(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_batches_by_hand():
    batches = TokenBatches([4, 9, 4, 5], 10, 0)
    # longest first: 9 alone (9 + 5 > 10 padded), then 5 and 4 (2 × 5 = 10), then 4
    assert sorted(len(batch) for batch in batches) == [1, 1, 2]
    assert batches.cuts == [0, 1, 3, 4]


def test_rows_are_padded_on_the_right_and_prompts_carry_no_loss():
    batch = collate([Row([1, 7, 8, 2], 2), Row([1, 9], 1)], pad=0)
    assert batch["input_ids"].tolist() == [[1, 7, 8, 2], [1, 9, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, -100, 8, 2], [-100, 9, -100, -100]]


def test_losses_by_epoch():
    assert _by_epoch([4.0, 2.0, 1.0, 0.0], 2) == [3.0, 0.5]


def test_only_a_checkpoint_marked_whole_is_taken_up(tmp_path):
    assert _last_checkpoint(tmp_path) is None
    for step in (9, 10, 11):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-9" / "ragft_complete").touch()
    (tmp_path / "checkpoint-10" / "ragft_complete").touch()
    assert _last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")


@pytest.fixture(scope="module")
def tuner(tiny_model, tmp_path_factory):
    from ragft.training import finetune, trainer
    from ragft.training.adapters import Settings

    chosen = Settings("lora", 4, 8.0, 0.0, "all-linear", 1, 1e-3, 64, 0, 128, "", "")
    rows = [Row([1, 20, 21, 22, 2], 3), Row([1, 30, 31, 2], 2), Row([1, 40, 41, 42, 43, 2], 4)]
    return trainer.build(
        finetune._open(tiny_model, chosen, 6),
        rows,
        chosen,
        folder=tmp_path_factory.mktemp("tuner"),
        tokenizer=finetune.models.open_tokenizer(tiny_model),
        lora=finetune._lora(chosen),
        bf16=False,
        progress=False,
        checkpoint_every=None,
    )


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
