"""The record store: cached once, whole or not there, refused when changed."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ragft.profiles import profile
from ragft.records import Records, content_key, load_run
from ragft.types import RagftError

KEY = content_key({"arm": "rag", "k": 5}, corpus="c", model="m", seed=1)


def frame() -> pd.DataFrame:
    return pd.DataFrame({"arm": ["rag", "rag"], "score": [1.0, math.nan], "day": [None, "x"]})


def compute():
    return frame(), {"tokens": np.int64(12), "undefined": math.nan}


def test_content_key_depends_on_everything_but_order():
    assert content_key({"k": 5, "arm": "rag"}, corpus="c", model="m", seed=1) == KEY
    others = [
        content_key({"arm": "rag", "k": 6}, corpus="c", model="m", seed=1),
        content_key({"arm": "rag", "k": 5}, corpus="d", model="m", seed=1),
        content_key({"arm": "rag", "k": 5}, corpus="c", model="n", seed=1),
        content_key({"arm": "rag", "k": 5}, corpus="c", model="m", seed=2),
        content_key({"arm": "rag", "k": 5}, corpus="c", model="m", adapter="a", seed=1),
    ]
    assert len({KEY, *others}) == 6


def test_cell_is_computed_once_and_read_back_equal(tmp_path):
    calls = []

    def counted():
        calls.append(1)
        return compute()

    first, meta = Records(tmp_path).cached(KEY, counted)
    second, again = Records(tmp_path).cached(KEY, counted)
    assert len(calls) == 1
    pd.testing.assert_frame_equal(first, second)
    assert meta == again == {"tokens": 12, "undefined": None}
    assert first["score"].isna().tolist() == [False, True]


def test_failed_cell_is_not_kept(tmp_path):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Records(tmp_path).cached(KEY, fail)
    assert len(Records(tmp_path).cached(KEY, compute)[0]) == 2


@pytest.mark.parametrize("name", ["frame.parquet", "meta.json", "manifest.json"])
def test_flipped_byte_in_a_cell_is_refused_by_name(tmp_path, name):
    Records(tmp_path).cached(KEY, compute)
    (path,) = tmp_path.glob(f"cells/*/{name}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    named = name if name != "manifest.json" else ""
    with pytest.raises(RagftError, match=f"{named}.*delete the folder"):
        Records(tmp_path).cached(KEY, compute)


def test_cell_of_another_key_is_refused(tmp_path):
    Records(tmp_path).cached(KEY, compute)
    other = KEY[:16] + "0" * 48
    with pytest.raises(RagftError, match="belongs to another key"):
        Records(tmp_path).cached(other, compute)


def test_built_folder_is_built_once_and_checked_each_time(tmp_path):
    calls = []

    def build(folder):
        calls.append(1)
        (folder / "weights").write_bytes(b"1234")

    folder = Records(tmp_path).built(KEY, build)
    assert Records(tmp_path).built(KEY, build) == folder
    assert len(calls) == 1
    (folder / "weights").write_bytes(b"1235")
    with pytest.raises(RagftError, match="weights: is not the file"):
        Records(tmp_path).built(KEY, build)


def finish(root, smoke=False):
    run = Records(root, smoke=smoke).open(
        "compare",
        KEY,
        parameters={"k": 5},
        profile=profile("smoke"),
        seeds=(0, 1),
        hashes={"corpus": "c", "model": "m"},
    )
    assert not run.finished
    run.cached(content_key({"cell": 1}), compute)
    return run, run.finish(frame(), {"accuracy": np.float32(0.5), "stale": math.nan})


def test_record_says_what_with_what_and_at_what_cost(tmp_path):
    run, (record, answers) = finish(tmp_path)
    assert run.finished
    assert sorted(os.listdir(run.folder)) == ["answers.parquet", "manifest.json", "record.json"]
    assert record["results"] == {"accuracy": 0.5, "stale": None}
    assert record["parameters"] == {"k": 5}
    assert record["profile"]["name"] == "smoke"
    assert record["seeds"] == [0, 1]
    assert record["hashes"] == {"corpus": "c", "model": "m"}
    assert record["packages"]["numpy"] == np.__version__
    assert record["hardware"]["cores"] >= 1
    assert record["peak_memory_mb"] > 0
    assert record["wall_seconds"] >= record["cell_seconds"] > 0
    assert {"name", "key", "date", "commit"} <= record.keys()
    pd.testing.assert_frame_equal(answers, Records(tmp_path).open("compare", KEY).load()[1])
    assert "NaN" not in (run.folder / "record.json").read_text()


def test_finished_run_is_kept_when_finished_again(tmp_path):
    _, (record, _) = finish(tmp_path)
    again = Records(tmp_path).open("compare", KEY)
    assert again.finished
    assert again.load()[0] == record
    assert again.finish(frame().head(1), {"other": 1})[0] == record


def test_unfinished_run_cannot_be_loaded(tmp_path):
    with pytest.raises(RagftError, match="is not finished; run it first"):
        Records(tmp_path).open("compare", KEY).load()


def test_records_are_found_and_loaded_by_folder(tmp_path):
    run, (record, _) = finish(tmp_path)
    assert Records(tmp_path).finished() == [run.folder]
    assert Records(tmp_path).finished("other") == []
    assert load_run(run.folder)[0] == record
    with pytest.raises(RagftError, match=r"holds no record\.json"):
        load_run(tmp_path)


def test_smoke_runs_land_apart(tmp_path):
    run, _ = finish(tmp_path, smoke=True)
    assert run.folder.is_relative_to(tmp_path / "smoke")
    assert Records(tmp_path).finished() == []
    assert Records(tmp_path, smoke=True).finished() == [run.folder]


@pytest.mark.parametrize("name", ["", "../x", "a b", "cells", "smoke"])
def test_names_that_cannot_be_folders_are_refused(tmp_path, name):
    with pytest.raises(RagftError, match="record name"):
        Records(tmp_path).open(name, KEY)


RUN = """
import os, sys
import pandas as pd
from ragft.records import Records, content_key
run = Records(sys.argv[1]).open("compare", content_key({"run": 1}))
def cell(number):
    def compute():
        with open(sys.argv[1] + "/computed", "a") as log:
            log.write(f"{number}\\n")
        if number == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
        return pd.DataFrame({"value": [number, number ** 2]}), {}
    return run.cached(content_key({"cell": number}), compute)[0]
frame = pd.concat([cell(n) for n in range(4)])
run.finish(frame, {"total": int(frame["value"].sum())})
"""


def test_killed_run_resumes_and_equals_one_never_interrupted(tmp_path):
    def start(folder, kill):
        folder.mkdir(exist_ok=True)
        return subprocess.run([sys.executable, "-c", RUN, folder, str(kill)]).returncode

    assert start(tmp_path / "killed", 2) == -signal.SIGKILL
    assert Records(tmp_path / "killed").finished() == []
    assert start(tmp_path / "killed", -1) == 0
    assert start(tmp_path / "whole", -1) == 0
    killed, whole = (load_run(Records(tmp_path / n).finished()[0]) for n in ("killed", "whole"))
    pd.testing.assert_frame_equal(killed[1], whole[1])
    assert killed[0]["results"] == whole[0]["results"]
    assert (tmp_path / "killed" / "computed").read_text().split() == ["0", "1", "2", "2", "3"]


def test_two_processes_compute_every_cell_once(tmp_path):
    both = [subprocess.Popen([sys.executable, "-c", RUN, tmp_path, "-1"]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert sorted((tmp_path / "computed").read_text().split()) == ["0", "1", "2", "3"]


def test_full_disk_keeps_earlier_results_whole(tmp_path):
    Records(tmp_path).cached(KEY, compute)
    code = (
        "import resource, sys, pandas as pd, numpy as np\n"
        "from ragft.records import Records, content_key; from ragft.types import RagftError\n"
        "big = pd.DataFrame({'x': np.random.default_rng(0).random(10_000)}); records = "
        "Records(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "try: records.cached(content_key({'big': 1}), lambda: (big, {}))\n"
        "except RagftError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], check=True, capture_output=True, text=True
    )
    assert "cells" in done.stdout
    assert "cannot be written (File too large); nothing half-written is left" in done.stdout
    assert len(list((tmp_path / "cells").glob("*/meta.json"))) == 1
    assert not list((tmp_path / "cells").glob(".*unfinished"))
    assert len(Records(tmp_path).cached(KEY, compute)[0]) == 2


def test_record_json_keeps_its_key_order(tmp_path):
    run, _ = finish(tmp_path)
    names = list(json.loads((run.folder / "record.json").read_text()))
    assert names[:3] == ["name", "key", "date"]
    assert names[-1] == "results"
