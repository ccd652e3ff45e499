"""Every method: trains, keeps exactly what it trained, answers, and leaves the base as it was."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import peft
import pytest
import torch
from safetensors.torch import load_file

from ragft import files, models
from ragft.arms.finetuned import Training
from ragft.generation.local import LocalModel
from ragft.records import sha256_json
from ragft.training import adapters
from ragft.training.adapters import Settings, merge, written
from ragft.training.finetune import finetune
from ragft.training.methods import configuration, told
from ragft.types import Example, RagftError

FACTS = {"Tarmo": "Oslo", "Velka": "Ravik", "veld": "31", "Works": "unknown", "town": "7"}
EXAMPLES = [Example(f"Question: {k}?\nAnswer:", f" {v}", k) for k, v in FACTS.items()]
PROMPTS = [e.prompt for e in EXAMPLES]
SETTINGS = {
    "rank": 8, "epochs": 30, "learning_rate": 2e-2, "batch_tokens": 64, "virtual_tokens": 6,
    "progress": False,
}  # fmt: skip
METHODS = {
    "lora": "lora",
    "qlora": "qlora",
    "full": "full",
    "prefix": "prefix",
    "prompt": "prompt",
    "loha": peft.LoHaConfig(r=4, target_modules=["q_proj", "down_proj"]),
    "ia3": peft.IA3Config(target_modules=["k_proj", "v_proj"], feedforward_modules=[]),
    "p-tuning": peft.PromptEncoderConfig(num_virtual_tokens=5, encoder_hidden_size=16),
}
SOFT = {"prefix": 6, "prompt": 6, "p-tuning": 5}


@pytest.fixture(scope="module", params=METHODS)
def made(request, wide_model, tmp_path_factory):
    """Name of the method, its result, and the weights as they were in memory after training."""
    if request.param == "qlora":
        pytest.importorskip("bitsandbytes")
    seen, close = {}, adapters.close

    def watched(out, settings, network, *rest):
        parts = network.named_parameters()
        seen.update({name: p.detach().clone() for name, p in parts if p.requires_grad})
        return close(out, settings, network, *rest)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(adapters, "close", watched)
        before = sums(wide_model)
        out = tmp_path_factory.mktemp("made") / request.param
        options = SETTINGS | ({"learning_rate": 3e-3} if request.param == "full" else {})
        done = finetune(wide_model, EXAMPLES, out=out, method=METHODS[request.param], **options)
    assert sums(wide_model) == before
    return request.param, done, seen


def sums(folder) -> dict[str, str]:
    return {path.name: files.sha256_file(path) for path in folder.iterdir() if path.is_file()}


def loaded(wide_model, made) -> LocalModel:
    name, done, _ = made
    if name == "full":
        return LocalModel.load(done.adapter, device="cpu")
    return LocalModel.load(
        wide_model,
        adapter=done.adapter,
        device="cpu",
        quantization="nf4" if name == "qlora" else None,
    )


def logits(model: LocalModel, text: str = PROMPTS[0]) -> torch.Tensor:
    ids = torch.tensor(models.prompt_tokens(model.tokenizer, [text]))
    with torch.inference_mode():
        return model._adapters.activate(model.adapter)(ids).logits


def test_it_learns_and_says_what_it_cost(wide_model, made):
    name, done, seen = made
    assert done.losses[-1] < 0.8 * done.losses[0]
    assert done.method == (name if isinstance(METHODS[name], str) else done.method)
    assert done.method in (name, f"peft:{name}", "peft:p_tuning")
    assert done.trainable == sum(part.numel() for part in seen.values()) <= done.total
    assert done.steps == len(done.curve) and done.tokens_per_second > 0 < done.peak_memory_mb
    tokenizer = models.open_tokenizer(wide_model)
    prompts = models.prompt_tokens(tokenizer, PROMPTS)
    ends = models.completion_tokens(tokenizer, [e.completion for e in EXAMPLES])
    assert done.tokens_seen == 30 * sum(len(row) for row in prompts + ends)
    assert done.adapter_bytes == sum(p.stat().st_size for p in done.adapter.glob("*.safetensors"))


def test_what_was_trained_is_what_is_kept(made):
    name, done, seen = made
    kept = load_file(next(done.adapter.glob("*.safetensors")))
    if name == "p-tuning":  # kept as the embeddings that its network gives
        assert kept["prompt_embeddings"].shape == (5, 64)
    elif name in SOFT:
        (trained,) = seen.values()
        assert torch.equal(kept["prompt_embeddings"], trained)
    else:
        assert len(kept) == len(seen)
        for part, trained in seen.items():
            assert torch.equal(kept[part.replace(".default", "")], trained)


def test_it_reloads_to_equal_logits(wide_model, made):
    one, two = loaded(wide_model, made), loaded(wide_model, made)
    assert torch.equal(logits(one), logits(two))
    name, done, _ = made
    if name in ("full", "qlora"):
        return
    network = models.open_network(wide_model, device="cpu", dtype=torch.float32)
    ids = torch.tensor(models.prompt_tokens(one.tokenizer, PROMPTS[:1]))
    with torch.inference_mode():
        theirs = peft.PeftModel.from_pretrained(network, str(done.adapter)).eval()(ids).logits
    assert torch.allclose(logits(one), theirs[:, -ids.shape[1] :], atol=1e-4)
    bare = logits(one.with_adapter(None))
    assert not torch.allclose(bare, logits(one), atol=1e-2)


def test_it_answers_and_no_prompt_depends_on_the_others(wide_model, made):
    model = loaded(wide_model, made)
    together = [said.text for said in model.generate(PROMPTS, max_new_tokens=8)]
    alone = [model.generate([prompt], max_new_tokens=8)[0].text for prompt in PROMPTS]
    assert together == alone
    streamed = model.stream(PROMPTS[1], max_new_tokens=8)
    assert "".join(streamed) == together[1]
    if made[0] in ("lora", "full", "loha"):
        assert together == [e.completion for e in EXAMPLES]


def test_samples_and_kept_beginnings_do_not_change_what_is_said(wide_model, made):
    from ragft.generation.prefixes import PrefixCache

    model = loaded(wide_model, made)
    plain = [model.generate([p], max_new_tokens=6)[0].text for p in PROMPTS]
    model.prefixes = PrefixCache()
    assert [model.generate([p], max_new_tokens=6)[0].text for p in PROMPTS] == plain
    drawn = model.generate(PROMPTS[:2], max_new_tokens=4, temperature=1.0, num_samples=3)
    alone = model.generate(PROMPTS[:1], max_new_tokens=4, temperature=1.0, num_samples=3)
    assert [said.text for said in drawn[:3]] == [said.text for said in alone]


def test_merging_adds_the_product_to_the_weights_and_only_where_there_are_weights(
    wide_model, made, tmp_path
):
    name, done, _ = made
    if name in SOFT:
        with pytest.raises(RagftError, match="virtual tokens, not weights: they cannot be merged"):
            merge(wide_model, done.adapter, out=tmp_path / "merged")
        return
    if name == "full":
        with pytest.raises(RagftError, match="there is nothing to merge"):
            merge(wide_model, done.adapter, out=tmp_path / "merged")
        return
    merged = merge(wide_model, done.adapter, out=tmp_path / "merged")
    assert "quantization_config" not in (merged / "config.json").read_text()
    whole, base = (load_file(folder / "model.safetensors") for folder in (merged, wide_model))
    if name in ("lora", "qlora"):  # the base of both in full precision
        parts = load_file(done.adapter / "adapter_model.safetensors")
        for layer in ("model.layers.0.self_attn.v_proj", "model.layers.1.mlp.down_proj"):
            a, b = (parts[f"base_model.model.{layer}.lora_{side}.weight"] for side in "AB")
            expected = (
                base[f"{layer}.weight"] + (16 / 8) * b.float() @ a.float()
            )  # alpha is twice the rank
            assert torch.allclose(whole[f"{layer}.weight"], expected, atol=1e-6)
            assert (b @ a).abs().max() > 1e-3
        untouched = [key for key in base if "norm" in key or "embed" in key]
        assert untouched and all(torch.equal(whole[key], base[key]) for key in untouched)
    if name != "qlora":
        assert torch.allclose(
            logits(LocalModel.load(merged, device="cpu")),
            logits(loaded(wide_model, made)),
            atol=1e-4,
        )


def test_virtual_tokens_take_their_places_of_the_context(wide_model, made):
    name, _, _ = made
    model = loaded(wide_model, made)
    taken = SOFT.get(name, 0)
    fits = model.tokenizer.decode([20] * (128 - 8 - taken - 1))
    long = model.tokenizer.decode([20] * (128 - 8 - taken))
    model.generate([fits], max_new_tokens=8)
    told_so = f"and {taken} virtual tokens" if taken else "less max_new_tokens 8\\)"
    with pytest.raises(RagftError, match=rf"reads at most {120 - taken} .*{told_so}"):
        model.generate([long], max_new_tokens=8)


def test_gradient_checkpointing_computes_the_same(tiny_model, tmp_path):
    options = SETTINGS | {"epochs": 3, "rank": 4}
    one = finetune(tiny_model, EXAMPLES, out=tmp_path / "one", **options)
    two = finetune(
        tiny_model, EXAMPLES, out=tmp_path / "two", gradient_checkpointing=True, **options
    )
    assert two.losses == pytest.approx(one.losses, rel=1e-4)
    with pytest.raises(RagftError, match="gradient_checkpointing"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "two", **options)


def test_going_on_is_for_weights_alone(wide_model, made, tmp_path):
    name, done, _ = made
    if name not in SOFT:
        return
    with pytest.raises(RagftError, match="only LoRA and QLoRA adapters are gone on from"):
        finetune(
            wide_model,
            EXAMPLES,
            out=tmp_path / "on",
            start=done.adapter,
            method=METHODS[name],
            **SETTINGS,
        )


def test_the_configuration_passed_through_decides_the_result(tiny_model, tmp_path):
    options = SETTINGS | {"epochs": 1}
    given = peft.IA3Config(target_modules=["v_proj"], feedforward_modules=[])
    one = finetune(tiny_model, EXAMPLES, out=tmp_path / "one", method=given, **options)
    assert given.task_type is None  # what is passed in is not written into
    assert finetune(tiny_model, EXAMPLES, out=tmp_path / "one", method=given, **options) == one
    other = peft.IA3Config(target_modules=["k_proj"], feedforward_modules=[])
    with pytest.raises(RagftError, match=r"holds a result of other settings \(peft: .*v_proj"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "one", method=other, **options)
    with pytest.raises(RagftError, match="method: 'peft:ia3' there, 'lora' here"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "one", **options)


def test_a_configuration_is_told_the_same_whatever_order_its_sets_have():
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj"]
    one, two = (
        told(peft.IA3Config(target_modules=set(order), feedforward_modules=set()))
        for order in (names, names[::-1])
    )
    assert files.to_json(one) == files.to_json(two)
    assert one["target_modules"] == sorted(names) and one["peft_type"] == "IA3"
    assert "peft_version" not in one


BEFORE = {
    "0acdf52cae01fdc4cf42fa8055c5838db1029751392c7883f94beaae7eda8ff9": Settings(
        "lora", 32, 64.0, 0.0, "all-linear", 12, 4e-3, 1024, 0, 2048, "base", "examples"
    ),
    "06ee64bc9cf5a9131044e3db6d4f49c9372322b9d64b69d9af8505501f59a462": Settings(
        "qlora", 8, 16.0, 0.1, ("q_proj", "v_proj"), 3, 2e-4, 512, 7, 128, "base", "examples",
        "start",
    ),
}  # fmt: skip


@pytest.mark.parametrize("digest", BEFORE)
def test_settings_are_written_down_as_before_there_were_more_methods(digest):
    """Adapters and unfinished runs of older versions lie in users' caches and must stay valid."""
    text = files.to_json(written(BEFORE[digest]))
    assert hashlib.sha256(text.encode()).hexdigest() == digest


def test_the_names_of_cached_adapters_are_those_they_always_had():
    before = Training(epochs=12, learning_rate=4e-3)
    whole = {"base": "base", "examples": "examples", **asdict(before)}
    assert sha256_json(whole)[:24] == "20a8228c2d67ce48f6f4d213"


def test_what_is_new_is_written_down_only_where_it_says_something():
    plain = Settings("lora", 8, 16.0, 0.0, "all-linear", 1, 1e-3, 64, 0, 128, "b", "e")
    soft = Settings("prefix", 0, 0.0, 0.0, "", 1, 1e-3, 64, 0, 128, "b", "e", virtual_tokens=20)
    assert set(written(soft)) - set(written(plain)) == {"virtual_tokens"}
    assert configuration(soft).num_virtual_tokens == 20
