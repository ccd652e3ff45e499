"""Notebook 08 runs from top to bottom at the smoke profile."""

import json
from pathlib import Path

from ragft.batch import run_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_behaviour(given, tmp_path):
    run = run_notebook(NOTEBOOKS / "08_behaviour.ipynb", tmp_path / "08.ipynb", given)
    assert run.status == "ran"
    for name in ("behaviour", "learning_curves"):
        assert (tmp_path / "figures" / f"08_{name}.png").exists()
    record = json.loads((tmp_path / "figures" / "data" / "08_behaviour.json").read_text())
    assert set(record["results"]["quantities"]) >= {"valid_output_tuned_minus_prompted"}
    filed = json.loads((tmp_path / "figures" / "data" / "08_taxonomy.json").read_text())
    assert filed["parameters"]["counts"] == [2, 4] and not filed["parameters"]["facts"]
    assert "taxonomy_tuned_minus_prompted" in filed["results"]["quantities"]
