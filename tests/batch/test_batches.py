from __future__ import annotations

import json

import pytest

from ragft.batch import batches, run_grid
from ragft.batch.batches import _engine
from ragft.files import locked, read_sealed, sealed_json
from ragft.types import RagftError

CELL = "a = 1\nresults = ''\nfigures = ''"


@pytest.fixture
def small(make_notebook, make_grid, tmp_path, stand_in):
    """Return a function that runs a grid of one notebook with a = 1, 2, 3."""
    make_notebook(CELL, name="00_a")
    grid = make_grid("notebooks: 00_a\nparameters: {a: [1, 2, 3]}")

    def run(**options):
        options = {"notebooks": tmp_path, "progress": False, "jobs": 1} | options
        return run_grid(grid, tmp_path / "out", **options)

    return run


def states(records):
    return [(r["parameters"]["a"], r["status"], r["attempts"]) for r in records]


def test_one_folder_a_run_with_its_record_and_shared_results(small, stand_in, tmp_path):
    records = small()
    out = tmp_path / "out"
    assert states(records) == [(1, "finished", 1), (2, "finished", 1), (3, "finished", 1)]
    for record, (_, given) in zip(records, stand_in, strict=True):
        folder = out / record["name"]
        assert read_sealed(folder / "record.json", "") == record
        assert sorted(p.name for p in folder.iterdir()) == [
            "00_a.ipynb", "00_a.ipynb.done.json", "record.json"
        ]  # fmt: skip
        assert given == {
            "a": record["parameters"]["a"],
            "results": str(out / "results"),
            "figures": str(folder / "figures"),
        }
        assert record["seconds"] > 0 and record["error"] == "" and not record["timed"]
        assert record["executed"] == f"{record['name']}/00_a.ipynb"
        assert (record["engine"], record["workers"]) == ("local", 1)
        assert record["packages"]["ragft"] and record["hardware"]["cores"] >= 1
    grid = json.loads((out / "grid.json").read_text())
    assert [run["name"] for run in grid["runs"]] == [r["name"] for r in records]


def test_finished_runs_are_skipped_until_something_changes(small, stand_in, tmp_path, monkeypatch):
    first = small()
    stand_in.clear()
    assert small() == first and stand_in == []
    (tmp_path / "out" / first[1]["name"] / "00_a.ipynb").write_text("{}")
    assert states(small()) == states(first)
    assert [given["a"] for _, given in stand_in] == [2]
    small(force=True)
    assert [given["a"] for _, given in stand_in] == [2, 1, 2, 3]
    monkeypatch.setattr("ragft.batch.runs.library_hash", lambda: "another library")
    small()
    assert len(stand_in) == 7


def test_a_failure_is_tried_again_then_reported_and_the_others_go_on(small, stand_in):
    stand_in.fails["00_a"] = 4  # 1 fails, 2 and 3 fail, 1 fails again; then all works
    records = small(retries=1)
    assert states(records) == [(1, "failed", 2), (2, "finished", 2), (3, "finished", 2)]
    assert records[0]["error"] == "00_a.ipynb: it broke" and records[0]["seconds"] > 0
    assert records[1]["error"] == ""
    stand_in.clear()
    assert states(small())[0] == (1, "finished", 3)
    assert len(stand_in) == 1


def test_a_stop_between_the_two_records_is_put_right_without_a_run(small, stand_in, tmp_path):
    first = small()
    stand_in.clear()
    path = tmp_path / "out" / first[0]["name"] / "record.json"
    path.write_text(sealed_json(first[0] | {"status": "running", "seconds": 0.0}))
    (tmp_path / "out" / first[1]["name"] / "record.json").write_text("{")
    (tmp_path / "out" / first[2]["name"] / "record.json").unlink()
    again = small()
    assert stand_in == []
    assert [r["status"] for r in again] == ["finished"] * 3
    assert [r["seconds"] for r in again] == [r["seconds"] for r in first]


def test_an_interrupted_run_says_so_and_its_start_counts(small, stand_in, tmp_path, monkeypatch):
    def interrupt(self, seconds):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batches.LocalWorkers, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            small()
    kept = [json.loads(p.read_text()) for p in (tmp_path / "out").glob("*/record.json")]
    assert [(r["status"], r["attempts"]) for r in kept] == [("interrupted", 1)]
    assert states(small()) == [(1, "finished", 2), (2, "finished", 1), (3, "finished", 1)]


def test_a_second_batch_in_the_folder_is_told(small, tmp_path):
    with locked(tmp_path / "out" / ".locks" / "batch"):
        with pytest.raises(RagftError, match="out: another batch works in this folder"):
            small()
    assert small()


def test_the_hook_is_called_after_each_attempt_with_its_record_written(small, stand_in, tmp_path):
    stand_in.fails["00_a"] = 1
    seen = []

    def look():
        records = (tmp_path / "out").glob("*/record.json")
        seen.append(sorted(json.loads(path.read_text())["status"] for path in records))

    small(after=look)
    assert seen[0] == ["failed"] and seen[-1] == ["finished"] * 3 and len(seen) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retries": -1}, "--retries -1: at least 0"),
        ({"jobs": 0}, "--jobs 0: at least 1 worker"),
        ({"engine": "slurm"}, "--engine slurm: there are local, ray"),
        ({"address": "10.0.0.1:6379"}, "--address: of a Ray cluster; add --engine ray"),
    ],
)
def test_wrong_numbers_and_engines_are_refused(small, stand_in, options, message):
    with pytest.raises(RagftError, match=message):
        small(**options)
    assert stand_in == []


def test_workers_are_as_many_as_cores_memory_and_runs_allow(monkeypatch):
    monkeypatch.setattr(batches, "cpu_count", lambda: 8)
    monkeypatch.setattr("ragft.batch.pool.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(batches, "hardware", lambda: {"memory_gb": 13.0})

    def shared(jobs, runs):
        made = _engine("local", None, jobs, runs)
        return made.workers, made.threads

    assert shared(None, 100) == (4, 2)  # 13 GB are four times 3
    assert shared(None, 2) == (2, 4)
    assert shared(3, 100) == (3, 2)
    assert shared(20, 100) == (20, 1)
    monkeypatch.setattr(batches, "hardware", lambda: {"memory_gb": 1.0})
    assert shared(None, 100) == (1, 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert shared(None, 100) == (1, 3)


def test_ray_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(RagftError, match=r"--engine ray needs Ray: pip install 'ragft\[ray\]'"):
        _engine("ray", None, None, 1)


def test_a_notebook_of_many_runs_is_read_once(small, monkeypatch):
    reads, read = [], batches.depends_on
    monkeypatch.setattr(batches, "depends_on", lambda path: reads.append(path.stem) or read(path))
    assert len(small()) == 3
    assert reads == ["00_a"]
