"""Kills at random moments of whatever writes: nothing finished is lost, nothing is done twice.

A kill takes a tenth of a second, because the process that is killed is a copy of this one, with
everything imported. Whole programs (a driver, its workers and kernels, a command) are killed in
tests/batch and tests/experiments. `RAGFT_KILLS` is the number of kills, over all operations.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import sys
import time
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.reliability import operations
from tests.reliability.operations import OPERATIONS, nobody

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
KILLS = int(os.environ.get("RAGFT_KILLS", "220"))
LEFT_OUT = {
    "pretraining": "reads its lessons in a process of its own, which a copy of this cannot start",
    "comparison": "its parts are killed here, the whole in tests/experiments/test_kill.py",
    "halved embedder": "a folder like any other that is built, out of a library's own model",
    "training": "the same as the adapter",
}
NAMES = [name for name in OPERATIONS if name not in LEFT_OUT]
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


def copy(name: str, folder: Path, kill_after: float | None = None) -> Heard:
    """Run an operation in a copy of this process; kill that after so many seconds."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run_and_leave(name, folder, writing)
    os.close(writing)
    end = time.monotonic() + (END_S if kill_after is None else kill_after)
    data = b""
    while (left := end - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        piece = os.read(reading, 2**16)
        if not piece:
            break
        data += piece
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    while piece := os.read(reading, 2**16):  # told before the kill
        data += piece
    os.close(reading)
    os.waitpid(child, 0)
    heard = Heard()
    for line in data.split(b"\n")[:-1]:
        event, text = json.loads(line)
        if event in ("result", "error"):
            setattr(heard, event, text)
        elif event in ("computing", "finished"):
            getattr(heard, event).append(text)
    heard.killed = not heard.result and not heard.error
    return heard


def _run_and_leave(name: str, folder: Path, writing: int) -> None:
    """Run an operation, telling each event in one write; never return."""

    def tell(event: str, text: str) -> None:
        os.write(writing, json.dumps([event, text]).encode() + b"\n")

    try:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tell("result", repr(OPERATIONS[name].run(folder, tell)))
    except BaseException as error:
        tell("error", f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


def killed_until_done(
    name: str, folder: Path, kills: int, moments: random.Random, takes: float, whole: str
) -> Counter:
    """Kill an operation so many times, each time it is repeated; count what went wrong.

    Where it ended before the kill, its result is held against the whole one, and the next begins
    from nothing.
    """
    found: Counter = Counter()
    done: set[str] = set()
    work = folder / "0"
    while found["kills"] < kills:
        work.mkdir(exist_ok=True)
        # Within what the part that is left takes, whatever was finished before.
        heard = copy(name, work, moments.uniform(0, 1.1) * takes)
        found += _judged(heard, done)
        found["kills"] += heard.killed
        if not heard.killed:
            found["other result"] += heard.result != whole
            shutil.rmtree(work)
            done, work = set(), folder / str(int(work.name) + 1)
    work.mkdir(exist_ok=True)
    heard = copy(name, work)
    found += _judged(heard, done)
    found["other result"] += heard.result != whole
    found["ends"] += 1
    return found


def _judged(heard: Heard, done: set[str]) -> Counter:
    """Count what was done twice and what was lost; `done` takes in what is finished now."""
    found = Counter(error=bool(heard.error))
    found["done twice"] = len(done.intersection(heard.computing))
    twice = Counter(heard.computing)
    found["done twice"] += sum(count - 1 for count in twice.values())
    if heard.result:
        found["lost"] = len(done - set(heard.finished))
    done.update(heard.finished)
    return found


def measured(name: str, folder: Path) -> tuple[float, str]:
    """Return how long an operation takes in a copy, and its result, once everything is warm."""
    (folder / "warm").mkdir()
    OPERATIONS[name].run(folder / "warm", nobody)
    seconds = []
    for number in range(2):
        (folder / f"whole {number}").mkdir()
        began = time.monotonic()
        heard = copy(name, folder / f"whole {number}")
        seconds.append(time.monotonic() - began)
        assert heard.result and not heard.error, (name, heard)
    return min(seconds), heard.result


def check(name: str, folder: Path, kills: int) -> Counter:
    """Kill an operation so many times and check that nothing was lost, doubled or changed."""
    takes, whole = measured(name, folder)
    found = killed_until_done(name, folder, kills, random.Random(name), takes, whole)
    print(f"{name}: {dict(found)}, {takes:.3f} s each")
    wrong = {k: found[k] for k in ("lost", "done twice", "other result", "error") if found[k]}
    assert not wrong, f"{name}: {wrong}"
    return found


@pytest.mark.parametrize("name", ["cells", "vector cache", "full grids"])
def test_a_few_kills(name, tmp_path, monkeypatch):
    monkeypatch.setattr(operations, "UNITS", range(3))
    assert check(name, tmp_path, 4)["kills"] == 4


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_kills_at_random_moments_of_every_operation_that_writes(name, tmp_path):
    share = -(-KILLS // len(NAMES))
    assert check(name, tmp_path, share)["kills"] == share


def test_a_loss_and_a_repetition_would_be_seen():
    done = {"a", "b"}
    twice = Heard(computing=["b", "c", "c"], finished=["c"])
    assert _judged(twice, done)["done twice"] == 2 and done == {"a", "b", "c"}
    assert _judged(Heard(finished=["a", "b"], result="x"), {"a", "b", "c"})["lost"] == 1


def test_no_operation_is_left_out_unsaid():
    assert set(NAMES) | set(LEFT_OUT) == set(OPERATIONS)
