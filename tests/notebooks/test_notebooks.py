"""Notebooks 00, 01 and 10 run from top to bottom at the smoke profile.

Every other one has a file of its own, so that two workers share them.
"""

from pathlib import Path

import nbformat

from ragft import models
from ragft.batch import run_notebook

EVIL = "<script>alert(1)</script>\x1b[31m\x1b]0;owned\x07"
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_start_here(given, tmp_path):
    out = tmp_path / "00.ipynb"
    run = run_notebook(NOTEBOOKS / "00_start_here.ipynb", out, given)
    assert run.status == "ran" and out.exists()
    assert (tmp_path / "figures" / "00_start_here.png").stat().st_size > 10_000
    assert (tmp_path / "figures" / "data" / "00_start_here.json").exists()
    assert run_notebook(NOTEBOOKS / "00_start_here.ipynb", out, given).status != "ran"


def test_package_history(given, history, tmp_path):
    given["packages"] = history
    run = run_notebook(NOTEBOOKS / "01_package_history.ipynb", tmp_path / "01.ipynb", given)
    assert run.status == "ran"
    assert (tmp_path / "figures" / "01_package_history_networkx.png").exists()


def test_your_own_data(given, history, tmp_path):
    given |= {"package": history, "retrievers": ["bm25"]}
    run = run_notebook(NOTEBOOKS / "10_your_own_data.ipynb", tmp_path / "10.ipynb", given)
    assert run.status == "ran"
    assert (tmp_path / "figures" / "10_your_own_data.png").exists()
    (tmp_path / "docs").mkdir()
    text = "# Trams\n\nThe tram of Tarmo runs every nine minutes on weekdays. " + "It is late. " * 9
    (tmp_path / "docs" / "trams.md").write_text(text + EVIL)
    (tmp_path / "docs" / f"no{EVIL.replace('/', '')}.exe").write_text("skipped by name")
    given["documents"] = str(tmp_path / "docs")
    run = run_notebook(NOTEBOOKS / "10_your_own_data.ipynb", tmp_path / "own.ipynb", given)
    assert run.status == "ran" and "docs: 1 documents" in (tmp_path / "own.ipynb").read_text()
    check_outputs(tmp_path / "own.ipynb")


def check_outputs(path):
    """Nothing of a document is markup in an output, or steers a terminal."""
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            shown = output.get("data", {})
            assert "<script" not in shown.get("text/html", "")
            assert not {"application/javascript", "text/markdown", "text/latex"} & set(shown)
            assert "\x1b" not in output.get("text", "")


def test_the_shipped_model_is_whole():
    folder = models.locate("embedded")
    assert sum(p.stat().st_size for p in models.weight_files(folder)) < 16 * 2**20
