"""Profiles: what replaces what, and the text of every error."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ragft import profiles
from ragft.profiles import CPU, PROFILES, Profile, profile
from ragft.types import RagftError


def test_named_profiles():
    assert {name: profile(name).name for name in PROFILES} == {
        n: n for n in ("smoke", "cpu", "gpu")
    }
    assert profile("smoke").questions < profile("cpu").questions <= profile("gpu").questions
    assert profile("gpu").quantization == "nf4"


def test_overrides_leave_the_rest_and_the_original():
    changed = profile("cpu", top_k=9, seeds=[4, 5], learning_rate=0.01)
    assert (changed.top_k, changed.seeds) == (9, (4, 5))
    before = {name: getattr(CPU, name) for name in ("top_k", "seeds", "learning_rate", "dtype")}
    assert dataclasses.replace(changed, **before) == CPU
    assert profile(changed, top_k=5).seeds == (4, 5)


@pytest.mark.parametrize(("known", "named"), [(True, "bfloat16"), (False, "float32")])
def test_the_precision_is_the_machines_unless_it_is_named(monkeypatch, known, named):
    monkeypatch.setattr(profiles, "multiplies_bf16", lambda device: known and device == "cpu")
    assert CPU.dtype == "auto" and profile("cpu").dtype == named
    assert profile(CPU, dtype="float16").dtype == "float16"
    assert profile("smoke").dtype == "float32"
    assert profile("cpu", device="cuda").dtype == "float32"  # asks for the GPU, which has none


def test_profiles_are_json():
    values = json.loads(json.dumps(profile("cpu").to_dict()))
    assert Profile(**values) == profile("cpu")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"topk": 3}, "no field 'topk'; the fields are name, model, device"),
        ({"top_k": "3"}, "top_k must be int, not '3'"),
        ({"top_k": True}, "top_k must be int, not True"),
        ({"top_k": 0}, "top_k must be at least 1, not 0"),
        ({"seeds": ()}, r"seeds must be whole numbers from 0, not \(\)"),
        ({"seeds": [0, -1]}, "seeds must be whole numbers from 0"),
        ({"seeds": [1, 1]}, "seeds holds a number twice"),
        ({"device": "gpu"}, "device must be one of 'cpu', 'cuda', 'mps', 'auto', not 'gpu'"),
        ({"level": 95}, "level must lie between 0 and 1, not 95.0"),
        ({"model": None}, "model must be str, not None"),
    ],
)
def test_bad_overrides(overrides, text):
    with pytest.raises(RagftError, match=text):
        profile("cpu", **overrides)


def test_bad_names():
    with pytest.raises(RagftError, match="no 'tpu'; there are smoke, cpu, gpu"):
        profile("tpu")
    with pytest.raises(RagftError, match="needs a name or a Profile, not int"):
        profile(3)


def test_every_field_is_documented():
    import ast
    import inspect

    body = ast.parse(inspect.getsource(Profile)).body[0].body
    for statement, after in zip(body, body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign):
            assert isinstance(after, ast.Expr), f"{statement.target.id} has no text after it"
