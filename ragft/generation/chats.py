"""Prompts for a server that has the model's chat template, where a tokenizer would be asked.

A model on a server has no tokenizer here: its turns go to the server as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ragft.generation import advice


class ChatPrompt(str):
    """A prompt that the server renders with its own chat template.

    As text it is the JSON of its turns, so that it can be compared, measured and kept as other
    prompts are.
    """

    turns: list[dict[str, str]]

    def __new__(cls, turns: Sequence[Mapping[str, str]]) -> ChatPrompt:
        """Make a prompt of turns, each with a role and a content."""
        prompt = super().__new__(cls, json.dumps(list(turns), ensure_ascii=False))
        prompt.turns = [dict(turn) for turn in turns]
        return prompt


class NoTokenizer:
    """What stands where a tokenizer would: it leaves chats to the server, and has no tokens."""

    def __init__(self, name: str) -> None:
        self._name = name

    def apply_chat_template(self, turns: Sequence[Mapping[str, str]], **_: Any) -> ChatPrompt:
        """Return a prompt that the server renders."""
        return ChatPrompt(turns)

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Raise a RagftError: there are no tokens."""
        raise advice.no_tokens(self._name)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        raise advice.no_tokens(self._name)
