"""Which pictures come from the full grid, so that a smaller run never takes their place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from ragft.files import atomic_write
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
    try:
        found = json.loads(path.read_text())
        return {str(name): str(day) for name, day in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise RagftError(
            f"{path}: not a list of notebooks with days ({error}); remove it"
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
    known = full_grids(figures)
    if notebook not in known:
        known[notebook] = datetime.now(UTC).date().isoformat()
        path = Path(figures) / LIST
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps(dict(sorted(known.items())), indent=2) + "\n")
