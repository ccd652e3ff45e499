"""Counts by formula are those of the models that transformers builds."""

import pytest

from ragft.generation.shapes import SHAPES, TOY, shape_of


@pytest.fixture(scope="module")
def build():
    import torch
    import transformers

    def made(shape, device="meta"):
        with torch.device(device):
            return transformers.AutoModelForCausalLM.from_config(shape.config())

    return made


@pytest.mark.parametrize("shape", [*SHAPES.values(), TOY], ids=lambda shape: shape.name)
def test_parameters_are_those_of_the_model(shape, build):
    assert build(shape).num_parameters() == shape.parameters


@pytest.mark.parametrize(
    ("name", "billions"), [("Qwen2.5-0.5B", 0.494), ("Qwen2.5-7B", 7.616), ("Llama-3.1-8B", 8.030)]
)
def test_parameters_are_the_published_ones(name, billions):
    assert SHAPES[name].parameters / 1e9 == pytest.approx(billions, abs=0.001)


def test_operations_are_those_that_torch_counts(build):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = build(TOY, "cpu").eval()
    model.config._attn_implementation = "eager"  # which computes the whole square of positions
    tokens = 40
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, tokens, dtype=torch.long), use_cache=False, logits_to_keep=1)
    square = 2 * TOY.layers * TOY.hidden * tokens**2
    assert counter.get_total_flops() == TOY.prefill_operations(tokens) + square


def test_the_cache_is_the_one_that_a_model_fills(build):
    import torch

    model = build(TOY, "cpu").eval()
    with torch.no_grad():
        cache = model(torch.zeros(1, 7, dtype=torch.long)).past_key_values
    held = sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values))
    assert held == TOY.kv_bytes(7, size=4)


def test_by_hand():
    shape = SHAPES["Llama-3.1-8B"]
    assert shape.head == 128
    assert shape.kv_bytes(1) == 2 * 32 * 8 * 128 * 2  # 128 KiB a token
    assert shape.decode_operations(0, 3) == 3 * shape.decode_operations(0)
    one, two = shape.decode_bytes(1000), shape.decode_bytes(1000, batch=2)
    assert two - one == shape.kv_bytes(1000)
    assert shape.prefill_operations(1) == pytest.approx(shape.decode_operations(0), rel=1e-4)


@pytest.mark.parametrize("shape", [*SHAPES.values(), TOY], ids=lambda shape: shape.name)
def test_a_configuration_gives_its_shape_back(shape):
    assert shape_of(shape.config(name_or_path=shape.name)) == shape


def test_a_kind_of_model_that_is_not_counted_has_no_shape():
    import transformers

    assert shape_of(transformers.GPT2Config()) is None
