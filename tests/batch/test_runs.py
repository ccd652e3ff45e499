from __future__ import annotations

import json

import pytest

from ragft.batch import runs
from ragft.batch.reproduction import reproduce
from ragft.batch.runs import NotebookRun, numbered_notebooks, run_notebook, table
from ragft.types import RagftError

library_hash = runs.library_hash


@pytest.fixture
def executed(monkeypatch):
    """Replace papermill by a stand-in that notes what it was asked to run."""
    calls = []

    def stand_in(path, parameters, progress=False):
        calls.append((path.stem, parameters))
        return json.dumps(parameters)

    monkeypatch.setattr(runs, "execute", stand_in)
    return calls


@pytest.fixture(autouse=True)
def still_library(monkeypatch):
    """Keep the library's hash as it is, though somebody may be editing it."""
    monkeypatch.setattr(runs, "library_hash", lambda: "a library")


def test_a_real_run_leaves_the_executed_notebook_and_a_record(make_notebook, tmp_path):
    path = make_notebook("a = 1", "print(a + 1)")
    out = tmp_path / "deep" / "er" / "01_small.ipynb"
    run = run_notebook(path, out, {"a": "41"})
    assert (run.name, run.status, run.path, run.error) == ("01_small", "ran", out, "")
    assert run.seconds > 0
    assert '"42\\n"' in out.read_text()
    record = json.loads((out.parent / "01_small.ipynb.done.json").read_text())
    assert record["parameters"] == {"a": 41}
    assert sorted(p.name for p in out.parent.iterdir()) == [out.name, f"{out.name}.done.json"]
    assert run_notebook(path, out, {"a": 41}).status == "skipped"


def test_after_a_killed_kernel_the_notebook_runs_again(make_notebook, tmp_path):
    mark = tmp_path / "mark"
    die_once = (
        "import os, pathlib\n"
        f"mark = pathlib.Path({str(mark)!r})\n"
        "if not mark.exists():\n"
        "    mark.touch()\n"
        "    os._exit(1)\n"
    )
    path, out = make_notebook("a = 1", die_once, "print('end')"), tmp_path / "out" / "n.ipynb"
    with pytest.raises(RagftError, match="the kernel died"):
        run_notebook(path, out)
    assert mark.exists()
    assert not out.exists()
    assert run_notebook(path, out).status == "ran"
    assert run_notebook(path, out).status == "skipped"


def test_it_runs_again_exactly_when_something_it_depends_on_changed(
    make_notebook, tmp_path, executed, monkeypatch
):
    out, pictures = tmp_path / "out.ipynb", tmp_path / "figures"
    (pictures / "data").mkdir(parents=True)
    picture, other = pictures / "data" / "01_a.json", pictures / "02_b.png"
    picture.write_text("{}")
    other.write_text("other")

    path = make_notebook("a = 1", "print(a)")

    def status(**parameters):
        return run_notebook(path, out, parameters, products=pictures).status

    assert [status(), status()] == ["ran", "skipped"]
    assert [status(a=2), status(a=2), status(a="2")] == ["ran", "skipped", "skipped"]
    picture.write_text("changed")
    assert [status(a=2), status(a=2)] == ["ran", "skipped"]
    picture.unlink()
    assert [status(a=2), status(a=2)] == ["ran", "skipped"]
    other.write_text("not its own")
    assert status(a=2) == "skipped"
    out.write_text("{}")
    assert [status(a=2), status(a=2)] == ["ran", "skipped"]
    make_notebook("a = 1", "print(a + 0)")
    assert [status(a=2), status(a=2)] == ["ran", "skipped"]
    monkeypatch.setattr(runs, "library_hash", lambda: "another library")
    assert [status(a=2), status(a=2)] == ["ran", "skipped"]
    assert run_notebook(path, out, {"a": 2}, force=True).status == "ran"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"inputs": "x", "files": 3}', "null"])
def test_a_broken_record_is_not_trusted(make_notebook, tmp_path, executed, content):
    path, out = make_notebook("a = 1"), tmp_path / "out.ipynb"
    run_notebook(path, out)
    (tmp_path / "out.ipynb.done.json").write_text(content)
    assert run_notebook(path, out).status == "ran"


def test_a_failed_run_leaves_the_earlier_result_whole(make_notebook, tmp_path, executed):
    out = tmp_path / "out.ipynb"
    run_notebook(make_notebook("a = 1"), out)
    before = {p.name: p.read_bytes() for p in tmp_path.glob("out*")}

    def fail(path, parameters, progress=False):
        raise RagftError("it failed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "execute", fail)
        with pytest.raises(RagftError, match="it failed"):
            run_notebook(make_notebook("a = 1", "1 / 0"), out)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("out*")} == before
    assert run_notebook(make_notebook("a = 1"), out).status == "skipped"


def test_a_full_disk_is_one_message_and_leaves_nothing_half_written(
    make_notebook, tmp_path, executed, monkeypatch
):
    out = tmp_path / "full" / "out.ipynb"

    def replace(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(RagftError, match=r"out\.ipynb: cannot be written \(No space left"):
        run_notebook(make_notebook("a = 1"), out)
    assert list(out.parent.iterdir()) == []


def test_the_librarys_hash_covers_code_tables_and_weights(tmp_path, monkeypatch):
    package = tmp_path / "ragft"
    (package / "batch").mkdir(parents=True)
    (package / "weights").mkdir()
    monkeypatch.setattr(runs, "__file__", str(package / "batch" / "runs.py"))
    seen = {library_hash()}
    for name in ("batch/a.py", "claims.yaml", "weights/model.safetensors", "weights/config.json"):
        (package / name).write_text("x")
        seen.add(library_hash())
        (package / name).write_text("y")
        seen.add(library_hash())
    assert len(seen) == 9
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.pyc").write_text("x")
    assert library_hash() in seen


def test_notebooks_are_chosen_by_number_or_name(tmp_path):
    for name in ("02_b", "00_start", "10_c", "notes", "1_d"):
        (tmp_path / f"{name}.ipynb").write_text("")
    names = [p.stem for p in numbered_notebooks(tmp_path)]
    assert names == ["00_start", "02_b", "10_c"]
    for only in (["10", "0"], ["10_c.ipynb", "00_start"], ["00", "10", "10"]):
        assert [p.stem for p in numbered_notebooks(tmp_path, only)] == ["00_start", "10_c"]
    with pytest.raises(RagftError, match="no notebook '03' in .*: 00_start, 02_b, 10_c"):
        numbered_notebooks(tmp_path, ["00", "03"])
    with pytest.raises(RagftError, match=r"no notebooks named NN_name\.ipynb"):
        numbered_notebooks(tmp_path / "empty")


def test_reproduce_gives_each_notebook_what_it_takes(make_notebook, tmp_path, executed):
    make_notebook("profile = 'cpu'\nresults = ''", name="00_a")
    make_notebook("profile = 'cpu'\nfigures = ''\nfull = False", name="01_b")
    places = {"results": tmp_path / "r", "figures": tmp_path / "f"}
    done = reproduce(tmp_path, "smoke", **places, parameters={"full": True}, progress=False)
    assert executed == [
        ("00_a", {"profile": "smoke", "results": str(tmp_path / "r")}),
        ("01_b", {"profile": "smoke", "figures": str(tmp_path / "f"), "full": True}),
    ]
    assert [run.status for run in done] == ["ran", "ran"]
    assert done[0].path == tmp_path / "r" / "notebooks" / "smoke" / "00_a.ipynb"
    again = reproduce(tmp_path, "smoke", ["1"], **places, parameters={"full": True}, progress=False)
    assert [(run.name, run.status) for run in again] == [("01_b", "skipped")]


def test_a_reduced_run_leaves_pictures_of_the_full_grid_alone(make_notebook, tmp_path, executed):
    make_notebook("profile = 'cpu'\nfigures = ''\nfull = False", name="01_b")
    make_notebook("profile = 'cpu'\nfigures = ''", name="02_c")
    places = {"results": tmp_path / "r", "figures": tmp_path / "f", "progress": False}
    reproduce(tmp_path, "cpu", **places, parameters={"full": True})
    reproduce(tmp_path, "cpu", **places)
    assert [values["figures"] for _, values in executed] == [
        str(tmp_path / "f"),
        str(tmp_path / "f"),  # has no full grid, so that one run is as good as the other
        str(tmp_path / "f" / "reduced"),
    ]


def test_reproduce_checks_every_notebook_before_the_first_runs(make_notebook, tmp_path, executed):
    places = {"results": tmp_path / "r", "figures": tmp_path / "f", "progress": False}
    make_notebook("profile = 'cpu'", name="00_a")
    make_notebook("seed = 1", name="01_b")
    with pytest.raises(RagftError, match=r"01_b\.ipynb has no parameter 'profile'"):
        reproduce(tmp_path, **places)
    with pytest.raises(RagftError, match="none of 00_a has a parameter 'sed'"):
        reproduce(tmp_path, only=["00"], parameters={"sed": 3}, **places)
    assert executed == []


def test_a_failure_is_reported_and_the_next_notebook_runs(make_notebook, tmp_path, monkeypatch):
    def first_fails(path, parameters, progress=False):
        if path.stem == "00_a":
            raise RagftError("00_a.ipynb: stopped")
        return "{}"

    monkeypatch.setattr(runs, "execute", first_fails)
    for name in ("00_a", "01_b"):
        make_notebook("profile = 'cpu'", name=name)
    done = reproduce(tmp_path, results=tmp_path, figures=tmp_path / "f", progress=False)
    assert [(run.status, run.error) for run in done] == [
        ("failed", "00_a.ipynb: stopped"),
        ("ran", ""),
    ]
    assert not done[0].path.exists()


def test_the_table_has_a_line_a_notebook_and_the_errors_below(tmp_path):
    text = table(
        [
            NotebookRun("00_start_here", "ran", 12.34, tmp_path),
            NotebookRun("01_b", "failed", 0.0, tmp_path, "01_b.ipynb: stopped"),
        ]
    )
    assert text.splitlines() == [
        "00_start_here  ran          12.3 s",
        "01_b           failed        0.0 s",
        "",
        "01_b.ipynb: stopped",
    ]
    assert table([]) == ""
