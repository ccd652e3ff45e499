"""What is asked where, that all time is accounted for, and the ledger's numbers by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ragft.experiments import latency as module
from ragft.experiments.latency import ARMS, AXES, FULL, REDUCED, SEARCHING, Sweep, latency
from ragft.experiments.latency_effects import STAGES, quantities
from ragft.experiments.tasks import world_task
from ragft.profiles import profile
from ragft.types import RagftError

SMALL = {"facts": 4, "world_subjects": 16, "n_boot": 50, "max_new_tokens": 4, "rank": 4}
SWEEP = Sweep(
    indexes=(100, 300), passages=(1, 3), batches=(1, 2), questions=5, warm_up=1,
    swept=("rag", "prompt"),
)  # fmt: skip


@pytest.fixture(scope="module")
def sizes(roomy_model):
    return profile("smoke", model=roomy_model, **SMALL)


@pytest.fixture(scope="module")
def task(sizes):
    return world_task(sizes, 4)


@pytest.fixture(scope="module")
def run(task, sizes, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("latency")
        patch.setenv("RAGFT_CACHE", str(folder / "cache"))
        options = {"base": sizes, "model": sizes.model, "out": folder, "progress": False}
        yield latency(task, SWEEP, **options), options


def test_every_arm_is_at_the_base_and_swept_ones_go_along_every_axis(run):
    counts = run[0].times.groupby(["arm", "axis", "value"]).size()
    assert (counts == 5).all()
    points = {arm: {(axis, at) for a, axis, at in counts.index if a == arm} for arm in ARMS}
    assert points["finetuned"] == points["raft"] == points["finetuned_rag"] == {("batch", 1)}
    assert points["prompt"] == {("batch", 1), ("batch", 2)}
    assert points["rag"] == {
        *(("batch", n) for n in (1, 2)), *(("passages", n) for n in (1, 3)),
        *(("index", n) for n in (100, 300)),
    }  # fmt: skip
    assert set(run[0].summary["axis"]) == set(AXES)


def test_all_time_is_accounted_for(run):
    times = run[0].times
    parts = times[list(STAGES)].sum(axis=1)
    assert np.allclose(parts, times["total"] / times["together"])
    assert (times[list(STAGES)] >= 0).all().all()
    assert times.loc[times["together"] > 1, "ttft"].isna().all()
    closed = times["arm"].isin(["prompt", "finetuned"])
    assert (times.loc[closed, ["embed", "search"]] == 0).all().all()
    assert (times.loc[~closed, "search"] > 0).all()
    # Five questions in pairs: two pairs and one alone.
    assert times[times["value"].eq(2) & times["arm"].eq("prompt")]["together"].tolist() == [
        2
    ] * 4 + [1]


def test_more_passages_are_more_tokens_and_the_base_is_the_profiles(run, sizes):
    rag = run[0].times[run[0].times["arm"] == "rag"]
    tokens = rag.groupby(["axis", "value"])["prompt_tokens"].mean()
    assert tokens["passages", 1] < tokens["passages", 3]
    assert tokens["batch", 1] == tokens["batch", 2] == tokens["index", 100]


def test_an_index_has_the_size_that_is_measured(task, sizes, tmp_path):
    work = module._Work(task, SWEEP, sizes, module.Records(tmp_path))
    for count in SWEEP.indexes:
        passages = work._library(count).index.passages
        assert len(passages) == count
        assert {p.doc_id for p in passages} >= {d.id for d in task.corpus.documents}
    assert list(work._libraries) == [300]  # one at a time


def test_dense_search_embeds_the_task_and_draws_the_crowd(task, sizes, tmp_path, monkeypatch):
    class Embeds:
        embedded = 0

        def embed(self, texts, cached=True):
            self.embedded += len(texts)
            made = np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32)
            return made / np.linalg.norm(made, axis=1, keepdims=True)

    embeds = Embeds()
    dense = replace(sizes, retriever="dense")
    monkeypatch.setattr("ragft.retrieval.dense.Embedder", lambda *_, **__: embeds)
    work = module._Work(task, SWEEP, dense, module.Records(tmp_path))
    assert len(work._library(300).index) == 300
    # Once to draw around them, once to index them; real embedders keep the first.
    assert embeds.embedded <= 2 * len(task.corpus)


def test_the_first_token_is_heard_when_one_question_is_asked(run):
    times = run[0].times
    base = (times["axis"] == "batch") & (times["value"] == 1)
    assert (times.loc[base, "ttft"] > 0).all()
    assert times.loc[~base, "ttft"].isna().all()
    quick = times[base].groupby("arm")["ttft"].median()
    assert quick["rag"] > quick["prompt"]  # there is more to read


def test_every_counted_stage_has_a_floor_below_what_it_took(run):
    floors = run[0].floors
    assert set(floors["stage"]) == {"prefill", "decode"}  # searched by BM25: nothing is counted
    assert (floors["over"] > 1).all()
    assert set(floors["axis"]) == set(AXES)
    assert set(run[0].extrapolated["model"].dropna()) == {"Llama-3.1-8B"}
    tokens = run[0].record["results"]["tokens"]
    assert set(tokens) == set(ARMS)
    assert tokens["rag"]["prompt"] > tokens["prompt"]["prompt"] > 0


def test_a_finished_run_is_read_and_another_machine_measures_anew(run, task, monkeypatch):
    found, options = run
    monkeypatch.setattr(module._Work, "compute", lambda *_: pytest.fail("measured again"))
    assert latency(task, SWEEP, **options).folder == found.folder
    monkeypatch.setattr(module, "machine", lambda: {"cpu": "other", "cores": 64})
    with pytest.raises(pytest.fail.Exception):
        latency(task, SWEEP, **options)


def test_the_ready_made_sweeps_have_what_a_curve_needs():
    for sweep in (FULL, REDUCED):
        assert len(sweep.indexes) >= 4 and len(sweep.passages) >= 4
    assert set(FULL.swept) == set(ARMS) and FULL.questions >= 300
    assert max(FULL.indexes) == 10**6 and set(REDUCED.swept) & set(SEARCHING)


def times(arm, axis="batch", value=1, **columns):
    rows = pd.DataFrame(dict.fromkeys(STAGES, 0.0) | {"total": 0.0} | columns, index=range(20))
    names = [f"q{n}" for n in range(20)]
    return rows.assign(arm=arm, axis=axis, value=value, question_id=names, cluster=names)


def found(*parts):
    made = quantities(pd.concat(parts, ignore_index=True), profile("smoke", n_boot=50))
    return {name: (one["mean"], one["unit"]) for name, one in made.items()}


def test_the_ledgers_numbers_by_hand():
    rag = {"embed": 10.0, "search": 30.0, "decode": 5.0, "own": 5.0, "total": 100.0}
    told = found(
        times("rag", prompt_tokens=400, **rag),
        times("rag", "index", 1000, **rag),
        times("rag", "index", 5000, **{**rag, "search": 190.0, "total": 260.0}),
        times("finetuned", prompt_tokens=40, decode=12.0, own=2.0, total=20.0),
    )
    assert told == {
        "latency_rag_over_finetuned": (13.0, "ratio"),
        "prompt_tokens_rag_over_finetuned": (10.0, "ratio"),
        "largest_own_share": (0.1, "ratio"),
        "retrieval_seconds": (0.2, "seconds"),
        "slower_of_decode_and_search_seconds": (0.19, "seconds"),
    }


def test_what_was_not_measured_is_left_out():
    rag = {"total": 100.0, "own": 5.0}
    assert set(found(times("rag", prompt_tokens=1, **rag))) == {"largest_own_share"}
    tuned = times("finetuned", prompt_tokens=1, total=1.0)
    assert found(tuned) == {"largest_own_share": (0.0, "ratio")}
    assert "largest_own_share" not in found(times("rag", "index", total=1.0))


@pytest.mark.parametrize(
    ("sweep", "arms", "message"),
    [
        (SWEEP, [], r"arms=\[\]: choose of prompt, finetuned"),
        (SWEEP, ["rag", "rag"], "none twice"),
        (SWEEP, ["oracle"], "choose of prompt"),
        (replace(SWEEP, indexes=()), ARMS, r"indexes=\(\): give whole numbers from 1 on, in order"),
        (replace(SWEEP, batches=(0, 1)), ARMS, r"batches=\(0, 1\): give whole numbers"),
        (replace(SWEEP, passages=(2, 1)), ARMS, r"passages=\(2, 1\): give whole numbers"),
        (replace(SWEEP, questions=0), ARMS, "questions=0 must be 1 or more"),
        (replace(SWEEP, indexes=(2, 300)), ["rag"], "so no index of 2 can hold them"),
    ],
)
def test_what_a_user_can_get_wrong(sweep, arms, message, task, sizes, tmp_path):
    with pytest.raises(RagftError, match=message):
        latency(task, sweep, arms=arms, base=sizes, model=sizes.model, out=tmp_path)


def test_closed_arms_need_no_index(task, sizes, tmp_path):
    small = replace(SWEEP, indexes=(2,), questions=2)
    options = {"base": sizes, "model": sizes.model, "out": tmp_path, "progress": False}
    found = latency(task, small, arms=["prompt"], **options)
    assert set(found.times["arm"]) == {"prompt"} and math.isnan(found.summary["low"].iloc[0])
