"""Layers that torch compiles are trained like those that it does not."""

from __future__ import annotations

import shutil

import pytest
import torch

from ragft import models
from ragft.runtime import can_compile
from ragft.training import finetune as module
from ragft.training import methods, trainer
from ragft.training.finetune import finetune
from ragft.types import RagftError
from tests.training.test_resume import EXAMPLES, SETTINGS, begun

PLAIN = SETTINGS | {"dropout": 0.0}


@pytest.fixture
def compiled(monkeypatch):
    """Return the names of the modules that would be compiled, in the order they were asked for."""
    asked = []
    monkeypatch.setattr(methods, "require_compiler", lambda what: None)
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **given: asked.append((type(self).__name__, given))
    )
    return asked


@pytest.mark.parametrize("method", ["lora", "full"])
def test_every_layer_is_compiled_and_nothing_else(tiny_model, tmp_path, compiled, method):
    options = PLAIN | {"method": method, "out": tmp_path / "out"}
    made = finetune(tiny_model, EXAMPLES, compiled=True, **options)
    assert compiled == 2 * [("LlamaDecoderLayer", {"dynamic": True})]
    assert models.read_card(made.adapter)["settings"]["compiled"] is True
    with pytest.raises(RagftError, match="compiled"):  # another result
        finetune(tiny_model, EXAMPLES, **options)
    finetune(tiny_model, EXAMPLES, **options | {"out": tmp_path / "other"})
    assert len(compiled) == 2
    assert "compiled" not in models.read_card(tmp_path / "other")["settings"]


@pytest.mark.parametrize(
    "options", [{"method": "prefix"}, {"method": "qlora"}, {"gradient_checkpointing": True}]
)
def test_what_it_is_not_meant_for_is_refused(tiny_model, tmp_path, compiled, options):
    with pytest.raises(RagftError, match="compiled=True: for method 'lora' or 'full', in one"):
        finetune(tiny_model, EXAMPLES, out=tmp_path / "out", compiled=True, **options)
    assert not (tmp_path / "out").exists()


def test_without_a_compiler_it_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RagftError, match=r"compiled=True needs a C\+\+ compiler .*go without"):
        methods.check_compiled("lora", 1, gradient_checkpointing=False)


def test_a_model_that_does_not_name_its_layers_is_refused():
    with pytest.raises(RagftError, match="does not name its layers"):
        trainer.compile_layers(torch.nn.Linear(2, 2))


@pytest.mark.long
@pytest.mark.skipif(not can_compile(), reason="no C++ compiler here")
def test_compiled_layers_learn_the_same_are_compiled_once_and_survive_a_kill(
    tiny_model, tmp_path, monkeypatch
):
    for part in (module, methods):
        monkeypatch.setattr(part, "multiplies_bf16", lambda *_: False)
    plain = finetune(tiny_model, EXAMPLES, out=tmp_path / "plain", **PLAIN)
    one = finetune(tiny_model, EXAMPLES, out=tmp_path / "one", compiled=True, **PLAIN)
    assert max(abs(a - b) for a, b in zip(plain.curve, one.curve, strict=True)) < 1e-3
    assert one.losses[-1] < one.losses[0] - 0.1  # there was something to learn
    seen = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    finetune(tiny_model, EXAMPLES, out=tmp_path / "two", compiled=True, **PLAIN | {"seed": 1})
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == seen
    monkeypatch.undo()
    whole = finetune(tiny_model, EXAMPLES, out=tmp_path / "whole", compiled=True, **SETTINGS)
    options = SETTINGS | {"compiled": True}
    cut = begun(tiny_model, tmp_path / "cut", options, at=7)
    told = cut.communicate(timeout=300)
    assert cut.returncode == -9 and "step 6" in told[0], told
    resumed = finetune(tiny_model, EXAMPLES, out=tmp_path / "cut", **options)
    assert resumed.adapter_hash == whole.adapter_hash
