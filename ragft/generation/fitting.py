"""Which precision, batch and attention kernel fit a GPU: arithmetic on shapes, nothing measured.

The machine comes in as numbers, so that a decision for any card can be looked at on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass

from ragft.generation.shapes import Shape
from ragft.types import RagftError

USABLE = 0.9
"""Share of the memory that is planned with; the rest is the driver's, and holes between blocks."""
NF4_BYTES = 0.5 + 0.127 / 8
"""Of a weight in 4-bit NormalFloat: its own, and its share of the doubly quantised scales
(Dettmers et al. 2023, section 3: 0.127 bits)."""
WIDE = 2
"""Copies of the widest activations that a layer holds at once (gate and up projection)."""
AMPERE = (8, 0)
"""First generation that computes in bfloat16, and for which FlashAttention-2 is built."""


@dataclass(frozen=True)
class Card:
    """What is there."""

    memory: float
    """Bytes that are free."""
    capability: tuple[int, int]
    """Generation, as CUDA counts: (8, 0) is Ampere, (9, 0) Hopper."""
    flash: bool = False
    """Whether the package flash-attn is installed."""


@dataclass(frozen=True)
class Fit:
    """What fits, in the words of `Profile` and of transformers."""

    dtype: str
    quantization: str
    batch_size: int
    attention: str
    """'flash_attention_2' or 'sdpa'."""
    bytes: float
    """That weights and a whole batch take."""


def fit(shape: Shape, card: Card, tokens: int, most: int = 64) -> Fit:
    """Return how a model answers on a card with as many prompts at once as fit.

    Whole weights come before a larger batch: 4 bits are taken only where not even one prompt fits
    beside whole weights, because they change the answers.

    Parameters
    ----------
    shape : Shape
    card : Card
    tokens : int
        Of the longest prompt and its answer together, at least 1.
    most : int
        Prompts at once that are wanted, at least 1.

    Raises
    ------
    RagftError
        Not even one prompt fits beside weights in 4 bits; the message says what it would take.
    """
    if tokens < 1 or most < 1:
        raise RagftError(f"fit: tokens={tokens} and most={most} must be 1 or more")
    dtype = "bfloat16" if card.capability >= AMPERE else "float16"
    attention = "flash_attention_2" if card.flash and card.capability >= AMPERE else "sdpa"
    each, room = prompt_bytes(shape, tokens), USABLE * card.memory
    for quantization in ("", "nf4"):
        weights = weight_bytes(shape, quantization)
        batch = min(most, int((room - weights) // each))
        if batch >= 1:
            return Fit(dtype, quantization, batch, attention, weights + batch * each)
    least, free = ((weights + each) / USABLE / 2**30, card.memory / 2**30)
    raise RagftError(
        f"{shape.name}: one prompt of {tokens} tokens takes {least:.1f} GiB in 4 bits, and "
        f"{free:.1f} GiB are free: take a smaller model, shorter prompts or a server"
    )


def weight_bytes(shape: Shape, quantization: str = "") -> float:
    """Return the bytes of all weights in 16 bits, or of the layers' in 4 and the others' in 16."""
    if quantization != "nf4":
        return 2.0 * shape.parameters
    return NF4_BYTES * shape.layer_weights + 2.0 * (shape.parameters - shape.layer_weights)


def prompt_bytes(shape: Shape, tokens: int) -> float:
    """Return the bytes that one prompt takes while it is read and answered.

    Its keys and values, the widest activations of a layer, and the numbers of the next token (32
    bits, as they are compared).
    """
    passing = tokens * (WIDE * shape.intermediate + 2 * shape.hidden) * 2
    return shape.kv_bytes(tokens) + passing + 4.0 * shape.vocabulary
