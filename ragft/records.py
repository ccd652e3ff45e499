"""The record store: finished runs with their provenance, and the cells they are made of.

    results/<name>/<key>/        record.json, answers.parquet, manifest.json
    results/cells/<key>/         frame.parquet, meta.json, manifest.json
    results/built/<key>/         files of any kind (adapters, indexes), manifest.json
    results/smoke/...            the same for smoke runs, which are never committed

Folders appear whole, under their content's key, and are never changed. How a folder is written,
sealed and locked lives in `files`; what is computed lives in the experiments.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.files import (
    atomic_write,
    build_folder,
    build_once,
    check_folder,
    hash_folder,
    locked,
    plain,
    sha256_file,
    sha256_json,
    to_json,
    write_through,
)
from ragft.runtime import git_commit, hardware, package_versions, peak_memory_mb
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Records",
    "Run",
    "atomic_write",
    "content_key",
    "hash_folder",
    "load_run",
    "sha256_file",
    "sha256_json",
    "to_json",
]

KEY_SHOWN = 16
"""Hexadecimal digits of a key in a folder's name; the file inside holds all 64."""


def content_key(
    parameters: Mapping[str, Any],
    *,
    corpus: str = "",
    model: str = "",
    adapter: str = "",
    seed: int | None = None,
) -> str:
    """Return the key of whatever is computed from these: 64 hexadecimal digits.

    Parameters
    ----------
    parameters : mapping
        Everything else that the result depends on; its order does not matter.
    corpus, model, adapter : str
        Content hashes, '' where there is none.
    seed : int, optional
        The training seed.

    Raises
    ------
    RagftError
        If a parameter has no JSON form.
    """
    return sha256_json(
        {
            "parameters": parameters,
            "corpus": corpus,
            "model": model,
            "adapter": adapter,
            "seed": seed,
        }
    )


@dataclass(frozen=True)
class Records:
    """A folder of records."""

    root: str | Path = "results"
    smoke: bool = False
    """Smoke runs land in root/smoke, apart from real ones."""

    @property
    def folder(self) -> Path:
        """Where these records lie."""
        return Path(self.root) / "smoke" if self.smoke else Path(self.root)

    def open(
        self,
        name: str,
        key: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        profile: Any = None,
        seeds: Sequence[int] = (),
        hashes: Mapping[str, str] | None = None,
    ) -> Run:
        """Return the run of that name and key, finished or not; nothing is written yet.

        Parameters
        ----------
        name : str
            What is run: letters, digits, '-' and '_'.
        key : str
            From `content_key`.
        parameters, profile, seeds, hashes
            Provenance, kept in the record: what was asked for, the profile (a dataclass or a
            mapping), the training seeds, and the hashes of data, models and adapters by name.

        Raises
        ------
        RagftError
            If the name cannot be a folder's.
        """
        if not re.fullmatch(r"\w[\w-]*", name) or name in ("cells", "built", "smoke"):
            raise RagftError(f"record name {name!r}: use letters, digits, '-' and '_'.")
        asked = {"parameters": parameters, "profile": profile, "seeds": seeds, "hashes": hashes}
        return Run(self, name, key, plain(asked))

    def cached(
        self, key: str, compute: Callable[[], tuple[pd.DataFrame, Mapping[str, Any]]]
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Return a cell's frame and meta, computing and keeping them the first time.

        Two processes that want the same cell compute it once; one killed half-way leaves
        nothing that counts. The frame is always the one read back, so that a resumed run
        equals one never interrupted; its index is not kept.

        Parameters
        ----------
        key : str
            From `content_key`: all that the result depends on.
        compute : callable
            Returns the frame and a mapping of JSON values. If it raises, nothing is kept.

        Raises
        ------
        RagftError
            If a kept file was changed since (names it), or the cell cannot be written.
        """
        frame, cell = self._cell(key, compute)
        return frame, cell["meta"]

    def built(self, key: str, build: Callable[[Path], object]) -> Path:
        """Return a folder of files (an adapter, an index), building it the first time.

        The same promises as `cached`; every call compares the files with their manifest,
        because flipped bytes in weights and vectors load in silence.

        Parameters
        ----------
        key : str
            From `content_key`.
        build : callable
            Called with an empty folder to write into.
        """
        folder = self.folder / "built" / key[:KEY_SHOWN]
        lock = self.folder / "built" / ".locks" / key[:KEY_SHOWN]
        return check_folder(build_once(folder, lock, build))

    def _cell(
        self, key: str, compute: Callable, wait: bool = True
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Return a cell's frame and everything kept beside it."""
        folder = self.folder / "cells" / key[:KEY_SHOWN]
        if folder.exists():
            return _read(folder, "frame.parquet", "meta.json", key)
        busy = None if wait else f"{folder}: another process is computing this cell."
        with locked(self.folder / "cells" / ".locks" / key[:KEY_SHOWN], busy):
            if not folder.exists():
                start = time.perf_counter()
                frame, meta = compute()
                cell = {
                    "key": key,
                    "date": _now(),
                    "seconds": time.perf_counter() - start,
                    "peak_memory_mb": peak_memory_mb(),
                    "meta": meta,
                }
                _write(folder, "frame.parquet", frame, "meta.json", cell)
        return _read(folder, "frame.parquet", "meta.json", key)

    def finished(self, name: str = "*") -> list[Path]:
        """Return the folders of finished runs, of one name or of all, sorted."""
        paths = self.folder.glob(f"{name}/*/record.json")
        return sorted(p.parent for p in paths if not p.parent.name.startswith("."))


@dataclass
class Run:
    """One run: cells while it goes, a record once it is finished."""

    records: Records
    name: str
    key: str
    asked: dict[str, Any]
    """Provenance given when it was opened."""
    _cells: dict[str, dict[str, Any]] = field(default_factory=dict)
    _start: float = field(default_factory=time.perf_counter)

    @property
    def folder(self) -> Path:
        """Where the record lies, or will."""
        return self.records.folder / self.name / self.key[:KEY_SHOWN]

    @property
    def finished(self) -> bool:
        """Whether the record is there; `load` it instead of computing again."""
        return self.folder.exists()

    def cached(
        self,
        key: str,
        compute: Callable[[], tuple[pd.DataFrame, Mapping[str, Any]]],
        wait: bool = True,
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Return a cell as `Records.cached` does, and count its cost to this run.

        Raises
        ------
        BusyError
            Without `wait`, where another process is computing the cell.
        """
        frame, self._cells[key] = self.records._cell(key, compute, wait)
        return frame, self._cells[key]["meta"]

    def load(self) -> tuple[dict[str, Any], pd.DataFrame]:
        """Return the record and the answers of a finished run.

        Raises
        ------
        RagftError
            If the run is not finished, or a file was changed since (names it).
        """
        if not self.finished:
            raise RagftError(f"{self.folder}: this run is not finished; run it first.")
        answers, record = _read(self.folder, "answers.parquet", "record.json", self.key)
        return record, answers

    def finish(
        self, answers: pd.DataFrame, results: Mapping[str, Any]
    ) -> tuple[dict[str, Any], pd.DataFrame]:
        """Write the record and return it with the answers, both as read back.

        Where another process has finished the same run meanwhile, that record is returned.

        Parameters
        ----------
        answers : pandas.DataFrame
            One row per arm x condition x day x seed x question; its index is not kept.
        results : mapping
            Whatever the run found, as JSON can hold it.

        Raises
        ------
        RagftError
            If it cannot be written, or a result has no JSON form.
        """
        with locked(
            self.records.folder / "cells" / ".locks" / f"{self.name}-{self.key[:KEY_SHOWN]}"
        ):
            if not self.finished:
                _write(
                    self.folder, "answers.parquet", answers, "record.json", self._record(results)
                )
        return self.load()

    def _record(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record: what was asked, with what, on what, at what cost, and the results."""
        cells, measured = list(self._cells.values()), provenance()
        return {
            "name": self.name,
            "key": self.key,
            "date": measured.pop("date"),
            **self.asked,
            **measured,
            "peak_memory_mb": max([peak_memory_mb(), *(c["peak_memory_mb"] for c in cells)]),
            "wall_seconds": time.perf_counter() - self._start,
            "cell_seconds": sum(c["seconds"] for c in cells),
            "results": results,
        }


def provenance() -> dict[str, Any]:
    """Return when, with which packages, from which commit and on what something was measured."""
    return {
        "date": _now(),
        "packages": package_versions(),
        "commit": git_commit(),
        "hardware": hardware(),
    }


def load_run(folder: str | Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the record and the answers in a run's folder.

    Raises
    ------
    RagftError
        If there is no record, or a file was changed since it was written (names it).
    """
    folder = Path(folder)
    if not (folder / "record.json").is_file():
        raise RagftError(f"{folder}: holds no record.json; give the folder of a finished run.")
    answers, record = _read(folder, "answers.parquet", "record.json", None)
    return record, answers


def _write(folder: Path, table: str, frame: pd.DataFrame, text: str, values: Mapping) -> None:
    """Write a frame and its JSON as one sealed folder."""
    content = to_json(values)
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, engine="pyarrow")

    def build(temporary: Path) -> None:
        write_through(temporary / table, buffer.getvalue())
        write_through(temporary / text, content.encode())

    build_folder(folder, build)


def _read(folder: Path, table: str, text: str, key: str | None) -> tuple[pd.DataFrame, dict]:
    """Read what `_write` wrote, the manifest checked first."""
    import pandas as pd

    check_folder(folder)
    for name in (table, text):
        if not (folder / name).is_file():
            raise RagftError(f"{folder / name}: missing; delete the folder {folder} and run again.")
    with _parsing(folder / text):
        values = json.loads((folder / text).read_text(encoding="utf-8"))
        found = values["key"]
    if key is not None and found != key:
        raise RagftError(f"{folder / text}: belongs to another key; delete the folder {folder}.")
    with _parsing(folder / table):
        return pd.read_parquet(folder / table, engine="pyarrow"), values


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """Name a file that fits its manifest and is none of its kind: ragft did not write it."""
    try:
        yield
    except Exception as error:  # whatever the libraries that read it are led to
        words = " ".join(str(error).split())[:200]
        raise RagftError(
            f"{path}: cannot be read ({type(error).__name__} {words}); delete the folder "
            f"{path.parent} and run again."
        ) from error


def _now() -> str:
    """Return the present moment, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
