"""Models that run here: any Hugging Face causal LM, answering in batches, with or without adapters.

How a prompt is worded is the matter of `prompts`; this module only sees text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch

from ragft import models
from ragft.generation.adapters import adapters_of
from ragft.generation.base import Completion
from ragft.generation.decoding import Clock, Decoded, begun, decode_steps, empty
from ragft.generation.prefixes import PrefixCache
from ragft.generation.requests import batches, certain, check, cut, drawn, stops_of
from ragft.kernels import quick
from ragft.runtime import device_of
from ragft.types import RagftError

__all__ = ["CACHED_TOKENS", "Completion", "LocalModel"]

CACHED_TOKENS = 4096
"""Padded tokens that a CPU reads at once, at most: with more, what passes between the layers of
a small model leaves the processor's cache (1.5 times slower with 32 prompts of 850 tokens)."""


class LocalModel:
    """A causal LM in memory, with one of any number of adapters or none.

    Made by `LocalModel.load`; `with_adapter` gives further ones that share the weights. Not for
    several threads at once.

    Attributes
    ----------
    name : str
        As given to `load`.
    folder : Path
    model_hash : str
        SHA-256 over the base's weight files.
    context_length : int
        Tokens the model can read and write together.
    tokenizer : PreTrainedTokenizerBase
    prefixes : PrefixCache or None
        Where what was read is kept, so that a prompt read alone that begins like an earlier one
        is not read from its start; None (as loaded): every prompt is read whole.
    """

    remote = False

    def __init__(self, name: str, folder: Path, network: Any, tokenizer: Any) -> None:
        self.name, self.folder = name, folder
        self.network, self.tokenizer = network, tokenizer
        self.model_hash = models.weights_hash(folder)
        self.context_length = models.context_length(network.config.get_text_config(), tokenizer)
        self.adapter: Path | None = None
        self.prefixes: PrefixCache | None = None
        self._adapters = adapters_of(network, self.model_hash)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str],
        *,
        adapter: str | os.PathLike[str] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        quantization: str | None = None,
    ) -> LocalModel:
        """Load a model.

        Parameters
        ----------
        model : str or path
            A folder, or a Hugging Face id. Only safetensors are read, and no code is run.
        adapter : path, optional
            A folder made by `finetune` from this very base.
        device : str
            'auto' is the GPU where there is one, else the CPU.
        dtype : {'auto', 'float32', 'bfloat16', 'float16'}
            'auto' is bfloat16 on a GPU and float32 on a CPU, where it gives the same results on
            every machine.
        quantization : {None, 'nf4'}
            'nf4' holds the weights in 4 bits (needs the extra `qlora`).

        Raises
        ------
        RagftError
            A file is missing or damaged, the adapter is for another base, or an option has a
            value that is not listed here.
        """
        device = device_of(device)
        folder = models.locate(model)
        network = models.open_network(
            folder, device=device, dtype=_dtype(dtype, device), quantization=quantization or None
        )
        loaded = cls(str(model), folder, quick(network), models.open_tokenizer(folder))
        return loaded.with_adapter(adapter) if adapter else loaded

    @property
    def has_chat_template(self) -> bool:
        """Whether the tokenizer brings a chat template."""
        return bool(self.tokenizer.chat_template)

    def with_adapter(self, adapter: str | os.PathLike[str] | None) -> LocalModel:
        """Return this model with another adapter (None: the bare base), sharing the weights.

        Raises
        ------
        RagftError
            The folder is not whole, or its adapter was trained on another base.
        """
        other = copy(self)
        other.set_adapter(adapter)
        return other

    def set_adapter(self, adapter: str | os.PathLike[str] | None) -> None:
        """Answer with the adapter of this folder from now on, or with None as the bare base."""
        if adapter is not None:
            self._adapters.check(Path(adapter))
        self.adapter = None if adapter is None else Path(adapter)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a prompt has, as the model reads it."""
        return len(models.prompt_tokens(self.tokenizer, [text])[0])

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int = 32,
        temperature: float = 0.0,
        num_samples: int = 1,
        seed: int = 0,
        batch_size: int = 32,
        stop: str | Sequence[str] | None = None,
        allowed: Callable[[list[int]], Sequence[int]] | None = None,
    ) -> list[Completion]:
        """Complete prompts.

        Prompts are read in batches of similar length. A prompt's completion does not depend on
        the others: neither its padding nor, when sampling, its random numbers.

        Parameters
        ----------
        prompts : sequence of str
            Rendered text; an empty sequence gives an empty list.
        max_new_tokens : int
            Most tokens to generate, the end token included.
        temperature : float
            0 is greedy; above 0 tokens are drawn at that temperature.
        num_samples : int
            Completions per prompt; more than one needs a temperature.
        seed : int
            Of the draws; the same seed gives prompt i the same draws in any batch size.
        batch_size : int
            Prompts read at once, at most; the samples of a prompt go with it.
        stop : str or sequence of str, optional
            Generation of a prompt ends at the first of these, which is left out of the text.
        allowed : callable, optional
            Given the tokens of an answer so far, the tokens that may come next; see `constrained`.

        Returns
        -------
        list of Completion
            In the order of the prompts, the samples of one prompt side by side.

        Raises
        ------
        RagftError
            A prompt is empty or does not fit the context (nothing is cut), or an option is out
            of range.
        """
        check(max_new_tokens, temperature, num_samples, batch_size)
        stops = stops_of(stop)
        network = self._adapters.activate(self.adapter)
        rows, each_ms = self._tokenised(prompts, max_new_tokens, _taken(network))
        said: list[list[Completion]] = [[] for _ in rows]
        for batch in self.batches([len(row) for row in rows], batch_size):
            draws = drawn(seed, batch, num_samples, max_new_tokens) if temperature > 0 else None
            asked = [rows[i] for i in batch]
            *_, decoded = self._steps(
                network, asked, max_new_tokens, temperature, draws, stops, allowed
            )
            for place, one in enumerate(decoded):
                i = batch[place // num_samples]
                said[i].append(self._completion(one, len(rows[i]), each_ms / num_samples, stops))
        return [completion for samples in said for completion in samples]

    def stream(
        self,
        prompt: str,
        *,
        max_new_tokens: int = 32,
        temperature: float = 0.0,
        seed: int = 0,
        stop: str | Sequence[str] | None = None,
    ) -> Generator[str, None, Completion]:
        """Complete one prompt, giving its text as it comes.

        Parameters
        ----------
        prompt : str
        max_new_tokens, temperature, seed, stop
            As for `generate`.

        Yields
        ------
        str
            The text of a token or of several, where one alone is no whole character; '' for a
            token without text, so that the first piece comes with the first token. Together they
            are the text of the completion.

        Returns
        -------
        Completion
            What `generate` would have returned.

        Raises
        ------
        RagftError
            As for `generate`.
        """
        check(max_new_tokens, temperature, 1, 1)
        stops = stops_of(stop)
        network = self._adapters.activate(self.adapter)
        rows, each_ms = self._tokenised([prompt], max_new_tokens, _taken(network))
        draws = drawn(seed, [0], 1, max_new_tokens) if temperature > 0 else None
        said = ""
        for (one,) in self._steps(network, rows, max_new_tokens, temperature, draws, stops):
            completion = self._completion(one, len(rows[0]), each_ms, stops)
            # Half a character, or what may be the beginning of a stop, waits for the next token.
            whole = completion.text if one.finished else certain(completion.text, stops)
            yield whole[len(said) :]
            said = max(said, whole, key=len)
        if said != completion.text:
            yield completion.text[len(said) :]
        return completion

    def _steps(
        self,
        network: Any,
        rows: Sequence[Sequence[int]],
        new: int,
        temperature: float,
        draws: torch.Tensor | None,
        stops: Sequence[str],
        allowed: Callable[[list[int]], Sequence[int]] | None = None,
    ) -> Iterator[list[Decoded]]:
        """Complete rows of tokens, token by token, and keep what was read of a single one."""
        known = None
        alone = len(rows) == 1 and (draws is None or len(draws) == 1)
        if self.prefixes is not None and alone and not _taken(network):
            known = self._known(network, rows[0], len(rows[0]) + new)
        yield from decode_steps(
            network,
            rows,
            pad=self.tokenizer.pad_token_id or 0,
            ends=self._ends(),
            max_new_tokens=new,
            temperature=temperature,
            uniforms=draws,
            stopped=self._stopper(stops),
            known=known,
            allowed=allowed,
        )
        if known is not None:
            self.prefixes.keep(self.adapter, rows[0], known)

    def _known(self, network: Any, row: Sequence[int], room: int) -> Any:
        """Return a cache that holds as much of a prompt as was read before."""
        common, kept = self.prefixes.longest(self.adapter, row)
        started = begun(network.config, kept, common, room) if common else None
        return empty(network.config, room) if started is None else started

    def batches(self, lengths: Sequence[int], batch_size: int) -> list[list[int]]:
        """Return which prompts are read together, by their lengths in tokens."""
        most_tokens = CACHED_TOKENS if self.network.device.type == "cpu" else None
        return list(batches(lengths, batch_size, most_tokens))

    def _tokenised(
        self, prompts: Sequence[str], new: int, taken: int
    ) -> tuple[list[list[int]], float]:
        clock = Clock(self.network.device)
        rows = models.prompt_tokens(self.tokenizer, prompts)
        most = self.context_length - taken - new
        for number, row in enumerate(rows):
            if not row:
                raise RagftError(f"prompt {number} (counted from 0) is empty")
            if len(row) > most:
                virtual = f" and {taken} virtual tokens" if taken else ""
                raise RagftError(
                    f"prompt {number} (counted from 0) has {len(row)} tokens, but {self.name} "
                    f"reads at most {most} (context {self.context_length} less max_new_tokens "
                    f"{new}{virtual}): show fewer passages or ask for fewer tokens"
                )
        return rows, clock.lap() / max(1, len(rows))

    def _ends(self) -> frozenset[int]:
        named = getattr(self.network.generation_config, "eos_token_id", None)
        ends = [*(named if isinstance(named, list) else [named]), self.tokenizer.eos_token_id]
        return frozenset(end for end in ends if end is not None)

    def _text(self, tokens: Sequence[int]) -> str:
        return self.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    def _stopper(self, stops: Sequence[str]) -> Callable[[list[int]], bool] | None:
        if not stops:
            return None
        return lambda tokens: any(stop in self._text(tokens) for stop in stops)

    def _completion(
        self, one: Decoded, prompt_tokens: int, tokenising_ms: float, stops: Sequence[str]
    ) -> Completion:
        return Completion(
            text=cut(self._text(one.tokens), stops),
            prompt_tokens=prompt_tokens,
            completion_tokens=len(one.tokens),
            entropy=sum(one.entropies) / len(one.entropies),
            logprob=sum(one.logprobs),
            prefill_ms=one.prefill_ms + tokenising_ms,
            decode_ms=one.decode_ms,
        )


def _taken(network: Any) -> int:
    """Return how many places of the context an adapter's virtual tokens take."""
    return getattr(network, "virtual_tokens", 0)


def _dtype(name: str, device: str) -> torch.dtype:
    if name == "auto":
        name = "bfloat16" if device.startswith("cuda") else "float32"
    if name not in ("float32", "bfloat16", "float16"):
        raise RagftError(f"dtype={name!r}: choose auto, float32, bfloat16 or float16")
    return getattr(torch, name)
