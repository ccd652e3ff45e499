"""Several adapters beside one base: switched, dropped from memory, and opened again."""

from __future__ import annotations

import pytest

from ragft.generation import adapters
from ragft.generation.local import LocalModel
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


def said(model: LocalModel) -> str:
    return model.generate([PROMPT], max_new_tokens=6)[0].text


def test_one_base_serves_many_adapters_in_any_order(tiny_model, folders):
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


def test_an_adapter_is_set_and_taken_off(tiny_model, folders):
    model = LocalModel.load(tiny_model, adapter=folders[0], device="cpu")
    assert said(model) == VALUES[0]
    model.set_adapter(folders[1])
    assert said(model) == VALUES[1]
    model.set_adapter(None)
    assert said(model) == said(LocalModel.load(tiny_model, device="cpu"))
    with pytest.raises(RagftError, match="not an adapter made by ragft"):
        model.set_adapter(tiny_model)
    assert model.adapter is None


def test_adapters_not_used_for_long_leave_the_memory(tiny_model, folders, monkeypatch):
    monkeypatch.setattr(adapters, "_KEPT", 2)
    base = LocalModel.load(tiny_model, device="cpu")
    arms = [base.with_adapter(folder) for folder in folders]
    for i in (0, 1, 2, 0, 1, 2, 2, 1):
        assert said(arms[i]) == VALUES[i]
        assert len(base._adapters.peft.peft_config) <= 2
    assert not base.network.training
