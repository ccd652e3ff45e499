"""Virtual tokens in front of every prompt, as prefix and prompt tuning train them.

Whatever they were trained as, what they come to is the same: keys and values of positions before
the first token. They are computed once; the network itself is not touched.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from ragft.generation.decoding import RoomyLayer


class SoftPrompted:
    """A network that has read an adapter's virtual tokens before it reads anything else.

    Called like the network itself; positions and masks are those of the text alone.

    Attributes
    ----------
    virtual_tokens : int
        Places of the context that they take.
    """

    def __init__(self, network: Any, folder: Path) -> None:
        from peft import PeftModel

        self.network, self.config, self.device = network, network.config, network.device
        self.accepts = set(inspect.signature(network.forward).parameters)
        tuned = PeftModel.from_pretrained(network, str(folder))
        with torch.no_grad():
            cache = self._read(tuned.get_prompt(batch_size=1))
        self.layers = [(layer.keys, layer.values) for layer in cache.layers]
        self.virtual_tokens = self.layers[0][0].shape[-2]

    def _read(self, prompt: Any) -> Any:
        if not isinstance(prompt, torch.Tensor):
            return prompt  # prefix tuning: keys and values already
        cache = DynamicCache(config=self.config)
        embeddings = prompt.to(self.network.get_input_embeddings().weight.dtype)
        self.network(inputs_embeds=embeddings, past_key_values=cache, use_cache=True)
        return cache

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Return what `forward` returns."""
        return self.forward(*arguments, **named)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        logits_to_keep: Any = 0,
    ) -> Any:
        """Read tokens behind the virtual ones, or behind what `past_key_values` has read."""
        if past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if past_key_values.get_seq_length() == 0:
            self._begin(past_key_values, len(input_ids))
        if attention_mask is not None:
            before = attention_mask.new_ones(len(attention_mask), self.virtual_tokens)
            attention_mask = torch.cat([before, attention_mask], 1)
        if position_ids is not None:
            position_ids = position_ids + self.virtual_tokens
        wishes = {
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            "logits_to_keep": logits_to_keep,
        }
        taken = {name: value for name, value in wishes.items() if name in self.accepts}
        return self.network(
            input_ids=input_ids, past_key_values=past_key_values, use_cache=use_cache, **taken
        )

    def _begin(self, cache: Any, rows: int) -> None:
        for number, (keys, values) in enumerate(self.layers):
            if number < len(cache.layers) and isinstance(cache.layers[number], RoomyLayer):
                cache.layers[number].room += self.virtual_tokens
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)
