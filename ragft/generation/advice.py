"""What is said of a server that does not do as it should: the cause, and what to do.

Nothing here asks a server; keys never come into a text.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from ragft.generation.address import Address
from ragft.generation.client import Unanswered
from ragft.generation.connection import KEYS, api_key
from ragft.types import RagftError

LISTED = 12
"""Names that an error lists, at most."""
_TOO_LONG = re.compile(r"context|too long|too many tokens|max_model_len|maximum.*(length|tokens)")


def unanswered(
    address: Address,
    error: Unanswered,
    known: Collection[str] = (),
    kept: tuple[int, int] | None = None,
) -> RagftError:
    """Return the error for a request that was given up.

    Parameters
    ----------
    address : Address
    error : Unanswered
    known : collection of str
        Ids that the server lists.
    kept : (int, int), optional
        Requests answered, and all of them: then the message says which prompt it was.
    """
    number = f"prompt {error.number} (counted from 0): " if kept else ""
    often = f" (tried {error.tries} times)" if error.tries > 1 else ""
    said = f"{address.url}: {number}{_hidden(address, error.failure.said)}{often}"
    if todo := _todo(address, error.failure.kind, error.failure.said, known):
        said += f"; {todo}"
    if kept and kept[1] > 1:
        said += f". {kept[0]} of {kept[1]} are answered and kept: the same call asks for the rest"
    return RagftError(said)


def _hidden(address: Address, said: str) -> str:
    """Take the key out of what a server says."""
    key = api_key(address.url)
    return said.replace(key, "***") if key else said


def _todo(address: Address, kind: str, said: str, known: Collection[str]) -> str:
    if kind == "400" and _TOO_LONG.search(said.lower()):
        return "show fewer passages or ask for fewer tokens"
    if kind in ("400", "404", "422") and not known:
        return "name a model that the server has"
    # Of an id that it does not know `transformers serve` says '500'.
    unlisted = known and address.model and address.model not in known
    if kind in ("400", "404", "422") or (unlisted and kind.startswith("5")):
        return f"name a model of the server; {listed(known)}"
    told = {
        "no connection": "start the server, or correct the address",
        "timed out": (
            f"it hangs or has too much to do: see its log, lower batch_size, or wait longer "
            f"({address.url}#...&timeout={10 * address.timeout:g})"
        ),
        "401": f"set the environment variable {KEYS[0]} to a key that the server takes",
        "403": f"set the environment variable {KEYS[0]} to a key that may ask this model",
        "429": "it takes no more for now: lower batch_size, or go on later",
        "garbled": "is this the API of an OpenAI-compatible server? It mostly ends in /v1",
    }
    broken = kind in ("dropped", "cut short", "error in the stream") or kind.startswith("5")
    return told.get(kind, "see the server's log" if broken else "")


def no_list(address: Address, error: Unanswered) -> RagftError:
    """Return the error for a server that does not list its models."""
    if error.failure.kind in ("404", "405"):
        return no_such_api(address, error.failure.said)
    return unanswered(address, error)


def no_such_api(address: Address, said: str) -> RagftError:
    """Return the error for something that is no OpenAI-compatible server."""
    said = " ".join(_hidden(address, said).split())[:100]
    return RagftError(
        f"{address.url}/models: lists no models as an OpenAI-compatible server does ({said}); the "
        f"address mostly ends in /v1; a server without a list needs {address.url}#model-id"
    )


def not_one(address: Address, models: Collection[str]) -> RagftError:
    """Return the error for a server with several models, or none, where none is named."""
    return RagftError(
        f"{address.url}: name one of its models, {address.url}#model-id; {listed(models)}"
    )


def listed(known: Collection[str]) -> str:
    """Return which models a server lists, as a part of a sentence."""
    if not known:
        return "it lists none"
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return f"it lists {', '.join(sorted(known)[:LISTED])}{more}"


def no_tokens(name: str) -> RagftError:
    """Return the error for what needs a model's tokenizer."""
    return RagftError(
        f"{name}: the tokens of a model on a server are not known here; name a folder or a "
        "Hugging Face id"
    )


def not_constrained(name: str) -> RagftError:
    """Return the error for decoding under a schema."""
    return RagftError(
        f"{name}: decoding that a schema constrains needs a model that runs here; name a folder "
        "or a Hugging Face id"
    )


def no_adapter(name: str, adapter: str, known: Collection[str]) -> RagftError:
    """Return the error for an adapter that is none of the server's."""
    return RagftError(
        f"{name}: {adapter!r} is no adapter of this server; there it is a model with a name of "
        f"its own, and {listed(known)}"
    )


def cannot_train(address: Address, model: str, teaches: str, known: Collection[str]) -> RagftError:
    """Return the error for an arm that would train."""
    return RagftError(
        f"{address.url}: a model on a server cannot be trained; leave out the arms that train, or "
        f"name an adapter that is ready there and was taught {teaches}: "
        f"{address.url}#{model}&{teaches}=NAME ({listed(known)})"
    )
