"""How a model on a server is named: one address that says where, which model, which adapters.

    http://host:8000/v1                          the only model that the server lists
    http://host:8000/v1#model-id                 one of several
    http://host:8000/v1#model-id&facts=NAME      with a ready adapter: another model by name
    http://host:8000/v1#model-id&timeout=300&tries=3&api=completions

Nothing is asked of the server here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ragft.profiles import without_credentials
from ragft.types import RagftError

ADAPTERS = ("facts", "other_facts", "reading")
"""What a ready adapter can have been taught, as `Arm.teaches` has it."""
APIS = ("auto", "chat", "completions")
FORM = "http://host:8000/v1#model-id&facts=NAME&reading=NAME&timeout=120&tries=6&api=chat"
LONGEST = 86_400
"""Seconds and tries that can be asked for, at most."""


@dataclass(frozen=True)
class Address:
    """Where a model is, and how it is to be asked."""

    url: str
    """Of the API, such as http://host:8000/v1; no credentials, no slash at the end."""
    model: str = ""
    """Its id on the server; '' = the only one."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """Ids of models that were taught something, by what: keys of `ADAPTERS`."""
    api: str = "auto"
    """'chat' (the server's own template), 'completions' (plain text), or whichever it has."""
    timeout: float = 120.0
    """Seconds without a byte after which an answer is given up."""
    tries: int = 6
    """Of one question, at most."""

    @property
    def tokenize(self) -> str:
        """Where vLLM and llama.cpp count tokens: beside the API, not in it."""
        return f"{self.url.removesuffix('/v1')}/tokenize"


def parse_address(text: str) -> Address:
    """Read an address.

    Parameters
    ----------
    text : str
        See the head of this module; without a path '/v1' is meant. '%26' stands for an '&' in a
        model's id.

    Raises
    ------
    RagftError
        It is no such address, or holds credentials (which are not repeated).
    """
    without_credentials(text)
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not match
        whole = False
    if not whole:
        raise RagftError(f"{text}: no address of a server; the form is {FORM}")
    model, *others = parts.fragment.split("&") if parts.fragment else [""]
    given: dict = {"adapters": {}}
    for other in others:
        name, _, value = other.partition("=")
        if not value or name in given or name in given["adapters"]:
            raise RagftError(f"{text}: {other!r} lacks a value or stands there twice: {FORM}")
        (given["adapters"] if name in ADAPTERS else given)[name] = unquote(value)
    url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"
    return Address(url, unquote(model), **_read(text, given))


def _read(text: str, given: dict) -> dict:
    """Return the settings of an address as the types they have."""
    known = {"adapters", "api", "timeout", "tries"}
    if unknown := [name for name in given if name not in known]:
        raise RagftError(
            f"{text}: {unknown[0]!r} is no setting; there are api, timeout, tries, and of adapters "
            f"{', '.join(ADAPTERS)}"
        )
    if given.get("api", "auto") not in APIS:
        raise RagftError(f"{text}: api={given['api']}: choose of {', '.join(APIS)}")
    for name, kind in (("timeout", float), ("tries", int)):
        if name in given:
            given[name] = _number(text, name, given[name], kind)
    return given


def _number(text: str, name: str, value: str, kind: type) -> float:
    try:
        number = kind(value)
    except ValueError:
        number = -1
    if not 0 < number <= LONGEST:
        whole = "a whole number" if kind is int else "a number"
        raise RagftError(f"{text}: {name}={value} must be {whole} from above 0 to {LONGEST}")
    return number
