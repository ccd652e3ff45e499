"""Running a notebook: whether it has to run, with which interpreter, and how the run ended.

What a notebook computes lives in `experiments`; its results are cached there. Here a notebook is
finished only if its completion record says so: papermill marks a notebook complete whose kernel
was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragft.batch.execution import execute
from ragft.batch.parameters import check_parameters, read_notebook
from ragft.files import atomic_write, find_sealed, sealed_json, sha256_file, sha256_json
from ragft.types import RagftError

LIBRARY_FILES = (".py", ".yaml", ".json", ".safetensors")
"""What a result can depend on inside the package; all of it is in the library's hash."""


@dataclass(frozen=True, slots=True)
class NotebookRun:
    """What became of one notebook."""

    name: str
    status: str
    """'ran', 'skipped' (it was finished), 'left out' (it needs what cannot be reached from here,
    such as an index of packages; `error` says what) or 'failed'."""
    seconds: float
    """Wall time of this call; 0 where it was skipped."""
    path: Path
    """The executed notebook."""
    error: str = ""


def numbered_notebooks(folder: str | Path, only: Sequence[str] = ()) -> list[Path]:
    """Return the notebooks `NN_name.ipynb` of a folder in order, or those named in `only`.

    Parameters
    ----------
    only : sequence of str
        Numbers ('01' or '1') or names ('01_package_history'); empty means all.

    Raises
    ------
    RagftError
        If the folder holds none, or not one that `only` names; the message lists what there is.
    """
    found = sorted(Path(folder).glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise RagftError(f"{folder}: no notebooks named NN_name.ipynb there.")
    chosen = set()
    for word in only:
        matches = {p for p in found if word in (p.stem, p.name) or word.zfill(2) == p.name[:2]}
        if not matches:
            raise RagftError(f"no notebook {word!r} in {folder}; there are: {names(found)}.")
        chosen |= matches
    return [path for path in found if path in chosen or not only]


def run_notebook(
    path: str | Path,
    out: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    products: str | Path | None = None,
    force: bool = False,
    progress: bool | Callable[[int, int], None] = False,
) -> NotebookRun:
    """Run one notebook, unless its completion record says that it is finished.

    Finished means: the same notebook, parameters and library as now, and every file it left is
    still there as it was left. The executed notebook is written under a temporary name and
    renamed; the record (`<out>.done.json`) comes last.

    Parameters
    ----------
    path : str or Path
        The notebook. It runs in its own folder, with the interpreter that runs this function.
    out : str or Path
        Where the executed notebook goes.
    parameters : mapping, optional
        Values by name, checked by `check_parameters`.
    products : str or Path, optional
        A folder in which the files whose names start with the notebook's number are its work
        (figures and their records): they belong to the completion record.
    force : bool
        Run it even though it is finished.
    progress : bool or callable
        Show a bar of its cells on standard error, or call this before each cell with the number
        of cells done and of cells in all.

    Raises
    ------
    RagftError
        If a parameter is wrong, a cell fails, the kernel dies, the notebook stops early or the
        result cannot be written. What an earlier run left stays as it was.
    """
    path, out = Path(path), Path(out)
    checked = check_parameters(path, parameters or {})
    inputs = _inputs(path, checked)
    if not force and _finished(out, inputs):
        return NotebookRun(path.stem, "skipped", 0.0, out)
    began = time.monotonic()
    executed = execute(path, checked, progress)
    seconds = time.monotonic() - began
    atomic_write(out, executed)
    hashes = {str(file): sha256_file(file) for file in (out.resolve(), *_products(path, products))}
    note = {"inputs": inputs, "parameters": checked, "files": hashes, "seconds": seconds}
    atomic_write(_record(out), sealed_json(note))
    return NotebookRun(path.stem, "ran", seconds, out)


def table(runs: Sequence[NotebookRun]) -> str:
    """Return one line a notebook, with the errors below; '' for no runs."""
    width = max((len(run.name) for run in runs), default=0)
    lines = [f"{run.name:<{width}}  {run.status:<8}  {run.seconds:7.1f} s" for run in runs]
    errors = [f"\n{run.error}" for run in runs if run.error]
    return "\n".join(lines + errors)


def names(paths: Sequence[Path]) -> str:
    """Return the names of notebooks, for a message."""
    return ", ".join(path.stem for path in paths)


def library_hash() -> str:
    """Return the SHA-256 of the package: its code, tables and shipped weights."""
    package = Path(__file__).parents[1]
    files = sorted(p for p in package.rglob("*") if p.suffix in LIBRARY_FILES)
    return sha256_json({str(p.relative_to(package)): sha256_file(p) for p in files})


def depends_on(path: Path) -> list[Any]:
    """Return what every run of a notebook depends on: its cells and the library's hash.

    Outputs and run data kept in the notebook are no part of it.
    """
    cells = [
        (cell.cell_type, cell.source, cell.metadata.get("tags", []))
        for cell in read_notebook(path).cells
    ]
    return [cells, library_hash()]


def is_finished(basis: list[Any], parameters: Mapping[str, Any], out: str | Path) -> bool:
    """Tell whether a run's completion record is there, is of these inputs, and its files are whole.

    Parameters
    ----------
    basis : list
        From `depends_on`; read once for all runs of a notebook.
    parameters : mapping
        As `check_parameters` returns them.
    out : str or Path
        The executed notebook.
    """
    return _finished(Path(out), _hash(basis, parameters))


def completion(out: str | Path) -> dict[str, Any]:
    """Return the completion record beside an executed notebook; {} where there is no whole one."""
    return find_sealed(_record(Path(out)))


def _record(out: Path) -> Path:
    return out.with_name(out.name + ".done.json")


def _inputs(path: Path, parameters: Mapping[str, Any]) -> str:
    """Hash what a run depends on."""
    return _hash(depends_on(path), parameters)


def _hash(basis: list[Any], parameters: Mapping[str, Any]) -> str:
    cells, library = basis
    return sha256_json([cells, {name: repr(value) for name, value in parameters.items()}, library])


def _finished(out: Path, inputs: str) -> bool:
    """Tell whether a completion record is whole, is of these inputs, and its files are there."""
    note = completion(out)
    try:
        files = {Path(name): digest for name, digest in note["files"].items()}
        return note["inputs"] == inputs and all(sha256_file(f) == d for f, d in files.items())
    except (RagftError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _products(path: Path, folder: str | Path | None) -> list[Path]:
    """Return the files in a folder that carry the notebook's number (or its name without one)."""
    if folder is None:
        return []
    prefix = path.stem[:3] if path.stem[:2].isdigit() else path.stem
    places = (Path(folder), Path(folder) / "data")
    return sorted(p.resolve() for f in places for p in f.glob(f"{prefix}*") if p.is_file())
