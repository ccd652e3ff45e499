"""Pictures and records written side by side, and what a caption says of a record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def publish(figure: Figure, folder: str | Path, name: str, record: Mapping[str, Any]) -> Path:
    """Write a picture, and the record behind it as `data/NAME.json` beside it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    folder : path
        Made if it is not there.
    name : str
        Such as '01_package_history'.
    record : mapping
        The record whose numbers the picture shows.

    Returns
    -------
    Path
        Of the picture.
    """
    from ragft.plotting import save

    keep(record, folder, name)
    return save(figure, Path(folder) / f"{name}.png")


def keep(record: Mapping[str, Any], folder: str | Path, name: str) -> Path:
    """Write a record as `data/NAME.json` in a folder of figures; return its path."""
    from ragft.records import atomic_write, to_json

    return atomic_write(Path(folder) / "data" / f"{name}.json", to_json(record))


def model_line(record: Mapping[str, Any]) -> str:
    """Return what a caption says of a record: model, seeds, hardware, date, commit."""
    machine = record["hardware"]
    gpus = ", ".join(machine["gpus"] or []) or f"{_cores(machine['cores'])}, {machine['cpu']}"
    return (
        f"Model: {record['profile']['model']}. Training seeds: {len(record['seeds'])}. "
        f"95 % intervals over questions and seeds. {gpus}; {record['date'][:10]}."
    )


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"
