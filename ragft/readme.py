"""Tables inside Markdown files, written from the records they quote.

A block opens with `<!-- ragft: KIND PATH -->` and closes with `<!-- /ragft -->`; what stands
between is made from the record there, or from the folder of records in a block of the kind
`claims`, so that no number in a README is typed by hand. A claims block shows all measured rows,
or those whose ids stand behind the folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ragft.batch.grids import full_grids
from ragft.claims import Row, counts, ledger
from ragft.files import atomic_write
from ragft.plotting import ARMS
from ragft.report import number, percent
from ragft.types import RagftError

_BLOCK = re.compile(r"<!-- ragft: (\S+) (\S+)((?: \w+)*) -->\n.*?<!-- /ragft -->", re.DOTALL)


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
        kind, name, wanted = found.groups()
        made = _made(kind, folder / name, wanted.split())
        return f"<!-- ragft: {kind} {name}{wanted} -->\n{made}\n<!-- /ragft -->"

    return _BLOCK.sub(block, text)


def _made(kind: str, path: Path, wanted: Sequence[str]) -> str:
    if kind == "claims":
        return claims_table(path, wanted)
    if kind not in _OF_A_RECORD or wanted:
        kinds = ", ".join((*_OF_A_RECORD, "claims"))
        raise RagftError(f"block {kind!r}: choose one of {kinds}; ids follow a claims block alone")
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


def claims_table(folder: Path, wanted: Sequence[str] = ()) -> str:
    """Return measured rows of the ledger as a Markdown table, and below it what there is in all.

    Parameters
    ----------
    folder : Path
        Of records.
    wanted : sequence of str
        Ids of the rows shown, in the order of the ledger; none: all that are measured, with what
        the numbers are.

    Raises
    ------
    RagftError
        There is no such folder, or no row has an id that is wanted.
    """
    rows = ledger(folder)
    unknown = [i for i in wanted if i not in {row.claim.id for row in rows}]
    if unknown:
        raise RagftError(f"block 'claims': no row is called {', '.join(unknown)}")
    shown = [row for row in rows if not wanted or row.claim.id in wanted]
    cells = [_cells(row, row.measured.n) for row in shown if row.measured is not None]
    note = _in_all(rows, folder)
    if not cells:
        return note
    if wanted:  # a glance; the whole ledger also says what the numbers are
        cells = [{k: v for k, v in told.items() if k != "quantity"} for told in cells]
    return f"{_table([*cells[0]], [[*told.values()] for told in cells])}\n\n{note}"


def _cells(row: Row, n: int) -> dict[str, str]:
    return {
        "id": row.claim.id,
        "claim": row.claim.claim,
        "article": row.claim.figure or "–",
        "quantity": row.claim.quantity,
        "measured [95 %] (sides)": row.shown,
        "n": str(n),
        "verdict": row.verdict,
    }


def _in_all(rows: Sequence[Row], folder: Path) -> str:
    """Return when and with what the whole ledger was measured, and its verdicts counted."""
    found = [row.measured for row in rows if row.measured is not None]
    verdicts = ", ".join(f"{count} {name}" for name, count in counts(rows).items() if count)
    note = f"{len(found)} of {len(rows)} claims are measured: {verdicts}."
    if not found:
        return note
    days, models = sorted({m.date for m in found}), sorted({m.model for m in found})
    dated = " to ".join(dict.fromkeys((days[0], days[-1])))
    full = ", ".join(name[:2] for name in full_grids(folder.parent))
    grids = f" Wholly on the full grid: notebooks {full}." if full else ""
    return f"{dated} · model {', '.join(models)} · {note}{grids}"


_OF_A_RECORD: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "comparison": comparison_table,
    "scores": scores_table,
}
