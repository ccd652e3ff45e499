"""The ledger itself: the rows, what the records of a folder hold for each, and the verdicts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from textwrap import shorten
from typing import Any

from ragft import files
from ragft.claims.rows import PERCENT, Claim, load_claims
from ragft.claims.verdicts import VERDICTS, Measured, verdict
from ragft.files import plain
from ragft.types import RagftError

_MEASURED = tuple(field.name for field in fields(Measured))


@dataclass(frozen=True)
class Row:
    """One row of the ledger."""

    claim: Claim
    measured: Measured | None
    verdict: str
    reason: str
    """Why it is not measured yet, or why its verdict is fixed; '' otherwise."""

    @property
    def shown(self) -> str:
        """What was measured, for people: '-18.0 [-21.0, -15.0] points (4.0 − 22.0)'.

        Shares are in per cent; in brackets stand the two sides, where the record tells them.
        """
        if self.measured is None:
            return "–"
        form = "{:.1f}" if self.claim.unit in PERCENT else "{:.3g}"
        scale = 100 if self.claim.unit in PERCENT else 1
        found = self.measured
        numbers = (found.mean, found.low, found.high, found.one, found.two)
        mean, low, high, one, two = (form.format(scale * value) for value in numbers)
        unit = {"share": "%", "ratio": "times"}.get(self.claim.unit, self.claim.unit)
        sign = "/" if self.claim.unit == "ratio" else "−"
        sides = "" if math.isnan(found.one + found.two) else f" ({one} {sign} {two})"
        return f"{mean} [{low}, {high}] {unit}{sides}"

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON can hold it: numbers in `unit`, None where not measured."""
        claim = asdict(self.claim)
        del claim["why"]  # is in the reason
        found = asdict(self.measured) if self.measured else dict.fromkeys(_MEASURED)
        claim["measured"] = found.pop("mean")
        return plain({**claim, **found, "verdict": self.verdict, "reason": self.reason})


def ledger(folder: str | Path = "figures/data") -> tuple[Row, ...]:
    """Return all rows in their order, judged by the records in a folder.

    Raises
    ------
    RagftError
        If there is no such folder, or a record in it is damaged (names it).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RagftError(f"{folder}: no such folder; give the one that holds the records.")
    claims = load_claims()
    paths = {c.record: folder / f"{c.record}.json" for c in claims if c.record}
    records = {name: _read(path) for name, path in paths.items() if path.is_file()}
    return tuple(_row(claim, records, folder) for claim in claims)


def _row(claim: Claim, records: Mapping[str, Mapping[str, Any]], folder: Path) -> Row:
    try:
        measured, reason = _find(claim, records)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        path = folder / f"{claim.record}.json"
        raise RagftError(f"{path}: is no record ({error}); write it anew.") from error
    return Row(claim, measured, verdict(claim, measured), claim.why or reason)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        record = files.from_json(path.read_text(encoding="utf-8"))
        return {name: record[name] for name in ("date", "profile", "parameters", "results")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RagftError(f"{path}: is no record ({error}); write it anew.") from error


def _find(claim: Claim, records: Mapping[str, Mapping[str, Any]]) -> tuple[Measured | None, str]:
    """Return what the records hold for a claim, or the reason why they hold nothing for it."""
    if claim.record is None:
        return None, "no experiment measures it yet"
    if claim.record not in records:
        return None, f"the record {claim.record}.json is not there"
    name, record = f"{claim.record}.json", records[claim.record]
    if record["profile"]["name"] == "smoke":
        return None, f"the record {name} is of a smoke run"
    found = record["results"].get("quantities", {}).get(claim.measured)
    if found is None:
        return None, f"the record {name} has no quantity '{claim.measured}'"
    lacking = [k for k in ("mean", "low", "high", "n", "seeds", "unit") if k not in found]
    if lacking:
        return None, f"'{claim.measured}' in the record {name} lacks {', '.join(lacking)}"
    if any(found[k] is None or math.isnan(found[k]) for k in ("mean", "low", "high")):
        return None, f"the interval of '{claim.measured}' is undefined (n = {found['n']})"
    if found["unit"] != claim.unit and {found["unit"], claim.unit} != set(PERCENT):
        return None, f"'{claim.measured}' is in {found['unit']}, the row is in {claim.unit}"
    measured = _measured(record, found)
    if claim.judged_on == "packages" and measured.corpus.startswith("world"):
        return None, "measured on a made-up world, whose change rate is chosen"
    return measured, ""


def _measured(record: Mapping[str, Any], found: Mapping[str, Any]) -> Measured:
    """Return a quantity with the provenance of its record, or with its own where it has one."""
    asked = record["parameters"]
    corpus = asked.get("timeline") or asked.get("corpus") or f"packages:{asked.get('package', '?')}"
    return Measured(
        *(float(found[name]) for name in ("mean", "low", "high")),
        n=found["n"],
        seeds=found["seeds"],
        corpus=found.get("corpus", corpus),
        model=found.get("model", record["profile"]["model"]),
        date=record["date"][:10],
        arms=tuple(found.get("arms", ())),
        stated_shape=found.get("stated_shape", False),
        **{side: found[side] for side in ("one", "two") if found.get(side) is not None},
    )


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many rows have each verdict, in the order of `VERDICTS`; none is left out."""
    found = Counter(row.verdict for row in rows)
    return {name: found[name] for name in VERDICTS}


def table(rows: Sequence[Row]) -> dict[str, list[list[str]]]:
    """Return the rows of each group as cells for people, a head first."""
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        cells = groups.setdefault(
            row.claim.group, [["id", "claim", "figure", "measured [95 %] (sides)", "n", "verdict"]]
        )
        told = (shorten(text, 60, placeholder=" …") for text in (row.claim.claim, row.claim.figure))
        n = "–" if row.measured is None else str(row.measured.n)
        cells.append([row.claim.id, *told, row.shown, n, row.verdict])
    return groups
