"""Rows of tokens and the batches they are trained in: a budget of tokens, not a number of rows.

Every row stands in a line of its own, so that no row sees another. Rows of like lengths together
keep padding small; rows as they fall learn better from small batches. Several processes share the
batches that one process would train.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

POOL = 4
"""Batches of mixed rows that are sorted by length together: more than half of the padding
goes, and little of the mixture."""


@dataclass(frozen=True)
class Row:
    """One tokenised example: prompt and completion, and how many tokens the prompt has."""

    ids: list[int]
    prompt: int


class TokenBatches:
    """Batches of row numbers within a budget of padded tokens, in a new order every epoch.

    Rows are sorted by length (ties at random), cut where the budget is full, and the batches are
    shuffled. With `mixed` they are taken in random order instead, as many a batch as fill the
    budget on average, so that a batch of long ones is above it; only those of `POOL` batches that
    follow each other are sorted. The cuts depend on the lengths alone, so every epoch has as many
    steps as the last, and the order on (seed, epoch) alone, so a resumed run sees the batches it
    would have seen.
    """

    def __init__(self, lengths: Sequence[int], budget: int, seed: int, mixed: bool = False) -> None:
        self.lengths = torch.tensor(lengths)
        self.seed, self.epoch = seed, 0
        if mixed:
            rows = max(1, budget * len(lengths) // max(1, sum(lengths)))
            self.cuts = [*range(0, len(lengths), rows), len(lengths)]
            self.pool = POOL * rows
            return
        self.cuts, self.pool = [0], max(1, len(lengths))
        for place, length in enumerate(self.lengths.sort(descending=True).values.tolist()):
            if place == 0:
                longest = length
            elif (place - self.cuts[-1] + 1) * longest > budget:
                self.cuts.append(place)
                longest = length
        self.cuts.append(len(lengths))

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def set_epoch(self, epoch: int) -> None:
        """Choose the order: the same epoch always gives the same batches."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        drawn = torch.randperm(len(self.lengths), generator=generator)
        order = [row for part in drawn.split(self.pool) for row in self._by_length(part)]
        for batch in torch.randperm(len(self), generator=generator).tolist():
            yield order[self.cuts[batch] : self.cuts[batch + 1]]

    def _by_length(self, rows: torch.Tensor) -> list[int]:
        return rows[self.lengths[rows].sort(descending=True, stable=True).indices].tolist()


def steps_an_epoch(rows: Sequence[Row], budget: int, mixed: bool = False) -> int:
    """Return how many batches the rows make."""
    return len(TokenBatches([len(row.ids) for row in rows], budget, seed=0, mixed=mixed))


def share(rows: Sequence[Row], rank: int, count: int, pad: int) -> dict[str, torch.Tensor]:
    """Return what one of several processes computes of a batch, and what all of them compute.

    Every `count`-th row, so that rows sorted by length are spread evenly. A process for which
    none is left gets a row that is not learnt from: it must still take part in the step.

    Returns
    -------
    dict
        As from `collate`, and `trained` (rows learnt from here) and `tokens` (tokens learnt from
        in the whole batch, by which every process divides its loss).
    """
    mine = rows[rank::count]
    batch = collate(mine or rows[:1], pad)
    if not mine:
        batch["labels"].fill_(-100)
    # the first token of a row follows nothing, and is not learnt
    learnt = sum(len(row.ids) - max(row.prompt, 1) for row in rows)
    return batch | {"trained": torch.tensor(len(mine)), "tokens": torch.tensor(learnt)}


def collate(rows: Sequence[Row], pad: int) -> dict[str, torch.Tensor]:
    """Pad rows on the right; labels are -100 on the prompt and the padding."""
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), -100)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for line, row in enumerate(rows):
        end = len(row.ids)
        ids[line, :end] = torch.tensor(row.ids)
        labels[line, row.prompt : end] = ids[line, row.prompt : end]
        mask[line, :end] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
