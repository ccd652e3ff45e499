"""A grid file: which notebooks are run with which parameters, all checked before the first runs.

Nothing is run here; `batches` does that.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragft.batch.parameters import Parameter, check_parameters, read_parameters
from ragft.batch.runs import numbered_notebooks
from ragft.files import plain, sha256_json
from ragft.profiles import profile
from ragft.types import RagftError

MOST = 100_000
"""Runs of one grid; more of them are a mistake."""
OWN = ("results", "figures")
"""Parameters that the batch sets itself."""
FORM = 'notebooks: ["00_start_here"] and parameters: {profile: [smoke], seed: [0, 1, 2]}'


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One notebook with one value for each parameter that the grid gives."""

    name: str
    """Notebook and a hash of the parameters: the same at every call, a folder's name."""
    notebook: Path
    parameters: dict[str, Any]
    """Checked, by the notebook's own names."""


def read_grid(path: str | Path, notebooks: str | Path = "notebooks") -> list[PlannedRun]:
    """Return the runs of a grid file in YAML: every notebook with every combination of values.

    `notebooks` names them, as `ragft reproduce --only` does, or as paths relative to the grid
    file (with `.ipynb`). `parameters` gives each parameter a value or a list of them. Where the
    notebooks differ in what they take, `notebooks` may be a mapping from names to parameters of
    their own, which stand before the common ones.

    A parameter that is a list itself, such as `seeds`, is given lists: `seeds: [[0, 1, 2]]` is one
    run with three seeds. Its name without the s stands for lists of one: `seed: [0, 1, 2]` is
    three runs, with the seeds [0], [1] and [2], unless the notebook has a `seed` of its own.

    Parameters
    ----------
    path : str or Path
    notebooks : str or Path
        Folder of the numbered notebooks.

    Returns
    -------
    list of PlannedRun
        In the order of the file, the last parameter changing fastest; what is named twice is there
        once.

    Raises
    ------
    RagftError
        If the file cannot be read, is empty or holds anything else, names a notebook, profile or
        parameter that is not there or that the batch sets itself, gives a value of another type,
        or makes more than 100,000 runs.
    """
    grid = _read(Path(path))
    common = _values(path, "parameters", grid.get("parameters"))
    found = {}
    for name, own in _named(path, grid).items():
        for notebook in _found(name, Path(path).parent, notebooks):
            axes = common | _values(path, f"notebooks: {name}", own)
            for run in _runs(notebook, axes):
                other = found.setdefault(run.name, run).notebook
                if other != notebook:
                    raise RagftError(f"{path}: {other} and {notebook} need different names.")
            if len(found) > MOST:
                raise RagftError(f"{path}: more than {MOST:,} runs; make it several grids.")
    return list(found.values())


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        grid = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RagftError(f"{path}: cannot be read ({error}).") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date such as 0-0
        raise RagftError(f"{path}: no YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(grid, dict) or not set(grid) <= {"notebooks", "parameters"}:
        raise RagftError(f"{path}: not a grid; write {FORM}.")
    return grid


def _named(path: str | Path, grid: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notebooks of a grid by name, each with the parameters of its own."""
    named = grid.get("notebooks")
    if isinstance(named, dict):
        return {str(name): own for name, own in named.items()}
    named = named if isinstance(named, list) else [named] if named is not None else []
    if not named or not all(type(name) in (str, int) for name in named):
        raise RagftError(f"{path}: names no notebooks; write {FORM}.")
    return dict.fromkeys(map(str, named))


def _values(path: str | Path, where: str, given: Any) -> dict[str, list[Any]]:
    """Return the values of each parameter as a list; a single value is a list of one."""
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise RagftError(f"{path}: {where}: write names with values, as in {FORM}.")
    for name, values in given.items():
        if name in OWN:
            raise RagftError(f"{path}: {where}: {name!r} is set by the batch itself; leave it out.")
        if values == []:
            raise RagftError(f"{path}: {where}: {name!r} has no values, so there is no run.")
    return {k: values if isinstance(values, list) else [values] for k, values in given.items()}


def _found(name: str, beside: Path, folder: str | Path) -> list[Path]:
    """Return the notebook of that name, of the grid's folder or among the numbered ones."""
    path = beside / name
    if name.endswith(".ipynb") and path.is_file():
        return [path.resolve()]
    return [found.resolve() for found in numbered_notebooks(folder, [name])]


def _runs(notebook: Path, axes: Mapping[str, list[Any]]) -> list[PlannedRun]:
    """Return the runs of one notebook; every value is checked once, not in each combination."""
    known = read_parameters(notebook)
    if math.prod(map(len, axes.values())) > MOST:
        raise RagftError(f"{notebook.name}: more than {MOST:,} runs; make it several grids.")
    checked: dict[str, list[Any]] = {}
    for name, values in axes.items():
        own, values = _own_name(known, name, values)
        if own in checked:
            raise RagftError(f"{notebook.name}: {name!r} and {own!r} are the same; give one.")
        checked[own] = [_checked(notebook, known, own, value) for value in values]
    return [
        _run(notebook, dict(zip(checked, chosen, strict=True)))
        for chosen in itertools.product(*checked.values())
    ]


def _own_name(
    known: Mapping[str, Parameter], name: str, values: list[Any]
) -> tuple[str, list[Any]]:
    """Return the notebook's own name and values: `seed` is a list of one where it has `seeds`."""
    several = known.get(f"{name}s")
    if name in known or several is None or several.kind != "list":
        return name, values
    return several.name, [[value] for value in values]


def _checked(notebook: Path, known: Mapping[str, Parameter], name: str, value: Any) -> Any:
    """Return a value in the type of its parameter; what would fail in every run is refused now."""
    if name in known and known[name].kind == "list" and not isinstance(value, list | str):
        one = name.removesuffix("s")
        raise RagftError(
            f"{notebook.name}: {name!r} is a list: write {name}: [[{value}, ...]] for one run "
            f"with all of them, or {one}: [{value}, ...] for a run each."
        )
    found = check_parameters(notebook, {name: value})[name]
    if name == "profile":
        profile(found)
    with suppress(RagftError):  # an infinite number
        if repr(plain(found)) == repr(found):
            return found
    raise RagftError(f"{notebook.name}: {name!r}: {value!r} has no JSON form; quote it.")


def _run(notebook: Path, parameters: dict[str, Any]) -> PlannedRun:
    told = sha256_json({name: repr(value) for name, value in parameters.items()})
    return PlannedRun(f"{notebook.stem}-{told[:8]}", notebook, parameters)
