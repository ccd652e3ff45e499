"""Which pictures come from the full grid, so that a smaller run never takes their place."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

from ragft.files import SEAL, atomic_write, locked, read_sealed, sealed_json
from ragft.types import RagftError

LIST = Path("data", "full_grid.json")
"""In a folder of figures: notebooks by name, each with the day on which its full grid was whole."""
REDUCED = "reduced"
"""Folder beside the pictures, for those of smaller runs."""


def full_grids(figures: str | Path) -> dict[str, str]:
    """Return the notebooks whose pictures come from the full grid, with the days; {} for none.

    Raises
    ------
    RagftError
        The list cannot be read.
    """
    path = Path(figures) / LIST
    if not path.exists():
        return {}
    advice = "remove it, and the next full run writes it anew"
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
        if SEAL in found:
            found = read_sealed(path, advice)
        # One that was written before there was a seal, and that holds days, is as good.
        return {str(name): date.fromisoformat(day).isoformat() for name, day in found.items()}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise RagftError(
            f"{path}: not a list of notebooks with days ({error}); {advice}"
        ) from error


def place(figures: str | Path, notebook: str, full: bool) -> Path:
    """Return where a notebook's pictures go: beside those of the full grid, where there are any.

    Examples
    --------
    >>> place("figures", "00_start_here", full=True).name
    'figures'
    """
    if not full and notebook in full_grids(figures):
        return Path(figures) / REDUCED
    return Path(figures)


def mark_full(figures: str | Path, notebook: str) -> None:
    """Write down that a notebook's pictures come from the full grid, as of today (UTC)."""
    path = Path(figures) / LIST
    if notebook in full_grids(figures):
        return
    with locked(path.with_name(f".{path.name}.lock")):  # two runs may end at once
        known = full_grids(figures)
        if notebook not in known:
            known[notebook] = datetime.now(UTC).date().isoformat()
            atomic_write(path, sealed_json(dict(sorted(known.items()))))
