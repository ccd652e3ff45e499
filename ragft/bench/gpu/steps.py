"""Reading prompts and decoding one token, on a key-value cache whose memory is taken beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ragft.bench.gpu.device import Unavailable, out_of_memory

if TYPE_CHECKING:
    import torch

READ_AT_ONCE = 8192
"""Tokens of prompts that are read at once, at most, as servers limit them: activations grow with
the tokens in flight, and a GPU is busy long before this."""


class Store:
    """Room for the keys and values of some rows, in all layers.

    Parameters
    ----------
    network : PreTrainedModel
    rows, room : int
        Sequences, and positions of each.
    """

    def __init__(self, network: Any, rows: int, room: int) -> None:
        import torch

        config = self.config = network.config
        width = (
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        )
        shape = (rows, config.num_key_value_heads, room, width)
        options = {"device": network.device, "dtype": network.dtype}
        self.rows, self.room = rows, room
        self.layers = [
            (torch.zeros(shape, **options), torch.zeros(shape, **options))
            for _ in range(config.num_hidden_layers)
        ]

    @property
    def bytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)

    def cache(self, start: int, end: int) -> Any:
        """Return an empty cache that fills the rows from `start` to `end` of this store."""
        from transformers.cache_utils import DynamicCache

        from ragft.generation.decoding import RoomyLayer

        cache = DynamicCache(config=self.config)
        cache.layers = [RoomyLayer(self.room) for _ in self.layers]
        for layer, (keys, values) in zip(cache.layers, self.layers, strict=True):
            layer.all_keys, layer.all_values = keys[start:end], values[start:end]
            layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
        rewind(cache, 0)
        return cache

    def repeat_first(self) -> None:
        """Copy the first row to all others."""
        for keys, values in self.layers:
            keys[1:] = keys[:1]
            values[1:] = values[:1]


def rewind(cache: Any, length: int) -> None:
    """Let a store's cache hold its first `length` positions: what follows is written after them."""
    for layer in cache.layers:
        layer.length = length
        layer.keys, layer.values = (
            layer.all_keys[:, :, :length],
            layer.all_values[:, :, :length],
        )


def read(network: Any, tokens: torch.Tensor, store: Store) -> None:
    """Read prompts (rows, length) into a store, `READ_AT_ONCE` tokens at once at most."""
    import torch

    rows, length = tokens.shape
    at_once = max(1, READ_AT_ONCE // length)
    with torch.inference_mode():
        for start in range(0, rows, at_once):
            part = tokens[start : start + at_once]
            cache = store.cache(start, start + len(part))
            network(input_ids=part, past_key_values=cache, use_cache=True, logits_to_keep=1)


def stepper(network: Any, store: Store, context: int) -> Callable[[], torch.Tensor]:
    """Return a function that decodes one token of every row and gives the tokens (rows, 1).

    It always writes at position `context` and reads all positions up to it, so that it can be
    repeated; the token that it chose is the next one it reads, as in a real answer.
    """
    import torch

    tokens = torch.zeros((store.rows, 1), dtype=torch.long, device=network.device)
    positions = torch.full_like(tokens, context)
    cache = store.cache(0, store.rows)

    @torch.inference_mode()
    def step() -> torch.Tensor:
        rewind(cache, context)
        logits = network(
            input_ids=tokens,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return tokens.copy_(logits[:, -1].argmax(-1, keepdim=True))

    return step


def graphed(step: Callable[[], Any]) -> Callable[[], None]:
    """Return the replay of a step as one CUDA graph, which the host starts whole.

    Raises
    ------
    Unavailable
        There is no GPU, or the step cannot be captured.
    """
    import torch

    if not torch.cuda.is_available():
        raise Unavailable("a CUDA graph needs a GPU")
    try:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # warm-up takes memory and picks kernels, no part of a graph
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise Unavailable(f"no CUDA graph: {str(error).splitlines()[0]}") from error
    return graph.replay
