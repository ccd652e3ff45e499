"""Rows of JSON Lines files: documents and facts under the field's own key names.

Every error names the file and the line. Rows of questions live in `corpora.questions`; what
the rows mean together lives in `corpora.corpus`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ragft import files
from ragft.types import MARKS, DatedAnswer, Document, Fact, RagftError

RAMDOCS_TYPES = {"correct": "right", "misinfo": "wrong", "noise": "noise"}
"""What the documents of RAMDocs are marked as, in the words of `types.MARKS`."""


def iso(day: date | None) -> str | None:
    """Return a date as an ISO string; None stays None."""
    return None if day is None else day.isoformat()


def date_columns(item: Document | Fact | DatedAnswer) -> dict[str, str | None]:
    """Return the validity of an item under its file keys."""
    return {"valid_from": iso(item.valid_from), "valid_to": iso(item.valid_to)}


def document_row(document: Document) -> dict[str, Any]:
    """Return a document under its file keys; dates are ISO strings or None."""
    return {
        "id": document.id,
        "contents": document.text,
        "title": document.title,
        "source": document.source,
        "collection": document.collection,
        **date_columns(document),
        **({"mark": document.mark} if document.mark else {}),
    }


def fact_row(fact: Fact) -> dict[str, Any]:
    """Return a fact as a plain dictionary; dates are ISO strings or None."""
    return {
        "subject": fact.subject,
        "relation": fact.relation,
        "value": fact.value,
        **date_columns(fact),
        "documents": list(fact.documents),
        "kind": fact.kind,
        "stratum": fact.stratum,
    }


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write one JSON object a line; the file appears whole or not at all.

    Raises
    ------
    RagftError
        The file cannot be written (missing rights, full disk); an earlier one stays as it was.
    """
    path = Path(path)
    # In the same folder, because os.replace is atomic within one file system only.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        os.replace(temporary, path)
    except (OSError, UnicodeEncodeError) as error:
        raise RagftError(f"{path}: cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_rows(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ('file:line', object) for every line that is not blank.

    Raises
    ------
    RagftError
        No such file, or a line that is not a JSON object in UTF-8.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path}:{number}", _parse(line, f"{path}:{number}")
    except FileNotFoundError:
        raise RagftError(f"{path}: no such file.") from None
    except OSError as error:
        raise RagftError(f"{path}: cannot be read: {error.strerror}.") from error


def _parse(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = files.from_json(line.decode("utf-8-sig"))
    except ValueError as error:
        raise RagftError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(row, dict):
        raise RagftError(f"{where}: expected a JSON object, found {type(row).__name__}.")
    return row


def text_of(row: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    """Return a string (or whole number) of a row; missing or null is `default`, else an error."""
    value = row.get(key, default)
    if value is None:
        if key not in row or default is None:
            raise RagftError(f"{where}: the key {key!r} is missing or null.")
        return default
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RagftError(f"{where}: {key!r} must be a string, found {type(value).__name__}.")
    return str(value)


def identifier_of(row: Mapping[str, Any], where: str, seen: set[str]) -> str:
    """Return the id of a row and add it to `seen`; an id seen before is an error."""
    identifier = text_of(row, "id", where)
    if identifier in seen:
        raise RagftError(f"{where}: the id {identifier!r} occurred before; ids must be unique.")
    seen.add(identifier)
    return identifier


def strings_of(row: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """Return a list of strings of a row; missing or null is ()."""
    values = row.get(key) or []
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise RagftError(f"{where}: {key!r} must be a list of strings.")
    return tuple(values)


def parse_day(value: object, where: str) -> date | None:
    """Return the date of an ISO string ('2024-07-31'), None for None or ''.

    Raises
    ------
    RagftError
        Anything else; `where` opens the message.
    """
    if value is None or value == "":
        return None
    try:
        return date.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise RagftError(f"{where} must be a date such as 2024-07-31, found {value!r}.") from None


def interval_of(row: Mapping[str, Any], where: str) -> dict[str, date | None]:
    """Return `valid_from` and `valid_to` of a row; the first must lie before the second."""
    start, end = (parse_day(row.get(k), f"{where}: {k!r}") for k in ("valid_from", "valid_to"))
    if start is not None and end is not None and end <= start:
        raise RagftError(f"{where}: valid_to ({end}) must be later than valid_from ({start}).")
    return {"valid_from": start, "valid_to": end}


def _document(row: Mapping[str, Any], where: str, seen: set[str]) -> Document:
    return Document(
        id=identifier_of(row, where, seen),
        text=text_of(row, "contents", where),
        **{key: text_of(row, key, where, "") for key in ("title", "source", "collection")},
        **interval_of(row, where),
        mark=_mark(row, where),
    )


def _mark(row: Mapping[str, Any], where: str) -> str:
    """Return the `mark` of a document, or what RAMDocs says of it in `metadata.type`."""
    mark = text_of(row, "mark", where, "")
    if mark and mark not in MARKS:
        raise RagftError(f"{where}: the mark {mark!r} is unknown; choose {', '.join(MARKS)}.")
    metadata = row.get("metadata")
    type_ = metadata.get("type") if isinstance(metadata, dict) else None
    # Other collections may mean anything else by it, so other words say nothing.
    return mark or (RAMDOCS_TYPES.get(type_, "") if isinstance(type_, str) else "")


def _fact(row: object, where: str) -> Fact:
    if not isinstance(row, dict):
        raise RagftError(f"{where}: 'fact' must be an object, found {type(row).__name__}.")
    return Fact(
        **{key: text_of(row, key, where) for key in ("subject", "relation", "value")},
        **{key: text_of(row, key, where, "") for key in ("kind", "stratum")},
        **interval_of(row, where),
        documents=strings_of(row, "documents", where),
    )


def read_corpus_rows(path: str | Path) -> tuple[list[Document], list[Fact]]:
    """Read documents and facts; see `Corpus.from_jsonl` for what is an error."""
    return corpus_rows(read_rows(path), path)


def corpus_rows(
    rows: Iterable[tuple[str, Mapping[str, Any]]], path: str | Path
) -> tuple[list[Document], list[Fact]]:
    """Return the documents and facts of rows; (where it stands, row) each, `path` for messages."""
    documents: list[Document] = []
    facts: list[Fact] = []
    seen: set[str] = set()
    for where, row in rows:
        if "fact" in row:
            facts.append(_fact(row["fact"], where))
        else:
            documents.append(_document(row, where, seen))
    if not documents:
        raise RagftError(f"{path}: holds no document; a corpus needs at least one.")
    return documents, facts
