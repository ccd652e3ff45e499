"""Driving jobs to their end on an engine: who is next, who is tried again, what is shown meanwhile.

How a job is run is the engine's matter, what a job is that of `batches` and `reproduction`.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from ragft.batch.pool import Engine
from ragft.batch.worker import Job

PATIENCE_S = 1.0
"""How often the clock of the bar moves while nothing happens."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job, while it runs and when it ended."""

    job: Job
    number: int
    """From 1, in this call."""
    last: bool = False
    """Whether nothing more is tried: it worked, or all tries are used up."""
    status: str = "running"
    """'running', 'ran', 'skipped', 'left out' or 'failed'."""
    seconds: float = 0.0
    error: str = ""
    origin: dict[str, Any] | None = None
    """Packages, commit and hardware of the worker; None while unknown."""


Note = Callable[[Attempt], None]
"""Is given every attempt when it begins, when its worker has told its origin, and at its end."""
Helper = Callable[[Job], Job]
"""Given a running job, what an idle worker does to have it end sooner."""


class Progress:
    """One bar over all runs, with the time left; a run counts by its cells.

    Parameters
    ----------
    runs : int
        Runs in all.
    done : int
        Runs that were finished before: they say nothing about the time left.
    show : bool
    """

    def __init__(self, runs: int, done: int = 0, show: bool = True) -> None:
        from tqdm.auto import tqdm

        self._bar = tqdm(
            total=runs,
            initial=done,
            disable=not show,
            bar_format="{percentage:3.0f}%|{bar}| {elapsed} so far, {remaining} left{postfix}",
        )
        self._ended, self._failed, self._runs = done, 0, runs
        self._parts: dict[str, float] = {}

    def moved(self, name: str, part: float) -> None:
        """Note which part of a run is done, from 0 to 1."""
        self._parts[name] = part
        self.tick()

    def ended(self, name: str, last: bool, failed: bool) -> None:
        """Note that an attempt ended, and whether the run is done with."""
        self._parts.pop(name, None)
        self._ended, self._failed = self._ended + last, self._failed + (last and failed)
        self.tick()

    def tick(self) -> None:
        """Draw the bar anew."""
        self._bar.n = self._ended + sum(self._parts.values())
        failed = f", {self._failed} failed" if self._failed else ""
        running = "; " + " ".join(self._parts) if self._parts else ""
        self._bar.set_postfix_str(f"{self._ended} of {self._runs} runs{failed}{running}")

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


@dataclass
class _Drive:
    """Jobs on their way."""

    engine: Engine
    tries: int
    note: Note
    progress: Progress
    waiting: deque[Job]
    helper: Helper | None = None
    count: Counter = field(default_factory=Counter)
    running: dict[str, Attempt] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    helped: set[str] = field(default_factory=set)
    """Names of jobs that have had a helper."""
    helping: set[str] = field(default_factory=set)
    """Names of the helpers at work."""

    @property
    def idle(self) -> int:
        """How many workers have nothing to do."""
        return self.engine.workers - len(self.running) - len(self.helping)

    def begin(self) -> None:
        """Start jobs while there are idle workers, and help those that run where none waits."""
        while self.waiting and self.idle > 0:
            job = self.waiting.popleft()
            self.count[job.name] += 1
            self.running[job.name] = Attempt(job, self.count[job.name])
            self.since[job.name] = time.monotonic()
            self.note(self.running[job.name])
            self.engine.start(job)
            self.progress.moved(job.name, 0.0)
        alone = [name for name in self.running if name not in self.helped] if self.helper else []
        for name in alone[: self.idle]:
            helper = self.helper(self.running[name].job)
            self.helped.add(name)
            self.helping.add(helper.name)
            self.engine.start(helper)

    def hear(self, job: Job, message: dict[str, Any]) -> None:
        """Take a worker's message; of a helper, only that it ended."""
        if job.name in self.helping:
            if message["kind"] == "ended":
                self.helping.remove(job.name)
        elif message["kind"] == "cells":
            self.progress.moved(job.name, message["done"] / (message["of"] + 1))
        elif message["kind"] == "started":
            self.running[job.name] = self._with(job, origin=message["origin"])
            self.note(self.running[job.name])
        elif message["kind"] == "ended":
            self.ended(job, message)

    def ended(self, job: Job, message: dict[str, Any]) -> None:
        """Take the end of an attempt; how long a failed one took is known here alone."""
        failed = message["status"] == "failed"
        last = not failed or self.count[job.name] >= self.tries
        told = {name: message[name] for name in ("status", "seconds", "error")}
        if failed:
            told["seconds"] = time.monotonic() - self.since[job.name]
        attempt = self._with(job, last=last, **told)
        del self.running[job.name]
        self.note(attempt)
        self.progress.ended(job.name, last, failed)
        if not last:
            self.waiting.append(job)

    def _with(self, job: Job, **changes: Any) -> Attempt:
        return replace(self.running[job.name], **changes)


def drive(
    jobs: Sequence[Job],
    engine: Engine,
    note: Note,
    progress: Progress,
    retries: int = 0,
    helper: Helper | None = None,
) -> None:
    """Run jobs on an engine until each has worked or has failed `retries` times more than once.

    A job that failed is tried again after those that wait. Where none waits and a worker is idle,
    it is given the `helper` of a running job, once for each; what becomes of a helper is nobody's
    concern. The engine is closed at the end, and where `note` raises or the user interrupts: then
    nothing runs any more.
    """
    with closing(engine):
        going = _Drive(engine, retries + 1, note, progress, deque(jobs), helper)
        going.begin()
        while going.running:
            for job, message in engine.wait(PATIENCE_S):
                going.hear(job, message)
            going.begin()
            progress.tick()
