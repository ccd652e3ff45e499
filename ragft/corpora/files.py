"""A folder of the user's own documents: Markdown, text, HTML, PDF and JSON Lines.

Every file is either a document, or skipped with its name and the reason (`Corpus.origin`). Links
are never followed and nothing that lies in a document is run. What is inside a file is read in
`formats`, rows of JSON Lines in `jsonl`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from ragft.corpora import formats, jsonl
from ragft.corpora.corpus import Corpus
from ragft.corpora.formats import Unreadable
from ragft.corpora.origin import Hidden, Origin, Skipped, reasons
from ragft.types import Document, Fact, RagftError


def read_folder(
    folder: str | Path, *, include: str | Sequence[str] = "*", name: str | None = None
) -> Corpus:
    """Read a folder of documents, its subfolders included.

    A Markdown, text, HTML or PDF file is one document: its id and source are its path in the
    folder ('guide/start.md'), its title its first heading or else its name, its collection the
    first subfolder of its path ('' for none), and it has no dates. The rows of a JSON Lines file
    (`id, contents, ...`) keep their own ids. Hidden text of HTML and comments in Markdown are
    left out and told in `origin.hidden`.

    Parameters
    ----------
    folder : str or Path
    include : str or sequence of str
        Patterns of which a file's path must match one, such as 'docs/*.md'; `*` also matches
        '/'. Files that match none do not count as skipped.
    name : str, optional
        Of the corpus; the folder's where None.

    Returns
    -------
    Corpus
        Documents in the order of their files' paths. `origin` says what was skipped, by name
        and reason: hidden files (those that begin with a dot), links, what is no regular file,
        other kinds of file, empty, binary, wrongly encoded, damaged or unreadable ones, those
        of more than `formats.MAX_BYTES` (JSON Lines may be larger), files of questions, and
        files that repeat an id.

    Raises
    ------
    RagftError
        No such folder, nothing readable in it, or the extra `documents` is needed and missing.
    """
    root = Path(folder)
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "no such folder"
        raise RagftError(f"{folder}: {what}; give the folder that the documents lie in.")
    patterns = [include] if isinstance(include, str) else list(include)
    read = _Read(root)
    for path in sorted(_walk(root, read.skipped), key=lambda path: _name(root, path)):
        shown = _name(root, path)
        if any(fnmatchcase(shown, pattern) for pattern in patterns):
            read.take(shown, path)
    if not read.documents:
        raise RagftError(_nothing(folder, patterns, read.skipped))
    origin = Origin(
        "folder",
        str(folder),
        len(read.documents),
        skipped=tuple(sorted(read.skipped)),
        hidden=tuple(read.hidden),
    )
    return Corpus(
        read.documents, read.facts, root.resolve().name if name is None else name, origin=origin
    )


def _nothing(folder: str | Path, patterns: Sequence[str], skipped: Sequence[Skipped]) -> str:
    kinds = ", ".join([*formats.KINDS, ".jsonl"])
    wanted = "" if list(patterns) == ["*"] else f" that matches {' or '.join(patterns)}"
    message = f"{folder}: there is no readable document{wanted} in it (of {kinds})"
    return message + (f"; skipped: {'; '.join(reasons(skipped, 3))}." if skipped else ".")


def _name(root: Path, path: Path) -> str:
    """Return the path of a file in the folder; bytes that are no UTF-8 are shown as '\\xff'."""
    relative = path.relative_to(root).as_posix()
    return os.fsencode(relative).decode("utf-8", "backslashreplace")


def _walk(root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """Yield the regular files below a folder; whatever else is there goes to `skipped`."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            skipped.append(Skipped(f"{_name(root, folder)}/", "unreadable", error.strerror or ""))
            continue
        for entry in entries:
            path = Path(entry.path)
            is_folder = entry.is_dir(follow_symlinks=False)
            if reason := _left_out(root, entry):
                shown = _name(root, path) + ("/" if is_folder else "")
                skipped.append(Skipped(shown, reason))
            elif is_folder:
                waiting.append(path)
            else:
                yield path


def _left_out(root: Path, entry: os.DirEntry[str]) -> str:
    """Return why an entry of a folder is not even opened; '' if it is."""
    if entry.is_symlink():
        try:
            inside = Path(entry.path).resolve().is_relative_to(root.resolve())
        except (OSError, RuntimeError):  # a link to itself
            inside = False
        return "link within the folder" if inside else "link that leaves the folder"
    if entry.name.startswith("."):
        return "hidden"
    if not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
        return "no regular file"
    return ""


def _bytes(path: Path) -> bytes:
    """Return the bytes of a regular file; a link that took its place meanwhile is not followed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("no regular file")
            formats.check_size(status.st_size)
            return file.read(formats.MAX_BYTES + 1)  # it may be growing
    except OSError as error:
        raise Unreadable("unreadable", error.strerror or str(error)) from error


@dataclass
class _Read:
    """What was read so far."""

    root: Path
    documents: list[Document] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    home: dict[str, str] = field(default_factory=dict)
    """The file that each id came from."""

    def take(self, name: str, path: Path) -> None:
        """Read one file, or write down why not."""
        try:
            if formats.is_rows(name):
                documents, facts = _rows(path)
            else:
                documents, facts = [self._document(name, path)], []
            self._check_ids(name, documents)
        except Unreadable as error:
            self.skipped.append(Skipped(name, error.reason, error.detail))
            return
        self.documents += documents
        self.facts += facts

    def _document(self, name: str, path: Path) -> Document:
        if not formats.kind_of(name):
            raise Unreadable("another kind of file")
        parsed = formats.parse(name, _bytes(path))
        self.hidden += [Hidden(name, *stretch) for stretch in parsed.hidden]
        return Document(name, parsed.text, parsed.title, name, collection_of(name))

    def _check_ids(self, name: str, documents: Sequence[Document]) -> None:
        for document in documents:
            if document.id in self.home:
                where = f"{document.id!r}, as in {self.home[document.id]}"
                raise Unreadable("repeats the id of another document", where)
        self.home |= dict.fromkeys((d.id for d in documents), name)


def collection_of(name: str) -> str:
    """Return the collection of a document: the first folder of its path, '' for none."""
    first, slash, _ = name.partition("/")
    return first if slash else ""


def _rows(path: Path) -> tuple[list[Document], list[Fact]]:
    """Return documents and facts of a JSON Lines file."""
    try:
        _, first = next(jsonl.read_rows(path), ("", {}))
        if not first:
            raise Unreadable("empty")
        if "question" in first and "contents" not in first:
            raise Unreadable("questions, not documents", "give it as --questions")
        return jsonl.read_corpus_rows(path)
    except RagftError as error:
        message = str(error).removeprefix(f"{path}").lstrip(": ")
        raise Unreadable("not JSON Lines of documents", message) from error
