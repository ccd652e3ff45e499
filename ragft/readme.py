"""Tables inside Markdown files, written from the records they quote.

A block opens with `<!-- ragft: KIND FILE -->` and closes with `<!-- /ragft -->`; what stands
between is made from the JSON file, so that no number in a README is typed by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ragft.files import atomic_write
from ragft.plotting import ARMS
from ragft.report import number, percent
from ragft.types import RagftError

_BLOCK = re.compile(r"<!-- ragft: (\S+) (\S+) -->\n.*?<!-- /ragft -->", re.DOTALL)


def fill(path: str | Path) -> bool:
    """Rewrite every block of a Markdown file; return whether anything changed.

    Raises
    ------
    RagftError
        The file or a record is missing, or a block's kind is unknown.
    """
    path = Path(path)
    if not path.is_file():
        raise RagftError(f"{path}: no such file")
    before = path.read_text(encoding="utf-8")
    after = filled(before, path.parent)
    if after != before:
        atomic_write(path, after)
    return after != before


def filled(text: str, folder: Path) -> str:
    """Return the text with every block made anew from its record, files relative to `folder`."""

    def block(found: re.Match[str]) -> str:
        kind, name = found.groups()
        if kind not in _KINDS:
            raise RagftError(f"block {kind!r}: choose one of {', '.join(_KINDS)}")
        if not (folder / name).is_file():
            raise RagftError(f"{folder / name}: the record behind a block is missing")
        record = json.loads((folder / name).read_text(encoding="utf-8"))
        return f"<!-- ragft: {kind} {name} -->\n{_KINDS[kind](record)}\n<!-- /ragft -->"

    return _BLOCK.sub(block, text)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def comparison_table(record: Mapping[str, Any]) -> str:
    """Return a comparison's arms as a Markdown table, with its provenance below."""
    shares = ("accuracy", "stale", "confused", "fabricated", "abstained")
    rows = [
        [
            ARMS[row["arm"]].label,
            *(percent(row[share]) for share in shares),
            number(row["latency_ms"]["p50"], ".0f"),
            number(row["training_seconds"], ".0f"),
        ]
        for row in record["results"]["arms"]
    ]
    head = ["arm", "correct %", *(f"{s} %" for s in shares[1:]), "p50 ms", "training s"]
    asked = record["parameters"]
    counts = ", ".join(f"{v} {k}" for k, v in asked.items() if isinstance(v, int))
    note = (
        f"{record['date'][:10]} · {asked['corpus']} · {counts} · {len(record['seeds'])} training "
        f"seeds · model {record['profile']['model']} · {record['hardware']['cores']} cores of "
        f"{record['hardware']['cpu']} · 95 % intervals"
    )
    return f"{_table(head, rows)}\n\n{note}"


def scores_table(record: Mapping[str, Any]) -> str:
    """Return a model's measured scores as a Markdown table."""
    rows = []
    for name, score in record["scores"].items():
        shown = number(score["mean"]) if "seconds" in name else percent(score)
        rows.append([f"`{name}`", shown, str(score["n"])])
    machine = record["hardware"]
    note = f"{record['date'][:10]} · {machine['cores']} cores of {machine['cpu']}"
    return f"{_table(['score', '% [95 %]; seconds', 'n'], rows)}\n\n{note}"


_KINDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "comparison": comparison_table,
    "scores": scores_table,
}
