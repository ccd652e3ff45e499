"""What a server offers: which models, how prompts are taken, what it is willing to tell.

Found out once, by its list of models and by asking for one token; see `server` for the asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ragft import files
from ragft.generation import advice
from ragft.generation.address import Address
from ragft.generation.client import Client, Unanswered

PATHS = {"chat": "chat/completions", "completions": "completions"}
TOLD = ("id", "root", "parent", "owned_by", "max_model_len", "context_length")
"""Of what a server lists of a model, the part that stays the same from one list to the next."""
USAGE = {"stream_options": {"include_usage": True}}
LOGPROBS: Mapping[str, Any] = {"chat": True, "completions": 1}
TRIES = 3
"""Of the first requests: a server without a chat template says so by failing."""
LISTING = 30.0
"""Seconds in which a server lists its models, at most; the first answer may take much longer,
because some load the model then."""
NO_OTHER_WAY = ("no connection", "timed out", "dropped", "401", "403", "429")
"""Failures that another way of asking would meet as well."""


@dataclass(frozen=True)
class Offer:
    """What was found."""

    model: str
    path: str
    """Where prompts are posted, below the URL of the API."""
    extras: Mapping[str, Any]
    """Fields that the server takes, to tell tokens and probabilities."""
    cards: Mapping[str, Mapping[str, Any]]
    """What it says of the model and of the adapters, by id; {} where it lists none of them."""
    known: tuple[str, ...]
    """Ids of all models that it lists."""
    adapters: Mapping[str, str]
    """Ids of the adapters that the address names, by what they were taught."""

    @property
    def context_length(self) -> int:
        """Tokens the model can read and write together; 10**9 where the server does not say."""
        card = self.cards.get(self.model, {})
        told = [card.get(name) for name in ("max_model_len", "context_length")]
        return next((n for n in told if isinstance(n, int) and n > 0), 10**9)

    def to_dict(self) -> dict[str, Any]:
        """Return what a record keeps: nothing that changes from one list to the next."""
        return {
            "model": self.model,
            "api": self.path,
            "cards": {name: dict(card) for name, card in self.cards.items()},
            "adapters": dict(self.adapters),
        }


def find_offer(client: Client, address: Address) -> Offer:
    """Ask a server what it offers.

    Raises
    ------
    RagftError
        See `ServerModel.open`.
    """
    cards = _cards(client, address)
    model = address.model or _only(address, cards)
    known = tuple(cards)
    path, extras = _way(client, address, model, known)
    for adapter in address.adapters.values():
        if adapter not in cards:
            found = _asked(client, path, adapter, extras)
            if found is not None:
                raise advice.unanswered(address, found, known)
    named = {n: cards[n] for n in (model, *address.adapters.values()) if n in cards}
    return Offer(model, path, extras, named, known, address.adapters)


def _cards(client: Client, address: Address) -> dict[str, dict[str, Any]]:
    """Return what the server lists, by id; {} where a model is named and there is no list."""
    url = f"{address.url}/models"
    try:
        try:
            text = client.send(url, timeout=LISTING)
        except Unanswered as error:
            if not error.failure.again or error.failure.kind in NO_OTHER_WAY[:2]:
                raise
            text = client.send(url, tries=TRIES - 1, timeout=LISTING)
    except Unanswered as error:
        kind = error.failure.kind
        if address.model and (kind in ("404", "405") or kind.startswith("5")):
            return {}
        raise advice.no_list(address, error) from error
    try:
        rows = files.from_json(text)["data"]
        return {row["id"]: {k: row[k] for k in TOLD if k in row} for row in rows}
    except (ValueError, TypeError, KeyError) as error:
        raise advice.no_such_api(address, text) from error


def _only(address: Address, cards: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the only model; adapters, which have a parent (vLLM), do not count."""
    bases = [name for name, card in cards.items() if not card.get("parent")]
    if len(bases) != 1:
        raise advice.not_one(address, bases)
    return bases[0]


def _way(
    client: Client, address: Address, model: str, known: tuple[str, ...]
) -> tuple[str, Mapping[str, Any]]:
    """Return where prompts are posted and which extra fields may come along.

    Chats come first: a model that has a template was trained on it.
    """
    for api in PATHS if address.api == "auto" else (address.api,):
        for extras in (USAGE | {"logprobs": LOGPROBS[api]}, USAGE, {}):
            failed = _asked(client, PATHS[api], model, extras)
            if failed is None:
                return PATHS[api], extras
            if failed.failure.kind not in ("400", "422"):  # a field that it does not take
                break
        if failed.failure.kind in NO_OTHER_WAY:
            break
    raise advice.unanswered(address, failed, known)


def _asked(client: Client, path: str, model: str, extras: Mapping[str, Any]) -> Unanswered | None:
    """Ask for one token; return why there is none."""
    chat = path == PATHS["chat"]
    asked = {"messages": [{"role": "user", "content": "Hello"}]} if chat else {"prompt": "Hello"}
    body = {"model": model, "max_tokens": 1, "temperature": 0, "stream": True, **asked, **extras}
    try:
        client.ask(path, {0: body}, 1, lambda *_: None, tries=TRIES)
    except Unanswered as error:
        return error
    return None
