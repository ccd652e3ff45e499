"""Notebook 06 runs from top to bottom at the smoke profile."""

import json
from pathlib import Path

from ragft.batch import run_notebook
from ragft.experiments.latency import ARMS

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_latency_curves(given, tmp_path):
    run = run_notebook(NOTEBOOKS / "06_latency_curves.ipynb", tmp_path / "06.ipynb", given)
    assert run.status == "ran"
    for name in ("latency", "latency_passages", "throughput", "index_kinds", "memory"):
        assert (tmp_path / "figures" / f"06_{name}.png").exists()
    record = json.loads((tmp_path / "figures" / "data" / "06_latency.json").read_text())
    assert {row["arm"] for row in record["results"]["summary"]} == set(ARMS)
    assert set(record["results"]["quantities"]) >= {"latency_rag_over_finetuned"}
    assert (tmp_path / "figures" / "data" / "06_caching.json").exists()
    record = json.loads((tmp_path / "figures" / "data" / "06_filing.json").read_text())
    assert set(record["results"]["quantities"]) >= {"latency_large_prompt_over_small_tuned"}
