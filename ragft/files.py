"""Files that are whole or not there: atomic writes, hashes, clean JSON, sealed folders, locks.

A sealed folder carries a manifest of SHA-256 sums and is refused, by the file's name, once a byte
has changed. What goes into the folders is the matter of `records` and of whoever caches.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

from ragft.types import BusyError, RagftError

MANIFEST = "manifest.json"
_HALVES = re.compile("[\ud800-\udfff]")
SEAL = "sha256"
"""Key of a sealed file's own hash."""


def plain(value: Any) -> Any:
    """Return the value as JSON can hold it.

    NaN becomes None (JSON has no NaN); numpy scalars and arrays, tuples, sets (sorted), dates,
    paths and dataclasses become plain Python values; keys become strings.

    Raises
    ------
    RagftError
        If a number is infinite or a type has no JSON form.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise RagftError("JSON has no infinite number: leave the value out or use NaN.")
        return None if math.isnan(value) else float(value)
    if isinstance(value, int):
        return int(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(v) for v in value), key=repr)
    if isinstance(value, date | Path):
        return value.isoformat() if isinstance(value, date) else str(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy
        return plain(value.tolist())
    raise RagftError(f"JSON cannot hold {value!r} of type {type(value).__name__}.")


def to_json(value: Any, indent: int | None = 2) -> str:
    """Return JSON text of `plain(value)`, keys in their own order, ending in a newline.

    Half a character, which a text read from JSON may hold and UTF-8 may not, stays escaped.
    """
    text = json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return _HALVES.sub(_escaped, text) + "\n"


def from_json(text: str | bytes) -> Any:
    """Return what JSON text from outside holds; a ValueError also where it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested too deeply ({error})") from error


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of a value: sorted keys, no spaces, UTF-8."""
    text = json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(_HALVES.sub(_escaped, text).encode()).hexdigest()


def _escaped(half: re.Match[str]) -> str:
    return f"\\u{ord(half[0]):04x}"


def sealed_json(value: Mapping[str, Any]) -> str:
    """Return JSON text of a mapping that carries, under 'sha256', the hash of all the rest.

    For lists and notes that people read too and that have no folder of their own to seal: a
    turned bit may leave them valid JSON that says something else.
    """
    said = plain(value)
    return to_json({**said, SEAL: sha256_json(said)})


def read_sealed(path: str | Path, advice: str) -> dict[str, Any]:
    """Return what `sealed_json` wrote into a file, without the hash.

    Parameters
    ----------
    path : str or Path
    advice : str
        What to do about a damaged one, for the message.

    Raises
    ------
    RagftError
        It cannot be read, or is not what was written; names the file.
    """
    try:
        found = dict(json.loads(Path(path).read_text(encoding="utf-8")))
        whole = found.pop(SEAL) == sha256_json(found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, RagftError) as error:
        raise RagftError(f"{path}: missing or damaged; {advice}") from error
    if not whole:
        raise RagftError(f"{path}: is not the file that was written; {advice}")
    return found


def find_sealed(path: str | Path) -> dict[str, Any]:
    """Return what `sealed_json` wrote into a file; {} where it is missing or damaged.

    For what can be had again, so that nobody need be told.
    """
    with suppress(RagftError):
        return read_sealed(path, "")
    return {}


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises
    ------
    RagftError
        If the file cannot be read.
    """
    with _reading(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(path: str | Path, apart: str = MANIFEST) -> str:
    """Return one SHA-256 of all files in a folder: their names, relative to it, and bytes.

    Hidden files, the manifest and the file `apart`, such as one that holds the hash, do not
    count. An empty folder has a hash too.

    Raises
    ------
    RagftError
        If it is no folder or a file cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        raise RagftError(f"{path}: no such folder.")
    return sha256_json({name: found for name, found in _sums(path).items() if name != apart})


def _sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every visible file by its relative name, in order of name."""
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    visible = [n for n in names if n != Path(MANIFEST) and not any(s[0] == "." for s in n.parts)]
    return {n.as_posix(): sha256_file(folder / n) for n in visible}


def atomic_write(path: str | Path, content: bytes | str) -> Path:
    """Write a file under a temporary name beside it, then rename it: whole, or as it was.

    Parameters
    ----------
    path : str or Path
        Its folder is created where missing.
    content : bytes or str
        Text is written as UTF-8 with the newlines it has.

    Raises
    ------
    RagftError
        If it cannot be written (a full disk, no permission); names the path.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            os.close(handle)
            write_through(Path(temporary), data)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    return path


def write_through(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it; not atomic, errors are the system's own."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def build_folder(folder: str | Path, build: Callable[[Path], object]) -> Path:
    """Fill a folder under a temporary name, seal it with a manifest, and rename it.

    Parameters
    ----------
    folder : str or Path
        Must not exist; hold its lock where others may build it too. What an interrupted build
        of the same folder left behind is removed.
    build : callable
        Called with the temporary folder to write files into.

    Raises
    ------
    RagftError
        If it cannot be written; names the folder.
    """
    folder = Path(folder)
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f".{folder.name}.*.unfinished"):
            shutil.rmtree(left, ignore_errors=True)
        temporary = folder.parent / f".{folder.name}.{os.getpid()}.unfinished"
        try:
            temporary.mkdir()
            build(temporary)
            sums = to_json({"sha256": _sums(temporary)})
            write_through(temporary / MANIFEST, sums.encode())
            os.rename(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return folder


def build_once(folder: str | Path, lock: str | Path, build: Callable[[Path], object]) -> Path:
    """Build a folder unless it is there; of several that want it one builds, the others wait.

    It appears whole, so that finding one takes no lock, nor a right to write.

    Parameters
    ----------
    folder : str or Path
    lock : str or Path
        File of the lock that is held while it is built.
    build : callable
        As for `build_folder`.

    Raises
    ------
    RagftError
        If it cannot be written; names the folder.
    """
    folder = Path(folder)
    if not folder.exists():
        with locked(lock):
            if not folder.exists():
                build_folder(folder, build)
    return folder


def check_folder(folder: str | Path, advice: str | None = None) -> Path:
    """Compare a sealed folder with its manifest.

    Parameters
    ----------
    folder : str or Path
    advice : str, optional
        What to do about a damaged one, for the message; None: delete the folder.

    Raises
    ------
    RagftError
        If the manifest cannot be read, or a file is missing, changed or not in it; names the
        file and says what to delete.
    """
    folder = Path(folder)
    advice = advice or f"delete the folder {folder} and run again to make it anew."
    try:
        expected = from_json((folder / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        expected = dict(expected)
        there = {name: (folder / name).is_file() for name in expected}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RagftError(f"{folder / MANIFEST}: missing or damaged; {advice}") from error
    for name, is_file in there.items():
        if not is_file:
            raise RagftError(f"{folder / name}: is in the manifest but missing; {advice}")
    for name, found in _sums(folder).items():
        if expected.get(name) != found:
            raise RagftError(f"{folder / name}: is not the file that was written; {advice}")
    return folder


@contextmanager
def locked(path: str | Path, busy: str | None = None) -> Iterator[None]:
    """Hold a lock file inside a `with` block; wait while another process (or thread) holds it.

    The kernel frees the lock when its holder ends, however it ends, so that none is ever left
    behind; the empty file stays. Without `fcntl` (Windows) there is no lock: run one process.

    Parameters
    ----------
    path : str or Path
    busy : str, optional
        Do not wait where another holds it: this is then the message of the error.

    Raises
    ------
    BusyError
        `busy` is given and another holds it.
    RagftError
        The lock file cannot be written.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = Path(path)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab")
    with file:  # closing it frees the lock
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise BusyError(busy) from error
        yield


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one that names the path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RagftError(
            f"{path}: cannot be written ({reason}); nothing half-written is left. "
            "Free some space or choose another folder, then run again."
        ) from error


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    """Turn an error of the file system into one that names the path."""
    try:
        yield
    except OSError as error:
        raise RagftError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _umask() -> int:
    """Return the process's file mode mask (there is no way to read it but to set it)."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
