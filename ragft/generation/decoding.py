"""The decoding loop: token lists in, token lists out, in one batch.

Hugging Face's `generate` gives the same tokens (a test holds the two equal), but keeps finished
rows, copies its cache at every step, and gives no entropies. Text and batching: see `local`.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer


@dataclass
class Decoded:
    """What was generated for one row, and the row's share of the time."""

    tokens: list[int] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    finished: bool = False


class RoomyLayer(DynamicLayer):
    """A layer of the key-value cache with room for the whole answer.

    The stock layer copies all keys and values at every step to append one position.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.length = room, 0
        self.all_keys: Any = None
        self.all_values: Any = None

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Append keys and values (batch, heads, new, width); return all there are so far."""
        if self.all_keys is None:
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            self.all_keys = _roomy(key_states, self.room)
            self.all_values = _roomy(value_states, self.room)
        end = self.length + key_states.shape[-2]
        self.all_keys[:, :, self.length : end] = key_states
        self.all_values[:, :, self.length : end] = value_states
        self.length = end
        return self._view()

    def _view(self) -> tuple[Any, Any]:
        self.keys = self.all_keys[:, :, : self.length]
        self.values = self.all_values[:, :, : self.length]
        return self.keys, self.values

    def beginning(self, length: int, room: int) -> RoomyLayer:
        """Return a layer of its own with the first `length` positions of this one."""
        layer = RoomyLayer(room)
        layer.update(self.all_keys[:, :, :length], self.all_values[:, :, :length])
        return layer

    def batch_select_indices(self, indices: Any) -> None:
        """Keep some of the rows."""
        self.all_keys, self.all_values = self.all_keys[indices], self.all_values[indices]
        self._view()

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Put `repeats` copies of each row in its place."""
        self.all_keys = self.all_keys.repeat_interleave(repeats, 0)
        self.all_values = self.all_values.repeat_interleave(repeats, 0)
        self._view()


def _roomy(states: torch.Tensor, room: int) -> torch.Tensor:
    batch, heads, _, width = states.shape
    return states.new_empty(batch, heads, room, width)


@torch.inference_mode()
def decode_steps(
    network: Any,
    prompts: Sequence[Sequence[int]],
    *,
    pad: int,
    ends: frozenset[int],
    max_new_tokens: int,
    temperature: float = 0.0,
    uniforms: torch.Tensor | None = None,
    stopped: Callable[[list[int]], bool] | None = None,
    known: DynamicCache | None = None,
    allowed: Callable[[list[int]], Sequence[int]] | None = None,
) -> Iterator[list[Decoded]]:
    """Complete a batch of prompts, token by token.

    Parameters
    ----------
    network : PreTrainedModel
        A causal LM with a key-value cache.
    prompts : sequence of sequence of int
        At least one, each with at least one token.
    pad : int
        Token to pad with, on the left; it is masked.
    ends : frozenset of int
        Tokens that end a row; they count as generated.
    max_new_tokens : int
        At least 1.
    temperature : float
        0 takes the likeliest token.
    uniforms : Tensor, optional
        Shape (prompts × samples, max_new_tokens), in [0, 1): where to cut the cumulative
        distribution. A row's draws are its own, so that they do not depend on the batch.
    stopped : callable, optional
        Told the tokens of a row after each step; True ends the row.
    known : DynamicCache, optional
        Keys and values of the beginning of the only prompt, see `begun`; they are not read again,
        and those that follow are added to it.
    allowed : callable, optional
        Told the tokens of a row so far; returns those that may come next, at least one.

    Yields
    ------
    list of Decoded
        After every token the same rows: the samples of the first prompt, then those of the
        second, and so on. Times are those up to that token.
    """
    clock = Clock(network.device)
    samples = 1 if uniforms is None else len(uniforms) // len(prompts)
    batch = _Batch(network, prompts, pad, max_new_tokens, known)
    logits = batch.read()
    if samples > 1:
        logits = batch.repeat(logits, samples)
    rows = [Decoded() for _ in range(len(prompts) * samples)]
    alive = list(range(len(rows)))  # numbers of the rows that `logits` holds, finished ones too
    for step in range(max_new_tokens):
        draws = None if uniforms is None else uniforms[alive, step].to(logits.device)
        if allowed is not None:
            logits = _only(logits, [rows[i] for i in alive], allowed)
        chosen, entropy, logprob = _choose(logits, temperature, draws)
        tokens = chosen.tolist()
        for row, token, nats, likely in zip(
            (rows[i] for i in alive), tokens, entropy.tolist(), logprob.tolist(), strict=True
        ):
            if not row.finished:
                row.tokens.append(token)
                row.entropies.append(nats)
                row.logprobs.append(likely)
                row.finished = token in ends or (stopped is not None and stopped(row.tokens))
        _share(clock.lap(), [rows[i] for i in alive], rows, first=step == 0)
        yield rows
        clock.lap()  # what a listener did in between is not the model's time
        going = [place for place, i in enumerate(alive) if not rows[i].finished]
        if not going or step + 1 == max_new_tokens:
            break
        if len(going) <= 0.75 * len(alive):  # dropping rows copies the cache: not for each one
            alive = [alive[place] for place in going]
            chosen = batch.keep(chosen, going)
        logits = batch.step(chosen)


def _only(
    logits: torch.Tensor, rows: Sequence[Decoded], allowed: Callable[[list[int]], Sequence[int]]
) -> torch.Tensor:
    """Leave to each row that goes on none but the tokens that may come next."""
    shut = torch.full_like(logits, -torch.inf)
    for place, row in enumerate(rows):
        may = slice(None) if row.finished else list(allowed(row.tokens))
        shut[place, may] = logits[place, may]
    return shut


def _share(ms: float, present: list[Decoded], rows: list[Decoded], first: bool) -> None:
    """Add a lap to the rows it was spent on: the first to all, a later one to those going on."""
    if first:
        for row in rows:
            row.prefill_ms = ms / len(rows)
        return
    length = max(len(row.tokens) for row in present)
    working = [row for row in present if len(row.tokens) == length]
    for row in working:
        row.decode_ms += ms / len(working)


def _choose(
    logits: torch.Tensor, temperature: float, draws: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return token, entropy of its distribution (nats, at temperature 1) and log probability."""
    logprobs = torch.log_softmax(logits.float(), -1)
    entropy = torch.special.entr(logprobs.exp()).sum(-1)
    if draws is None or temperature == 0:
        chosen = logits.argmax(-1)
    else:
        heaped = torch.softmax(logits.float() / temperature, -1).cumsum(-1)
        cut = draws.to(heaped.dtype)[:, None] * heaped[:, -1:]
        chosen = torch.searchsorted(heaped, cut, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    return chosen, entropy, logprobs.gather(1, chosen[:, None])[:, 0]


class _Batch:
    """The rows in flight: their padding, positions and key-value cache."""

    def __init__(
        self,
        network: Any,
        prompts: Sequence,
        pad: int,
        max_new_tokens: int,
        known: DynamicCache | None,
    ) -> None:
        self.network = network
        width = max(len(prompt) for prompt in prompts)
        filled = [[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        self.ids = torch.tensor(filled, device=network.device)
        self.lengths = torch.tensor([len(prompt) for prompt in prompts], device=network.device)
        places = torch.arange(width, device=network.device)
        self.mask = (places >= (width - self.lengths)[:, None]).long()
        self.padded = bool(self.mask.min() == 0)
        self.cache = empty(network.config, width + max_new_tokens) if known is None else known
        self.accepts = set(inspect.signature(network.forward).parameters)

    def read(self) -> torch.Tensor:
        """Read the prompts; return the logits (rows, vocabulary) of what follows."""
        positions = (self.mask.cumsum(-1) - 1).clamp(min=0)
        start = self.cache.get_seq_length()
        return self._forward(self.ids[:, start:], positions[:, start:])

    def step(self, chosen: torch.Tensor) -> torch.Tensor:
        """Read one more token per row; return the logits of what follows."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], 1)
        self.lengths = self.lengths + 1
        return self._forward(chosen[:, None], self.lengths[:, None] - 1)

    def repeat(self, logits: torch.Tensor, samples: int) -> torch.Tensor:
        """Put `samples` copies of each row in its place."""
        self.cache.batch_repeat_interleave(samples)
        self.mask = self.mask.repeat_interleave(samples, 0)
        self.lengths = self.lengths.repeat_interleave(samples, 0)
        return logits.repeat_interleave(samples, 0)

    def keep(self, chosen: torch.Tensor, places: list[int]) -> torch.Tensor:
        """Drop all rows but those at `places`."""
        index = torch.tensor(places, device=chosen.device)
        self.cache.batch_select_indices(index)
        self.mask, self.lengths = self.mask[index], self.lengths[index]
        return chosen[index]

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        wishes = {
            # without padding no mask is needed, and attention is quicker
            "attention_mask": self.mask if self.padded else None,
            "position_ids": positions,
            "logits_to_keep": 1,
        }
        taken = {name: value for name, value in wishes.items() if name in self.accepts}
        output = self.network(input_ids=ids, past_key_values=self.cache, use_cache=True, **taken)
        return output.logits[:, -1]


def empty(config: Any, room: int) -> DynamicCache:
    """Return an empty cache; layers with a window or a state of their own stay as they are."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer(room) if type(x) is DynamicLayer else x for x in cache.layers]
    return cache


def begun(config: Any, cache: DynamicCache, length: int, room: int) -> DynamicCache | None:
    """Return a cache of its own with the first positions of another; None where that cannot be.

    Parameters
    ----------
    config : PretrainedConfig
    cache : DynamicCache
        Of one prompt that begins with the same tokens.
    length : int
        Positions to take over.
    room : int
        Positions that there is to be room for.
    """
    if not all(isinstance(layer, RoomyLayer) for layer in cache.layers):
        return None  # a window or a state forgets what it has passed
    started = DynamicCache(config=config)
    started.layers = [layer.beginning(length, room) for layer in cache.layers]
    return started


class Clock:
    """Milliseconds between laps, the device's work included."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.last = self._now()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def lap(self) -> float:
        """Return the milliseconds since the last lap (or the start)."""
        before, self.last = self.last, self._now()
        return 1000 * (self.last - before)
