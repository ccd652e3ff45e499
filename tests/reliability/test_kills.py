"""Kills at random moments of whatever writes: nothing finished is lost, nothing is done twice.

A kill takes a tenth of a second, because the process that is killed is a copy of this one, with
everything imported. Whole programs (a driver, its workers and kernels, a command) are killed in
tests/batch and tests/experiments. `RAGFT_KILLS` is the number of kills, over all operations.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.reliability import operations
from tests.reliability.copies import Copy, Heard, copy, warmed
from tests.reliability.operations import OPERATIONS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
KILLS = int(os.environ.get("RAGFT_KILLS", "480"))
LEFT_OUT = {
    "pretraining": "reads its lessons in a process of its own, which a copy of this cannot start",
    "comparison": "its parts are killed here, the whole in tests/experiments/test_kill.py",
    "halved embedder": "a folder like any other that is built, out of a library's own model",
    "training": "the same as the adapter",
}
NAMES = [name for name in OPERATIONS if name not in LEFT_OUT]


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
        heard = Copy.begin(name, work).end(moments.uniform(0, 1.1) * takes)
        found += _judged(heard, done)
        found["kills"] += heard.killed
        if not heard.killed:
            found["other result"] += heard.result != whole
            shutil.rmtree(work)
            done, work = set(), folder / str(int(work.name) + 1)
    work.mkdir(exist_ok=True)
    heard = copy(name, work)
    found += _judged(heard, done)
    found["died unkilled"] += heard.killed
    found["other result"] += not heard.killed and heard.result != whole
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


def check(name: str, folder: Path, kills: int) -> Counter:
    """Kill an operation so many times and check that nothing was lost, doubled or changed."""
    takes, whole = warmed(name, folder)
    found = killed_until_done(name, folder, kills, random.Random(name), takes, whole.result)
    if OPERATIONS[name].anew:
        found["done twice"] = 0
    print(f"{name}: {dict(found)}, {takes:.3f} s each")
    faults = ("lost", "done twice", "other result", "died unkilled", "error")
    wrong = {name: found[name] for name in faults if found[name]}
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
