"""The list of an index's folders, index.json, and what keeps it true: a lock, a sweep, sums.

What lies in the folders is the matter of `stored`; when they are written, of `saved`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ragft import files
from ragft.retrieval.neighbours import AUTO
from ragft.retrieval.vectors import DTYPES
from ragft.types import RagftError

LIST = "index.json"
UNFINISHED = ".unfinished"
FORMAT = 1
"""Raised when the meaning of a file changes, or the words that `bm25.tokenize` makes of a text."""
_LOCK = ".lock"
_OURS = re.compile(r"(?:part|words|neighbours)-(\d{6,})")
_LEFT = re.compile(r"\.(?:index\.json\..+|(?:part|words|neighbours)-\d{6,}\.\d+\.unfinished)")


@dataclass(frozen=True)
class Listing:
    """What index.json says; folders by name, each with the SHA-256 of its manifest."""

    retriever: str
    kind: str = AUTO
    model: str = ""
    """What tells the embedder's vectors from another's; '' before the first."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """How the passages were made, in the user's own words."""
    passages: int = 0
    parts: Mapping[str, str] = field(default_factory=dict)
    """In the order in which they were written."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Of the last part; empty until the index was built."""
    neighbours: Mapping[str, str] = field(default_factory=dict)
    """Empty while search is exact."""
    approximate: Mapping[str, Any] = field(default_factory=dict)
    """Of the neighbours: kind, rows, tuning, and the recall that was measured."""
    dtype: str = "float32"
    """What vectors are kept in."""
    format: int = FORMAT

    @property
    def folders(self) -> set[str]:
        """The names of all folders that belong to the index."""
        return {*self.parts, *self.words, *self.neighbours}


def read_list(folder: Path) -> Listing:
    """Read the list of an index.

    Raises
    ------
    RagftError
        There is none, it was changed, or another version of ragft wrote it.
    """
    path = folder / LIST
    if not path.exists():
        raise RagftError(f"{folder}: no index lies here ({LIST} is missing); save one first.")
    try:
        held = json.loads(path.read_text("utf-8"))
        said, seal = dict(held["index"]), held["sha256"]
        found = files.sha256_json(said)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, RagftError) as error:
        raise RagftError(f"{path}: is damaged; {advice(folder)}") from error
    if seal != found:
        raise RagftError(f"{path}: is not the list that was written; {advice(folder)}")
    if said.get("format") != FORMAT:
        raise RagftError(
            f"{path}: has format {said.get('format')!r}, and this version of ragft reads {FORMAT}; "
            f"{advice(folder)}"
        )
    listing = _listing(said)
    if listing is None:
        raise RagftError(f"{path}: is no list of an index; {advice(folder)}")
    return listing


def _listing(said: Mapping[str, Any]) -> Listing | None:
    """Return a list whose fields have their types; None where one has not.

    A name that is no folder's own ('../elsewhere') is refused: what it leads to is no part.
    """
    try:
        listing = Listing(**said)
        plain = Listing("", "")
        kinds = {f.name: type(getattr(plain, f.name)) for f in fields(Listing)}
        fits = all(type(getattr(listing, name)) is kind for name, kind in kinds.items())
        fits = fits and listing.dtype in DTYPES
        return listing if fits and all(map(_OURS.fullmatch, listing.folders)) else None
    except TypeError:
        return None


def write_list(folder: Path, listing: Listing) -> None:
    """Replace the list of an index in one step."""
    said = files.plain(asdict(listing))
    content = {"index": said, "sha256": files.sha256_json(said)}
    files.atomic_write(folder / LIST, files.to_json(content))


def is_there(folder: Path) -> bool:
    """Tell whether an index lies in a folder."""
    return (folder / LIST).exists()


def advice(folder: Path) -> str:
    """Return what to do about an index that cannot be used."""
    return (
        f"delete the folder {folder} and build the index again from its documents: "
        "HybridIndex(passages, ...).save(folder)."
    )


def check_ours(folder: Path) -> None:
    """Refuse a folder that holds anything but an index.

    Raises
    ------
    RagftError
        Naming what lies there.
    """
    if folder.exists() and not folder.is_dir():
        raise RagftError(f"{folder}: is a file; choose a folder of its own for the index.")
    if is_there(folder) or not folder.is_dir():
        return
    for name in sorted(path.name for path in folder.iterdir()):
        if name not in (_LOCK, UNFINISHED) and not _OURS.fullmatch(name) and not _LEFT.match(name):
            raise RagftError(
                f"{folder}: holds {name!r} and no index; choose a folder of its own for the index."
            )


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep others from changing an index inside a `with` block.

    Raises
    ------
    RagftError
        Another process, or another object in this one, is changing it.
    """
    busy = (
        f"{folder}: another process is writing this index; wait until it is through, open the "
        "index again and repeat the change."
    )
    with files.locked(folder / _LOCK, busy):
        yield


def sealed(folder: Path, what: str, build: Callable[[Path], object]) -> dict[str, str]:
    """Write a new folder of an index; returns its name and the SHA-256 of its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    found = (_OURS.fullmatch(path.name) for path in folder.iterdir())
    last = max((int(match[1]) for match in found if match), default=0)
    name = f"{what}-{last + 1:06d}"
    files.build_folder(folder / name, build)
    return {name: files.sha256_file(folder / name / files.MANIFEST)}


def sweep(folder: Path, listing: Listing | None) -> None:
    """Remove what a killed process left and what an older index was made of; hold the lock."""
    keep = listing.folders if listing else set()
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if _LEFT.match(path.name) or (_OURS.fullmatch(path.name) and path.name not in keep):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


def drop_unfinished(folder: Path) -> None:
    """Forget the slabs of a change that is finished."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
