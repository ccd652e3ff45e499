"""Tables inside Markdown files, written from the records they quote.

A block opens with `<!-- ragft: KIND PATH -->` and closes with `<!-- /ragft -->`; what stands
between is made from the record there, or from the folder of records in a block of the kind
`claims`, so that no number in a README is typed by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ragft.batch.grids import full_grids
from ragft.claims import NOT_MEASURED, ledger
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
    """Return the text with every block made anew, its path relative to `folder`."""

    def block(found: re.Match[str]) -> str:
        kind, name = found.groups()
        return f"<!-- ragft: {kind} {name} -->\n{_made(kind, folder / name)}\n<!-- /ragft -->"

    return _BLOCK.sub(block, text)


def _made(kind: str, path: Path) -> str:
    if kind in _OF_A_FOLDER:
        return _OF_A_FOLDER[kind](path)
    if kind not in _OF_A_RECORD:
        kinds = ", ".join((*_OF_A_RECORD, *_OF_A_FOLDER))
        raise RagftError(f"block {kind!r}: choose one of {kinds}")
    if not path.is_file():
        raise RagftError(f"{path}: the record behind a block is missing")
    return _OF_A_RECORD[kind](json.loads(path.read_text(encoding="utf-8")))


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


def claims_table(folder: Path) -> str:
    """Return the measured rows of the ledger as a Markdown table, and what is not measured."""
    rows = ledger(folder)
    found = [(row, row.measured) for row in rows if row.measured is not None]
    cells = [
        [row.claim.id, row.claim.claim, row.claim.figure or "–", row.shown, str(m.n), row.verdict]
        for row, m in found
    ]
    open_ = sum(row.verdict == NOT_MEASURED for row in rows)
    note = f"{len(found)} of {len(rows)} claims are measured, {open_} are not measured yet."
    if not found:
        return note
    days = sorted({m.date for _, m in found})
    models = sorted({m.model for _, m in found})
    dated = " to ".join(dict.fromkeys((days[0], days[-1])))
    full = ", ".join(name[:2] for name in full_grids(folder.parent))
    grids = f" Notebooks {full} on the full grid, the others on the reduced one." if full else ""
    head = ["id", "claim", "article", "measured [95 %]", "n", "verdict"]
    return f"{_table(head, cells)}\n\n{dated} · model {', '.join(models)} · {note}{grids}"


_OF_A_RECORD: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "comparison": comparison_table,
    "scores": scores_table,
}
_OF_A_FOLDER: dict[str, Callable[[Path], str]] = {"claims": claims_table}
