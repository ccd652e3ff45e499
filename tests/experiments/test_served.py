"""A comparison and a latency run against a server: nothing is trained, everything is recorded."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from ragft.experiments.compare import ARMS, compare
from ragft.experiments.latency import Sweep, latency
from ragft.experiments.tasks import world_task
from ragft.generation import catalog
from ragft.profiles import profile
from ragft.types import RagftError
from tests.fake_server import FakeServer

SIZES = profile(
    "smoke", facts=6, questions=6, world_subjects=16, n_boot=50, max_new_tokens=6, seeds=(0, 1)
)
ADAPTERS = "&facts=facts-lora&other_facts=other-lora&reading=reading-lora"


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RAGFT_API_KEY", "sk-secret")
    catalog._server.cache_clear()  # a port may come again


@pytest.fixture
def server():
    models = [{"id": "base", "max_model_len": 8192}]
    models += [{"id": f"{name}-lora", "parent": "base"} for name in ("facts", "other", "reading")]
    with FakeServer(models=models, key="sk-secret") as made:
        yield made


@pytest.fixture(scope="module")
def task():
    return world_task(SIZES, 6)


def compared(server, task, out, fragment=ADAPTERS, arms=ARMS):
    model = f"{server.url}#base{fragment}"
    return compare(task, arms=arms, model=model, seeds=(0, 1), base=SIZES, out=out, progress=False)


def test_every_arm_is_compared_and_the_record_says_what_was_asked(server, task, tmp_path):
    server.fault = lambda number: ("500", "drop")[number // 10 % 2] if number % 10 == 0 else ""
    found = compared(server, task, tmp_path)
    table = found.table
    assert set(table.index) == {*ARMS, "oracle_raft"}
    assert set(table["seeds"]) == {1}  # what is not trained here has no training seeds
    assert table["training_seconds"].isna().all()
    assert found.answers["entropy"].isna().all()
    asked = found.answers[found.answers["arm"] != "prior"]
    assert (asked["prompt_tokens"] > 0).all() and (asked["latency_ms"] > 0).all()
    text = (found.folder / "record.json").read_text()
    record = json.loads(text)
    assert record["parameters"]["server"]["url"] == server.url
    assert record["parameters"]["server"]["adapters"]["facts"] == "facts-lora"
    counts = record["results"]["server"]
    assert counts["tries"] == counts["answered"] + sum(counts["failures"].values())
    assert set(counts["failures"]) == {"500", "dropped"}
    assert "sk-secret" not in text


def test_a_finished_comparison_asks_nothing_and_another_model_anew(server, task, tmp_path):
    first = compared(server, task, tmp_path, arms=("prompt", "rag"))
    before = len(server.seen)
    again = compared(server, task, tmp_path, arms=("prompt", "rag"))
    assert again.folder == first.folder and len(server.seen) == before


def test_what_was_answered_before_a_failure_is_not_asked_again(server, task, tmp_path):
    def answer(text, name):
        return (400, "broken") if "[2]" in text else " Oslo"

    server.answer = answer
    with pytest.raises(RagftError, match="400: broken"):
        compared(server, task, tmp_path, "", ("prompt", "rag"))
    asked = [body["messages"][-1]["content"] for _, body, _ in server.seen]
    closed = {text for text in asked if "[" not in text}
    server.answer, before = (lambda text, name: " Oslo"), len(server.seen)
    found = compared(server, task, tmp_path, "", ("prompt", "rag"))
    since = [body["messages"][-1]["content"] for _, body, _ in server.seen[before:]]
    assert not closed & set(since)  # the cell of `prompt` was finished
    assert set(found.table.index) == {"prompt", "rag"}


def test_arms_that_train_are_refused_before_anything_is_asked_of_them(server, task, tmp_path):
    with pytest.raises(RagftError, match="cannot be trained; leave out the arms that train"):
        compared(server, task, tmp_path, "", ("prompt", "finetuned"))
    assert [body["max_tokens"] for _, body, _ in server.seen] == [1]  # it was opened, no more


def test_probabilities_are_the_servers_or_not_applicable(server, task, tmp_path):
    server.answer = lambda text, name: " one two three"
    answers = compared(server, task, tmp_path / "a", arms=("prompt",)).answers
    assert set(answers["logprob"]) == {-1.5}
    server.logprob = None
    answers = compared(server, task, tmp_path / "b", arms=("prompt",)).answers
    assert answers["logprob"].isna().all()


def test_latency_tells_the_server_from_the_rest_and_no_stage_inside_it(server, task, tmp_path):
    server.pause = 0.02
    sweep = Sweep(
        indexes=(100, 300), passages=(1, 3), batches=(1, 2), questions=4, warm_up=1,
        swept=("rag",),
    )  # fmt: skip
    model = f"{server.url}#base{ADAPTERS}"
    found = latency(task, sweep, model=model, base=SIZES, out=tmp_path, progress=False)
    times = found.times
    assert times[["prefill", "decode", "per_token"]].isna().all().all()
    assert (times["server"] > 0).all()
    parts = times[["embed", "search", "server", "own"]].sum(axis=1)
    assert (abs(parts - times["total"] / times["together"]) < 1e-6).all()
    base = times[(times["axis"] == "batch") & (times["value"] == 1)]
    assert (base["ttft"] > 20).all()  # the pause before its first token
    assert {"server", "ttft", "total", "own"} <= set(found.summary["measure"])
    assert not {"prefill", "decode"} & set(found.summary["measure"])
    assert found.floors.empty or not {"prefill", "decode"} & set(found.floors["stage"])
    assert found.quantities["latency_rag_over_finetuned"]["mean"] > 0
    assert found.record["results"]["server"]["answered"] > 0


def test_the_picture_of_the_stages_has_the_server_in_it(server, task, tmp_path):
    from ragft.plotting.stages import stage_curves
    from ragft.report.latency import quantiles_frame, stages_frame

    sweep = Sweep(indexes=(100, 300), passages=(1,), batches=(1,), questions=3, swept=("rag",))
    found = latency(
        task, sweep, arms=("prompt", "rag"), model=f"{server.url}#base", base=SIZES, out=tmp_path,
        progress=False,
    )  # fmt: skip
    stages = stages_frame(found.times, "index")
    shown = stages.dropna().set_index("stage")["mean"]
    assert (shown["server"] > 0).all() and not {"prefill", "decode"} & set(shown.index)
    frame = quantiles_frame(found.summary, "index", ["prompt", "rag"])
    assert isinstance(stages, pd.DataFrame) and not math.isnan(frame["value"].iloc[0])
    texts = [t.get_text() for t in stage_curves(stages, frame, "passages").axes[0].texts]
    assert "answer of the server" in " ".join(texts)
