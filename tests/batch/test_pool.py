"""Real worker processes with real kernels: what they inherit, and what a kill does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ragft.batch import run_grid
from ragft.batch.pool import LocalWorkers, share
from ragft.batch.worker import KEPT_MEMORY, Job, environment
from ragft.types import RagftError

pytestmark = pytest.mark.usefixtures("still_library")

CELL = "way = ''\nresults = ''\nfigures = ''"
WAYS = """
import os, pathlib, signal, sys, time
note = pathlib.Path(figures) / "tried"
first = not note.exists()
note.parent.mkdir(parents=True, exist_ok=True)
note.touch()
if first and way == "worker":
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
if first and way == "kernel":
    os.kill(os.getpid(), signal.SIGKILL)
"""
ENDED = """
print("to standard error", file=sys.__stderr__)
with open(pathlib.Path(results).parent / "ended", "a") as ended:
    print(way, os.environ["OMP_NUM_THREADS"], os.environ["RAYON_NUM_THREADS"], file=ended)
"""


def test_the_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr("ragft.batch.pool.cpu_count", lambda: 8)
    for told, cores in (("", 8), ("0", 8), ("x", 8), ("6", 6), ("64", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        assert share(2, 9) == (2, cores // 2)
    assert share(None, 4) == (4, 2)
    assert share(None, 0) == (1, 8)
    with pytest.raises(RagftError, match="--jobs 0: at least 1 worker"):
        share(0, 1)


def test_variables_of_a_worker(monkeypatch):
    for name in KEPT_MEMORY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert environment(None) == os.environ | KEPT_MEMORY
    assert environment(3)["OMP_NUM_THREADS"] == "3" == environment(3)["MKL_NUM_THREADS"]
    name = next(iter(KEPT_MEMORY))
    monkeypatch.setenv(name, "5")
    assert environment(3)[name] == "5"


def test_a_killed_worker_or_kernel_costs_its_run_an_attempt_and_nothing_more(
    make_notebook, make_grid, tmp_path, capfd
):
    make_notebook(CELL, WAYS, ENDED, name="00_a")
    grid = make_grid("notebooks: 00_a\nparameters: {way: [worker, kernel, fine]}")
    out, notes = tmp_path / "out", []

    def note():
        records = (json.loads(path.read_text()) for path in out.glob("*/record.json"))
        notes.extend(record["error"] for record in records)

    given = {"notebooks": tmp_path, "jobs": 2, "progress": False, "after": note}
    records = run_grid(grid, out, **given)
    assert [(r["status"], r["attempts"]) for r in records] == [
        ("finished", 2),
        ("finished", 2),
        ("finished", 1),
    ]
    threads = max(1, int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))) // 2)
    ended = sorted((out / "ended").read_text().splitlines())
    assert ended == [f"{way} {threads} {threads}" for way in ("fine", "kernel", "worker")]
    assert any("its worker process was killed (SIGKILL" in error for error in notes)
    assert any("the kernel died" in error for error in notes)
    assert "to standard error" in (out / records[2]["name"] / "log.txt").read_text()
    assert "".join(capfd.readouterr()) == ""  # nothing that would garble the bar


def test_a_worker_that_cannot_start_is_a_failure_with_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    job = Job("a", "", str(tmp_path / "a" / "a.ipynb"), {}, "", "", str(tmp_path / "a" / "log"))
    workers = LocalWorkers(1, None)
    workers.start(job)
    ((of, ended),) = workers.wait(10)
    assert of is job and ended["status"] == "failed"
    assert ended["error"].startswith("a: its worker process ended with status 1; what it printed")
    workers.close()


def batch(tmp_path: Path, *options: str, notebooks: Path | None = None) -> subprocess.Popen:
    """Start `ragft batch` as a process of its own."""
    command = ["batch", tmp_path / "grid.yaml", "--out", tmp_path / "out", *options]
    command += ["--notebooks", notebooks or tmp_path]
    return subprocess.Popen(
        [sys.executable, "-m", "ragft", *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_until(true, seconds=120):
    """Wait for something to become true; a busy machine may take long."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


HOLD = """
import os, pathlib, time
place = pathlib.Path(results).parent
(place / f"kernel{way}").write_text(str(os.getpid()))
while way == "b" and not (place / "go").exists():
    time.sleep(0.05)
with open(place / "ended", "a") as ended:
    print(way, file=ended)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGINT, id="interrupted", marks=pytest.mark.long),
    ],
)
def test_a_driver_that_ends_takes_its_kernels_along_and_the_next_goes_on(
    make_notebook, make_grid, tmp_path, how
):
    make_notebook(CELL, HOLD, name="00_a")
    make_grid("notebooks: 00_a\nparameters: {way: [a, b]}")
    out = tmp_path / "out"
    driver = batch(tmp_path, "--jobs", "1")
    wait_until((out / "kernelb").exists)
    wait_until(lambda: (out / "kernelb").read_text())
    kernel = int((out / "kernelb").read_text())
    assert alive(kernel)
    driver.send_signal(how)
    assert driver.wait(60) == (-9 if how is signal.SIGKILL else 130)
    wait_until(lambda: not alive(kernel))
    (out / "go").touch()
    assert batch(tmp_path, "--jobs", "1").wait(120) == 0
    assert (out / "ended").read_text().splitlines() == ["a", "b"]
    attempts = {
        record["parameters"]["way"]: record["attempts"]
        for path in out.glob("*/record.json")
        for record in [json.loads(path.read_text())]
    }
    assert attempts == {"a": 1, "b": 2}
    assert (out / "index.html").exists()
