"""The same grid on a Ray cluster of two nodes on this machine, one of which is killed."""

from __future__ import annotations

import json
import threading
import time

import pytest

from ragft.batch import run_grid
from ragft.batch.batches import _engine
from ragft.types import RagftError
from tests.batch.test_pool import alive

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("still_library")]

CELL = "a = 1\nresults = ''\nfigures = ''"
NOTE = """
import os, pathlib, time

place = pathlib.Path(results).parent
(place / f"began{a}").write_text(str(os.getpid()))
while not (place / "go").exists():
    time.sleep(0.05)
with open(place / "ended", "a") as ended:
    print(a, os.environ["OMP_NUM_THREADS"], file=ended)
"""


def grid(make_notebook, make_grid, *cells):
    make_notebook(CELL, *cells, name="00_a")
    return make_grid("notebooks: 00_a\nparameters: {a: [1, 2, 3]}")


def table(records):
    return [(r["parameters"]["a"], r["status"], r["engine"]) for r in records]


def test_a_killed_node_costs_an_attempt_and_the_table_is_the_same(
    make_notebook, make_grid, tmp_path, cluster
):
    out, path = tmp_path / "out", grid(make_notebook, make_grid, NOTE)

    def kill_when_two_run():
        while len(kernels := [p.read_text() for p in out.glob("began*")]) < 2 or "" in kernels:
            time.sleep(0.1)
        cluster.remove_node(cluster.second, allow_graceful=False)
        while all(map(alive, map(int, kernels))):  # on a real node it ends with the node
            time.sleep(0.1)
        (out / "go").touch()

    threading.Thread(target=kill_when_two_run, daemon=True).start()
    given = {"notebooks": tmp_path, "engine": "ray", "progress": False}
    records = run_grid(path, out, address=cluster.address, retries=2, **given)
    assert table(records) == [(n, "finished", "ray") for n in (1, 2, 3)]
    assert sorted((out / "ended").read_text().splitlines()) == ["1 1", "2 1", "3 1"]
    assert sum(r["attempts"] for r in records) >= 4
    assert all(r["hardware"]["cores"] >= 1 for r in records)
    assert not ray.is_initialized()  # the connection that was made is ended
    again = run_grid(path, out, address=cluster.address, **given)
    assert again == records


def test_a_cell_that_fails_is_the_notebooks_error(make_notebook, make_grid, tmp_path, cluster):
    path = grid(make_notebook, make_grid, "1 / (a - 1)")
    given = {"notebooks": tmp_path, "engine": "ray", "progress": False, "retries": 0}
    records = run_grid(path, tmp_path / "out", address=cluster.address, **given)
    assert [r["status"] for r in records] == ["failed", "finished", "finished"]
    assert "ZeroDivisionError: division by zero" in records[0]["error"]
    assert json.loads((tmp_path / "out" / records[0]["name"] / "record.json").read_text())


def test_an_address_where_no_cluster_is():
    with pytest.raises(RagftError, match="no Ray cluster at 127.0.0.1:9 .*; start one with"):
        _engine("ray", "127.0.0.1:9", None, 1)
