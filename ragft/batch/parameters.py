"""The parameters of a notebook: read from its tagged cell, checked by name and type.

Nothing of a notebook is executed here: the cell holds literals, and `ast` reads them.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft import files
from ragft.types import RagftError

if TYPE_CHECKING:
    from nbformat import NotebookNode

TYPES: dict[str, type] = {kind.__name__: kind for kind in (bool, int, float, str, list, dict)}
"""The types that a parameter can have."""

FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""The words of a command line for True and False."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name, its default, and the type that a value must have."""

    name: str
    default: Any
    kind: str
    """One of `TYPES`."""
    optional: bool = False
    """Whether None is a value too."""

    def __str__(self) -> str:
        return f"{self.name}: {self.wanted} = {self.default!r}"

    @property
    def wanted(self) -> str:
        """The type as it is written in an annotation."""
        return f"{self.kind} | None" if self.optional else self.kind


def read_notebook(path: str | Path) -> NotebookNode:
    """Read a notebook, in format 4.

    Raises
    ------
    RagftError
        If the file is missing or is no notebook.
    """
    import nbformat

    if not Path(path).is_file():
        raise RagftError(f"{path}: there is no such notebook.")
    try:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if not all(isinstance(cell[name], str) for name in ("cell_type", "source")):
                raise TypeError("a cell without a type or a text")
            if not isinstance(cell["metadata"].get("tags", []), list):
                raise TypeError("tags that are no list")
        return notebook
    except (OSError, UnicodeDecodeError) as error:
        raise RagftError(f"{path}: cannot be read ({error}).") from error
    except Exception as error:  # whatever nbformat is led to by JSON that is no notebook
        raise RagftError(f"{path}: not a Jupyter notebook ({str(error)[:80]}).") from error


def read_parameters(path: str | Path) -> dict[str, Parameter]:
    """Return the parameters of a notebook, in the order of its cell tagged 'parameters'.

    A line is `name = literal` or `name: type = literal`; the type is the literal's, and one whose
    default is None is annotated, as in `model: str | None = None`. An empty cell gives {}.

    Raises
    ------
    RagftError
        If the notebook cannot be read, has no such cell or several, or if the cell holds anything
        else: papermill sets the given values after this cell has run, so a value that is derived
        in it would be out of date.
    """
    cells = _tagged(path)
    if len(cells) != 1:
        raise RagftError(f"{path}: {len(cells)} code cells are tagged 'parameters', not one.")
    try:
        return _parse_cell(cells[0].source)
    except (SyntaxError, RecursionError, MemoryError) as error:  # the latter: nested too deeply
        raise RagftError(f"{path}: the parameters cell is no Python ({error}).") from error
    except ValueError as error:
        raise RagftError(f"{path}: the parameters cell holds {error}") from error


def measures_time(path: str | Path) -> bool:
    """Tell whether a notebook times things: its parameters cell has the tag 'timed' too.

    What it measures is right only while nothing else keeps the machine busy.

    Raises
    ------
    RagftError
        If the notebook cannot be read.
    """
    return any("timed" in cell.metadata["tags"] for cell in _tagged(path))


def parse_assignments(items: Sequence[str]) -> dict[str, str]:
    """Split the `name=value` of a command line; of a repeated name the last counts.

    Raises
    ------
    RagftError
        If an item has no name or no '='.

    >>> parse_assignments(["seed=3", "note=a=b"])
    {'seed': '3', 'note': 'a=b'}
    """
    values = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise RagftError(f"-p {item!r}: write a parameter as name=value.")
        values[name.strip()] = value
    return values


def check_parameters(path: str | Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` in the types that the notebook's parameters have.

    A string for a parameter of another type is read as that type, so that `x=false` on a command
    line is False; a list may be written `0,1,2`, and `none` is None where that is a value. An int
    serves as a float and a tuple as a list; nothing else is converted. Parameters that are not
    given are left out: the notebook's defaults hold.

    Raises
    ------
    RagftError
        If the notebook has no such parameter or a value has another type. The message lists all
        parameters of the notebook.
    """
    known = read_parameters(path)
    listing = "It has:" + ("".join(f"\n  {p}" for p in known.values()) or " no parameters")
    checked = {}
    for name, value in values.items():
        if name not in known:
            raise RagftError(f"{path} has no parameter {name!r}. {listing}")
        try:
            checked[name] = _convert(known[name], value)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
            problem = f"the parameter {name!r} must be {known[name].wanted}, not {value!r}"
            raise RagftError(f"{path}: {problem}. {listing}") from error
    return checked


def _tagged(path: str | Path) -> list[NotebookNode]:
    """Return the code cells of a notebook that are tagged 'parameters'."""
    return [
        cell
        for cell in read_notebook(path).cells
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", [])
    ]


def _parse_cell(source: str) -> dict[str, Parameter]:
    """Read a parameters cell; a ValueError says what it holds that it may not."""
    found: dict[str, Parameter] = {}
    last_line = 0
    for statement in ast.parse(source).body:
        text = f"{ast.unparse(statement)!r}"
        if statement.lineno == last_line:
            raise ValueError(f"{text} after another one: write one parameter a line.")
        last_line = statement.end_lineno
        parameter = _parse_statement(statement, text)
        if parameter.name in found:
            raise ValueError(f"{text}, but {parameter.name!r} is set before.")
        found[parameter.name] = parameter
    return found


def _parse_statement(statement: ast.stmt, text: str) -> Parameter:
    """Read `name = literal` or `name: type = literal`."""
    target = statement.target if isinstance(statement, ast.AnnAssign) else None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    if not isinstance(target, ast.Name):
        raise ValueError(f"{text}; it may hold `name = literal` only, one a line.")
    try:
        default = ast.literal_eval(statement.value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{text}, which is no literal: derive values in the next cell, because the values "
            "given to a run are set after this one."
        ) from error
    annotation = getattr(statement, "annotation", None)
    return _typed(target.id, default, ast.unparse(annotation) if annotation else "", text)


def _typed(name: str, default: Any, annotation: str, text: str) -> Parameter:
    """Find the type of a parameter; a default must have the type it is annotated with."""
    names = [part.strip().partition("[")[0] for part in annotation.split("|") if part.strip()]
    kinds = [part for part in names if part != "None"]
    optional = "None" in names
    if default is not None and not kinds:
        kinds = [type(default).__name__]
    if len(kinds) != 1 or kinds[0] not in TYPES:
        raise ValueError(
            f"{text}: give it a literal of type {', '.join(TYPES)}, or annotate it, as in "
            f"`{name}: str | None = None`."
        )
    parameter = Parameter(name, default, kinds[0], optional)
    if not _fits(parameter, default):
        raise ValueError(f"{text}, whose default is not {parameter.wanted}.")
    return parameter


def _fits(parameter: Parameter, value: Any) -> bool:
    """Tell whether a value has the type; True is no int here, and an int is a float."""
    if value is None:
        return parameter.optional
    if parameter.kind == "float" and type(value) is int:
        return True
    return type(value) is TYPES[parameter.kind] and _items_fit(parameter, value)


def _items_fit(parameter: Parameter, value: Any) -> bool:
    """Tell whether the items of a list have the one type that the default's items have."""
    if parameter.kind != "list":
        return True
    kinds = {type(item) for item in parameter.default or ()}
    allowed = kinds | {int} if kinds == {float} else kinds
    return len(kinds) != 1 or all(type(item) in allowed for item in value)


def _convert(parameter: Parameter, value: Any) -> Any:
    """Bring a value to the parameter's type, or raise ValueError."""
    if isinstance(value, str) and (parameter.kind != "str" or parameter.optional):
        value = _read_string(parameter, value)
    if isinstance(value, tuple):
        value = list(value)
    if not _fits(parameter, value):
        raise ValueError(f"not {parameter.wanted}")
    return float(value) if parameter.kind == "float" and value is not None else value


def _read_string(parameter: Parameter, text: str) -> Any:
    """Read a string of a command line as the parameter's type."""
    if parameter.optional and text.strip().lower() == "none":
        return None
    if parameter.kind == "str":
        return text
    if parameter.kind == "bool":
        return FLAGS.get(text.strip().lower(), text)
    if parameter.kind in ("int", "float"):
        return TYPES[parameter.kind](text)
    if parameter.kind == "dict" or text.strip()[:1] in ("[", "("):
        return _read_literal(text)
    return [_read_item(parameter, item.strip()) for item in text.split(",") if item.strip()]


def _read_literal(text: str) -> Any:
    """Read a list or mapping in JSON or as Python writes it."""
    try:
        return files.from_json(text)
    except ValueError:
        return ast.literal_eval(text)


def _read_item(parameter: Parameter, text: str) -> Any:
    """Read one item of `a,b,c` as the type of the default's first item (else as a string)."""
    kind = type(parameter.default[0]) if parameter.default else str
    return FLAGS.get(text.lower(), text) if kind is bool else kind(text)
