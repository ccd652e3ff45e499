"""What all models that complete prompts share, wherever they run: completions, how they are asked.

`local` answers with weights in this process, `server` through an OpenAI-compatible server.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

SERVED = "server"
"""The one stage that is known of an answer from a server: what it does in that time is not."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model said to one prompt, and what it cost."""

    text: str
    prompt_tokens: float
    """A whole number; NaN where a server does not count."""
    completion_tokens: float
    """Tokens generated, the end token included; NaN where a server does not count."""
    entropy: float
    """Mean entropy of the distributions the tokens were chosen from, in nats (temperature 1);
    NaN of a server's model: a few likeliest tokens are no distribution."""
    logprob: float
    """Log probability of the generated tokens, summed, in nats (temperature 1); NaN where a server
    gives none."""
    prefill_ms: float
    """Time to the first token, tokenising included: the prompt's share of its batch; NaN of a
    server's model, whose time holds the way there and the wait for others."""
    decode_ms: float
    """Time of the tokens after the first: at each step, a share of those still going on; NaN of a
    server's model."""
    served_ms: float = float("nan")
    """The prompt's share of the server's time for all of them; NaN of a model that runs here."""
    ttft_ms: float = float("nan")
    """From asking the server to the first token of the stream; NaN where nothing was streamed."""

    @property
    def stage_ms(self) -> dict[str, float]:
        """The stages that are known, in milliseconds; one that is not is absent."""
        stages = {"prefill": self.prefill_ms, "decode": self.decode_ms, SERVED: self.served_ms}
        return {name: ms for name, ms in stages.items() if ms == ms}


class CompletesPrompts(Protocol):
    """A model that arms ask; what is not here (weights, gradients) only a `LocalModel` has."""

    name: str
    model_hash: str
    """What its answers are cached under."""
    context_length: int
    """Tokens the model can read and write together."""
    has_chat_template: bool
    tokenizer: Any

    def with_adapter(self, adapter: str | os.PathLike[str] | None) -> CompletesPrompts:
        """Return this model with another adapter; None: the bare base."""
        ...

    def count_tokens(self, text: str) -> int | None:
        """Return how many tokens a prompt has; None where nobody counts them."""
        ...

    def generate(self, prompts: Sequence[str], **options: Any) -> list[Completion]:
        """Complete prompts; see `LocalModel.generate`."""
        ...

    def stream(self, prompt: str, **options: Any) -> Generator[str, None, Completion]:
        """Complete one prompt, giving its text as it comes; see `LocalModel.stream`."""
        ...
