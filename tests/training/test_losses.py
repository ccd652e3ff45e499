"""Losses held against the definition and the trainer's own, and the worst share by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ragft import models
from ragft.training import losses as module
from ragft.training.finetune import finetune
from ragft.training.losses import cross_losses, example_losses, worst
from ragft.training.rows import tokenise
from ragft.types import Example, RagftError

EXAMPLES = [
    Example(f"Question: {ask}?\nAnswer:", f" {say}")
    for ask, say in {"Tarmo": "Oslo", "Velka": "Ravik and Oslo", "veld": "31", "town": "7"}.items()
]
SETTINGS = {"rank": 4, "epochs": 3, "learning_rate": 2e-2, "batch_tokens": 64, "progress": False}


@pytest.fixture(scope="module")
def tuned(tiny_model, tmp_path_factory):
    """The examples learnt by each method that can be scored with."""
    folder = tmp_path_factory.mktemp("tuned")
    return {
        method: finetune(tiny_model, EXAMPLES, out=folder / method, method=method, **SETTINGS)
        for method in ("lora", "full", "prompt")
    }


def by_definition(folder, network) -> list[float]:
    """Read one example at a time, and look up each token of its completion."""
    nats = []
    for row in tokenise(folder, EXAMPLES, None)[0]:
        with torch.inference_mode():
            logp = torch.log_softmax(network(torch.tensor([row.ids])).logits[0].double(), -1)
        places = range(row.prompt, len(row.ids))
        nats.append(-sum(logp[place - 1, row.ids[place]].item() for place in places))
    return nats


def test_losses_are_those_of_the_definition(tiny_model):
    network = models.open_network(tiny_model, device="cpu", dtype=torch.float32)
    total = np.array(by_definition(tiny_model, network))
    rows, _ = tokenise(tiny_model, EXAMPLES, None)
    tokens = [len(row.ids) - row.prompt for row in rows]
    assert len(set(tokens)) > 1
    assert example_losses(tiny_model, EXAMPLES, per_token=False) == pytest.approx(total, rel=1e-5)
    assert example_losses(tiny_model, EXAMPLES) == pytest.approx(total / tokens, rel=1e-5)


def test_batches_move_them_by_rounding_alone(tiny_model):
    together = example_losses(tiny_model, EXAMPLES)
    apart = example_losses(tiny_model, EXAMPLES, batch_tokens=1)
    assert together == pytest.approx(apart, rel=1e-5)
    assert example_losses(tiny_model, EXAMPLES[::-1]) == pytest.approx(together[::-1], rel=1e-5)


@pytest.mark.parametrize("method", ["lora", "full", "prompt"])
def test_training_lowers_the_losses_of_what_it_was_given(tiny_model, tuned, method):
    before = example_losses(tiny_model, EXAMPLES)
    after = example_losses(tiny_model, EXAMPLES, tuned[method].adapter)
    assert after.shape == (4,)
    assert after.mean() < before.mean() - 0.1


def test_an_adapter_is_merged_or_not_with_the_same_losses(tiny_model, tuned, tmp_path):
    from ragft.training.adapters import merge

    merged = merge(tiny_model, tuned["lora"].adapter, out=tmp_path / "merged")
    beside = example_losses(tiny_model, EXAMPLES, tuned["lora"].adapter)
    assert example_losses(merged, EXAMPLES) == pytest.approx(beside, rel=1e-4)


def test_bad_input_is_refused(tiny_model, other_model, tuned):
    assert example_losses(tiny_model, []).shape == (0,)
    with pytest.raises(RagftError, match="example 1 has an empty completion"):
        example_losses(tiny_model, [EXAMPLES[0], Example("a", " ")])
    with pytest.raises(RagftError, match="made for another base"):
        example_losses(other_model, EXAMPLES, tuned["lora"].adapter)
    with pytest.raises(RagftError, match="batch_tokens=0: must be at least 1"):
        example_losses(tiny_model, EXAMPLES, batch_tokens=0)


def test_every_example_is_scored_by_an_adapter_that_never_saw_it(tiny_model, tmp_path, monkeypatch):
    seen = {}

    def spy(model, examples, *, out, **options):
        seen[out.name] = ({e.prompt for e in examples}, options)
        return finetune(model, examples, out=out, **options)

    scored = {}

    def score(model, examples, adapter):
        scored[adapter.name] = {e.prompt for e in examples}
        return np.array([float(EXAMPLES.index(e)) for e in examples])

    monkeypatch.setattr(module, "finetune", spy)
    monkeypatch.setattr(module, "example_losses", score)
    options = SETTINGS | {"epochs": 1}
    found = cross_losses(tiny_model, EXAMPLES, out=tmp_path, folds=3, seed=5, **options)
    assert found.tolist() == [0.0, 1.0, 2.0, 3.0]  # each in its own place
    every = {e.prompt for e in EXAMPLES}
    assert sorted(map(len, scored.values())) == [1, 1, 2]
    assert set.union(*scored.values()) == every
    for fold, (trained, given) in seen.items():
        assert trained == every - scored[fold]
        assert (given["seed"], given["conflicts"]) == (5, "allow")


def test_folds_are_the_same_again(tiny_model, tmp_path):
    options = SETTINGS | {"epochs": 1}
    once = cross_losses(tiny_model, EXAMPLES, out=tmp_path / "a", **options)
    assert np.isfinite(once).all()
    assert cross_losses(tiny_model, EXAMPLES, out=tmp_path / "b", **options).tolist() == (
        once.tolist()
    )


@pytest.mark.parametrize(("folds", "count"), [(1, 4), (2, 1), (2, 0)])
def test_too_few_folds_or_examples(tiny_model, tmp_path, folds, count):
    with pytest.raises(RagftError, match=f"folds={folds} for {count} examples: at least 2"):
        cross_losses(tiny_model, EXAMPLES[:count], out=tmp_path, folds=folds)


def test_the_worst_share_by_hand():
    nothing = float("nan")
    assert worst([0.5, 2.0, 1.0, 3.0, 0.1], 0.4) == [1, 3]
    assert worst([0.5, nothing, 1.0], 1.0) == [0, 2]
    assert worst([1.0, 1.0, 1.0, 1.0], 0.5) == [0, 1]
    assert worst([1.0, float("inf")], 0.5) == [1]
    assert worst([], 0.5) == worst([1.0, 2.0], 0.0) == worst([nothing], 1.0) == []
    with pytest.raises(RagftError, match="share=nan: must lie between 0 and 1"):
        worst([1.0], nothing)
