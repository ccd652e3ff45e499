"""Notebook 05 runs whole at the smoke profile; a file of its own, because it takes long."""

import json
from pathlib import Path

import pytest

from ragft.batch import run_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PICTURES = (
    "hallucination", "hallucination_remedies", "hallucination_positions",
    "hallucination_packages", "probes_risk", "teaching",
)  # fmt: skip


@pytest.fixture
def hallucination(given, history, tmp_path):
    """Return a function that runs notebook 05 and returns its record."""

    def run():
        given["package"] = history
        done = run_notebook(NOTEBOOKS / "05_hallucination.ipynb", tmp_path / "05.ipynb", given)
        assert done.status == "ran"
        for name in PICTURES:
            assert (tmp_path / "figures" / f"05_{name}.png").exists()
        return json.loads((tmp_path / "figures" / "data" / "05_hallucination.json").read_text())

    return run


def test_hallucination(hallucination):
    record = hallucination()
    measured = {(r["arm"], r["condition"], r["measure"]): r for r in record["results"]["summary"]}
    assert measured["rag", "gold", "accuracy"]["mean"] > measured["rag", "none", "accuracy"]["mean"]


@pytest.mark.long
def test_hallucination_of_a_model_that_knows_nothing(hallucination, given, tmp_path):
    from tests.conftest import save_tiny_model

    sizes = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "max_position_embeddings": 16384,
        "family": "Qwen2",
    }
    given["model"] = str(save_tiny_model(tmp_path / "qwen", **sizes))
    record = hallucination()
    rows = record["results"]["summary"]
    right = [r["mean"] for r in rows if r["measure"] == "accuracy" and r["arm"] == "rag"]
    assert max(right) < 0.2 and len(right) > 10
    for row in rows:
        assert None not in (row["mean"], row["low"], row["high"]), row
        assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
