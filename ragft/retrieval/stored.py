"""What an index is made of, as files: passages, vectors and postings in sealed folders.

Nothing in here is pickled, and nothing is read before its SHA-256 was compared. Which folders make
an index, and when they are written, is the matter of `saved` and `shards`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from ragft import files
from ragft.retrieval.ann import VectorIndex
from ragft.retrieval.bm25 import BM25, Postings
from ragft.retrieval.faiss_index import Tuning
from ragft.retrieval.neighbours import Neighbours
from ragft.types import Passage, RagftError

PASSAGES, ROWS, VECTORS, GONE = "passages.jsonl", "rows.npy", "vectors.npy", "gone.json"
WORDS, POSTINGS = "words.json", "postings.npz"
GRAPH = "index.faiss"


@dataclass(frozen=True)
class Part:
    """A change of an index: the documents that go, then the passages that come."""

    gone: tuple[str, ...]
    passages: tuple[Passage, ...]
    rows: np.ndarray
    """Where the vector of each passage lies, counted through all parts; (0,) without vectors."""
    vectors: np.ndarray
    """Those of texts that had none before; shape (n, d), mapped from the file."""

    def fits(self, total: int, dense: bool, dtype: str) -> bool:
        """Tell whether the fields go together, in an index of so many vectors in all."""
        rows, vectors = self.rows, self.vectors
        if vectors.ndim != 2 or vectors.dtype != dtype:
            return False
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            return False
        in_range = not len(rows) or (rows.min() >= 0 and rows.max() < total)
        named = all(isinstance(name, str) for name in self.gone)
        return bool(in_range and named and (not dense or len(rows) == len(self.passages)))


def write_part(
    out: Path,
    gone: Iterable[str],
    passages: Iterable[Passage],
    rows: np.ndarray,
    shape: tuple[int, int],
    dtype: str,
    vectors: Iterable[np.ndarray],
) -> None:
    """Write a part into a folder; the vectors, of that shape together, come piece by piece."""
    files.write_through(out / GONE, files.to_json(sorted(gone)).encode())
    write_passages(out / PASSAGES, passages)
    np.save(out / ROWS, rows)
    write_vectors(out / VECTORS, shape, dtype, vectors)


def read_part(folder: Path) -> Part:
    """Read a part whose files were compared with their manifest."""
    gone = json.loads((folder / GONE).read_text("utf-8"))
    # Mapped copy-on-write: torch warns of arrays that cannot be written to.
    vectors = np.load(folder / VECTORS, mmap_mode="c", allow_pickle=False)
    rows = np.load(folder / ROWS, allow_pickle=False)
    return Part(tuple(gone), read_passages(folder / PASSAGES), rows, vectors)


def write_vectors(
    path: Path, shape: tuple[int, int], dtype: str, pieces: Iterable[np.ndarray]
) -> None:
    """Write pieces that follow each other as one .npy file, never all of them in memory."""
    little = np.dtype(dtype).newbyteorder("<").str
    with open(path, "wb") as file:
        header = {"descr": little, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype=little).data)
        file.flush()
        os.fsync(file.fileno())


def write_passages(path: Path, passages: Iterable[Passage]) -> None:
    """Write passages, one JSON object a line."""
    # In ASCII: a text may hold characters that end a line for some readers, or half a character.
    lines = (json.dumps(files.plain(passage)) for passage in passages)
    files.write_through(path, "".join(f"{line}\n" for line in lines).encode("ascii"))


def read_passages(path: Path) -> tuple[Passage, ...]:
    """Read what `write_passages` wrote."""
    lines = path.read_text("utf-8").split("\n")
    return tuple(_passages(json.loads(line) for line in lines if line))


def _passages(rows: Iterable[dict[str, Any]]) -> Iterator[Passage]:
    days = ("valid_from", "valid_to")
    named = [f.name for f in fields(Passage) if f.name not in days]
    for row in rows:
        dates = {day: date.fromisoformat(row[day]) if row[day] else None for day in days}
        yield Passage(**{name: row[name] for name in named}, **dates)


# BM25 is written down, not made again: 100,000 passages of 37 words each take about 4 seconds to
# count and a tenth of one to read.


def write_postings(out: Path, postings: Postings) -> None:
    """Write the words of an index and their scores into a folder."""
    files.write_through(out / WORDS, files.to_json(postings.words, indent=None).encode())
    arrays = {name: getattr(postings, name) for name in ("data", "indices", "indptr")}
    np.savez(out / POSTINGS, **arrays)


def read_postings(folder: Path, documents: int) -> Postings:
    """Read what `write_postings` wrote of so many documents; a ValueError where it is none."""
    with np.load(folder / POSTINGS, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in ("data", "indices", "indptr")}
    words = dict(json.loads((folder / WORDS).read_text("utf-8")))
    indices, starts = found["indices"], found["indptr"]
    ends = len(starts) and starts[0] == 0 and starts[-1] == len(indices) == len(found["data"])
    inside = not len(indices) or (indices.min() >= 0 and indices.max() < documents)
    columns = all(type(at) is int and 0 <= at < len(starts) - 1 for at in words.values())
    if not (ends and inside and columns and (np.diff(starts) >= 0).all()):
        raise ValueError("words and postings do not go together")
    return Postings(words, **found)


def read_bm25(folder: Path, documents: int) -> BM25:
    """Return the BM25 of so many documents from its postings."""
    return BM25().restored(documents, read_postings(folder, documents))


def write_neighbours(out: Path, neighbours: Neighbours) -> None:
    """Write an approximate index into a folder."""
    neighbours.index.write(out / GRAPH)


def read_neighbours(folder: Path, about: dict[str, Any]) -> Neighbours:
    """Read what `write_neighbours` wrote; `about` is what `Neighbours.about` said."""
    index = VectorIndex.read(folder / GRAPH, about["kind"], Tuning(**about["tuning"]))
    recall = about["recall"]
    return Neighbours(index, float("nan") if recall is None else recall)


def check_sealed(folder: Path, manifest: str, advice: str) -> Path:
    """Compare a folder with its manifest, and that with its SHA-256.

    Raises
    ------
    RagftError
        A file is missing or was changed; names it, and ends with the advice.
    """
    path = folder / files.MANIFEST
    try:
        found = files.sha256_file(path)
    except RagftError as error:
        raise RagftError(f"{str(error).rstrip('.')}; {advice}") from error
    if found != manifest:
        raise RagftError(f"{path}: is not the manifest that was written; {advice}")
    return files.check_folder(folder, advice)
