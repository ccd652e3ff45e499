"""Batches by token budget: every row once, small padding, and no row sees another."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft import models
from ragft.training.batches import Row, TokenBatches, collate, share


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


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=50),
    budget=st.integers(1, 200),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_mixed_batches_hold_every_row_once_and_as_many_rows_as_fill_the_budget(
    lengths, budget, seed
):
    batches = TokenBatches(lengths, budget, seed, mixed=True)
    rows = max(1, budget * len(lengths) // sum(lengths))
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        made = list(batches)
        assert len(made) == len(batches)
        assert sorted(i for batch in made for i in batch) == list(range(len(lengths)))
        assert sorted(map(len, made))[1:] == [rows] * (len(made) - 1)
        assert made == list(batches)


def test_mixed_rows_are_taken_as_they_fall_and_sorted_among_neighbours_alone():
    """Batches of 2 rows, so that 8 rows are sorted together: of 16 the longest meet others."""
    batches = TokenBatches(range(1, 17), 17, 0, mixed=True)
    assert batches.cuts == list(range(0, 17, 2))
    beside = set()
    for epoch in range(20):
        batches.set_epoch(epoch)
        made = [[batches.lengths[row].item() for row in batch] for batch in batches]
        assert all(one >= two for one, two in made)
        (longest,) = (batch for batch in made if 16 in batch)
        beside.add(longest[1])
        padding = sum(2 * max(batch) - sum(batch) for batch in made)
        assert padding <= 2 * (16 - 1)  # sorted, differences within eight rows add up to no more
    assert len(beside) > 2 and 15 in beside


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


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_row_is_as_likely_in_a_batch_as_alone(tiny_model, attention):
    network = models.open_network(
        tiny_model, device="cpu", dtype=torch.float32, attn_implementation=attention
    )
    lengths = (3, 50, 11, 2, 27, 11)
    generator = torch.Generator().manual_seed(0)
    rows = [Row(torch.randint(3, 300, (n,), generator=generator).tolist(), n // 2) for n in lengths]
    together = likelihoods(network, rows)
    alone = torch.cat([likelihoods(network, [row]) for row in rows])
    assert torch.allclose(together, alone, atol=1e-4)
    changed = [Row([5] * 27, 13) if row is rows[4] else row for row in rows]
    other = likelihoods(network, changed)
    assert torch.allclose(other[[0, 1, 2, 3, 5]], alone[[0, 1, 2, 3, 5]], atol=1e-4)
    assert abs(other[4] - alone[4]) > 1


def likelihoods(network, rows) -> torch.Tensor:
    """Log-likelihood of each row's completion, in nats."""
    batch = collate(rows, 0)
    labels = batch.pop("labels")[:, 1:]
    with torch.inference_mode():
        said = torch.log_softmax(network(**batch, use_cache=False).logits[:, :-1].float(), -1)
    nats = said.gather(2, labels.clamp(min=0)[..., None])[..., 0]
    return (nats * (labels != -100)).sum(1)


def test_several_processes_share_a_batch_and_know_the_tokens_of_all():
    rows = [Row([1, 5, 6, 7, 2], 3), Row([1, 8, 2], 2), Row([9, 2], 0)]  # learnt: 2 + 1 + 1
    first, second = (share(rows, rank, 2, pad=0) for rank in (0, 1))
    assert first["input_ids"].tolist() == [[1, 5, 6, 7, 2], [9, 2, 0, 0, 0]]
    assert second["input_ids"].tolist() == [[1, 8, 2]]
    assert (first["trained"], second["trained"]) == (2, 1)
    assert (first["tokens"], second["tokens"]) == (4, 4)


def test_a_process_for_which_no_row_is_left_learns_from_none():
    batch = share([Row([1, 5, 2], 1)], 1, 2, pad=0)
    assert batch["input_ids"].tolist() == [[1, 5, 2]]
    assert batch["labels"].tolist() == [[-100, -100, -100]]
    assert (batch["trained"], batch["tokens"]) == (0, 2)
