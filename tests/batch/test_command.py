"""The command `ragft batch`: what it prints, and how it ends."""

from __future__ import annotations

import json

import pytest

from ragft.cli import main, parser

CELL = "profile = 'cpu'\nseeds = [0]\nresults = ''\nfigures = ''"


@pytest.fixture
def command(make_notebook, make_grid, tmp_path, stand_in):
    """Return a function that calls the command on a grid of two runs; it returns the status."""
    make_notebook(CELL, name="00_a")
    grid = make_grid("notebooks: 00_a\nparameters: {profile: smoke, seed: [0, 1]}")

    def call(*options):
        told = ["batch", grid, "--out", tmp_path / "out", "--notebooks", tmp_path, "--jobs", "1"]
        return main([*map(str, told), *options])

    return call


def test_a_table_and_a_page(command, capsys, tmp_path):
    assert command() == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].split()[:3] == ["run", "seeds", "status"]
    assert [line.split()[1:3] for line in lines[2:4]] == [["[0]", "finished"], ["[1]", "finished"]]
    assert lines[-2:] == ["2 runs: 2 finished.", f"Page: {tmp_path / 'out' / 'index.html'}"]
    assert "2 of 2 runs" in shown.err and "left" in shown.err
    assert "<h1>ragft batch</h1>" in (tmp_path / "out" / "index.html").read_text()


def test_json_alone(command, capsys):
    assert command("--json") == 0
    shown = capsys.readouterr()
    assert [run["status"] for run in json.loads(shown.out)] == ["finished", "finished"]
    assert shown.err == ""


def test_a_run_that_fails_is_reported_after_its_tries_and_is_the_exit_status(
    command, capsys, stand_in, tmp_path
):
    stand_in.fails["00_a"] = 3
    assert command("--retries", "1") == 1
    out = capsys.readouterr().out
    assert "00_a.ipynb: it broke" in out and "2 runs: 1 failed, 1 finished." in out
    assert "it broke" in (tmp_path / "out" / "index.html").read_text()


def test_a_dry_run_lists_and_starts_nothing(command, capsys, stand_in, tmp_path):
    assert command("--dry-run") == 0
    *lines, count = capsys.readouterr().out.splitlines()
    assert count == "2 runs"
    assert [line.partition("  ")[2] for line in lines] == [
        "{'profile': 'smoke', 'seeds': [0]}",
        "{'profile': 'smoke', 'seeds': [1]}",
    ]
    assert stand_in == [] and not (tmp_path / "out").exists()
    assert command("--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)[1]["parameters"]["seeds"] == [1]


def test_an_error_is_one_message(capsys, make_grid, tmp_path):
    path = make_grid("notebooks: []")
    assert main(["batch", str(path), "--out", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("ragft: ") and "names no notebooks" in shown.err and not shown.out


@pytest.mark.parametrize("name", ["batch", "reproduce"])
def test_the_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit):
        parser().parse_args([name, "--help"])
    assert "--jobs" in capsys.readouterr().out
