"""Names of models: where a shipped checkpoint lies. Nothing is loaded here."""

from __future__ import annotations

import os
from pathlib import Path

from ragft.types import RagftError

EMBEDDED = Path(__file__).parent / "embedded"
SHIPPED = ("embedded", "resident")
"""Names of the checkpoints that ship with the package."""


def model_folder(name: str | os.PathLike[str]) -> str:
    """Return where a named model lies: a shipped checkpoint's folder, or the name itself.

    Raises
    ------
    RagftError
        A shipped checkpoint is not there.
    """
    if str(name) not in SHIPPED:
        return str(name)
    folder = EMBEDDED / f"{name}-model"
    if not folder.is_dir():
        raise RagftError(
            f"the model {name!r} is not part of this installation ({folder} is absent)"
        )
    return str(folder)
