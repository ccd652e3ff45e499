"""Kills at random moments: what was finished stays, and every run ends finished, once."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import Popen

import pytest

from ragft.report.grid import read_runs
from tests.batch.test_pool import CELL, batch

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("still_library"),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc"),
]
KILLS = int(os.environ.get("RAGFT_KILLS", "12"))
"""How many."""
STEPS = """
import json, pathlib, time
import ragft.files

time.sleep(0.5)
folder = pathlib.Path(figures) / "data"
found = {"results": {"quantities": {"way": {"mean": len(way), "low": 0, "high": 9, "n": 1}}}}
ragft.files.atomic_write(folder / "00_a.json", json.dumps(found))
with open(pathlib.Path(results).parent / "ended", "a") as ended:
    print(way, file=ended)
"""


def children(parent: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def victims(driver: int, kind: str) -> list[int]:
    workers = children(driver)
    kernels = [kernel for worker in workers for kernel in children(worker)]
    return {"driver": [driver], "worker": workers, "kernel": kernels}[kind]


def finished(out: Path) -> dict[str, str]:
    """Return the completion records by run; those that are there must stay as they are."""
    return {path.parent.name: path.read_text() for path in out.glob("*/*.done.json")}


def killed(start: Callable[[], Popen], out: Path, kills: int, longest: float) -> None:
    """Run a batch to its end through kills at random moments.

    Parameters
    ----------
    start : callable
        Starts the batch, or goes on with it; it must outlast the kills.
    out : Path
        Its folder. What is finished there must stay as it is.
    kills : int
        A third of them hit the driver, a third a worker, a third a kernel.
    longest : float
        Seconds between two kills, at most.
    """
    rng, hit, kept = random.Random(0), [], {}
    driver = start()
    while driver.poll() is None or driver.returncode < 0:
        if driver.poll() is not None:
            driver = start()
        time.sleep(rng.uniform(0.2, longest))
        before = finished(out)
        assert all(before[name] == record for name, record in kept.items())
        kept = before
        kind = ("driver", "worker", "kernel")[len(hit) % 3]
        there = victims(driver.pid, kind) if len(hit) < kills else []
        if there and driver.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(rng.choice(there), signal.SIGKILL)
                hit.append(kind)
    assert driver.returncode == 0 and len(hit) == kills, hit
    assert {name: finished(out)[name] for name in kept} == kept


def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(
    make_notebook, make_grid, tmp_path
):
    make_notebook(CELL, "step = 1", "step = 2", STEPS, name="00_a")
    ways = ["x" * n for n in range(1, KILLS + 4)]  # more than the kills can last
    make_grid(f"notebooks: 00_a\nparameters: {{way: {ways}}}")
    out, options = tmp_path / "out", ("--jobs", "2", "--retries", str(KILLS))
    killed(lambda: batch(tmp_path, *options), out, KILLS, 3.0)
    runs = read_runs(out)
    assert [(r["parameters"]["way"], r["status"]) for r in runs] == [(w, "finished") for w in ways]
    shares = [r["metrics"] for r in runs]
    assert [text.split(".")[0] for ((_, text),) in shares] == [f"{len(w)}00" for w in ways]
    # A kernel can outlive a kill by a moment and reach its last cell, so that a run that was
    # killed may be seen there twice; one that was finished never.
    ended = (out / "ended").read_text().splitlines()
    assert set(ended) == set(ways) and len(ended) <= len(ways) + KILLS
    assert json.loads((out / "grid.json").read_text())["runs"][0]["notebook"] == "00_a"
