"""What became of a grid of notebook runs: read from its folder, and as a table for a terminal.

Only the folder that `ragft batch` filled is read: `grid.json`, every run's `record.json`, and the
records and pictures of its figures. The page over it is made in `grid_page`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ragft import files
from ragft.files import find_sealed
from ragft.report.explanations import printable
from ragft.report.text import columns, number, percent
from ragft.types import RagftError

LEADING = ("rag", "finetuned", "finetuned_rag")
"""Arms whose accuracy stands before that of the others."""
ASKED = {"name": str, "notebook": str, "parameters": dict}
KEPT = {
    "status": str,
    "seconds": (int, float),
    "attempts": int,
    "error": str,
    "hardware": (dict, type(None)),
    "workers": int,
}
"""What a record must hold to be shown."""


def read_runs(folder: str | Path) -> list[dict[str, Any]]:
    """Return the runs of a grid in its order, as their records have them, with their metrics.

    Parameters
    ----------
    folder : str or Path
        Where `ragft batch` wrote.

    Returns
    -------
    list of dict
        What `record.json` holds, `status` being 'waiting' where there is none, and: `metrics`
        (name and text with its interval, see `metrics`), `pictures` (paths relative to the
        folder), `varied` (the parameters that differ between the runs).

    Raises
    ------
    RagftError
        If the folder has no `grid.json` that can be read.
    """
    folder = Path(folder)
    asked = find_sealed(folder / "grid.json").get("runs")
    if not isinstance(asked, list) or not all(_fits(r, ASKED) and _named(r) for r in asked):
        raise RagftError(f"{folder / 'grid.json'}: missing or damaged; run the batch again.")
    runs = []
    for run in asked:
        figures = folder / run["name"] / "figures"
        pictures = [p.relative_to(folder).as_posix() for p in sorted(figures.glob("*.png"))]
        shown = {"metrics": metrics(figures / "data"), "pictures": pictures}
        runs.append({**_kept(folder / run["name"] / "record.json"), **run, **shown})
    varied = _varied([run["parameters"] for run in runs])
    return [run | {"varied": {k: run["parameters"].get(k) for k in varied}} for run in runs]


def metrics(data: str | Path) -> list[tuple[str, str]]:
    """Return the numbers in a folder of figures' records, with 95 % intervals and n.

    Of a comparison the accuracy of every arm, of any other record its quantities; shares in per
    cent, other units named. A record that cannot be read says so in its place; [] for no records.
    """
    found = []
    for path in sorted(Path(data).glob("*.json")):
        results = _json(path).get("results")
        if not isinstance(results, dict):
            found.append((path.stem, "the record cannot be read"))
            continue
        named = ((name, _shown(interval)) for name, interval in _intervals(results))
        found += [(f"{path.stem}: {name}", text) for name, text in named if text is not None]
    return found


def grid_text(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of a grid for a terminal, with the errors below.

    Parameters
    ----------
    runs : sequence of mapping
        From `read_runs`; at least one.
    """
    told = ["run", *heads(runs), "status", "seconds", "tries", "first number"]
    rows = [[_line(cell) for cell in told]]
    for run in runs:
        values = (short(value) for value in run["varied"].values())
        first = ": ".join(run["metrics"][0]) if run["metrics"] else "–"
        told = [run["name"], *values, run["status"], number(run.get("seconds"))]
        rows.append([_line(cell) for cell in (*told, str(run.get("attempts", 0)), first)])
    errors = [f"{run['name']}: {run['error']}" for run in runs if run.get("error")]
    return "\n\n".join([columns(rows), *map(printable, errors), _line(counts(runs))])


def counts(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return how many runs there are in each state."""
    states = [run["status"] for run in runs]
    told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{len(runs)} runs: {told}."


def heads(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the parameters that differ between the runs."""
    return list(runs[0]["varied"]) if runs else []


def _varied(parameters: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names whose values differ between the runs, or that not all of them have."""
    everywhere = dict.fromkeys(name for given in parameters for name in given)
    return [
        n for n in everywhere if len({repr(given.get(n, KeyError)) for given in parameters}) > 1
    ]


def _intervals(results: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    arms, quantities = results.get("arms"), results.get("quantities")
    if isinstance(arms, list):
        rows = [row for row in arms if isinstance(row, dict)]
        for row in sorted(rows, key=lambda row: row.get("arm") not in LEADING):
            yield f"accuracy of {row.get('arm')}", row.get("accuracy")
    if isinstance(quantities, dict):
        yield from quantities.items()


def _shown(interval: Any) -> str | None:
    """Return a number with its interval and n; None where it is none."""
    if not isinstance(interval, dict):
        return None
    limits = {name: interval.get(name) for name in ("mean", "low", "high")}
    if not all(value is None or type(value) in (int, float) for value in limits.values()):
        return None
    unit = interval.get("unit", "share")
    if limits["mean"] is None or math.isnan(limits["mean"]):
        text = "–"
    elif unit in ("share", "points"):
        text = f"{percent(limits)} %"
    else:
        mean, low, high = (number(value, ".3g") for value in limits.values())
        text = f"{mean} [{low}, {high}] {'times' if unit == 'ratio' else unit}"
    return f"{text} (n = {interval.get('n', '–')})"


def _kept(path: Path) -> dict[str, Any]:
    """Return a run's record; what is no record has a status that says so."""
    if not path.exists():
        return {"status": "waiting"}
    found = find_sealed(path)
    return found if _fits(found, KEPT) else {"status": "record damaged"}


def _named(run: Mapping[str, Any]) -> bool:
    """Tell whether a run's name can be that of a folder, and of one that lies in the grid's."""
    try:
        name = os.fsencode(run["name"])
    except UnicodeEncodeError:
        return False
    return 0 < len(name) < 256 and b"/" not in name and b"\0" not in name and name != b".."


def _fits(found: Any, kinds: Mapping[str, type | tuple[type, ...]]) -> bool:
    return isinstance(found, dict) and all(isinstance(found.get(k), v) for k, v in kinds.items())


def _json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; {} where it is missing or damaged."""
    try:
        found = files.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def short(value: Any) -> str:
    """Return a value on one line, cut where it is long."""
    text = "–" if value is None else value if isinstance(value, str) else json.dumps(value)
    return _line(text if len(text) <= 120 else text[:119] + "…")


def _line(text: str) -> str:
    return " ".join(printable(text).split())
