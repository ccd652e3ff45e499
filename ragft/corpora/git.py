"""A git repository's documents: every version with the days on which it held, or the newest alone.

Read from the objects of a local repository, bare or not, with dulwich (extra `documents`): no git
is run, no hook, no filter. What is in a file is read in `formats`; which file went on as which,
and from when to when, is decided here.

- The history is that of first parents: what a merge brought counts from the merge.
- A day is that of the commit (not of the author) in UTC. Of several commits on a day the last one
  counts; what was there for hours only is no version.
- Where dates are out of order, as few commits as possible are moved: each counts on the day of
  the commit before it (`in_order`).
"""

from __future__ import annotations

import stat
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ragft.corpora import formats
from ragft.corpora.corpus import Corpus
from ragft.corpora.files import collection_of
from ragft.corpora.formats import Parsed, Unreadable
from ragft.corpora.origin import Hidden, Origin, Skipped, reasons
from ragft.corpora.renames import File, Lines, States
from ragft.types import Document, RagftError

SHORT = 12
"""Digits of a commit in the id of a document."""
_EPOCH, _LAST_SECOND = date(1970, 1, 1), 253402300799
_LFS = b"version https://git-lfs"


def git_history(
    repository: str | Path, *, include: str | Sequence[str] = "*", branch: str | None = None
) -> Corpus:
    """Read every version of every document of a branch.

    A document is one version: its id is 'PATH@COMMIT', `valid_from` the day of its commit,
    `valid_to` the day of the next version, or of the removal, None where it still holds. All
    versions of a file share `source`, its last path; renames are followed, and a file that comes
    back goes on.

    Parameters
    ----------
    repository : str or Path
        Its top folder, or a bare repository.
    include : str or sequence of str
        Patterns of which a path must match one, such as 'docs/*'; `*` also matches '/'. Files
        that no pattern matches, hidden ones and other kinds than `formats.KINDS` are passed over.
    branch : str, optional
        A branch, tag or commit; HEAD where None.

    Returns
    -------
    Corpus
        In order of source and day. `origin.revision` is the commit; `origin.skipped` names the
        versions that cannot be read, which count as if the file had not been there.

    Raises
    ------
    RagftError
        No repository, no commits, no such branch, a shallow history, objects that are missing,
        no document that matches, or the extra `documents` is missing.
    """
    with _opened(repository) as repo:
        tip = _tip(repo, branch, repository)
        commits = _first_parents(repo, tip, repository)
        days, moved = in_order([_day(commit) for commit in commits])
        chosen, lines = _Filter(include), Lines(lambda blob: repo[blob].data)
        for number, commit in enumerate(commits):
            before = commits[number - 1].tree if number else None
            lines.step(number, _changes(repo, before, commit.tree, chosen))
        read = _Versions(repo, [c.id.decode()[:SHORT] for c in commits], days, chosen.skipped)
        documents = [d for name, states in lines.named() for d in read.of(name, states)]
    details = {
        "branch": branch or "HEAD",
        "commits": len(commits),
        "first_day": days[0].isoformat(),
        "last_day": days[-1].isoformat(),
        "files": len({d.source for d in documents}),
        "renames_followed": lines.renames,
        "dates_moved": moved,
    }
    return _corpus(repository, include, tip, documents, read, details)


def git_snapshot(
    repository: str | Path, *, include: str | Sequence[str] = "*", branch: str | None = None
) -> Corpus:
    """Read the newest version of every document of a branch, undated, its path as id.

    Parameters and errors as for `git_history`; a shallow history is enough.
    """
    with _opened(repository) as repo:
        tip = _tip(repo, branch, repository)
        chosen = _Filter(include)
        files = [new for _, new in _changes(repo, None, tip.tree, chosen) if new]
        read = _Versions(repo, [tip.id.decode()[:SHORT]], [_day(tip)], chosen.skipped)
        states = ((path, {0: (path, sha)}) for path, sha in sorted(files))
        found = [d for name, state in states for d in read.of(name, state)]
    documents = [replace(d, id=d.source, valid_from=None) for d in found]
    return _corpus(repository, include, tip, documents, read, {"branch": branch or "HEAD"})


def _corpus(
    repository: str | Path,
    include: str | Sequence[str],
    tip: Any,
    documents: Sequence[Document],
    read: _Versions,
    details: Mapping[str, Any],
) -> Corpus:
    commit = tip.id.decode()
    if not documents:
        patterns = include if isinstance(include, str) else " or ".join(include)
        skipped = f"; skipped: {'; '.join(reasons(read.skipped, 3))}" if read.skipped else ""
        raise RagftError(
            f"{repository}: no readable document (of {', '.join(formats.KINDS)}) matches "
            f"{patterns} at commit {commit[:SHORT]}{skipped}; give another filter or branch."
        )
    origin = Origin(
        "git",
        str(repository),
        len(documents),
        commit,
        tuple(sorted(read.skipped)),
        tuple(dict.fromkeys(read.hidden)),
        details,
    )
    name = Path(repository).resolve().name.removesuffix(".git")
    return Corpus(documents, name=f"{name}@{commit[:SHORT]}", origin=origin)


def in_order(days: Sequence[date]) -> tuple[list[date], int]:
    """Return days that never go back, and how many had to be moved for it.

    The longest series of commits whose days are in order keeps them; every other counts on the
    day of the kept one before it (the first one's, where there is none). So one clock that ran
    wrong moves its own commits alone, whether it ran fast or slow.

    Examples
    --------
    >>> found, moved = in_order([date(2024, 1, d) for d in (3, 5, 30, 6, 1, 8)])
    >>> [day.day for day in found], moved
    ([3, 5, 5, 6, 6, 8], 2)
    """
    # Of the series of each length, the one that ends earliest: its last day and commit.
    last_days: list[date] = []
    ends: list[int] = []
    before: list[int] = []
    for number, day in enumerate(days):
        length = bisect_right(last_days, day)
        before.append(ends[length - 1] if length else -1)
        last_days[length : length + 1] = [day]
        ends[length : length + 1] = [number]
    kept, at = set(), ends[-1] if ends else -1
    while at >= 0:
        kept.add(at)
        at = before[at]
    found, current = [], days[min(kept)] if kept else None
    for number, day in enumerate(days):
        current = day if number in kept else current
        found.append(current)
    return found, sum(new != old for new, old in zip(found, days, strict=True))


@contextmanager
def _opened(repository: str | Path) -> Iterator[Any]:
    """Open a repository; whatever is wrong with it is one error that says so."""
    try:
        from dulwich.errors import ChecksumMismatch, FileFormatException, NotGitRepository
        from dulwich.repo import Repo
    except ImportError as error:
        raise RagftError(
            "reading a git repository needs the extra 'documents' (dulwich is missing): "
            "pip install 'ragft[documents]'"
        ) from error
    try:
        repo = Repo(str(repository))
    except (NotGitRepository, OSError):
        raise RagftError(_no_repository(repository)) from None
    try:
        yield repo
    except KeyError as error:
        raise RagftError(
            f"{repository}: the object {error.args[0]!r} is missing from the repository (a partial "
            "clone?); get all of it with: git fetch --refetch"
        ) from error
    except (FileFormatException, ChecksumMismatch, zlib.error, OSError) as error:
        raise RagftError(
            f"{repository}: the repository is damaged ({error}); see: git fsck"
        ) from error
    finally:
        repo.close()


def _no_repository(repository: str | Path) -> str:
    from dulwich.errors import NotGitRepository
    from dulwich.repo import Repo

    path = Path(repository)
    if not path.is_dir():
        return f"{repository}: no such folder; give the top folder of a git repository."
    try:
        with Repo.discover(str(path)) as above:
            top = Path(above.path).resolve()
    except NotGitRepository:
        return f"{repository}: no git repository; give its top folder, or read it as a folder."
    inside = path.resolve().relative_to(top).as_posix() if path.resolve() != top else ""
    return (
        f"{repository}: lies inside a git repository; give its top folder, {top}, and the "
        f"filter '{inside}/*'."
    )


def _tip(repo: Any, branch: str | None, repository: str | Path) -> Any:
    from dulwich.objectspec import parse_commit

    try:
        return parse_commit(repo, branch.encode() if branch else b"HEAD")
    except (KeyError, ValueError):
        branches = sorted(name.decode(errors="replace") for name in repo.refs.keys(b"refs/heads"))
    if not branches:
        raise RagftError(
            f"{repository}: the repository has no commits yet; commit something first."
        )
    raise RagftError(
        f"{repository}: there is no branch, tag or commit {branch or 'HEAD'!r}; there are "
        f"{', '.join(branches[:10])}."
    )


def _first_parents(repo: Any, tip: Any, repository: str | Path) -> list[Any]:
    """Return the commits from the first to the tip, along first parents."""
    shallow = repo.get_shallow()
    commits = [tip]
    while commits[-1].parents:
        if commits[-1].id in shallow:
            raise RagftError(
                f"{repository}: the history is shallow, only the last {len(commits)} commits are "
                "here; get the rest with: git fetch --unshallow"
            )
        commits.append(repo[commits[-1].parents[0]])
    return commits[::-1]


def _day(commit: Any) -> date:
    seconds = min(max(commit.commit_time, 0), _LAST_SECOND)
    return _EPOCH + timedelta(days=seconds // 86400)


@dataclass
class _Filter:
    """Which files of a tree are documents."""

    include: str | Sequence[str]
    skipped: list[Skipped] = field(default_factory=list)

    def file(self, entry: Any) -> tuple[str, bytes] | None:
        """Return (path, blob) of an entry of a tree; None where it is no document."""
        if entry is None or entry.path is None:
            return None
        path = entry.path.decode("utf-8", "backslashreplace")
        patterns = [self.include] if isinstance(self.include, str) else self.include
        hidden = any(part.startswith(".") for part in path.split("/"))
        if hidden or not formats.kind_of(path) or not any(fnmatchcase(path, p) for p in patterns):
            return None
        if stat.S_ISLNK(entry.mode):
            self.skipped.append(Skipped(path, "link"))
        return (path, entry.sha) if stat.S_ISREG(entry.mode) else None


def _changes(
    repo: Any, before: bytes | None, after: bytes, chosen: _Filter
) -> Iterator[tuple[File | None, File | None]]:
    """Yield (old, new) of every document that differs between two trees."""
    from dulwich.diff_tree import tree_changes

    for change in tree_changes(repo.object_store, before, after):
        old, new = chosen.file(change.old), chosen.file(change.new)
        if old or new:
            yield old, new


class _Versions:
    """The versions of files, read and dated."""

    def __init__(
        self, repo: Any, commits: Sequence[str], days: Sequence[date], skipped: list[Skipped]
    ) -> None:
        self.repo, self.commits, self.days = repo, commits, days
        self.skipped = list(dict.fromkeys(skipped))
        self.hidden: list[Hidden] = []

    def of(self, source: str, states: States) -> list[Document]:
        """Return the versions of one file, in order of day."""
        # Days never go back, so the last commit of a day is the one that stays.
        last = {self.days[number]: number for number in sorted(states)}
        found: list[Document] = []
        for day, number in last.items():
            path, blob = states[number]
            version = f"{path}@{self.commits[number]}"
            parsed = self._parsed(source, version, path, blob) if blob else None
            holds = found[-1] if found and found[-1].valid_to is None else None
            same_path = holds and holds.id.rpartition("@")[0] == path
            if parsed and same_path and holds.text == parsed.text:
                continue
            if holds:
                found[-1] = replace(holds, valid_to=day)
            if parsed:
                collection = collection_of(path)
                found.append(Document(version, parsed.text, parsed.title, source, collection, day))
        return found

    def _parsed(self, source: str, version: str, path: str, blob: bytes) -> Parsed | None:
        data = self.repo[blob].data
        try:
            if data.startswith(_LFS):
                raise Unreadable("kept in Git LFS, not in the repository")
            parsed = formats.parse(path, data)
        except Unreadable as error:
            self.skipped.append(Skipped(version, error.reason, error.detail))
            return None
        # A stretch that stayed hidden through fifty versions is told once.
        self.hidden += [Hidden(source, *stretch) for stretch in parsed.hidden]
        return parsed
