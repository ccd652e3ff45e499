"""A collection of dated documents and facts: what held on a day, what changed, files in and out.

Reading and writing JSON Lines lives in `corpora.jsonl` and `corpora.questions`; where documents
come from lives beside it; nothing here knows how text is searched.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from ragft.corpora import jsonl
from ragft.corpora.origin import Origin
from ragft.corpora.questions import read_questions, write_questions
from ragft.types import MARKS, Changes, Document, Fact, Question, RagftError

__all__ = ["Corpus", "read_questions", "write_questions"]


@dataclass(frozen=True)
class Corpus:
    """Documents, and facts where they are known, each with the days on which they held.

    Parameters
    ----------
    documents : iterable of Document
        Unique ids; versions of the same text share a non-empty `source`. May be empty
        (nothing was in force on some day).
    facts : iterable of Fact
        What is known to be true, for outcomes that need no judge; empty where unknown.
    name : str
        For people; not part of the content hash.
    questions : iterable of Question
        Questions that belong to it; carried along, not part of the content hash.
    origin : Origin, optional
        Where it was read from and what was left out, of the user's own documents; not part of
        the content hash, nor of what makes two corpora equal.

    Raises
    ------
    RagftError
        Two documents with one id, or an interval that ends before it begins.

    Examples
    --------
    >>> old = Document("a@1", "one", source="a", valid_to=date(2020, 1, 1))
    >>> new = Document("a@2", "two", source="a", valid_from=date(2020, 1, 1))
    >>> corpus = Corpus([old, new])
    >>> corpus.as_of(date(2020, 1, 1)).documents == (new,)
    True
    >>> corpus.changes(date(2019, 12, 31), date(2020, 1, 1)).changed == (new,)
    True
    """

    documents: tuple[Document, ...]
    facts: tuple[Fact, ...] = ()
    name: str = ""
    questions: tuple[Question, ...] = ()
    origin: Origin | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("documents", "facts", "questions"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.by_id) < len(self.documents):
            counts = Counter(d.id for d in self.documents)
            doubled = next(i for i, n in counts.items() if n > 1)
            raise RagftError(f"corpus {self.name!r}: the document id {doubled!r} occurs twice.")
        for document in self.documents:
            if document.mark and document.mark not in MARKS:
                raise RagftError(
                    f"corpus {self.name!r}: the mark {document.mark!r} of {document.id!r} is "
                    f"unknown; choose {', '.join(MARKS)}."
                )
        for item in (*self.documents, *self.facts):
            start, end = item.valid_from, item.valid_to
            if start is not None and end is not None and end <= start:
                raise RagftError(f"corpus {self.name!r}: valid_to <= valid_from in {item}.")

    def __len__(self) -> int:
        return len(self.documents)

    @cached_property
    def by_id(self) -> dict[str, Document]:
        """Documents by their id."""
        return {d.id: d for d in self.documents}

    @cached_property
    def days(self) -> tuple[date, ...]:
        """Sorted days on which a document or a fact begins or ends; empty if undated."""
        items = (*self.documents, *self.facts)
        days = {day for item in items for day in (item.valid_from, item.valid_to)}
        return tuple(sorted(days - {None}))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hexadecimal) of the documents and facts, whatever their order.

        Equal contents hash equally on every machine, so it can name a cached result.
        Name and questions are left out: results over other questions have their own key.
        """
        rows = [jsonl.document_row(d) for d in self.documents]
        rows += [jsonl.fact_row(f) for f in self.facts]
        lines = (json.dumps(row, sort_keys=True).encode() for row in rows)
        total = hashlib.sha256()
        for digest in sorted(hashlib.sha256(line).digest() for line in lines):
            total.update(digest)
        return total.hexdigest()

    @cached_property
    def marks(self) -> dict[str, str]:
        """The marks of the documents that have one, by id."""
        return {d.id: d.mark for d in self.documents if d.mark}

    def as_of(self, day: date) -> Corpus:
        """Return the documents and facts in force on `day`, in their order.

        Name, questions and origin are kept. May be empty: nothing held on that day.
        """
        return Corpus(
            documents=tuple(d for d in self.documents if d.holds_on(day)),
            facts=tuple(f for f in self.facts if f.holds_on(day)),
            name=self.name,
            questions=self.questions,
            origin=self.origin,
        )

    def changes(self, since: date, until: date) -> Changes:
        """Return what an index made on `since` must take in to be right on `until`.

        `as_of(until)` holds the documents of `as_of(since)` without `removed`, with
        `added` and `changed`. A text that went away and came back in between with a
        new id counts as changed; versions that came and went in between do not show.

        Raises
        ------
        RagftError
            `until` lies before `since`.
        """
        if until < since:
            raise RagftError(f"changes: until ({until}) lies before since ({since}).")
        before = {d.id: d for d in self.documents if d.holds_on(since)}
        after = {d.id: d for d in self.documents if d.holds_on(until)}
        sources = {d.source for d in before.values()} - {""}
        new = [d for d in after.values() if d.id not in before]
        return Changes(
            added=tuple(d for d in new if d.source not in sources),
            changed=tuple(d for d in new if d.source in sources),
            removed=tuple(d for d in before.values() if d.id not in after),
        )

    def to_jsonl(self, path: str | Path) -> Path:
        """Write documents, then facts, one JSON object a line; questions go to their own file.

        Documents have the keys `id, contents, title, source, collection, valid_from,
        valid_to`; a fact is one object under the key `fact`. Returns the path.
        """
        rows: Iterable[dict] = map(jsonl.document_row, self.documents)
        facts = ({"fact": jsonl.fact_row(f)} for f in self.facts)
        return jsonl.write_rows(path, (row for part in (rows, facts) for row in part))

    @classmethod
    def from_jsonl(cls, path: str | Path, name: str | None = None) -> Corpus:
        """Read a file written by `to_jsonl`, or any JSON Lines file with `id` and `contents`.

        Parameters
        ----------
        path : str or Path
        name : str, optional
            Defaults to the file's name, or its folder's where the file is `corpus.jsonl`.

        Raises
        ------
        RagftError
            Naming file and line: missing file, broken line, missing key, duplicate id, bad
            date, interval that ends before it begins; naming the file: no document in it.
        """
        path = Path(path)
        documents, facts = jsonl.read_corpus_rows(path)
        if name is None:
            name = path.resolve().parent.name if path.stem == "corpus" else path.stem
        return cls(documents, facts, name)

    @classmethod
    def from_folder(
        cls, folder: str | Path, *, include: str | Sequence[str] = "*", name: str | None = None
    ) -> Corpus:
        """Read a folder of Markdown, text, HTML, PDF and JSON Lines; see `files.read_folder`.

        What was skipped, and why, is in `origin`: `print(corpus.origin)`.

        Raises
        ------
        RagftError
            No such folder, or nothing readable in it.
        """
        from ragft.corpora.files import read_folder

        return read_folder(folder, include=include, name=name)

    @classmethod
    def from_git(
        cls,
        repository: str | Path,
        *,
        include: str | Sequence[str] = "*",
        branch: str | None = None,
        history: bool = True,
    ) -> Corpus:
        """Read the documents of a git repository, every version with its dates; see `git`.

        Without `history` only the newest versions, undated, with their paths as ids.

        Raises
        ------
        RagftError
            No repository, no commits, no such branch, a shallow history, no matching document.
        """
        from ragft.corpora.git import git_history, git_snapshot

        read = git_history if history else git_snapshot
        return read(repository, include=include, branch=branch)

    @classmethod
    def from_dataset(
        cls,
        place: str | Path,
        *,
        split: str | None = None,
        subset: str | None = None,
        revision: str | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> Corpus:
        """Read a Hugging Face dataset, from a folder or by its id; see `datasets.read_dataset`.

        Raises
        ------
        RagftError
            No such dataset, several splits and none named, a column or a value that is missing.
        """
        from ragft.corpora.datasets import read_dataset

        return read_dataset(place, split=split, subset=subset, revision=revision, columns=columns)
