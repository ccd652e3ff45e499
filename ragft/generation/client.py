"""Requests to an OpenAI-compatible server: many at once, tried again, counted, interruptible.

What is sent means nothing here (`server`), and one try is the matter of `connection`.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ragft.generation.connection import Connection
from ragft.generation.replies import Failed, Reply
from ragft.types import RagftError

POLL = 0.5
"""Seconds after which a waiting call looks whether it was interrupted (Windows would not)."""


@dataclass(frozen=True)
class Patience:
    """How often is tried, and how long is waited in between."""

    tries: int = 6
    first: float = 0.5
    """Seconds before the second try; twice as long before each further one."""
    longest: float = 30.0
    """Seconds before another try, at most."""
    asked: float = 120.0
    """Seconds that a server may ask to wait; one that asks for more is given up."""

    def wait(self, failed: int, number: int, asked: float | None = None) -> float:
        """Return the seconds to wait after so many failures of request `number`.

        Between half and the whole of what doubling gives: each request has a share of its own, so
        that those which failed together do not come again together, and a rerun waits alike.
        `asked` is what the server asked for; it is the least.
        """
        share = 0.5 + 0.5 * ((number * 0.6180339887498949) % 1)
        return max(min(self.longest, self.first * 2 ** (failed - 1)) * share, asked or 0.0)


@dataclass
class Counts:
    """What asking took."""

    tries: int = 0
    """Those included of which nobody heard the end, as where only the first token was timed."""
    answered: int = 0
    empty: int = 0
    """Answers without text."""
    waited_seconds: float = 0.0
    """Between tries, all requests together."""
    failures: Counter[str] = field(default_factory=Counter)
    """Failed tries by kind: a status, 'dropped', 'cut short', 'garbled', 'timed out', ..."""

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON can hold them."""
        return {**vars(self), "failures": dict(sorted(self.failures.items()))}

    def since(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was added to earlier counts, as `to_dict` gave them."""
        now = self.to_dict()
        failed = Counter(now.pop("failures")) - Counter(before["failures"])
        return {name: now[name] - before[name] for name in now} | {"failures": dict(failed)}


class Unanswered(Exception):
    """A request was given up.

    Attributes
    ----------
    number : int
    failure : Failed
        Of its last try.
    tries : int
    """

    def __init__(self, number: int, failure: Failed, tries: int) -> None:
        super().__init__(failure.said)
        self.number, self.failure, self.tries = number, failure, tries


class Client:
    """A server that is asked many things at once.

    Parameters
    ----------
    connection : Connection
    patience : Patience
    sleep : callable
        How seconds pass.
    """

    def __init__(
        self,
        connection: Connection,
        patience: Patience | None = None,
        *,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self.connection, self.patience, self.sleep = connection, patience or Patience(), sleep
        self.counts = Counts()

    def send(self, url: str, body: Any = None, tries: int = 1, timeout: float | None = None) -> str:
        """Return what a GET, or a POST with a body, gives.

        Raises
        ------
        Unanswered
            No try gave a status of 200.
        """
        attempt = lambda: self.connection.send(url, body, timeout)  # noqa: E731
        return self._result(self._persist(0, tries, attempt, _Round(1)))

    def ask(
        self,
        path: str,
        bodies: Mapping[int, Any],
        at_once: int,
        took: Callable[[int, Reply], Any],
        tries: int | None = None,
    ) -> None:
        """Post bodies, so many at once, and hand over each reply when it is whole.

        Parameters
        ----------
        path : str
            Below the URL of the API.
        bodies : mapping of int to JSON
            By number.
        at_once : int
        took : callable
            `took(number, reply)`, as they come in.
        tries : int, optional
            None: as patience has it.

        Raises
        ------
        Unanswered, RagftError
            One was given up, or `took` refused it. No further ones were begun then, but those
            under way were waited for.
        """
        self._result(self._all(path, bodies, at_once, took, tries or self.patience.tries))

    def stream(self, path: str, body: Any) -> Generator[str, None, Reply]:
        """Post one body, and yield the text of its reply as it comes.

        It is tried again as in `ask` until the first piece has come, and not after it.
        """
        pieces: queue.SimpleQueue = queue.SimpleQueue()
        future = self._submit(
            self._persist(
                0,
                self.patience.tries,
                lambda: self._post(path, body, lambda text: pieces.put((text,))),
                _Round(1),
            )
        )
        future.add_done_callback(lambda _: pieces.put(None))
        try:
            while (piece := _next(pieces)) is not None:
                yield piece[0]
            return future.result()
        finally:
            future.cancel()

    async def _all(
        self, path: str, bodies: Mapping, at_once: int, took: Callable, tries: int
    ) -> None:
        round_ = _Round(at_once)

        async def one(number: int, body: Any) -> None:
            reply = await self._persist(number, tries, lambda: self._post(path, body), round_)
            try:
                took(number, reply)
            except RagftError as error:  # the reply is of no use, and others would be alike
                round_.end(error)

        done = await asyncio.gather(
            *(one(number, body) for number, body in bodies.items()), return_exceptions=True
        )
        if round_.ended is not None:
            raise round_.ended
        for error in done:
            if error is not None:
                raise error

    async def _persist(
        self, number: int, tries: int, attempt: Callable[[], Awaitable[Any]], round_: _Round
    ) -> Any:
        """Try until it succeeds, cannot, or was tried often enough."""
        for failed in range(1, tries + 1):
            async with round_.gate:
                if round_.ended is not None:
                    break
                try:
                    return await attempt()
                except Failed as failure:
                    last = failure
            self.counts.failures[last.kind] += 1
            seconds = self.patience.wait(failed, number, last.wait)
            # A server that asks for more than anybody would wait for is as good as gone.
            if not last.again or failed == tries or (last.wait or 0) > self.patience.asked:
                round_.end(Unanswered(number, last, failed))
                break
            self.counts.waited_seconds += seconds
            await round_.rest(self.sleep(seconds))
        raise round_.ended.with_traceback(None)  # raised in many places, and told once

    async def _post(self, path: str, body: Any, heard: Callable[[str], Any] | None = None) -> Reply:
        self.counts.tries += 1
        reply = await self.connection.post(path, body, heard)
        self.counts.answered += 1
        self.counts.empty += not reply.text
        return reply

    def _submit(self, work: Coroutine[Any, Any, Any]) -> Future:
        return asyncio.run_coroutine_threadsafe(work, _loop(os.getpid()))

    def _result(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run work in the loop's thread; an interruption of this one stops it."""
        future = self._submit(work)
        try:
            while not wait([future], timeout=POLL).done:
                pass
            return future.result()
        finally:
            future.cancel()


class _Round:
    """Requests that belong together: so many at once, and none any more once one is given up."""

    def __init__(self, at_once: int) -> None:
        self.gate = asyncio.Semaphore(at_once)
        self.ended: Exception | None = None
        self._bell = asyncio.Event()

    def end(self, cause: Exception) -> None:
        """Let nothing new begin."""
        self.ended = self.ended or cause
        self._bell.set()

    async def rest(self, nap: Awaitable[Any]) -> None:
        """Wait until a nap is over, or there is nothing to wait for."""
        waiting = [asyncio.ensure_future(nap), asyncio.ensure_future(self._bell.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()


@cache
def _loop(process: int) -> asyncio.AbstractEventLoop:
    """Return an event loop in a thread of its own, one a process.

    Jupyter's own thread runs a loop already, which cannot wait for another; and connections live
    as long as their loop.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="ragft-client", daemon=True).start()
    return loop


def _next(pieces: queue.SimpleQueue) -> Any:
    while True:
        try:
            return pieces.get(timeout=POLL)
        except queue.Empty:
            continue
