import json
from dataclasses import replace

import pytest
import torch

from ragft.generation.embedded import lessons, pretrain, tokens
from ragft.generation.embedded.pretrain import Recipe
from ragft.generation.embedded.probing import _pieces
from ragft.generation.local import LocalModel
from ragft.types import RagftError

TINY = Recipe(tokens=2_000, width=64, layers=1, inner=64, phases=((0.5, 160, 2), (1.0, 240, 2)))


@pytest.fixture(autouse=True)
def few_lessons_make_the_tokenizer(monkeypatch):
    short = [make for make, _, _ in lessons.MIX if make.__name__ in ("closed", "plain")]
    monkeypatch.setattr(lessons, "MIX", tuple((make, 1.0, 1.0) for make in short))


def run(folder, recipe=TINY, **options):
    options = {"compiled": False, "device": "cpu", "checkpoint_every": 1} | options
    return pretrain.pretrain(folder, recipe, **options)


def weights(folder):
    return LocalModel.load(folder).network.state_dict()


def test_a_stopped_run_goes_on_and_ends_with_the_same_weights(tmp_path):
    whole = run(tmp_path / "whole")
    stopped = run(tmp_path / "stopped", stop_after=0.0)
    assert not stopped.is_dir()
    resumed = run(tmp_path / "stopped")
    one, two = weights(whole), weights(resumed)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_model_loads_and_answers(tmp_path):
    model = LocalModel.load(run(tmp_path))
    (said,) = model.generate(["Answer the question.\nQuestion: Who?\nAnswer:"], max_new_tokens=3)
    assert said.prompt_tokens > 5 and model.context_length == tokens.CONTEXT


def test_another_recipe_in_the_same_folder_is_refused(tmp_path):
    run(tmp_path, stop_after=0.0)
    with pytest.raises(RagftError, match="another recipe was begun here"):
        run(tmp_path, replace(TINY, seed=1))


def test_the_log_tells_what_was_seen(tmp_path):
    run(tmp_path)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert entries[0]["step"] == 0 and entries[0]["loss"] > 3


def test_learning_rates_rise_stay_and_fall():
    recipe = Recipe(decay_share=0.4)
    assert recipe.scale(0.0, 0) == pytest.approx(1 / 60)
    assert recipe.scale(0.3, 1000) == recipe.scale(0.6, 1000) == 1.0
    assert recipe.scale(0.8, 1000) == pytest.approx(0.5)


def test_weights_of_the_loss():
    class Uniform:
        def __call__(self, input_ids, use_cache):
            logits = torch.zeros(*input_ids.shape, 4)
            logits[..., 1] = 2.0
            return type("Out", (), {"logits": logits})

    ids = torch.tensor([[0, 1, 2, 1, 0]])
    marks = torch.tensor([[0, 0, 1, 2, -1]])
    loss = pretrain._loss(Uniform(), Recipe(context_weight=0.5, citation_weight=3.0), ids, marks)
    total = torch.logsumexp(torch.tensor([0.0, 2.0, 0.0, 0.0]), 0)
    right, wrong = total - 2, total
    expected = (0.5 * right + 1.0 * wrong + 3.0 * right) / 4.5
    assert loss.item() == pytest.approx(expected.item(), rel=1e-2)


def test_pieces_are_right_as_a_whole():
    right = [True, False, True, True, True, False]
    taught = [True, True, False, True, True, False]
    assert _pieces(right, taught) == [False, True]


def test_the_resident_recipe_begins_with_another_models_weights_and_tokenizer(tmp_path):
    first = run(tmp_path / "first")
    recipe = replace(TINY, start=str(first), known=0.5, matrix_lr=0.0, other_lr=0.0)
    second = run(tmp_path / "second", recipe)
    assert (second / "tokenizer.json").read_text() == (first / "tokenizer.json").read_text()
    one, two = weights(first), weights(second)
    assert all(torch.equal(one[name], two[name]) for name in one)
