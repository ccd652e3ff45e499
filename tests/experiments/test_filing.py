"""Items filed one at a time: the same as in the behaviour experiment, with their times."""

import numpy as np
import pandas as pd
import pytest

from ragft.experiments import behaviour_cells
from ragft.experiments.behaviour import behaviour
from ragft.experiments.filing import ARMS, filing, quantities
from ragft.profiles import profile
from ragft.runtime import cache_dir
from ragft.types import RagftError

SIZES = profile("smoke", n_boot=100)


def rows(arm, passed, alone_ms, *, pairs=0, seed=0, prompt_tokens=100.0):
    names = [f"item {i}" for i in range(len(passed))]
    frame = pd.DataFrame({"question_id": names, "passed": passed, "alone_ms": alone_ms})
    frame = frame.assign(part="taxonomy", condition="asked", cluster=names, arm=arm)
    return frame.assign(pairs=pairs, seed=seed, prompt_tokens=prompt_tokens)


def test_the_ratios_are_of_medians_and_of_tokens_with_seeds_averaged():
    ms = np.arange(12.0)
    frames = (
        rows("fewshot", [0] * 12, 80 + 4 * ms, prompt_tokens=900.0),
        rows("finetuned", [1] * 12, 10 + ms, pairs=9, prompt_tokens=45.0),
        rows("finetuned", [1] * 12, 30 + ms, pairs=9, prompt_tokens=45.0, seed=1),
    )
    found = quantities(pd.concat(frames, ignore_index=True), SIZES)
    one = found["latency_large_prompt_over_small_tuned"]
    assert (one["mean"], one["low"], one["high"], one["unit"]) == (4, 4, 4, "ratio")
    assert one["note"].startswith("filed rightly: 0.0 % by the prompt, 100.0 % once tuned")
    assert found["prompt_tokens_large_prompt_over_small_tuned"]["mean"] == pytest.approx(20)


@pytest.fixture(scope="module")
def run(tmp_path_factory, roomy_model):
    folder = tmp_path_factory.mktemp("filing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(folder / "cache"))
        options = {
            "asked": 12, "model": roomy_model, "seeds": (3, 4), "base": SIZES,
            "out": folder / "out", "progress": False,
        }  # fmt: skip
        yield filing(2, **options), options


def test_every_item_is_timed_once_for_every_training(run):
    answers = run[0].answers
    asked = answers.groupby(["arm", "pairs", "seed"])["question_id"].nunique().to_dict()
    assert asked == {("fewshot", 0, 3): 12, ("finetuned", 2, 3): 12, ("finetuned", 2, 4): 12}
    assert (answers["alone_ms"] > 0).all() and not answers["passed"].isna().any()
    assert set(run[0].summary["arm"]) == set(ARMS)
    assert set(run[0].quantities) == {
        "latency_large_prompt_over_small_tuned",
        "prompt_tokens_large_prompt_over_small_tuned",
    }


def test_it_answers_as_the_behaviour_experiment_does_and_their_adapters_are_the_same(run):
    found, options = run
    trained = sorted((cache_dir() / "adapters").iterdir())
    other = behaviour(("taxonomy",), counts=(2,), facts=0, both=False, **options).answers
    assert sorted((cache_dir() / "adapters").iterdir()) == trained
    keys = ["arm", "pairs", "seed", "question_id"]
    mine, theirs = (
        frame.set_index(keys)[["text", "passed", "prompt_tokens"]].sort_index()
        for frame in (found.answers, other[other["arm"].isin(ARMS)])
    )
    pd.testing.assert_frame_equal(mine, theirs.loc[mine.index])


def test_a_finished_run_is_read(run, monkeypatch):
    found, options = run
    monkeypatch.setattr(behaviour_cells.Work, "reader", lambda *_: pytest.fail("asked again"))
    assert filing(2, **options).folder == found.folder


@pytest.mark.parametrize(("pairs", "asked"), [(0, 4), (2, 1)])
def test_numbers_out_of_range_are_named(pairs, asked, tmp_path):
    with pytest.raises(RagftError, match=f"filing: pairs={pairs} .* asked={asked} 2 or more"):
        filing(pairs, asked=asked, base=SIZES, out=tmp_path)
