"""The loop over all that is measured: full memory, the time limit, what is there already, records.

One JSON file a section, written again after every row, so that an interruption loses one row.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ragft import models
from ragft.bench.gpu.device import Device, Unavailable, out_of_memory
from ragft.files import plain, read_sealed, sealed_json
from ragft.generation.shapes import SHAPES, TOY, Shape
from ragft.records import atomic_write, content_key, provenance
from ragft.types import RagftError

NOT_REACHED, NO_MEMORY, FAILED = "not reached", "out of memory", "failed: "
"""Notes of rows without numbers; the first and the last are measured again by the next call."""
BY_NAME = SHAPES | {TOY.name: TOY}


class Section:
    """One section's record, as far as it goes.

    Parameters
    ----------
    module : module
        With NAME, USES, cells, measure and summary.
    device : Device
    shapes : sequence of Shape
        What is measured now; rows of other shapes that are there stay.
    folder : Path
        Of the records.
    commit : str, optional
        Recorded where the code lies in no repository, as on a lent machine.

    Raises
    ------
    RagftError
        The folder holds this section with other settings or from another machine.
    """

    def __init__(
        self,
        module: ModuleType,
        device: Device,
        shapes: Sequence[Shape],
        folder: Path,
        commit: str | None = None,
    ) -> None:
        self.module, self.device, self.commit = module, device, commit
        self.path = folder / f"{module.NAME}.json"
        self.asked = {name: _asked(device, name) for name in module.USES}
        self.machine = device.machine()
        self.key = content_key(
            {"section": module.NAME, "asked": _essence(self.asked), "machine": self.machine}
        )
        self.rows: dict[str, dict[str, Any]] = self._kept()
        self.cells = module.cells(device.settings, shapes)

    def _kept(self) -> dict[str, dict[str, Any]]:
        if not self.path.is_file():
            return {}
        try:
            record = read_sealed(self.path, "give another --out, or delete the file")
            key, rows = record["key"], {_place(row["cell"]): row for row in record["rows"]}
        except (RagftError, KeyError, TypeError) as error:
            raise RagftError(
                f"{self.path}: is no record of this benchmark ({error}); give another --out"
            ) from error
        if key != self.key:
            raise RagftError(
                f"{self.path}: measured with other settings, packages or another machine; "
                "give another --out, or delete the file to measure again"
            )
        return rows

    @property
    def open(self) -> list[dict[str, Any]]:
        """Cells without a result: not measured, not reached, or failed."""
        return [cell for cell in self.cells if _open(self.rows.get(_place(cell)))]

    def run(self, deadline: float, told: Callable[[str], object]) -> None:
        """Measure what is open until the deadline (of `time.monotonic`); write after every row."""
        if not (left := self.open):
            return
        for cell in left:
            late = time.monotonic() >= deadline
            found = {"note": NOT_REACHED} if late else self._measured(cell)
            whole = {"cell": cell, **cell, "measured": len(found) > 1, "note": "", **found}
            self.rows[_place(cell)] = plain(whole)
            if not late:
                told(f"{self.module.NAME} {_place(cell)} {found.get('note', '')}")
                self._write()
        self._write()
        self.device.release()

    def _measured(self, cell: dict[str, Any]) -> dict[str, Any]:
        """Measure one cell; what goes wrong is noted, and the memory freed for the next one."""
        self.device.tidy()
        try:
            return self.module.measure(self.device, BY_NAME.get(cell.get("shape", "")), cell)
        except Exception as error:  # a sweep of an hour goes on whatever one row meets
            note = _note(error)
        self.device.release()  # only now: the traceback of the error held the tensors
        return {"note": note}

    @property
    def measured(self) -> list[dict[str, Any]]:
        """Rows with numbers."""
        return [row for row in self.rows.values() if row["measured"]]

    def count(self, note: str) -> int:
        """Return how many rows have a note that begins so."""
        return sum(row["note"].startswith(note) for row in self.rows.values())

    def summary(self) -> list[dict[str, Any]]:
        """Return what follows from the rows: bars, ratios and extrapolations."""
        return self.module.summary(self.device.settings, self.measured)

    def _write(self) -> None:
        measured = provenance()
        record = {
            "name": f"gpu {self.module.NAME}",
            "key": self.key,
            **measured,
            "commit": measured["commit"] or self.commit,
            "machine": self.machine,
            "settings": self.asked,
            "not_reached": self.count(NOT_REACHED),
            "out_of_memory": self.count(NO_MEMORY),
            "failed": self.count(FAILED),
            "summary": self.summary(),
            **self._for_the_ledger(),
            "rows": list(self.rows.values()),
        }
        atomic_write(self.path, sealed_json(record))

    def _for_the_ledger(self) -> dict[str, Any]:
        """Return what `ragft claims` reads of a record; a toy shape counts as a smoke run."""
        told = getattr(self.module, "quantities", None)
        toy = {row["shape"] for row in self.measured if "shape" in row} <= {TOY.name}
        return {
            "profile": {"name": "smoke" if toy else "gpu", "model": "published shapes"},
            "parameters": {"corpus": "lengths of the committed comparison"},
            "results": {
                "quantities": told(self.device.settings, self.measured) if told else {},
            },
        }


def _place(cell: dict[str, Any]) -> str:
    """Return what tells a cell from the others of its section."""
    return json.dumps(cell, sort_keys=True)


def _open(row: dict[str, Any] | None) -> bool:
    return row is None or row["note"] == NOT_REACHED or row["note"].startswith(FAILED)


def _note(error: Exception) -> str:
    if out_of_memory(error):
        return NO_MEMORY
    if isinstance(error, Unavailable):
        return f"not available: {error}"
    return f"{FAILED}{type(error).__name__}: {error}"


def _asked(device: Device, name: str) -> Any:
    """Return a setting, or the hash of the real weights."""
    if name == "weights_hash":
        return models.weights_hash(device.settings.real)
    return plain(getattr(device.settings, name))


def _essence(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without where the lengths come from: that moves no number."""
    loads = asked.get("loads", {})
    return asked | {
        "loads": {name: [load["prompt"], load["completion"]] for name, load in loads.items()}
    }
