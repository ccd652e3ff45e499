"""Shapes of published language models: what they weigh, compute and read, counted exactly.

No weights are needed to know the time and memory that a model takes: they depend on its
dimensions alone. Measured rates of a machine turn these counts into floors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    """The dimensions of a decoder with grouped attention and a gated feed-forward part.

    Counts are of multiply-adds times two, and of bytes at a given size of a number. Norms,
    rotations and softmax are left out of the operations: together below 1 %.
    """

    name: str
    family: str
    """'Qwen2' (with biases on queries, keys and values) or 'Llama'."""
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    """Whether the output shares its weights with the input embedding."""

    @property
    def head(self) -> int:
        """Width of an attention head."""
        return self.hidden // self.heads

    @property
    def layer_weights(self) -> int:
        """Weights of the matrices in all layers, through which every token goes."""
        attention = 2 * self.hidden**2 + 2 * self.hidden * self.kv_heads * self.head
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def parameters(self) -> int:
        """All parameters, embeddings, norms and biases included."""
        tables = (1 if self.tied else 2) * self.vocabulary * self.hidden
        norms = (2 * self.layers + 1) * self.hidden
        biases = self.layers * (self.hidden + 2 * self.kv_heads * self.head)
        return self.layer_weights + tables + norms + (biases if self.family == "Qwen2" else 0)

    def kv_bytes(self, tokens: float, size: int = 2) -> float:
        """Return the bytes of the keys and values of so many tokens, numbers of `size` bytes."""
        return 2 * self.layers * self.kv_heads * self.head * tokens * size

    def prefill_operations(self, tokens: float) -> float:
        """Return the operations of reading a prompt, the first new token's logits included.

        Causal attention computes half of the square of positions.
        """
        attention = 2 * self.layers * self.hidden * tokens**2
        return 2 * self.layer_weights * tokens + attention + 2 * self.vocabulary * self.hidden

    def decode_operations(self, context: float, batch: int = 1) -> float:
        """Return the operations of one new token for each of `batch` sequences."""
        attention = 4 * self.layers * self.hidden * context
        return batch * (2 * (self.layer_weights + self.vocabulary * self.hidden) + attention)

    def decode_bytes(self, context: float, batch: int = 1, size: int = 2) -> float:
        """Return the bytes read for one new token of each of `batch` sequences.

        Every weight once for the whole batch, and each sequence's own keys and values.
        """
        weights = self.layer_weights + self.vocabulary * self.hidden
        return weights * size + batch * self.kv_bytes(context, size)

    def config(self, **options: Any) -> Any:
        """Return the configuration with which transformers builds this shape."""
        import transformers

        return getattr(transformers, f"{self.family}Config")(
            **{
                "num_hidden_layers": self.layers,
                "hidden_size": self.hidden,
                "intermediate_size": self.intermediate,
                "num_attention_heads": self.heads,
                "num_key_value_heads": self.kv_heads,
                "vocab_size": self.vocabulary,
                "tie_word_embeddings": self.tied,
                "max_position_embeddings": 32_768,
            }
            | options
        )


FAMILIES = {"qwen2": "Qwen2", "llama": "Llama"}
"""Kinds of model that are counted, by the name in their configuration."""


def shape_of(config: Any) -> Shape | None:
    """Return the shape of a configuration; None for a kind of model that is not counted here."""
    family = FAMILIES.get(config.model_type)
    if family is None:
        return None
    return Shape(
        config.name_or_path or family,
        family,
        config.num_hidden_layers,
        config.hidden_size,
        config.intermediate_size,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.vocab_size,
        config.tie_word_embeddings,
    )


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("Qwen2.5-0.5B", "Qwen2", 24, 896, 4864, 14, 2, 151_936, True),
        Shape("Qwen2.5-1.5B", "Qwen2", 28, 1536, 8960, 12, 2, 151_936, True),
        Shape("Qwen2.5-3B", "Qwen2", 36, 2048, 11_008, 16, 2, 151_936, True),
        Shape("Qwen2.5-7B", "Qwen2", 28, 3584, 18_944, 28, 4, 152_064, False),
        Shape("Llama-3.1-8B", "Llama", 32, 4096, 14_336, 32, 8, 128_256, False),
    )
}
"""Published models by name; their dimensions are those of their configuration files."""
TOY = Shape("toy", "Llama", 2, 64, 128, 4, 2, 320, True)
"""A shape that a CPU runs in no time, to check with."""
