"""What the benchmark of workers runs; how long it takes is no test's matter."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from ragft.bench import batch as bench
from ragft.cli import main
from ragft.types import RagftError

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(bench, "cpu_count", lambda: 2)


@pytest.fixture
def commands(monkeypatch, capsys):
    """The commands that were run: their options, threads in all, and what the grid plans."""
    calls = []

    def run(command, env, **_):
        assert main([*command[3:], "--dry-run", "--json"]) == 0
        planned = json.loads(capsys.readouterr().out)
        options = dict(zip(command[5::2], command[6::2], strict=True))
        calls.append((options, env["OMP_NUM_THREADS"], [one["parameters"] for one in planned]))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_both_sides_run_the_same_grid_each_in_a_folder_of_its_own(commands):
    [row] = bench.batch(3, 2, notebooks=NOTEBOOKS)
    assert [(o["--jobs"], threads, len(runs)) for o, threads, runs in commands] == [
        ("1", "1", 1), ("1", "1", 3), ("2", "2", 3), ("1", "1", 3), ("2", "2", 3),
    ]  # fmt: skip
    assert commands[1][2] == commands[2][2]
    assert [run["seeds"] for run in commands[1][2]] == [[0], [1], [2]]
    assert {run["profile"] for _, _, runs in commands for run in runs} == {"smoke"}
    assert len({o["--out"] for o, _, _ in commands}) == 5
    assert row["stage"] == "batch, two workers" and row["size"] == 3
    assert row["low"] <= row["ratio"] <= row["high"]


def test_a_run_that_fails_is_told_with_its_command(monkeypatch):
    failed = SimpleNamespace(returncode=1, stderr="no such notebook")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RagftError, match=r"(?s)-m ragft batch .*: *\nno such notebook"):
        bench.batch(2, 1)


@pytest.mark.parametrize(("runs", "repeats"), [(1, 1), (2, 0)])
def test_numbers_out_of_range(runs, repeats):
    with pytest.raises(RagftError, match=f"{runs} runs, {repeats} repeats"):
        bench.batch(runs, repeats)


def test_one_core_is_not_enough(monkeypatch):
    monkeypatch.setattr(bench, "cpu_count", lambda: 1)
    with pytest.raises(RagftError, match="2 workers need 2 cores"):
        bench.batch()
