"""Linear layers of another library: the same numbers, and never where they must not be."""

from copy import deepcopy

import pytest
import torch

from ragft import kernels
from ragft.generation.local import LocalModel


@pytest.fixture
def made_quick(monkeypatch):
    """Take oneDNN whoever made the processor."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this torch was built without oneDNN")
    monkeypatch.setattr(kernels, "onednn_is_quicker", lambda: True)


@pytest.fixture
def broken(monkeypatch):
    """Make the kernel refuse whatever it is called with."""
    monkeypatch.setattr(kernels, "_PLAIN", ("no such thing", [], ""))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(8, 24), (3, 5, 24), (2, 2, 3, 24), (1, 9, 24)])
def test_the_products_are_the_same_but_for_rounding(shape, bias, made_quick):
    layer = torch.nn.Linear(24, 16, bias=bias)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = layer(x)
    quick = kernels.quick(deepcopy(layer))
    with torch.inference_mode():
        assert torch.allclose(quick(x), expected, atol=1e-5) and quick(x).shape == expected.shape
        turned = x.transpose(0, -2).contiguous().transpose(0, -2)  # rows do not lie in a row
        assert torch.allclose(quick(turned), expected, atol=1e-5)


def test_the_kernel_is_called_for_what_it_is_quicker_at(made_quick, broken):
    layer = kernels.quick(torch.nn.Linear(24, 16))
    with torch.inference_mode(), pytest.raises(RuntimeError):
        layer(torch.randn(kernels.ROWS, 24))


def test_all_else_goes_the_way_it_went(made_quick, broken):
    layer, x = kernels.quick(torch.nn.Linear(24, 16)), torch.randn(40, 24)
    assert layer(x).requires_grad
    with torch.inference_mode():
        layer(x[: kernels.ROWS - 1])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(x).dtype is torch.bfloat16
        assert layer.double()(x.double()).dtype is torch.float64
        assert layer.to(torch.bfloat16)(x.bfloat16()).dtype is torch.bfloat16


def test_weights_that_change_are_multiplied_with_as_they_are_now(made_quick):
    layer, x = kernels.quick(torch.nn.Linear(24, 16, bias=False)), torch.randn(40, 24)
    with torch.inference_mode():
        before = layer(x)
        layer.weight.data = 2 * layer.weight.data
        assert torch.allclose(layer(x), 2 * before, atol=1e-5)
    assert list(layer.state_dict()) == ["weight"] and isinstance(layer, torch.nn.Linear)


def test_only_plain_linear_layers_are_changed(made_quick):
    class Own(torch.nn.Linear):
        pass

    network = torch.nn.Sequential(torch.nn.Linear(4, 4), Own(4, 4), torch.nn.Embedding(3, 4))
    kinds = [type(module) for module in kernels.quick(network)]
    assert kinds == [kernels.OneDnnLinear, Own, torch.nn.Embedding]


@pytest.mark.parametrize("maker", ["GenuineIntel", ""])
def test_a_processor_that_mkl_serves_well_is_left_to_it(maker, monkeypatch):
    monkeypatch.setattr(kernels, "cpu_maker", lambda: maker)
    assert not kernels.onednn_is_quicker.__wrapped__()
    monkeypatch.setattr(kernels, "onednn_is_quicker", kernels.onednn_is_quicker.__wrapped__)
    assert type(kernels.quick(torch.nn.Linear(4, 4))) is torch.nn.Linear


@pytest.mark.parametrize("wrong", [None, "raises", "shape", "numbers"])
def test_a_kernel_is_tried_before_it_is_taken(wrong, monkeypatch):
    def kernel(x, weight, bias, *_):
        if wrong == "raises":
            raise RuntimeError("not built")
        found = torch.nn.functional.linear(x, weight, bias)
        return found[1:] if wrong == "shape" else found + (0.01 if wrong == "numbers" else 0)

    monkeypatch.setattr(kernels, "cpu_maker", lambda: "AuthenticAMD")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", kernel)
    assert kernels.onednn_is_quicker.__wrapped__() == (wrong is None)


def test_a_model_says_the_same(made_quick, monkeypatch):
    prompts = [f"Question: Who runs Veld {n}?\nAnswer:" for n in range(9)]
    quick = LocalModel.load("embedded", device="cpu")
    monkeypatch.setattr(kernels, "onednn_is_quicker", lambda: False)
    plain = LocalModel.load("embedded", device="cpu")
    kinds = [{type(m) for m in model.network.modules()} for model in (quick, plain)]
    assert kernels.OneDnnLinear in kinds[0] and kernels.OneDnnLinear not in kinds[1]
    one, two = (model.generate(prompts, max_new_tokens=8) for model in (quick, plain))
    assert [c.text for c in one] == [c.text for c in two]
    assert [c.entropy for c in one] == pytest.approx([c.entropy for c in two], abs=1e-4)
