"""Which notebook runs when: the rest of `reproduce` is tested with the runs themselves."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from ragft.batch import measures_time, reproduction, runs
from ragft.batch.grids import full_grids
from ragft.batch.reproduction import reproduce
from ragft.types import RagftError, UnreachableError

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CELL = "profile = 'cpu'\nfigures = ''\nfull = False"


@pytest.fixture
def several(make_notebook, tmp_path, stand_in):
    """Return a function that reproduces 00 and 02 (timed), 01, 03 and 04 (not)."""
    for name in ("00_a", "02_c"):
        make_notebook(CELL, name=name, tags=("timed",))
    for name in ("01_b", "03_d", "04_e"):
        make_notebook(CELL, name=name)

    def run(only=(), **options):
        places = {"results": tmp_path / "r", "figures": tmp_path / "f", "progress": False}
        return reproduce(tmp_path, "smoke", only, **places, **options)

    return run


@pytest.fixture
def workers(monkeypatch):
    """Note what was run by workers, and with how many threads."""
    engine, seen = reproduction.LocalWorkers, []

    class Noting(engine):
        def start(self, job):
            seen.append((job.name, self.workers, self.threads))
            super().start(job)

    monkeypatch.setattr(reproduction, "LocalWorkers", Noting)
    monkeypatch.setattr("ragft.batch.pool.cpu_count", lambda: 6)
    monkeypatch.setattr(reproduction, "cpu_count", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return seen


def test_the_first_alone_then_the_untimed_together_then_the_timed_alone(
    several, stand_in, workers, tmp_path
):
    runs = several(jobs=2)
    assert [name for name, _ in stand_in] == ["00_a", "01_b", "03_d", "04_e", "02_c"]
    assert workers == [(name, 2, 3) for name in ("01_b", "03_d", "04_e", "04_e (helper)")]
    assert [(r.name, r.status) for r in runs] == [
        (name, "ran") for name in ("00_a", "01_b", "02_c", "03_d", "04_e")
    ]
    assert runs[1].path == tmp_path / "r" / "notebooks" / "smoke" / "01_b.ipynb"
    assert runs[1].seconds > 0
    stand_in.clear()
    assert [(r.status, r.seconds) for r in several(jobs=2)] == [("skipped", 0.0)] * 5
    assert stand_in == [] and len(workers) == 4  # a finished notebook starts no worker
    several(jobs=2, force=True)
    assert len(stand_in) == 5


def test_one_job_is_one_after_the_other_in_their_order(several, stand_in, workers):
    several()
    assert [name for name, _ in stand_in] == ["00_a", "01_b", "02_c", "03_d", "04_e"]
    assert workers == []


def test_a_single_untimed_notebook_runs_in_two_workers_that_share_its_cells(
    make_notebook, tmp_path, still_library
):
    make_notebook(f"{CELL}\nresults = ''", SHARED, name="05_f")
    places = {"results": tmp_path / "r", "figures": tmp_path / "f", "progress": False}
    (run,) = reproduce(tmp_path, "smoke", **places, jobs=2)
    assert run.status == "ran", run.error
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["drawn"]
    assert len(set((tmp_path / "r" / "who").read_text().split())) == 2


SHARED = """
import os, pathlib, time
import pandas as pd
from ragft.experiments.cells import Finished, run_cells
from ragft.profiles import profile
from ragft.records import Records, content_key

pathlib.Path(figures).mkdir(parents=True, exist_ok=True)
who = pathlib.Path(results, "who")

def compute(number):
    with open(who, "a") as file:
        file.write(f"{os.getpid()} ")
    until = time.monotonic() + 60
    while len(set(who.read_text().split())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    return pd.DataFrame({"number": [number]}), {}

run_cells(
    Finished, "sharing", [(n,) for n in range(4)], lambda n: content_key({"n": n}), compute,
    lambda frames, notes: (pd.concat(frames), {}), records=Records(results),
    sizes=profile("smoke"), settings={}, parameters={}, hashes={}, progress=False,
)
pathlib.Path(figures, "drawn").touch()
"""


def test_two_at_once_where_nothing_is_said_and_one_on_one_core(
    several, workers, monkeypatch, stand_in
):
    several(jobs=None)
    assert {(count, threads) for _, count, threads in workers} == {(2, 3)}
    workers.clear()
    monkeypatch.setattr(reproduction, "cpu_count", lambda: 1)
    several(jobs=None, force=True)
    assert workers == []
    with pytest.raises(RagftError, match="--jobs 0: at least 1"):
        several(jobs=0)


def test_a_failure_beside_others_is_reported_in_its_place(several, stand_in, workers):
    stand_in.fails["03_d"] = 1
    runs = several(jobs=2)
    assert [r.status for r in runs] == ["ran", "ran", "ran", "failed", "ran"]
    assert runs[3].error == "03_d.ipynb: it broke" and not runs[3].path.exists()


def test_full_grids_are_marked_and_kept_whoever_ran_them(several, stand_in, workers, tmp_path):
    stand_in.fails["03_d"] = 1
    several(jobs=2, parameters={"full": True})
    assert list(full_grids(tmp_path / "f")) == ["00_a", "01_b", "02_c", "04_e"]
    stand_in.clear()
    several(jobs=2)
    places = {name: Path(given["figures"]).name for name, given in stand_in}
    assert places == {"03_d": "f"} | dict.fromkeys(("00_a", "01_b", "02_c", "04_e"), "reduced")


def test_the_shipped_notebooks_say_which_of_them_measure_time():
    timed = {path.name[:2] for path in NOTEBOOKS.glob("*.ipynb") if measures_time(path)}
    assert timed == {"00", "04", "06"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_cannot_be_reached_is_left_out_with_its_reason_and_the_others_go_on(
    several, stand_in, workers, monkeypatch, jobs
):
    real = runs.execute

    def cut_off(path, parameters, progress=False):
        if path.stem == "01_b":
            raise UnreachableError("01_b.ipynb: pip reached no package index.")
        return real(path, parameters, progress)

    monkeypatch.setattr(runs, "execute", cut_off)
    done = several(jobs=jobs, parameters={"full": True})
    found = {run.name: (run.status, run.error) for run in done}
    assert found.pop("01_b") == ("left out", "01_b.ipynb: pip reached no package index.")
    assert set(found.values()) == {("ran", "")} and len(found) == 4
    assert "01_b" not in full_grids(done[0].path.parents[3] / "f")


def test_a_second_call_in_the_same_folder_waits_and_runs_nothing_again(
    several, stand_in, monkeypatch
):
    real, second = runs.execute, []

    def execute(path, parameters, progress=False):
        if not second:
            second.append(threading.Thread(target=lambda: second.append(several(["00"]))))
            second[0].start()
            time.sleep(0.3)
        return real(path, parameters, progress)

    monkeypatch.setattr(runs, "execute", execute)
    assert [run.status for run in several(["00"])] == ["ran"]
    second[0].join()
    assert [run.status for run in second[1]] == ["skipped"]
    assert [name for name, _ in stand_in] == ["00_a"]
