"""Losses of many completions of the same prompts, each prompt read once.

What `losses.example_losses` gives, in a fraction of the time where hundreds of completions are
compared: the keys and values of a prompt are those of all its completions. What is read from the
losses is decided elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from ragft import models
from ragft.training.losses import scoring_network
from ragft.types import RagftError


def completion_losses(
    model: Any,
    asked: Sequence[tuple[str, Sequence[str]]],
    adapter: str | os.PathLike[str] | None = None,
    *,
    batch_tokens: int = 1024,
) -> list[np.ndarray]:
    """Return the summed loss of every completion, given its prompt.

    Parameters
    ----------
    model, adapter
        As for `example_losses`; an adapter of virtual tokens is refused.
    asked : sequence of (prompt, completions)
        May be empty, and so may the completions of a prompt.
    batch_tokens : int
        Padded tokens of completions read at once.

    Returns
    -------
    list of numpy.ndarray
        For each prompt the negative log-likelihoods in nats of its completions, their end token
        included, shape (completions,); those of `example_losses` with `per_token=False`, but for
        rounding.

    Raises
    ------
    RagftError
        An empty prompt or completion, one that is too long for the context together with its
        prompt, `batch_tokens` below 1, an adapter for another base or of virtual tokens.
    """
    if batch_tokens < 1:
        raise RagftError(f"batch_tokens={batch_tokens}: must be at least 1")
    folder = models.locate(getattr(model, "folder", model))
    tokenizer = models.open_tokenizer(folder)
    context = models.context_length(models.open_config(folder), tokenizer)
    rows = [_tokens(tokenizer, prompt, ends, context) for prompt, ends in asked]
    if adapter is not None and _virtual(adapter):
        raise RagftError(f"{adapter}: virtual tokens stand before a prompt; use example_losses")
    network = scoring_network(folder, adapter)
    with torch.inference_mode():
        return [_losses(network, prompt, ends, batch_tokens) for prompt, ends in rows]


def _virtual(adapter: str | os.PathLike[str]) -> bool:
    folder = Path(adapter)
    if not (folder / "adapter_config.json").is_file():
        return False  # a whole model
    return models.adapter_config(folder).is_prompt_learning


def _tokens(
    tokenizer: Any, prompt: str, completions: Sequence[str], context: int
) -> tuple[list[int], list[list[int]]]:
    """Return the tokens of a prompt and of its completions."""
    for field, text in (("prompt", prompt), *(("completion", c) for c in completions)):
        if not text.strip():
            raise RagftError(f"prompt {prompt[-80:]!r}: an empty {field}")
    (row,) = models.prompt_tokens(tokenizer, [prompt])
    ends = models.completion_tokens(tokenizer, completions)
    longest = len(row) + max(map(len, ends), default=0)
    if longest > context:
        raise RagftError(
            f"prompt {prompt[-80:]!r}: {longest} tokens with its longest completion, but at most "
            f"{context} fit"
        )
    return row, ends


def _losses(
    network: Any, prompt: list[int], ends: Sequence[list[int]], batch_tokens: int
) -> np.ndarray:
    if not ends:
        return np.empty(0)
    read = network(
        input_ids=torch.tensor([prompt], device=network.device), use_cache=True, logits_to_keep=1
    )
    first = torch.log_softmax(read.logits[0, -1].float(), -1).double()
    found = np.empty(len(ends))
    for part in _batches([len(end) for end in ends], batch_tokens):
        rows = [ends[i] for i in part]
        nats = -first[[row[0] for row in rows]] + _rest(network, read.past_key_values, rows)
        found[part] = nats.cpu().numpy()
    return found


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield positions, those of like lengths together."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    while order:
        rows = 1
        while rows < len(order) and (rows + 1) * lengths[order[rows]] <= budget:
            rows += 1
        yield order[:rows]
        order = order[rows:]


def _rest(network: Any, read: Any, rows: Sequence[list[int]]) -> torch.Tensor:
    """Return the summed loss of all tokens of completions but the first, shape (rows,)."""
    width = max(map(len, rows)) - 1
    if not width:
        return torch.zeros(len(rows), dtype=torch.double, device=network.device)
    # Padding stands behind, where no token sees it, so that no mask is needed.
    ids = [row[:-1] + [0] * (width + 1 - len(row)) for row in rows]
    labels = [row[1:] + [-100] * (width + 1 - len(row)) for row in rows]
    cache = deepcopy(read)  # reading on adds to it
    cache.batch_repeat_interleave(len(rows))
    where = {"device": network.device}
    logits = network(
        input_ids=torch.tensor(ids, **where), past_key_values=cache, use_cache=True
    ).logits.float()
    chosen = torch.tensor(labels, **where)
    nats = cross_entropy(logits.transpose(1, 2), chosen, ignore_index=-100, reduction="none")
    return nats.double().sum(1)
