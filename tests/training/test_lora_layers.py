"""LoRA layers of our own: what PEFT computes, forwards and backwards."""

from __future__ import annotations

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from ragft.training.lora_layers import _Product, quicken
from ragft.training.trainer import halve_frozen

IDS = torch.tensor([[1, 20, 21, 22, 2], [1, 30, 31, 32, 33]])


def tuned(folder, *, bf16=False, quick=False, **options):
    """Return a network with LoRA layers whose weights are all random."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    settings = {"r": 4, "lora_alpha": 6, "target_modules": "all-linear", **options}
    torch.manual_seed(0)
    made = peft.get_peft_model(network, peft.LoraConfig(task_type="CAUSAL_LM", **settings)).train()
    for name, part in made.named_parameters():
        if "lora_B" in name:
            part.data.normal_(std=0.1)
    if bf16:
        halve_frozen(made)
    if quick:
        assert quicken(made, torch.bfloat16 if bf16 else torch.float32)
    return made


def taught(network, *, bf16):
    """Return logits, and the gradient of every trained weight."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = network(input_ids=IDS).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), IDS.flatten()).backward()
    trained = {name: part for name, part in network.named_parameters() if part.requires_grad}
    return logits.detach(), {name: part.grad for name, part in trained.items()}


@pytest.mark.parametrize("bias", [False, True])
def test_its_gradients_are_those_of_the_formula(bias):
    torch.manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    inputs, down, up = draw(2, 3, 5), draw(2, 5), draw(4, 2)
    weight, offset = draw(4, 5).detach(), draw(4).detach() if bias else None

    def ours(inputs, down, up):
        return _Product.apply(inputs, weight, offset, down, up, 1.5)

    def formula(inputs, down, up):
        return torch.nn.functional.linear(inputs, weight + 1.5 * up @ down, offset)

    assert torch.autograd.gradcheck(ours, (inputs, down, up))
    torch.testing.assert_close(ours(inputs, down, up), formula(inputs, down, up))


def test_it_computes_what_peft_computes(tiny_model):
    logits, gradients = taught(tuned(tiny_model), bf16=False)
    ours, own = taught(tuned(tiny_model, quick=True), bf16=False)
    torch.testing.assert_close(ours, logits, rtol=1e-5, atol=1e-5)
    assert list(own) == list(gradients)
    for name, gradient in gradients.items():
        torch.testing.assert_close(own[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_in_bfloat16_it_is_as_near_to_the_truth_as_peft_is(tiny_model):
    def far(one, other):
        pairs = [(one[name] - other[name], other[name]) for name in other]
        gap, size = (
            torch.cat([part.flatten() for part in parts]) for parts in zip(*pairs, strict=True)
        )
        return (gap.norm() / size.norm()).item()

    _, truth = taught(tuned(tiny_model), bf16=False)
    _, theirs = taught(tuned(tiny_model, bf16=True), bf16=True)
    _, own = taught(tuned(tiny_model, bf16=True, quick=True), bf16=True)
    assert {part.dtype for part in own.values()} == {torch.float32}
    assert 0 < far(own, truth) < 1.5 * far(theirs, truth) < 0.1


def test_whole_layers_are_taken_and_none_of_another_precision(tiny_model):
    made = tuned(tiny_model)
    assert quicken(made, torch.bfloat16) == 0
    assert quicken(made, torch.float32) == sum(hasattr(part, "lora_A") for part in made.modules())


@pytest.mark.parametrize(
    "options", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}]
)
def test_what_computes_otherwise_stays_as_it_is(tiny_model, options):
    assert quicken(tuned(tiny_model, **options), torch.float32) == 0


def test_layers_of_two_adapters_stay_as_they_are(tiny_model):
    made = tuned(tiny_model)
    made.add_adapter("second", peft.LoraConfig(r=2, target_modules="all-linear"))
    assert quicken(made, torch.float32) == 0
