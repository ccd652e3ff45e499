"""What the benchmark of training compares; how long it takes is no test's matter."""

import json

import pytest

from ragft.bench import training as bench
from ragft.bench.training import _Bench, training
from ragft.types import RagftError


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch):
    """Compiling takes half a minute; one test says what it would add."""
    monkeypatch.setattr(bench, "can_compile", lambda: False)


@pytest.fixture
def trained(monkeypatch):
    """What each side was given to train on, in order, and the options of TRL's."""
    calls, ours, theirs = [], _Bench.ours, _Bench.theirs

    def mine(self, examples, epochs, seed):
        calls.append(("ours", list(examples), epochs, seed, {}))
        return ours(self, examples, epochs, seed)

    def other(self, examples, epochs, seed, **options):
        calls.append(("theirs", list(examples), epochs, seed, options))
        return theirs(self, examples, epochs, seed, **options)

    monkeypatch.setattr(_Bench, "ours", mine)
    monkeypatch.setattr(_Bench, "theirs", other)
    return calls


def test_all_sides_train_on_the_same_examples_in_turn(roomy_model, trained):
    found = training(10, repeats=2, model=roomy_model, epochs=1)
    assert [row["against"] for row in found] == ["TRL's defaults", "TRL's packing"]
    for row in found:
        assert row["size"] == 10 and 0 < row["low"] <= row["ratio"] <= row["high"]
        assert "held-out loss in nats, mean and range of 2 seeds: ours" in row["note"]
    json.dumps(found)
    assert [side for side, *_ in trained] == ["theirs", "theirs", "ours"] * 3
    warm, first, second = trained[:3], trained[3:6], trained[6:]
    assert all(len(examples) == 8 for _, examples, *_ in warm)
    assert [seed for *_, seed, _ in first + second] == [0, 0, 0, 1, 1, 1]
    examples = first[0][1]
    assert len(examples) == 10 and all(call[1] == examples for call in first + second)
    assert trained[3][4] == {} and trained[4][4]["packing"]


def test_the_ratio_is_theirs_over_ours_and_the_losses_stand_beside_it(roomy_model, monkeypatch):
    seconds = iter([1.0, 1.0, 1.0, 20.0, 30.0, 10.0, 40.0, 20.0, 10.0])
    losses = iter([0.5, 0.7, 0.6, 0.1, 0.3, 0.2])
    monkeypatch.setattr(_Bench, "ours", lambda *_: (next(seconds), {}))
    monkeypatch.setattr(_Bench, "theirs", lambda *_, **__: (next(seconds), {}))
    monkeypatch.setattr(_Bench, "loss", lambda *_: next(losses))
    plain, packed = training(8, repeats=2, model=roomy_model, epochs=1)
    assert (plain["ratio"], plain["low"], plain["high"]) == (3.0, 2.0, 4.0)
    assert (packed["ratio"], packed["low"], packed["high"]) == (2.5, 2.0, 3.0)
    assert "ours 0.4000 (0.2000 to 0.6000), TRL's 0.3000 (0.1000 to 0.5000)" in plain["note"]
    assert "TRL's 0.5000 (0.3000 to 0.7000)" in packed["note"]


def test_where_there_is_a_compiler_ours_is_also_compiled(roomy_model, monkeypatch):
    monkeypatch.setattr(bench, "can_compile", lambda: True)
    seconds = {False: 10.0, True: 5.0}
    monkeypatch.setattr(
        _Bench, "ours", lambda *_, compiled=False: (seconds[compiled], {"compiled": compiled})
    )
    monkeypatch.setattr(_Bench, "theirs", lambda *_, **__: (20.0, {}))
    monkeypatch.setattr(_Bench, "loss", lambda self, made, asked: 0.1 + made.get("compiled", 0))
    rows = training(8, repeats=1, model=roomy_model, epochs=1)
    assert [(row["stage"], row["ratio"]) for row in rows] == [
        ("training", 2.0), ("training", 2.0),
        ("training, compiled", 4.0), ("training, compiled", 4.0),
    ]  # fmt: skip
    assert "ours 1.1000" in rows[2]["note"] and "ours 0.1000" in rows[0]["note"]


def test_the_held_out_facts_are_those_taught_in_words_never_taught(roomy_model):
    taught, asked = bench._examples(_Bench(roomy_model), 8)
    assert len(taught) == 8 and len(asked) == 2
    assert not {e.prompt for e in taught} & {e.prompt for e in asked}
    assert {(e.subject, e.completion) for e in asked} == {(e.subject, e.completion) for e in taught}


def test_the_loss_is_that_of_the_untrained_base_with_weights_of_nought(roomy_model):
    """A LoRA adapter begins as nothing: its loss is that of `Tuner` on the bare base."""
    import torch
    from peft import get_peft_model, get_peft_model_state_dict

    from ragft.training.batches import collate

    one = _Bench(roomy_model)
    taught, _ = bench._examples(one, 4)
    weights = get_peft_model_state_dict(get_peft_model(one.network(), one.lora()))
    nats, count = 0.0, 0
    for each in one.rows(taught):
        batch = collate([each], 0)
        logits = one.network()(batch["input_ids"]).logits[0, :-1].detach()
        said = torch.log_softmax(logits.double(), -1)
        for place in range(each.prompt, len(each.ids)):
            nats, count = nats - said[place - 1, each.ids[place]].item(), count + 1
    assert one.loss(weights, taught) == pytest.approx(nats / count, rel=1e-5)


def test_tokens_that_trl_leaves_out_are_noticed(roomy_model, monkeypatch):
    counted = _Bench.tokens
    monkeypatch.setattr(_Bench, "tokens", lambda self, examples: counted(self, examples) + 1)
    with pytest.raises(RagftError, match=r"TRL read \d+ tokens and not \d+: the two times say"):
        training(8, repeats=1, model=roomy_model, epochs=1)


@pytest.mark.parametrize("size", [{"examples": 0}, {"repeats": 0}, {"epochs": 0}])
def test_sizes_out_of_range_are_named(size):
    with pytest.raises(RagftError, match="bench training: . examples, . repeats, . epochs; at le"):
        training(**{"examples": 8, "repeats": 1, "epochs": 1, **size})
