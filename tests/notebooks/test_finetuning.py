"""Notebook 03 runs from top to bottom at the smoke profile."""

import json
from pathlib import Path

from ragft.batch import run_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_finetuning(given, tmp_path):
    run = run_notebook(NOTEBOOKS / "03_finetuning.ipynb", tmp_path / "03.ipynb", given)
    assert run.status == "ran"
    told = {}
    for name in ("forgetting", "knowledge", "known", "curating", "memorisation"):
        assert (tmp_path / "figures" / f"03_{name}.png").stat().st_size > 10_000
        record = json.loads((tmp_path / "figures" / "data" / f"03_{name}.json").read_text())
        told |= record["results"]["quantities"]
    assert (tmp_path / "figures" / "03_rewording.png").exists()
    read = {"lora_minus_prefix", "several_wordings_minus_one", "membership_auc_above_half"}
    assert set(told) >= read | {"known_facts_unknown_minus_known_training"}
