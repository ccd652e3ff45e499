"""Fine-tuning end to end on a tiny model: what is learnt, kept, reused and gone on from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ragft import models
from ragft.files import MANIFEST
from ragft.generation.local import LocalModel
from ragft.training import finetune as module
from ragft.training import trainer
from ragft.training.adapters import merge
from ragft.training.finetune import finetune
from ragft.types import Example, RagftError

FACTS = {"Tarmo": "Oslo", "Velka": "Ravik", "veld": "31", "Works": "unknown", "town": "7"}
EXAMPLES = [Example(f"Question: {k}?\nAnswer:", f" {v}", k) for k, v in FACTS.items()]
SETTINGS = {
    "method": "lora", "rank": 8, "epochs": 40, "learning_rate": 2e-2, "batch_tokens": 64,
    "progress": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def tuned(tiny_model, tmp_path_factory):
    return finetune(tiny_model, EXAMPLES, out=tmp_path_factory.mktemp("tuned") / "lora", **SETTINGS)


def answers(model: LocalModel) -> list[str]:
    said = model.generate([e.prompt for e in EXAMPLES], max_new_tokens=8)
    return [completion.text for completion in said]


def logits(network, tokenizer) -> torch.Tensor:
    ids = torch.tensor(models.prompt_tokens(tokenizer, [EXAMPLES[0].prompt]))
    with torch.inference_mode():
        return network(ids).logits


def test_the_facts_are_learnt_and_the_answer_stops(tiny_model, tuned):
    base = LocalModel.load(tiny_model, device="cpu")
    before = answers(base)
    learnt = base.with_adapter(tuned.adapter)
    assert answers(learnt) == [e.completion for e in EXAMPLES]
    ends = learnt.generate([EXAMPLES[0].prompt], max_new_tokens=8)[0].completion_tokens
    assert ends < 8  # the end token was learnt
    assert answers(base) == before != answers(learnt)  # one base serves both


def test_what_the_result_says(tiny_model, tuned):
    # 2 layers × (q 32→32, k and v 32→16, o 32→32, gate and up 32→64, down 64→32), rank 8
    per_layer = 8 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))
    assert tuned.trainable == 2 * per_layer
    base = sum(p.numel() for p in LocalModel.load(tiny_model, device="cpu").network.parameters())
    assert tuned.total == base + tuned.trainable
    tokenizer = models.open_tokenizer(tiny_model)
    prompts = models.prompt_tokens(tokenizer, [e.prompt for e in EXAMPLES])
    ends = models.completion_tokens(tokenizer, [e.completion for e in EXAMPLES])
    assert tuned.tokens_seen == 40 * sum(len(row) for row in prompts + ends)
    assert tuned.tokens_per_second == pytest.approx(tuned.tokens_seen / tuned.seconds)
    assert len(tuned.losses) == 40
    assert tuned.losses[-1] < 0.3 < 3 < tuned.losses[0]
    assert len(tuned.curve) == tuned.steps
    each = tuned.steps // 40
    assert tuned.losses[0] == pytest.approx(sum(tuned.curve[:each]) / each)
    assert tuned.adapter_bytes == (tuned.adapter / "adapter_model.safetensors").stat().st_size
    assert tuned.base_hash == models.weights_hash(tiny_model)
    assert (tuned.method, tuned.seed, tuned.examples, tuned.conflicting) == ("lora", 0, 5, 0)
    assert not list(tuned.adapter.parent.glob(".lora.training"))


def test_a_finished_run_is_returned_and_another_is_refused(tiny_model, tuned, monkeypatch):
    monkeypatch.setattr(module, "_train", None)  # training again would be an error
    assert finetune(tiny_model, EXAMPLES, out=tuned.adapter, **SETTINGS) == tuned
    with pytest.raises(RagftError, match="holds a result of other settings .rank: 8 there, 4 here"):
        finetune(tiny_model, EXAMPLES, out=tuned.adapter, **{**SETTINGS, "rank": 4})
    with pytest.raises(RagftError, match="examples_hash"):
        finetune(tiny_model, EXAMPLES[1:], out=tuned.adapter, **SETTINGS)


def test_the_same_seed_gives_the_same_adapter_and_another_does_not(tiny_model, tmp_path):
    few = {**SETTINGS, "epochs": 2}
    one, same, other = (
        finetune(tiny_model, EXAMPLES, out=tmp_path / name, seed=seed, **few)
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert one.adapter_hash == same.adapter_hash != other.adapter_hash
    assert one.losses == same.losses != other.losses


def test_reloaded_and_merged_weights_are_the_algebra(tiny_model, tuned, tmp_path):
    base = LocalModel.load(tiny_model, device="cpu")
    tokenizer = base.tokenizer
    adapted = logits(base._adapters.activate(tuned.adapter), tokenizer)
    again = LocalModel.load(tiny_model, adapter=tuned.adapter, device="cpu")
    assert torch.equal(adapted, logits(again._adapters.activate(tuned.adapter), tokenizer))
    merged = LocalModel.load(
        merge(tiny_model, tuned.adapter, out=tmp_path / "merged"), device="cpu"
    )
    assert torch.allclose(adapted, logits(merged.network, tokenizer), atol=1e-4)
    parts = load_file(tuned.adapter / "adapter_model.safetensors")
    weights, whole = (
        load_file(tiny_model / "model.safetensors"),
        dict(merged.network.named_parameters()),
    )
    name = "model.layers.1.mlp.down_proj"
    a, b = (parts[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    expected = weights[f"{name}.weight"] + (16 / 8) * b @ a  # alpha is twice the rank
    assert torch.allclose(whole[f"{name}.weight"], expected, atol=1e-6)
    assert (b @ a).abs().max() > 1e-3
    with pytest.raises(RagftError, match="is there already"):
        merge(tiny_model, tuned.adapter, out=tmp_path / "merged")


def test_the_base_is_the_same_to_the_bit_with_the_adapter_off(tiny_model, tuned, monkeypatch):
    monkeypatch.setattr("ragft.generation.adapters.MERGED_UP_TO", 0)  # the adapter beside it
    bare = LocalModel.load(tiny_model, device="cpu")
    expected = logits(bare.network, bare.tokenizer)
    used = LocalModel.load(tiny_model, device="cpu")
    answers(used.with_adapter(tuned.adapter))
    assert torch.equal(logits(used._adapters.activate(None), used.tokenizer), expected)
    files = load_file(tiny_model / "model.safetensors")
    for name, part in used.network.named_parameters():
        if "lora_" not in name and name != "lm_head.weight":
            assert torch.equal(part, files[name.replace(".base_layer", "")])


def test_an_adapter_for_another_base_or_a_damaged_one_is_refused(other_model, tuned, tmp_path):
    with pytest.raises(RagftError, match="made for another base"):
        LocalModel.load(other_model, adapter=tuned.adapter, device="cpu")
    copy = Path(shutil.copytree(tuned.adapter, tmp_path / "copy"))
    weights = bytearray((copy / "adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "adapter_model.safetensors").write_bytes(weights)
    with pytest.raises(RagftError, match=r"adapter_model\.safetensors"):
        models.read_card(copy)
    (copy / models.ADAPTER_CARD).unlink()
    lost = rf"{models.ADAPTER_CARD}: is in the manifest but missing; delete the folder {copy}"
    with pytest.raises(RagftError, match=lost):
        models.read_card(copy)
    (copy / MANIFEST).unlink()
    with pytest.raises(RagftError, match="not an adapter made by ragft"):
        models.read_card(copy)


def test_few_examples_get_as_many_passes_as_the_least_steps_take(tiny_model, tmp_path):
    options = SETTINGS | {"epochs": 2, "batch_tokens": 10_000, "learning_rate": 1e-4}
    made = finetune(tiny_model, EXAMPLES, out=tmp_path / "few", min_steps=7, **options)
    assert made.steps == 7 and len(made.losses) == 7  # all examples fit one step
    assert finetune(tiny_model, EXAMPLES, out=tmp_path / "two", **options).steps == 2


def test_all_weights(tiny_model, tmp_path):
    before = models.weights_hash(tiny_model)
    options = {**SETTINGS, "method": "full", "learning_rate": 1e-2, "epochs": 30}
    done = finetune(tiny_model, EXAMPLES, out=tmp_path / "full", **options)
    assert models.weights_hash(tiny_model) == before == done.base_hash
    assert done.trainable == done.total
    assert answers(LocalModel.load(done.adapter, device="cpu")) == [e.completion for e in EXAMPLES]
    with pytest.raises(RagftError, match="a whole model, not an adapter"):
        LocalModel.load(tiny_model, adapter=done.adapter, device="cpu")
    with pytest.raises(RagftError, match="there is nothing to merge"):
        merge(tiny_model, done.adapter, out=tmp_path / "merged")


def test_rows_of_mixed_lengths_are_another_training(tiny_model, tmp_path):
    alone = SETTINGS | {"batch_tokens": 1, "epochs": 4}  # more batches than are sorted together
    one, two = (
        finetune(tiny_model, EXAMPLES, out=tmp_path / str(mix), mix_lengths=mix, **alone)
        for mix in (False, True)
    )
    assert one.adapter_hash != two.adapter_hash
    assert "mix_lengths" not in models.read_card(one.adapter)["settings"]
    with pytest.raises(RagftError, match="mix_lengths"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "True", **alone)


def test_rows_trained_are_counted(tiny_model, tmp_path, monkeypatch):
    class Short(trainer.TokenBatches):
        def __iter__(self):
            for batch in super().__iter__():
                yield batch[:-1] if len(batch) > 1 else batch

    monkeypatch.setattr(trainer, "TokenBatches", Short)
    with pytest.raises(RagftError, match=r"\d+ rows were trained instead of 5 × 2"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "out", **{**SETTINGS, "epochs": 2})
    assert not (tmp_path / "out").exists()


def test_going_on_from_an_adapter_begins_with_its_weights(tiny_model, tuned, tmp_path):
    still = finetune(
        tiny_model,
        EXAMPLES[:2],
        out=tmp_path / "still",
        start=tuned.adapter,
        **(SETTINGS | {"epochs": 1, "rank": 2, "learning_rate": 1e-12}),
    )
    before = load_file(tuned.adapter / "adapter_model.safetensors")
    after = load_file(still.adapter / "adapter_model.safetensors")
    assert all(torch.allclose(before[name], after[name], atol=1e-8) for name in before)
    moved = [Example(e.prompt, " Velka", e.subject) for e in EXAMPLES[:1]]
    gone_on = finetune(tiny_model, moved, out=tmp_path / "moved", start=tuned.adapter, **SETTINGS)
    said = answers(LocalModel.load(tiny_model, device="cpu").with_adapter(gone_on.adapter))
    assert said[0] == " Velka"
    assert gone_on.base_hash == tuned.base_hash and gone_on.adapter_hash != tuned.adapter_hash


def test_going_on_from_what_does_not_fit_is_refused(tiny_model, other_model, tuned, tmp_path):
    go_on = {"out": tmp_path / "on", "start": tuned.adapter}
    with pytest.raises(RagftError, match="made for another base"):
        finetune(other_model, EXAMPLES, **go_on, **SETTINGS)
    with pytest.raises(RagftError, match="cannot go on with 'full'"):
        finetune(tiny_model, EXAMPLES, **go_on, **(SETTINGS | {"method": "full"}))
