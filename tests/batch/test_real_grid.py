"""A grid of the project's own notebooks: killed, spread over a cluster, the table is the same."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import yaml

from ragft.batch import run_grid
from ragft.corpora.packages import package_history
from ragft.report.grid import read_runs
from ragft.types import RagftError
from tests.batch.test_kills import killed
from tests.batch.test_pool import batch

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc"),
]
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PACKAGES = {"networkx": ("2.6.3", "3.3"), "scikit-learn": ("1.2.2", "1.5.2")}
SPECS = [f"{name}=={','.join(versions)}" for name, versions in PACKAGES.items()]
GRID = {
    "notebooks": {
        "00_start_here": {"corpus": ["world", f"packages:{SPECS[0]}"]},
        "01_package_history": {"packages": SPECS},
        "02_retrieval": {"package": SPECS},
    },
    "parameters": {"profile": ["smoke"], "seeds": [[0], [1], [2]]},
}
KILLS = 5


def table(out: Path) -> list[tuple]:
    """Return what the grid's page tells of its runs, but for times and tries."""
    return [(r["name"], r["parameters"], r["status"], r["metrics"]) for r in read_runs(out)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a function that makes a folder with the grid in it."""
    for name, versions in PACKAGES.items():
        try:
            package_history(name, versions)
        except RagftError as error:
            pytest.skip(f"no releases of {name}: {error}")

    def make(name: str) -> Path:
        made = tmp_path_factory.mktemp(name)
        (made / "grid.yaml").write_text(yaml.safe_dump(GRID))
        return made

    return make


@pytest.fixture(scope="module")
def whole(folder):
    """The table of the grid, run at one go."""
    place = folder("whole")
    assert batch(place, "--jobs", "2", notebooks=NOTEBOOKS).wait() == 0
    found = table(place / "out")
    assert len(found) == 18 and all(status == "finished" for _, _, status, _ in found)
    assert all(metrics for _, _, _, metrics in found)
    return found


def test_killed_five_times_it_gives_the_same_table(folder, whole):
    place = folder("killed")
    options = ("--jobs", "2", "--retries", str(KILLS))
    killed(lambda: batch(place, *options, notebooks=NOTEBOOKS), place / "out", KILLS, 30.0)
    assert table(place / "out") == whole


def test_on_a_cluster_that_loses_a_node_it_gives_the_same_table(folder, whole, cluster):
    place = folder("ray")

    def lose_a_node():
        while len(list((place / "out").glob("*/*.done.json"))) < 3:
            time.sleep(0.5)
        cluster.remove_node(cluster.second, allow_graceful=False)

    threading.Thread(target=lose_a_node, daemon=True).start()
    given = {"engine": "ray", "address": cluster.address, "retries": KILLS, "progress": False}
    records = run_grid(place / "grid.yaml", place / "out", notebooks=NOTEBOOKS, **given)
    assert {record["engine"] for record in records} == {"ray"}
    assert table(place / "out") == whole
