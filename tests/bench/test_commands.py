"""The commands of the benchmarks: what they hand on, and that none is imported before it runs."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ragft.bench import commands
from ragft.bench import row as made
from ragft.cli import main, parser

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("module", "given", "expected"),
    [
        ("refresh", ["--documents", "9", "--sample", "3"], ((9, 0.01, 3), {"sample": 3})),
        ("refresh", ["--share", "0.5"], ((20_000, 0.5, 3), {"sample": None})),
        ("retrieval", ["--passages", "5", "--cores", "2"],
         ((5, 20_000), {"repeats": 3, "cores": 2})),
        ("nearest", ["--vectors", "7", "--cores", "2"], ((7, 3, 2), {})),
        ("answering", ["--facts", "7", "--repeats", "1"], ((7, 1), {})),
        ("batch", ["--runs", "4"], ((4, 3), {})),
        ("training", ["--examples", "7"], ((7, 3), {})),
    ],
)  # fmt: skip
def test_a_command_hands_its_numbers_on(module, given, expected, monkeypatch, capsys):
    called = []

    def measured(*args, **kwargs):
        called.append((args, kwargs))
        return [made("stage", 1, "other", [2.0], "note")]

    name = f"ragft.bench.{module}"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(**{module: measured}))
    assert main(["bench", module, *given]) == 0
    assert called == [expected] and "2.000" in capsys.readouterr().out


def test_every_benchmark_can_be_kept_as_a_record():
    for name in commands._BENCHMARKS:
        options = parser().parse_args(["bench", name, "--record", "x.json", "--json"])
        assert options.record == "x.json" and options.json


def test_help_imports_no_benchmark():
    code = (
        "import sys; from ragft.cli import parser; parser().format_help();"
        "loaded = {*sys.modules};"
        "print({m for m in loaded if m.startswith('ragft.bench.')} | {'numpy'} & loaded)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "{'ragft.bench.commands'}"


def _pinned(path):
    lines = [line for line in path.read_text().splitlines() if "==" in line]
    return {line.partition("==")[0].lower().replace("_", "-") for line in lines}


def test_the_pins_of_the_benchmark_add_to_those_of_the_project_and_change_none():
    ours, more = (_pinned(ROOT / name) for name in ("constraints.txt", "constraints-bench.txt"))
    assert not ours & more
    peers = (ROOT / "Makefile").read_text().split("PEERS :=")[1].split("\n\n")[0]
    names = peers.replace("\\", " ").split()
    assert "llama-index-core" in names and {*names} <= ours | more


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_bench_makes_an_environment_of_its_own(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "constraints-bench.txt"):
        shutil.copy(ROOT / name, tmp_path)
    command = ["make", "-n", "bench"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    plan = told.stdout
    base = plan.index(".venv-bench/bin/python -m pip install --disable-pip-version-check -c")
    peers = plan.index("-c constraints.txt -c constraints-bench.txt llama-index-core")
    assert base < peers < plan.index(".venv-bench/bin/python -m ragft bench retrieval --json")
    assert ".venv/" not in plan
