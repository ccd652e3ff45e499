"""Inputs that nobody wrote by hand: valid ones bent out of shape, for the fuzz tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

ODD_TEXTS = [
    "", " ", "\0", "\ud800", "\ufeff", "é", "\u202e", "\x1b[31m", "<script>alert(1)</script>",
    "2024-02-30", "0000-00-00", "9" * 40, "1e999", "-0", "../../etc/passwd", "nan", "{", "x" * 2000,
]  # fmt: skip
ODD_NUMBERS = [0, -1, 2**31, 2**64, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")]

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from(ODD_NUMBERS),
        st.sampled_from(ODD_TEXTS),
        st.text(max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=5)), inner),
    ),
    max_leaves=6,
)
"""Whatever JSON can hold."""


@st.composite
def bent_bytes(draw: Any, seeds: Sequence[bytes], tokens: Sequence[bytes] = ()) -> bytes:
    """Draw one of the seeds with a few pieces cut out, put in, doubled or flipped."""
    data = bytearray(draw(st.sampled_from(seeds)))
    pieces = st.sampled_from(tokens) if tokens else st.binary(min_size=1, max_size=4)
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 24)))
        how = draw(st.sampled_from(["cut", "put", "double", "repeat", "flip", "end"]))
        if how == "cut":
            del data[start:end]
        elif how == "put":
            data[start:start] = draw(st.one_of(pieces, st.binary(min_size=1, max_size=4)))
        elif how == "double":
            data[start:start] = data[start:end]
        elif how == "repeat":
            data[start:start] = draw(pieces) * draw(st.sampled_from([2, 50, 2000]))
        elif how == "flip" and start < len(data):
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif how == "end" and start > len(data) // 2:
            del data[start:]
    return bytes(data)


@st.composite
def bent_values(draw: Any, seeds: Sequence[Any]) -> Any:
    """Draw one of the seeds (JSON values) with a few of its parts replaced, dropped or added."""
    found = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(found))
        if not places:
            return draw(values)
        holder, key = draw(st.sampled_from(places))
        how = draw(st.sampled_from(["replace", "drop", "add"]))
        if how == "drop":
            del holder[key]
        elif how == "add" and isinstance(holder, dict):
            holder[draw(st.sampled_from(ODD_TEXTS))] = draw(values)
        else:
            holder[key] = draw(values)
    return found


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return (holder, key) of every part of a value."""
    found = []
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], dict | list):
            found += _places(value[key])
    return found


def as_json(value: Any) -> bytes:
    """Return the JSON of a value; half characters and numbers that JSON lacks stay in it."""
    return json.dumps(value).encode()


def as_lines(rows: Any) -> bytes:
    """Return a list as JSON Lines, anything else as one line."""
    rows = rows if isinstance(rows, list) else [rows]
    return b"\n".join(map(as_json, rows)) + b"\n"
