"""The numbered notebooks run from top to bottom at the smoke profile."""

import json
from pathlib import Path

from ragft import models
from ragft.batch import run_notebook
from ragft.experiments.latency import ARMS
from ragft.experiments.tasks import write_task

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


def test_finetuning(given, tmp_path):
    run = run_notebook(NOTEBOOKS / "03_finetuning.ipynb", tmp_path / "03.ipynb", given)
    assert run.status == "ran"
    told = {}
    for name in ("forgetting", "knowledge", "known", "curating", "memorisation"):
        assert (tmp_path / "figures" / f"03_{name}.png").stat().st_size > 10_000
        record = json.loads((tmp_path / "figures" / "data" / f"03_{name}.json").read_text())
        told |= record["results"]["quantities"]
    read = {"lora_minus_prefix", "several_wordings_minus_one", "membership_auc_above_half"}
    assert set(told) >= read | {"known_facts_unknown_minus_known_training"}


def test_freshness_drift(given, history, tmp_path):
    given["package"] = history
    run = run_notebook(NOTEBOOKS / "04_freshness_drift.ipynb", tmp_path / "04.ipynb", given)
    assert run.status == "ran"
    for end in ("drift", "drift_stale", "drift_cost", "drift_hero", "packages"):
        assert (tmp_path / "figures" / f"04_freshness_{end}.png").exists()


def test_latency_curves(given, tmp_path):
    run = run_notebook(NOTEBOOKS / "06_latency_curves.ipynb", tmp_path / "06.ipynb", given)
    assert run.status == "ran"
    for name in ("latency", "latency_passages", "throughput", "index_kinds", "memory"):
        assert (tmp_path / "figures" / f"06_{name}.png").exists()
    record = json.loads((tmp_path / "figures" / "data" / "06_latency.json").read_text())
    assert {row["arm"] for row in record["results"]["summary"]} == set(ARMS)
    assert set(record["results"]["quantities"]) >= {"latency_rag_over_finetuned"}
    assert (tmp_path / "figures" / "data" / "06_caching.json").exists()


def test_behaviour(given, tmp_path):
    run = run_notebook(NOTEBOOKS / "08_behaviour.ipynb", tmp_path / "08.ipynb", given)
    assert run.status == "ran"
    for name in ("behaviour", "learning_curves"):
        assert (tmp_path / "figures" / f"08_{name}.png").exists()
    record = json.loads((tmp_path / "figures" / "data" / "08_behaviour.json").read_text())
    assert set(record["results"]["quantities"]) >= {"valid_output_tuned_minus_prompted"}


def test_your_own_data(given, history, tmp_path):
    given |= {"package": history, "retrievers": ["bm25"]}
    run = run_notebook(NOTEBOOKS / "10_your_own_data.ipynb", tmp_path / "10.ipynb", given)
    assert run.status == "ran"
    assert (tmp_path / "figures" / "10_your_own_data.png").exists()
    (tmp_path / "docs").mkdir()
    text = "# Trams\n\nThe tram of Tarmo runs every nine minutes on weekdays. " + "It is late. " * 9
    (tmp_path / "docs" / "trams.md").write_text(text)
    given["documents"] = str(tmp_path / "docs")
    run = run_notebook(NOTEBOOKS / "10_your_own_data.ipynb", tmp_path / "own.ipynb", given)
    assert run.status == "ran" and "docs: 1 documents" in (tmp_path / "own.ipynb").read_text()


def test_the_shipped_model_is_whole():
    folder = models.locate("embedded")
    assert sum(p.stat().st_size for p in models.weight_files(folder)) < 16 * 2**20
