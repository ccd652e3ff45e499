"""Several adapters beside one base: switched, dropped from memory, and opened again."""

from __future__ import annotations

import shutil

import pytest
import torch

from ragft import models
from ragft.generation import adapters
from ragft.generation.local import LocalModel
from ragft.models import weights_hash
from ragft.training.finetune import finetune
from ragft.types import Example, RagftError

PROMPT = "Question: Velka?\nAnswer:"
VALUES = (" Oslo", " Ravik", " 31")


@pytest.fixture(scope="module")
def folders(tiny_model, tmp_path_factory):
    root = tmp_path_factory.mktemp("adapters")
    options = {"rank": 4, "epochs": 30, "learning_rate": 2e-2, "progress": False}
    return [
        finetune(tiny_model, [Example(PROMPT, value)], out=root / value.strip(), **options).adapter
        for value in VALUES
    ]


@pytest.fixture(params=[adapters.Merged, adapters.Beside])
def kind(request, monkeypatch):
    """Small bases get merged copies; here every way is taken with the same small base."""
    monkeypatch.setattr("ragft.generation.local.adapters_of", request.param)
    return request.param


def said(model: LocalModel) -> str:
    return model.generate([PROMPT], max_new_tokens=6)[0].text


def test_one_base_serves_many_adapters_in_any_order(tiny_model, folders, kind):
    base = LocalModel.load(tiny_model, device="cpu")
    bare = said(base)
    arms = [base.with_adapter(folder) for folder in folders]
    for order in ((0, 1, 2), (2, 0), (1, 1)):
        assert [said(arms[i]) for i in order] == [VALUES[i] for i in order]
        assert said(base) == bare
    assert all(arm.network is base.network for arm in arms)
    assert [arm.adapter for arm in arms] == folders
    assert base.adapter is None
    assert said(arms[0].with_adapter(None)) == bare


def test_an_adapter_is_set_and_taken_off(tiny_model, folders, kind):
    model = LocalModel.load(tiny_model, adapter=folders[0], device="cpu")
    assert said(model) == VALUES[0]
    model.set_adapter(folders[1])
    assert said(model) == VALUES[1]
    model.set_adapter(None)
    assert said(model) == said(LocalModel.load(tiny_model, device="cpu"))
    with pytest.raises(RagftError, match="not an adapter made by ragft"):
        model.set_adapter(tiny_model)
    assert model.adapter is None


def test_weights_are_read_again_where_they_are_others_than_before(
    tiny_model, folders, tmp_path, monkeypatch
):
    read, files_hash = [], models.files_hash
    folder = shutil.copytree(folders[0], tmp_path / "adapter")
    model = LocalModel.load(tiny_model, adapter=folder, device="cpu")
    monkeypatch.setattr(models, "files_hash", lambda paths: read.append(paths) or files_hash(paths))
    assert [said(model) for _ in range(3)] == [VALUES[0]] * 3
    assert len(read) == 1
    shutil.rmtree(folder)
    shutil.copytree(folders[1], folder)
    assert said(model) == VALUES[1] and len(read) == 2


def test_adapters_not_used_for_long_leave_the_memory(tiny_model, folders, kind, monkeypatch):
    monkeypatch.setattr(adapters, "_KEPT", 2)
    base = LocalModel.load(tiny_model, device="cpu")
    arms = [base.with_adapter(folder) for folder in folders]
    for i in (0, 1, 2, 0, 1, 2, 2, 1):
        assert said(arms[i]) == VALUES[i]
        held = base._adapters.copies if kind is adapters.Merged else base._adapters.peft.peft_config
        assert len(held) <= 2
    assert not base.network.training


def test_both_ways_compute_the_same(tiny_model, folders):
    ids = torch.arange(12)[None]
    networks = [
        way(LocalModel.load(tiny_model, device="cpu").network, weights_hash(tiny_model))
        for way in (adapters.Merged, adapters.Beside)
    ]
    with torch.inference_mode():
        one, two = (way.activate(folders[0])(input_ids=ids).logits for way in networks)
        bare = networks[0].activate(None)(input_ids=ids).logits
    assert torch.allclose(one, two, atol=1e-4) and not torch.allclose(one, bare, atol=1e-2)


def test_only_small_bases_whose_sums_can_be_taken_are_copied(tiny_model, monkeypatch):
    small = LocalModel.load(tiny_model, device="cpu").network
    assert type(adapters.adapters_of(small, "")) is adapters.Merged
    for dtype, way in (("bfloat16", adapters.Merged), ("float16", adapters.Beside)):
        half = LocalModel.load(tiny_model, device="cpu", dtype=dtype).network
        assert type(adapters.adapters_of(half, "")) is way
    monkeypatch.setattr(adapters, "MERGED_UP_TO", 10)
    assert type(adapters.adapters_of(small, "")) is adapters.Beside


def test_a_merged_copy_in_bfloat16_is_the_sum_in_float32_rounded_once(tiny_model, folders):
    whole, half = (
        LocalModel.load(tiny_model, device="cpu", dtype=dtype, adapter=folders[0])
        for dtype in ("float32", "bfloat16")
    )
    for model in (whole, half):
        model.generate(["a"], max_new_tokens=1)
    (exact,), (rounded,) = (m._adapters.copies.values() for m in (whole, half))
    base = LocalModel.load(tiny_model, device="cpu", dtype="bfloat16").network.state_dict()
    exact, rounded = exact.state_dict(), rounded.state_dict()
    assert {w.dtype for w in rounded.values()} == {torch.bfloat16}
    changed = [n for n in exact if not torch.equal(base[n], rounded[n])]
    assert changed
    for name in changed:  # the base was rounded before: at most two roundings of eight bits apart
        gap = (exact[name] - rounded[name].float()).abs()
        assert gap.max() <= 2**-7 * exact[name].abs().max()
