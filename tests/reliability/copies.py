"""Copies of this process that run an operation: a tenth of a second each, not ten.

What a copy computes and finishes is told through a pipe, so that it is known after a kill too.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from ragft.types import RagftError
from tests.reliability.operations import OPERATIONS, nobody

END_S = 120.0
"""A copy that has not ended by then hangs."""


@dataclass
class Heard:
    """What one copy told before its end."""

    computing: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    result: str = ""
    error: str = ""
    killed: bool = False


@dataclass
class Copy:
    """A copy of this process that runs an operation."""

    process: int
    reading: int

    @classmethod
    def begin(cls, name: str, folder: Path, before: Callable[[], object] = lambda: None) -> Copy:
        """Start one; `before` is called in it first."""
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(reading)
            _run_and_leave(name, folder, before, writing)
        os.close(writing)
        return cls(process, reading)

    def end(self, after: float = END_S) -> Heard:
        """Wait for its end, and kill it after so many seconds."""
        data = _until(self.reading, time.monotonic() + after)
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        while piece := os.read(self.reading, 2**16):  # told before the kill
            data += piece
        os.close(self.reading)
        os.waitpid(self.process, 0)
        return _heard(data)


def copy(name: str, folder: Path, before: Callable[[], object] = lambda: None) -> Heard:
    """Run an operation to its end in a copy of this process."""
    return Copy.begin(name, folder, before).end()


def _until(reading: int, end: float) -> bytes:
    data = b""
    while (left := end - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        piece = os.read(reading, 2**16)
        if not piece:
            break
        data += piece
    return data


def _heard(data: bytes) -> Heard:
    heard = Heard()
    for line in data.split(b"\n")[:-1]:
        event, text = json.loads(line)
        if event in ("result", "error"):
            setattr(heard, event, text)
        elif event in ("computing", "finished"):
            getattr(heard, event).append(text)
    heard.killed = not heard.result and not heard.error
    return heard


def _run_and_leave(name: str, folder: Path, before: Callable[[], object], writing: int) -> None:
    """Run an operation, telling each event in one write; never return."""

    def tell(event: str, text: str) -> None:
        os.write(writing, json.dumps([event, text]).encode() + b"\n")

    # tqdm's lock is shared with copies: one that is killed holding it would stop all later ones.
    tqdm.set_lock(threading.RLock())
    try:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before()
            tell("result", repr(OPERATIONS[name].run(folder, tell)))
    except BaseException as error:
        kind = "RagftError" if isinstance(error, RagftError) else type(error).__name__
        tell("error", f"{kind}: {error}")
    finally:
        os._exit(0)


def warmed(name: str, folder: Path) -> tuple[float, Heard]:
    """Return how long an operation takes in a copy, and what it told, once all is imported."""
    (folder / "warm").mkdir()
    OPERATIONS[name].run(folder / "warm", nobody)
    (folder / "whole").mkdir()
    began = time.monotonic()
    heard = copy(name, folder / "whole")
    assert heard.result and not heard.error, (name, heard)
    return time.monotonic() - began, heard
