"""Losses of completions that share a prompt: those of every example read by itself."""

from __future__ import annotations

import numpy as np
import pytest

from ragft.training.finetune import finetune
from ragft.training.losses import example_losses
from ragft.training.shared_prompts import completion_losses
from ragft.types import Example, RagftError

ASKED = [
    ("Question: Who leads Tarmo?\nAnswer:", [" Oslo", " Ravik and Oslo", " 7", " Oslo 1234567"]),
    ("Number:", [" 12", " 21"]),
]
SETTINGS = {"rank": 4, "epochs": 3, "learning_rate": 2e-2, "batch_tokens": 64, "progress": False}


@pytest.fixture(scope="module")
def tuned(tiny_model, tmp_path_factory):
    """One completion learnt by each kind of adapter."""
    folder = tmp_path_factory.mktemp("tuned")
    taught = [Example(ASKED[0][0], ASKED[0][1][1])]
    return {
        method: finetune(tiny_model, taught, out=folder / method, method=method, **SETTINGS).adapter
        for method in ("lora", "full", "prompt")
    }


def one_by_one(model, adapter):
    """Read every completion with its own prompt, as `losses` does."""
    return [
        example_losses(model, [Example(p, c) for c in ends], adapter, per_token=False)
        for p, ends in ASKED
    ]


@pytest.mark.parametrize("method", [None, "lora", "full"])
@pytest.mark.parametrize("batch_tokens", [1, 12, 1024])
def test_a_prompt_read_once_gives_the_same_losses(tiny_model, tuned, method, batch_tokens):
    adapter = method and tuned[method]
    found = completion_losses(tiny_model, ASKED, adapter, batch_tokens=batch_tokens)
    for mine, plain in zip(found, one_by_one(tiny_model, adapter), strict=True):
        assert mine == pytest.approx(plain, rel=1e-5)
        assert len(np.unique(plain)) == len(plain)  # in their own places


def test_nothing_asked_has_no_losses(tiny_model):
    assert completion_losses(tiny_model, []) == []
    (alone,) = completion_losses(tiny_model, [("Number:", [])])
    assert alone.shape == (0,)


def test_bad_input_is_refused(tiny_model, other_model, tuned):
    with pytest.raises(RagftError, match="prompt 'Number:': an empty completion"):
        completion_losses(tiny_model, [("Number:", [" 1", " "])])
    with pytest.raises(RagftError, match="an empty prompt"):
        completion_losses(tiny_model, [(" ", [" 1"])])
    with pytest.raises(RagftError, match="tokens with its longest completion, but at most 128"):
        completion_losses(tiny_model, [("Number:", [" 1", " 9" * 200])])
    with pytest.raises(RagftError, match="batch_tokens=0: must be at least 1"):
        completion_losses(tiny_model, ASKED, batch_tokens=0)
    with pytest.raises(RagftError, match="made for another base"):
        completion_losses(other_model, ASKED, tuned["lora"])
    with pytest.raises(RagftError, match="virtual tokens stand before a prompt"):
        completion_losses(tiny_model, ASKED, tuned["prompt"])
