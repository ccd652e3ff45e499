"""Notebooks of a few cells, made where a test needs them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import nbformat
import pytest

from ragft.batch.worker import work
from ragft.types import RagftError


@pytest.fixture
def make_notebook(tmp_path):
    """Return a function that writes a notebook from a parameters cell and further code cells."""

    def make(
        parameters: str | None, *cells: str, name: str = "01_small", tags: tuple[str, ...] = ()
    ) -> Path:
        notebook = nbformat.v4.new_notebook()
        notebook.cells.append(nbformat.v4.new_markdown_cell("# A notebook"))
        if parameters is not None:
            tags = ["parameters", *tags]
            tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": tags})
            notebook.cells.append(tagged)
        notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return path

    return make


@pytest.fixture
def cluster():
    """Return a Ray cluster of two nodes with a CPU each, to which this process is connected."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    utils = pytest.importorskip("ray.cluster_utils")
    made = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.second = made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def make_grid(tmp_path):
    """Return a function that writes a grid file and returns its path."""

    def make(text: str, name: str = "grid") -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    return make


@pytest.fixture
def stand_in(monkeypatch):
    """Run jobs in this process, without papermill; return what was run, in order.

    A notebook fails as often as its name says in the list's `fails`.
    """
    from ragft.batch import batches, reproduction, runs

    class Calls(list):
        """What was run, and what is to fail."""

    calls = Calls()
    calls.fails = Counter()

    def execute(path, parameters, progress=False):
        if callable(progress):
            progress(0, 2)
        calls.append((path.stem, parameters))
        if calls.fails[path.stem] > 0:
            calls.fails[path.stem] -= 1
            raise RagftError(f"{path.name}: it broke")
        return json.dumps(parameters)

    monkeypatch.setattr(runs, "execute", execute)
    monkeypatch.setattr(runs, "library_hash", lambda: "a library")
    monkeypatch.setattr(batches, "LocalWorkers", InProcess)
    monkeypatch.setattr(reproduction, "LocalWorkers", InProcess)
    return calls


class InProcess:
    """An engine that runs a job when it is waited for."""

    name = "here"

    def __init__(self, workers=1, threads=None):
        self.workers, self.threads, self.waiting, self.closed = workers, threads, [], False

    def start(self, job):
        assert len(self.waiting) < self.workers
        self.waiting.append(job)

    def wait(self, seconds):
        job, messages = self.waiting.pop(0), []
        Path(job.out).parent.mkdir(parents=True, exist_ok=True)
        work(job, messages.append)
        return [(job, message) for message in messages]

    def close(self):
        self.closed = True


STILL = """
import sys

if "ipykernel_launcher" not in sys.orig_argv:
    # A grammar for addresses that takes seconds to build, and that no notebook here needs.
    sys.modules["rfc3987_syntax"] = None
    import ragft.batch.runs

    ragft.batch.runs.library_hash = lambda: "a library"
"""


@pytest.fixture
def still_library(monkeypatch, tmp_path):
    """Keep the library's hash as it is, in workers too, though somebody may be editing it."""
    monkeypatch.setattr("ragft.batch.runs.library_hash", lambda: "a library")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(STILL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
