"""What fits a card, by hand and by the laws that any card obeys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.generation.fitting import (
    NF4_BYTES,
    USABLE,
    Card,
    fit,
    prompt_bytes,
    weight_bytes,
)
from ragft.generation.shapes import SHAPES, TOY
from ragft.types import RagftError

GIB = 2.0**30
HOPPER, TURING = (9, 0), (7, 5)
LLAMA, SMALL = SHAPES["Llama-3.1-8B"], SHAPES["Qwen2.5-0.5B"]


def test_a_prompt_and_weights_are_counted_by_hand():
    # toy: 2 layers, 64 wide, 128 inside, 4 heads of 16, 2 of them with keys, 320 tokens
    keys_and_values = 2 * 2 * 2 * 16 * 10 * 2
    activations = 10 * (2 * 128 + 2 * 64) * 2
    assert prompt_bytes(TOY, 10) == keys_and_values + activations + 4 * 320
    layers = 2 * (2 * 64**2 + 2 * 64 * 32 + 3 * 64 * 128)
    others = 320 * 64 + 5 * 64
    assert weight_bytes(TOY) == 2 * (layers + others)
    assert weight_bytes(TOY, "nf4") == layers * NF4_BYTES + 2 * others


def test_known_cards_get_what_they_can_hold():
    """8 billion weights are 15 GiB in 16 bits and about 5.3 in 4."""
    large = fit(LLAMA, Card(80 * GIB, HOPPER, flash=True), 2048)
    assert (large.dtype, large.quantization, large.batch_size) == ("bfloat16", "", 64)
    assert large.attention == "flash_attention_2"
    middle = fit(LLAMA, Card(24 * GIB, (8, 6)), 2048)
    assert (middle.quantization, middle.attention) == ("", "sdpa")
    assert 8 <= middle.batch_size < 64
    old = fit(LLAMA, Card(15 * GIB, TURING, flash=True), 2048)
    assert (old.dtype, old.quantization, old.attention) == ("float16", "nf4", "sdpa")
    with pytest.raises(RagftError, match=r"takes \d\.\d GiB in 4 bits, and 4\.0 GiB are free"):
        fit(LLAMA, Card(4 * GIB, HOPPER), 2048)


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"most": 0}])
def test_sizes_below_one_are_refused(wrong):
    with pytest.raises(RagftError, match="must be 1 or more"):
        fit(SMALL, Card(GIB, HOPPER), **({"tokens": 1} | wrong))


@given(
    st.sampled_from(list(SHAPES.values())),
    st.floats(1, 200),
    st.integers(1, 32_000),
    st.integers(1, 256),
)
def test_what_fits_fits_and_one_more_prompt_would_not(shape, gib, tokens, most):
    card = Card(gib * GIB, HOPPER)
    try:
        found = fit(shape, card, tokens, most)
    except RagftError:
        assert weight_bytes(shape, "nf4") + prompt_bytes(shape, tokens) > USABLE * card.memory
        return
    assert 1 <= found.batch_size <= most
    assert found.bytes <= USABLE * card.memory
    if found.batch_size < most:
        assert found.bytes + prompt_bytes(shape, tokens) > USABLE * card.memory
    if found.quantization:
        assert weight_bytes(shape) + prompt_bytes(shape, tokens) > USABLE * card.memory
    more = fit(shape, replace(card, memory=2 * card.memory), tokens, most)
    assert (more.quantization, -more.batch_size) <= (found.quantization, -found.batch_size) or (
        found.quantization and not more.quantization
    )
