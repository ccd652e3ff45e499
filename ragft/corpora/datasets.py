"""A Hugging Face dataset with the field's key names: saved to disk, as Parquet files, or by its id.

Rows have the keys of a corpus in JSON Lines (`id, contents, title, ...`); what they mean is
decided in `jsonl`. Nothing that comes with a dataset is run: `datasets` knows no scripts any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ragft.corpora import jsonl
from ragft.corpora.corpus import Corpus
from ragft.corpora.formats import is_rows, kind_of
from ragft.corpora.origin import Origin
from ragft.files import hash_folder, sha256_file
from ragft.types import RagftError

KEYS = (
    "id", "contents", "title", "source", "collection", "valid_from", "valid_to", "mark", "metadata",
)  # fmt: skip
"""Columns that are read; `id` and `contents` must be there."""
_SHARD = re.compile(r"-\d+-of-\d+$")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_dataset(place: str | Path) -> bool:
    """Tell whether a path is a Parquet file, or a folder that `datasets` saved or of such files.

    Beside Parquet files a README may lie there; other documents make it a folder of documents.
    """
    path = Path(place)
    if path.is_file():
        return path.suffix == ".parquet"
    beside = (p for pattern in ("*.*", "*/*.*") for p in path.glob(pattern))
    documents = (p for p in beside if p.stem != "README" and (kind_of(p.name) or is_rows(p.name)))
    return _is_saved(path) or (any(_parquet(path)) and not any(documents))


def read_dataset(
    place: str | Path,
    *,
    split: str | None = None,
    subset: str | None = None,
    revision: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Corpus:
    """Read a dataset of documents.

    Parameters
    ----------
    place : str or Path
        A folder of `save_to_disk`, a folder of Parquet files (also one below), a Parquet file, or
        else an id on the Hugging Face hub.
    split : str, optional
        Needed where there are several.
    subset : str, optional
        Configuration of a dataset on the hub; refused for a folder.
    revision : str, optional
        Branch, tag or commit on the hub; None takes the newest. It is pinned either way: the
        commit goes into `origin.revision`. For a folder that is the hash of its files.
    columns : mapping, optional
        What the dataset calls our keys, such as {'contents': 'text', 'id': '_id'}.

    Returns
    -------
    Corpus
        In the order of the rows.

    Raises
    ------
    RagftError
        No such dataset, no network, several splits and none named, a column, an id or a value
        that is missing or of the wrong kind (with its row), or no rows.
    """
    if Path(place).exists():
        if subset or revision:
            raise RagftError(
                f"{place}: a local dataset has no subset or revision; leave them out, its files "
                "are pinned by their hash."
            )
        splits, pinned = _local(Path(place))
    else:
        splits, pinned = _from_hub(str(place), subset, revision)
    name, rows = _chosen(splits, split, place)
    documents, facts = jsonl.corpus_rows(_named(rows, name, place, columns or {}), place)
    details = {"split": name, **({"subset": subset} if subset else {})}
    origin = Origin("dataset", str(place), len(documents), pinned, details=details)
    shown = Path(place).name if Path(place).exists() else str(place)
    return Corpus(documents, facts, f"{shown}@{pinned[:12]}", origin=origin)


def _is_saved(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _parquet(path: Path) -> Iterator[Path]:
    for pattern in ("*.parquet", "*/*.parquet"):
        yield from sorted(path.glob(pattern))


def _local(path: Path) -> tuple[dict[str, Any], str]:
    """Return the splits of a dataset on disk by name, and the hash of its files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if _is_saved(path):
            from datasets import Dataset, load_from_disk

            found = load_from_disk(str(path))
            return {"": found} if isinstance(found, Dataset) else dict(found), hash_folder(path)
        files: dict[str, list[Path]] = {}
        for file in [path] if path.is_file() else _parquet(path):
            files.setdefault(_SHARD.sub("", file.stem), []).append(file)
        if not files:
            raise RagftError(
                f"{path}: no dataset (neither saved by `save_to_disk` nor Parquet files); read it "
                "as a folder of documents."
            )
        tables = {n: pa.concat_tables(map(pq.read_table, shards)) for n, shards in files.items()}
        return tables, sha256_file(path) if path.is_file() else hash_folder(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RagftError(f"{path}: the dataset cannot be read ({error}).") from error


def _from_hub(name: str, subset: str | None, revision: str | None) -> tuple[dict[str, Any], str]:
    """Return the splits of a dataset on the hub, and the commit that they are of."""
    from datasets import load_dataset
    from huggingface_hub import HfApi

    try:
        pinned = revision if revision and _COMMIT.fullmatch(revision) else None
        pinned = pinned or HfApi().dataset_info(name, revision=revision).sha
        return dict(load_dataset(name, subset, revision=pinned)), pinned
    except Exception as error:  # the hub raises a dozen kinds; each means 'cannot be had'
        reason = " ".join(str(error).split())[:200]
        raise RagftError(
            f"dataset {name!r} is neither a folder nor to be had from the Hugging Face hub "
            f"({reason}); without a network give a folder."
        ) from error


def _chosen(splits: Mapping[str, Any], split: str | None, place: str | Path) -> tuple[str, Any]:
    if split is None and len(splits) == 1:
        return next(iter(splits.items()))
    if split is None or split not in splits:
        wrong = "it has several splits" if split is None else f"there is no split {split!r}"
        known = ", ".join(name for name in splits if name) or "none, leave it out"
        raise RagftError(f"{place}: {wrong}; choose one: {known}.")
    return split, splits[split]


def _named(
    rows: Any, split: str, place: str | Path, columns: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where it stands, row) under our keys; other columns are not even read."""
    there = list(rows.column_names)
    taken = {key: columns.get(key, key) for key in KEYS}
    wanted = {key for key in ("id", "contents") if taken[key] not in there}
    wanted |= {key for key, name in columns.items() if key not in KEYS or name not in there}
    if wanted:
        raise RagftError(
            f"{place}: no column for {', '.join(map(repr, sorted(wanted)))}; it has "
            f"{', '.join(there)}. Name yours: columns={{'contents': 'text'}}."
        )
    taken = {key: name for key, name in taken.items() if name in there}
    for number, row in enumerate(_rows(rows, dict.fromkeys(taken.values())), start=1):
        where = f"{place}{':' + split if split else ''}: row {number}"
        yield where, {key: _plain(row[name]) for key, name in taken.items()}


def _rows(rows: Any, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    if hasattr(rows, "select_columns"):  # of `datasets`
        yield from rows.select_columns(list(names))
        return
    for batch in rows.select(list(names)).to_batches(max_chunksize=1000):
        yield from batch.to_pylist()


def _plain(value: Any) -> Any:
    """Return days as JSON Lines have them."""
    if isinstance(value, datetime):
        value = value.date()
    return value.isoformat() if isinstance(value, date) else value
