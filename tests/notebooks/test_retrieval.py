"""Notebook 02 runs from top to bottom at the smoke profile."""

import json
from pathlib import Path

from ragft.batch import run_notebook
from ragft.experiments.tasks import write_task

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_retrieval(given, history, tmp_path):
    given["package"] = history.partition(",")[0]
    run = run_notebook(NOTEBOOKS / "02_retrieval.ipynb", tmp_path / "02.ipynb", given)
    assert run.status == "ran"
    for name in ("retrieval", "answers", "passages"):
        assert (tmp_path / "figures" / f"02_{name}.png").exists()
    record = json.loads((tmp_path / "figures" / "data" / "02_answers.json").read_text())
    assert set(record["results"]["quantities"]) >= {"accuracy_minus_recall"}


def test_retrieval_on_collections_of_your_own(given, tmp_path):
    write_task("world", tmp_path / "mine", facts=12)
    given["collections"] = str(tmp_path / "mine")
    run = run_notebook(NOTEBOOKS / "02_retrieval.ipynb", tmp_path / "02.ipynb", given)
    assert run.status == "ran"
    assert (tmp_path / "figures" / "02_collections.png").exists()
    assert not (tmp_path / "figures" / "02_answers.png").exists()
