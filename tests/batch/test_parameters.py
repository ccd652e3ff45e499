from __future__ import annotations

import json
import math

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.batch.parameters import (
    Parameter,
    _convert,
    check_parameters,
    parse_assignments,
    read_parameters,
)
from ragft.types import RagftError

CELL = """
profile = "cpu"  # a comment is fine
count = 3
share = 0.5
draw = True
seeds = [0, 1]
names = ["a"]
model: str | None = None
shift = -1
options = {"a": 1}
"""


def test_a_parameters_cell_is_read_in_order_with_types(make_notebook):
    found = read_parameters(make_notebook(CELL))
    assert list(found) == "profile count share draw seeds names model shift options".split()
    assert found["profile"] == Parameter("profile", "cpu", "str")
    assert found["model"] == Parameter("model", None, "str", optional=True)
    assert found["shift"].default == -1
    assert str(found["model"]) == "model: str | None = None"


def test_an_empty_parameters_cell_gives_no_parameters(make_notebook):
    assert read_parameters(make_notebook("# none yet")) == {}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("a = 1\nb = a + 1", r"'b = a \+ 1', which is no literal: derive values in the next cell"),
        ("import os", "'import os'; it may hold `name = literal` only"),
        ("a = int('3')", "which is no literal"),
        ("a = b = 1", "it may hold `name = literal` only"),
        ("a, b = 1, 2", "it may hold `name = literal` only"),
        ("a += 1", "it may hold `name = literal` only"),
        ("'a text'", "it may hold `name = literal` only"),
        ("a: int", "which is no literal"),
        ("a = 1; b = 2", "write one parameter a line"),
        ("a = 1\na = 2", "'a' is set before"),
        ("a = None", "annotate it, as in `a: str | None = None`"),
        ("a = {1, 2}", "give it a literal of type bool, int, float, str, list, dict"),
        ("a: int = 'x'", "whose default is not int"),
        ("a: int = True", "whose default is not int"),
        ("a = (", "the parameters cell is no Python"),
    ],
)
def test_anything_but_literals_is_refused(make_notebook, cell, message):
    path = make_notebook(cell)
    with pytest.raises(RagftError, match=message) as raised:
        read_parameters(path)
    assert str(path) in str(raised.value)


def test_reading_a_parameters_cell_runs_nothing(make_notebook, tmp_path):
    canary = tmp_path / "canary"
    with pytest.raises(RagftError):
        read_parameters(make_notebook(f"a = open({str(canary)!r}, 'w')"))
    assert not canary.exists()


def test_a_notebook_needs_exactly_one_parameters_cell(make_notebook):
    path = make_notebook(None, "1")
    with pytest.raises(RagftError, match="0 code cells are tagged 'parameters', not one"):
        read_parameters(path)
    notebook = nbformat.read(make_notebook("a = 1"), as_version=4)
    second = nbformat.v4.new_code_cell("b = 1", metadata={"tags": ["parameters"]})
    notebook.cells.append(second)
    nbformat.write(notebook, path)
    with pytest.raises(RagftError, match="2 code cells are tagged"):
        read_parameters(path)


def test_a_file_that_is_no_notebook_is_named(tmp_path):
    with pytest.raises(RagftError, match=r"none\.ipynb: there is no such notebook"):
        read_parameters(tmp_path / "none.ipynb")
    broken = {"text": "hello", "list": "[]", "object": "{}", "cut": '{"cells": ['}
    for name, content in broken.items():
        path = tmp_path / f"{name}.ipynb"
        path.write_text(content)
        with pytest.raises(RagftError, match=rf"{name}\.ipynb: not a Jupyter notebook"):
            read_parameters(path)
    (tmp_path / "bytes.ipynb").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RagftError, match=r"bytes\.ipynb"):
        read_parameters(tmp_path / "bytes.ipynb")


def test_assignments_of_a_command_line():
    assert parse_assignments(["a=1", "b=", "a=2=3"]) == {"a": "2=3", "b": ""}
    for item in ("a", "=1", " =1"):
        with pytest.raises(RagftError, match="write a parameter as name=value"):
            parse_assignments([item])


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("draw", "false", False),
        ("draw", "True", True),
        ("draw", "0", False),
        ("count", "7", 7),
        ("count", 7, 7),
        ("share", "1e-3", 0.001),
        ("share", 1, 1.0),
        ("profile", "false", "false"),
        ("profile", "3", "3"),
        ("seeds", "0,1,2", [0, 1, 2]),
        ("seeds", "[5]", [5]),
        ("seeds", (4, 5), [4, 5]),
        ("seeds", "", []),
        ("names", "x, y", ["x", "y"]),
        ("model", "none", None),
        ("model", None, None),
        ("model", "tiny", "tiny"),
        ("options", '{"b": true}', {"b": True}),
        ("options", "{'b': True}", {"b": True}),
    ],
)
def test_values_take_the_type_of_the_parameter(make_notebook, name, given, value):
    checked = check_parameters(make_notebook(CELL), {name: given})
    assert checked == {name: value}
    assert type(checked[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("draw", "maybe"),
        ("draw", 1),
        ("count", "3.5"),
        ("count", 3.0),
        ("count", True),
        ("count", None),
        ("share", "much"),
        ("share", True),
        ("profile", 3),
        ("profile", None),
        ("seeds", "a,b"),
        ("seeds", ["a"]),
        ("seeds", "[1, 'a']"),
        ("seeds", "[1"),
        ("seeds", 3),
        ("model", 3),
        ("options", "a,b"),
        ("options", "[1]"),
    ],
)
def test_a_value_of_another_type_is_refused(make_notebook, name, given):
    path = make_notebook(CELL)
    with pytest.raises(RagftError, match=f"the parameter '{name}' must be") as raised:
        check_parameters(path, {name: given})
    assert str(path) in str(raised.value)
    assert "\n  draw: bool = True" in str(raised.value)


def test_an_unknown_parameter_is_refused_and_all_are_listed(make_notebook):
    path = make_notebook("a = 1\nb = 'x'")
    with pytest.raises(RagftError) as raised:
        check_parameters(path, {"c": 1})
    listing = "It has:\n  a: int = 1\n  b: str = 'x'"
    assert str(raised.value) == f"{path} has no parameter 'c'. {listing}"
    with pytest.raises(RagftError, match="has no parameter 'a'. It has: no parameters"):
        check_parameters(make_notebook("", name="02_empty"), {"a": 1})


@given(st.booleans() | st.integers() | st.floats() | st.lists(st.integers()))
def test_a_value_survives_being_written_as_a_string(value):
    parameter = Parameter("a", value, type(value).__name__)
    back = _convert(parameter, json.dumps(value))
    assert type(back) is type(value)
    assert back == value or (math.isnan(back) and math.isnan(value))


@given(st.text())
def test_a_string_stays_the_string_it_is(value):
    assert _convert(Parameter("a", "", "str"), value) == value
