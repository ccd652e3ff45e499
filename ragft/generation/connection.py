"""One try at a time: a request to an OpenAI-compatible server, its reply read or its failure named.

httpx2 and not the package `openai`: it is there already (huggingface-hub needs it), and tries,
pauses and failures are ours to count, in `client`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from ragft.generation.replies import Failed, Lines, Reply, refusal, whole
from ragft.types import RagftError

KEYS = ("RAGFT_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key; nothing else does, and no record holds one."""
CONNECT = 10.0
"""Seconds until there is a connection, at most."""
OVERALL = 10
"""A reply may take this many times the time-out in all: a server may drip for ever."""


class Connection:
    """The connections to one server; they stay open between calls.

    Parameters
    ----------
    url : str
        Of the API, without credentials.
    timeout : float
        Seconds without a byte.
    transport : httpx2.AsyncBaseTransport, optional
        In place of the network.
    clock : callable
        What tells the seconds.
    """

    def __init__(
        self,
        url: str,
        timeout: float = 120.0,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.url, self.timeout, self.transport, self.clock = url, timeout, transport, clock
        self._open: dict[int, httpx2.AsyncClient] = {}

    async def send(self, url: str, body: Any = None, timeout: float | None = None) -> str:
        """Return what a GET, or a POST with a body, gives.

        Raises
        ------
        Failed
            Whatever went wrong.
        """
        timeout = min(timeout or self.timeout, self.timeout)

        async def once() -> str:
            method = "GET" if body is None else "POST"
            options = {"headers": _headers(url), "timeout": _limits(timeout)}
            response = await self._http().request(method, url, json=body, **options)
            return _accepted(response.status_code, response.text, response.headers)

        return await _safely(once(), timeout)

    async def post(self, path: str, body: Any, heard: Callable[[str], Any] | None = None) -> Reply:
        """Return the whole reply to a body; `heard` is told every piece of its text.

        Raises
        ------
        Failed
            Whatever went wrong; not to be tried again once something was heard.
        """
        reply = Reply()
        try:
            await _safely(self._read(f"{self.url}/{path}", body, reply, heard), self.timeout)
        except Failed as failure:
            # A piece that was handed on cannot be taken back.
            failure.again = failure.again and (heard is None or not reply.begun)
            raise
        return reply

    async def _read(
        self, url: str, body: Any, reply: Reply, heard: Callable[[str], Any] | None
    ) -> None:
        begun, lines = self.clock(), Lines()
        async with self._http().stream("POST", url, json=body, headers=_headers(url)) as response:
            if "event-stream" not in response.headers.get("content-type", ""):
                text = (await response.aread()).decode("utf-8", "replace")
                text = _accepted(response.status_code, text, response.headers)
                reply.become(whole(text))
                if heard:
                    heard(reply.text)
                return
            async for data in response.aiter_bytes():
                for event in lines.cut(data):
                    piece = reply.take(event)
                    if piece is None:
                        continue
                    if not reply.begun:
                        reply.first_ms = 1000 * (self.clock() - begun)
                    if heard:
                        heard(piece)
        reply.check()

    def _http(self) -> httpx2.AsyncClient:
        """Return this process's connections: a forked one cannot share them."""
        if os.getpid() not in self._open:
            self._open[os.getpid()] = httpx2.AsyncClient(
                transport=self.transport,
                timeout=_limits(self.timeout),
                # Shorter than servers keep an idle connection (uvicorn: 5 s), and no upper limit:
                # how many are asked at once is decided by the caller.
                limits=httpx2.Limits(keepalive_expiry=4.0),
            )
        return self._open[os.getpid()]


async def _safely(request: Coroutine[Any, Any, Any], timeout: float) -> Any:
    """Await a request, and turn what can happen on the way into `Failed`."""
    try:
        async with asyncio.timeout(OVERALL * timeout):
            return await request
    except httpx2.ConnectTimeout as error:
        said = f"no connection within {min(timeout, CONNECT):g} s"
        raise Failed("timed out", said, again=True) from error
    except httpx2.TimeoutException as error:
        raise Failed("timed out", f"no byte came for {timeout:g} s", again=True) from error
    except TimeoutError as error:
        raise Failed("timed out", f"not done in {OVERALL * timeout:g} s", again=True) from error
    except httpx2.ConnectError as error:
        raise Failed("no connection", f"no connection ({error})", again=True) from error
    except httpx2.HTTPError as error:
        said = f"the connection was lost ({str(error) or type(error).__name__})"
        raise Failed("dropped", said, again=True) from error
    except httpx2.InvalidURL as error:
        raise Failed("no address", f"no address of a server ({error})", again=False) from error


def _limits(timeout: float) -> httpx2.Timeout:
    # Waiting for a connection of our own is no fault of the server's.
    return httpx2.Timeout(timeout, connect=min(timeout, CONNECT), pool=None)


def _accepted(status: int, text: str, headers: Mapping[str, str]) -> str:
    """Return the text of a reply, unless it is a refusal."""
    if status != 200:
        raise refusal(status, text, headers.get("retry-after", ""))
    return text


def _headers(url: str) -> dict[str, str]:
    key = api_key(url)
    return {"Authorization": f"Bearer {key}"} if key else {}


def api_key(url: str) -> str:
    """Return the key for a server, '' where there is none.

    OPENAI_API_KEY goes to servers on this machine and over https only: it is not this address
    that it was put there for.

    Raises
    ------
    RagftError
        It holds characters that cannot be sent; it is not repeated.
    """
    parts = urlsplit(url)
    safe = parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")
    for name in KEYS if safe else KEYS[:1]:
        key = os.environ.get(name, "").strip()
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise RagftError(f"{name}: holds characters that no key has; set it anew")
        if key:
            return key
    return ""
