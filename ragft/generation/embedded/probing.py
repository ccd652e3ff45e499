"""How far a pretraining run has come, kind of lesson by kind of lesson."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer

from ragft.generation.embedded import lessons, tokens

if TYPE_CHECKING:
    from ragft.generation.embedded.pretrain import Recipe


@torch.inference_mode()
def probe(model, tokenizer: Tokenizer, recipe: Recipe, seen: int) -> dict[str, float]:
    """Measure, per kind of lesson, the share of taught pieces that greedy choice would say.

    Every token is judged given the right ones before it, on fresh lessons of the mix:
    quick to compute, for watching a run. Scores to quote come from `evaluate`.
    """
    scores = {}
    length, count = recipe.phase(min(seen / recipe.tokens, 0.999))
    at = lessons.level(1.0)
    for make, _, _ in lessons.MIX:
        ids, taught = tokens.batch(
            tokenizer, lambda rng, make=make: make(rng, at), f"probe-{seen}", 8, max(length, 768)
        )
        device = next(model.parameters()).device
        with torch.autocast(device.type, torch.bfloat16):
            said = model(input_ids=torch.from_numpy(ids).to(device)).logits.argmax(-1).cpu()
        right = said[:, :-1].numpy() == ids[:, 1:]
        pieces = [
            all_right
            for row_right, row_taught in zip(right, taught[:, 1:], strict=True)
            for all_right in _pieces(row_right, row_taught >= 1)
        ]
        scores[make.__name__] = round(sum(pieces) / max(1, len(pieces)), 3)
    return scores


def _pieces(right, taught) -> list[bool]:
    """Return, for every run of taught tokens in a row, whether all of them are right."""
    found: list[bool] = []
    inside = False
    for ok, mine in zip(right, taught, strict=True):
        if mine:
            found[len(found) - inside :] = [bool(ok) and (found[-1] if inside else True)]
        inside = bool(mine)
    return found
