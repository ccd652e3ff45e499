"""What an OpenAI-compatible server sends back, read: streams, whole replies, errors.

No connection is made here; who asks, and how often, is the matter of `client`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ragft import files

NAN = float("nan")
AGAIN = (408, 409, 425, 429)
"""Refusals that another try may not meet; of the others below 500 it surely would."""
QUOTED = 300
"""Characters of a server's message that an error repeats."""


class Failed(Exception):
    """One try to get a reply failed.

    Attributes
    ----------
    kind : str
        What it is counted under: a status such as '429', or 'dropped', 'timed out', ...
    again : bool
        Whether another try may help.
    wait : float or None
        Seconds that the server asks to wait before it.
    """

    def __init__(self, kind: str, said: str, *, again: bool, wait: float | None = None) -> None:
        super().__init__(said)
        self.kind, self.said, self.again, self.wait = kind, said, again, wait


def refusal(status: int, body: str, retry_after: str = "") -> Failed:
    """Return the failure that a status other than 200 is."""
    again = status >= 500 or status in AGAIN
    return Failed(str(status), f"{status}: {_told(body)}", again=again, wait=_seconds(retry_after))


def garbled(body: str) -> Failed:
    """Return the failure that a reply is which cannot be read."""
    return Failed("garbled", f"no reply that can be read: {_short(body)}", again=True)


def _seconds(retry_after: str) -> float | None:
    """Return the seconds of a Retry-After header; its other form, a date, is left to back-off."""
    try:
        seconds = float(retry_after)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _told(body: str) -> str:
    """Return the message in the body of an error: OpenAI's form, FastAPI's, or the text itself."""
    try:
        found: Any = files.from_json(body)
    except ValueError:
        return _short(body)
    while isinstance(found, dict):
        inner = [found[key] for key in ("error", "message", "detail") if found.get(key)]
        if not inner:
            break
        found = inner[0]
    return _short(found if isinstance(found, str) else json.dumps(found))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= QUOTED else f"{text[:QUOTED]} ..."


@dataclass
class Reply:
    """A completion as it comes in."""

    text: str = ""
    prompt_tokens: float = NAN
    completion_tokens: float = NAN
    logprob: float = NAN
    finish: str = ""
    """Why it ended, as the server says: 'stop', 'length', ...; '' while it goes on."""
    thought: bool = False
    """Whether the model wrote something that is not shown."""
    done: bool = False
    chosen: bool = False
    """Whether any completion came at all, an empty one included."""
    first_ms: float = NAN
    """From asking to the first token of the stream."""

    @property
    def begun(self) -> bool:
        """Whether a token of it has come in a stream."""
        return not math.isnan(self.first_ms)

    def become(self, other: Reply) -> None:
        """Take all that another reply holds."""
        vars(self).update(vars(other))

    def take(self, data: str) -> str | None:
        """Take in what one event of a stream holds.

        Returns
        -------
        str or None
            The text of a token or of several; None where the event brings none.

        Raises
        ------
        Failed
            It is an error, or cannot be read.
        """
        if data == "[DONE]":
            self.done = True
            return None
        return self.add(_object(data))

    def add(self, event: Mapping[str, Any]) -> str | None:
        """Take in an event, or a whole reply; see `take`."""
        if event.get("error"):
            raise _failed(event["error"])
        try:
            return self._added(event)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise garbled(json.dumps(event)) from error

    def _added(self, event: Mapping[str, Any]) -> str | None:
        self._count(event.get("usage") or {})
        if not event["choices"]:  # the usage alone
            return None
        self.chosen, choice = True, event["choices"][0]
        said = choice.get("delta") or choice.get("message") or choice
        hidden = said.get("reasoning_content") or said.get("reasoning") or ""
        text = said.get("content") or said.get("text") or ""
        self.text += text
        self.thought |= bool(hidden)
        self.finish = choice.get("finish_reason") or self.finish
        self._weigh(choice.get("logprobs"))
        return text if text or hidden else None

    def _count(self, usage: Mapping[str, Any]) -> None:
        self.prompt_tokens = usage.get("prompt_tokens", self.prompt_tokens)
        self.completion_tokens = usage.get("completion_tokens", self.completion_tokens)
        details = usage.get("completion_tokens_details") or {}
        self.thought |= bool(details.get("reasoning_tokens"))

    def _weigh(self, logprobs: Mapping[str, Any] | None) -> None:
        """Add the log probabilities of tokens, in the form of chats or in that of completions."""
        if not logprobs:
            return
        rows = logprobs.get("content")
        found = logprobs.get("token_logprobs") if rows is None else [r["logprob"] for r in rows]
        if found:
            before = 0.0 if math.isnan(self.logprob) else self.logprob
            self.logprob = before + sum(map(float, found))

    def check(self) -> None:
        """Raise `Failed` where the reply has no end, or ended without a completion."""
        if not (self.finish or self.done):
            raise Failed("cut short", "the reply broke off before its end", again=True)
        if not self.chosen:
            raise garbled("a reply without a completion")


def _object(data: str) -> dict[str, Any]:
    try:
        found = files.from_json(data)
    except ValueError as error:
        raise garbled(data) from error
    if not isinstance(found, dict):
        raise garbled(data)
    return found


def whole(body: str) -> Reply:
    """Return the reply of a server that does not stream.

    Raises
    ------
    Failed
        It is an error, holds no completion, or cannot be read.
    """
    reply = Reply(done=True)
    reply.add(_object(body))
    reply.check()
    return reply


def _failed(error: Any) -> Failed:
    """Return the failure that an error in the middle of a stream is."""
    code = error.get("code") if isinstance(error, dict) else None
    said = _told(json.dumps({"error": error}))
    if isinstance(code, int) and 400 <= code < 600:
        return refusal(code, said)
    return Failed("error in the stream", said, again=True)


class Lines:
    """Cuts bytes into lines as event streams have them.

    Only line feeds and carriage returns end a line there: `str.splitlines` would cut at half a
    dozen other characters, which JSON leaves as they are.
    """

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, data: bytes) -> Iterator[str]:
        """Yield the lines that are whole, the data of events alone."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].decode("utf-8", "replace").strip()
