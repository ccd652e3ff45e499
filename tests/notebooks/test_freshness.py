"""Notebook 04 runs from top to bottom at the smoke profile."""

from pathlib import Path

from ragft.batch import run_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_freshness_drift(given, history, tmp_path):
    given["package"] = history
    run = run_notebook(NOTEBOOKS / "04_freshness_drift.ipynb", tmp_path / "04.ipynb", given)
    assert run.status == "ran"
    package = history.split("==")[0]
    for end in ("drift", "drift_stale", "drift_cost", "drift_hero", package):
        assert (tmp_path / "figures" / f"04_freshness_{end}.png").exists()
