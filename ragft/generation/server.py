"""Models on an OpenAI-compatible server (vLLM, `transformers serve`, ...) in a local model's place.

Opening one finds out what the server is willing to tell. How it is named is the matter of
`address`, how it is asked again and again that of `client`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Any

from ragft import files, models
from ragft.generation import advice
from ragft.generation.address import Address, parse_address
from ragft.generation.base import Completion
from ragft.generation.chats import ChatPrompt, NoTokenizer
from ragft.generation.client import Client, Counts, Patience, Unanswered
from ragft.generation.connection import Connection
from ragft.generation.offers import Offer, find_offer
from ragft.generation.replies import Reply
from ragft.generation.requests import certain, check, cut, stops_of
from ragft.generation.unfinished import Unfinished
from ragft.types import RagftError

NAN = float("nan")


class ServerModel:
    """A model on a server, with one of its adapters or none.

    Made by `ServerModel.open`; `with_adapter` gives further ones. It answers as a `LocalModel`
    does, and has no weights: whatever needs them raises a RagftError that says so. Prompts go to
    the server's own chat template where it has one, else as plain text; vLLM follows the model's
    `generation_config` (a repetition penalty, say) unless it is started with
    `--generation-config vllm`.

    Attributes
    ----------
    name : str
        The address.
    model_id : str
        As the server calls it.
    identity : dict
        What can be known of the model: URL, ids, what the server lists of them, how it is asked.
        The weights behind it may be exchanged without any of it changing.
    model_hash : str
        SHA-256 of the identity.
    context_length : int
        Tokens the model can read and write together; 10**9 where the server does not say.
    counts : Counts
        Tries, failures and waits since it was opened, adapters included.
    adapter : str or None
        Id of the adapter that answers.
    """

    remote = True

    def __init__(self, name: str, address: Address, client: Client, offer: Offer) -> None:
        self.name, self.address, self.offer, self._client = name, address, offer, client
        self.model_id = offer.model
        self.adapter: str | None = None
        self.context_length = offer.context_length
        self.has_chat_template = offer.path == "chat/completions"
        self.tokenizer = NoTokenizer(name)

    @classmethod
    def open(
        cls,
        name: str,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        **options: Any,
    ) -> ServerModel:
        """Find a model on a server.

        Asks for the list of models, and for one token, to learn how prompts are taken.

        Parameters
        ----------
        name : str
            An address, see `address`. The key is read from RAGFT_API_KEY, or from OPENAI_API_KEY
            for https and this machine.
        patience : Patience, optional
            None: the usual one, with the tries that the address names.
        sleep, **options
            As for `Client` and `Connection`.

        Raises
        ------
        RagftError
            No server there, a key is wanted, no such model, several and none named, or what is
            there is no such server.
        """
        address = parse_address(name)
        connection = Connection(address.url, address.timeout, **options)
        client = Client(connection, patience or Patience(tries=address.tries), sleep=sleep)
        offer = find_offer(client, address)
        client.counts = Counts()  # what finding out took is no part of any experiment
        return cls(name, address, client, offer)

    @property
    def counts(self) -> Counts:
        """What asking took so far."""
        return self._client.counts

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What can be known of the model."""
        return {"url": self.address.url, **self.offer.to_dict()}

    @property
    def model_hash(self) -> str:
        """What its answers are cached under."""
        return files.sha256_json(self.identity)

    @property
    def network(self) -> Any:
        """Never there: raises a RagftError."""
        raise models.no_weights(self.name)

    folder = network

    @property
    def prefixes(self) -> None:
        """None: what a server keeps of prompts it decides itself."""
        return None

    @prefixes.setter
    def prefixes(self, kept: Any) -> None:
        if kept is not None:
            raise models.no_weights(self.name)

    def with_adapter(self, adapter: str | os.PathLike[str] | None) -> ServerModel:
        """Return this model with an adapter of the server's, named as a model; None: the base.

        Raises
        ------
        RagftError
            The server lists its models, and this is none of them.
        """
        other = copy(self)
        other.adapter = None if adapter is None else str(adapter)
        if other.adapter and other.adapter not in (
            *self.offer.known,
            *self.offer.adapters.values(),
        ):
            raise advice.no_adapter(self.name, other.adapter, self.offer.known)
        return other

    def ready_adapter(self, teaches: str) -> str:
        """Return the adapter that the address names for what an arm teaches.

        Raises
        ------
        RagftError
            It names none, and a server cannot be trained.
        """
        if teaches not in self.address.adapters:
            raise advice.cannot_train(self.address, self.model_id, teaches, self.offer.known)
        return self.address.adapters[teaches]

    def count_tokens(self, text: str) -> int | None:
        """Return how many tokens a prompt has; None where the server does not count them."""
        body = {"messages": text.turns} if isinstance(text, ChatPrompt) else {"prompt": text}
        # vLLM reads `prompt` and `messages`, llama.cpp `content`.
        body |= {"model": self.model_id, "content": str(text)}
        try:
            found = files.from_json(self._client.send(self.address.tokenize, body))
            return int(found.get("count") or len(found["tokens"]))
        except (Unanswered, ValueError, TypeError, KeyError, AttributeError):
            return None

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
        """Complete prompts, `batch_size` requests at once.

        Failed requests are tried again with growing pauses. What was answered before a call was
        given up or interrupted is kept: the same call asks for the rest alone.

        Parameters
        ----------
        prompts : sequence of str
            Rendered text, or `ChatPrompt`; an empty sequence gives an empty list.
        max_new_tokens, temperature, num_samples, seed, stop
            As for `LocalModel.generate`; whether a seed means anything is up to the server.
        batch_size : int
            Requests under way at once, at most.
        allowed
            None: a server is not told which tokens may come.

        Returns
        -------
        list of Completion
            In the order of the prompts, the samples of one prompt side by side.

        Raises
        ------
        RagftError
            A prompt is empty, an option is out of range, or a request was given up: the message
            names it, the cause and what to do.
        """
        check(max_new_tokens, temperature, num_samples, batch_size)
        if allowed is not None:
            raise advice.not_constrained(self.name)
        stops = stops_of(stop)
        cases = [(i, s) for i in range(len(prompts)) for s in range(num_samples)]
        bodies = {
            n: self._body(prompts[i], i, max_new_tokens, temperature, f"{seed}-{i}-{s}", stops)
            for n, (i, s) in enumerate(cases)
        }
        replies, seconds = self._replies(bodies, batch_size, max_new_tokens)
        share = 1000 * seconds / max(1, len(bodies))
        return [_completion(replies[n], stops, share) for n in bodies]

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
            The text of a token or of several; '' for one whose text is not shown, so that the
            first piece comes with the first token. Together they are the text of the completion.

        Returns
        -------
        Completion
            What `generate` would have returned.

        Raises
        ------
        RagftError
            As for `generate`, and where the stream breaks off after its first piece.
        """
        check(max_new_tokens, temperature, 1, 1)
        stops, said, shown = stops_of(stop), "", ""
        body = self._body(prompt, 0, max_new_tokens, temperature, f"{seed}-0-0", stops)
        begun = time.perf_counter()
        pieces = self._client.stream(self.offer.path, body)
        try:
            while True:
                said += next(pieces)
                now = cut(said, stops)
                now = now if now != said else certain(said, stops)
                yield now[len(shown) :]
                shown = max(shown, now, key=len)
        except StopIteration as end:
            reply = end.value
        except Unanswered as error:
            raise advice.unanswered(self.address, error, self.offer.known) from error
        finally:
            pieces.close()
        _check_shown(self.name, 0, reply, max_new_tokens)
        completion = _completion(reply, stops, 1000 * (time.perf_counter() - begun))
        if completion.text != shown:
            yield completion.text[len(shown) :]
        return completion

    def _body(
        self, prompt: str, number: int, new: int, temperature: float, draw: str, stops: tuple
    ) -> dict[str, Any]:
        """Return what is posted for one prompt."""
        if not prompt:
            raise RagftError(f"prompt {number} (counted from 0) is empty")
        if isinstance(prompt, ChatPrompt):
            asked: dict[str, Any] = {"messages": prompt.turns}
        elif self.has_chat_template:
            asked = {"messages": [{"role": "user", "content": prompt}]}
        else:
            asked = {"prompt": prompt}
        asked |= {"model": self.adapter or self.model_id, "max_tokens": new, "stream": True}
        asked |= {"temperature": temperature, **self.offer.extras}
        if temperature > 0:  # of each prompt and sample its own, in any batch
            asked["seed"] = int(hashlib.sha256(draw.encode()).hexdigest()[:7], 16)
        return asked | ({"stop": list(stops)} if stops else {})

    def _replies(
        self, bodies: Mapping[int, Any], at_once: int, new: int
    ) -> tuple[dict[int, Reply], float]:
        """Return the reply to every body and the seconds for all, an unfinished call's included."""
        if not bodies:
            return {}, 0.0
        call = Unfinished({"identity": self.identity, "bodies": list(bodies.values())})
        replies, before = call.read()
        begun = time.perf_counter() - before
        missing = {n: body for n, body in bodies.items() if n not in replies}

        def took(number: int, reply: Reply) -> None:
            _check_shown(self.name, number, reply, new)
            replies[number] = reply

        try:
            self._client.ask(self.offer.path, missing, at_once, took)
        except BaseException as error:  # an interruption, too
            call.keep(replies, time.perf_counter() - begun)
            if not isinstance(error, Unanswered):
                raise
            kept = (len(replies), len(bodies))
            raise advice.unanswered(self.address, error, self.offer.known, kept) from error
        seconds = time.perf_counter() - begun
        call.forget()
        return replies, seconds


def _completion(reply: Reply, stops: Sequence[str], share_ms: float) -> Completion:
    return Completion(
        text=cut(reply.text, stops),
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        entropy=NAN,
        logprob=reply.logprob,
        prefill_ms=NAN,
        decode_ms=NAN,
        served_ms=share_ms,
        ttft_ms=reply.first_ms,
    )


def _check_shown(name: str, number: int, reply: Reply, new: int) -> None:
    """Refuse a reply whose tokens all went into thoughts: the model has not answered yet."""
    if reply.finish == "length" and reply.thought and not reply.text:
        raise RagftError(
            f"{name}: prompt {number} (counted from 0): all {new} tokens went into reasoning that "
            "is not shown; raise max_new_tokens, or turn reasoning off on the server"
        )
