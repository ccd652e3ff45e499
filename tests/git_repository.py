"""Real git repositories made in a test, commit by commit, on the days that the test says."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo

LINK = stat.S_IFLNK


class Repository:
    """A repository whose newest commit holds `files`."""

    def __init__(self, path: Path, bare: bool = False) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.repo = Repo.init_bare(str(path)) if bare else Repo.init(str(path))
        self.repo.refs.set_symbolic_ref(b"HEAD", b"refs/heads/main")
        self.files: dict[str, bytes] = {}
        self.links: set[str] = set()

    def commit(self, day: str, changes: dict[str, str | bytes | None], **options) -> str:
        """Change files (None removes one) and commit; `day` may hold an hour, in UTC."""
        for name, content in changes.items():
            if content is None:
                del self.files[name]
            else:
                self.files[name] = content.encode() if isinstance(content, str) else content
        moment = datetime.fromisoformat(day if "T" in day else f"{day}T12:00").replace(tzinfo=UTC)
        return self._write(int(moment.timestamp()), **options)

    def _write(self, seconds: int, branch: str = "main", extra_parents=(), author=None) -> str:
        commit = Commit()
        commit.tree = self._tree({n.encode("utf-8", "surrogateescape"): n for n in self.files})
        ref = b"refs/heads/" + branch.encode()
        first = [self.repo.refs[ref]] if ref in self.repo.refs else []
        commit.parents = first + [parent.encode() for parent in extra_parents]
        commit.author = commit.committer = b"A <a@example.org>"
        commit.commit_time = seconds
        commit.author_time = seconds if author is None else author
        commit.commit_timezone = commit.author_timezone = 0
        commit.message = b"m"
        self.repo.object_store.add_object(commit)
        self.repo.refs[ref] = commit.id
        return commit.id.decode()

    def _tree(self, names: dict[bytes, str]) -> bytes:
        tree, folders = Tree(), {}
        for path, name in names.items():
            first, slash, rest = path.partition(b"/")
            if slash:
                folders.setdefault(first, {})[rest] = name
                continue
            blob = Blob.from_string(self.files[name])
            self.repo.object_store.add_object(blob)
            tree.add(first, LINK if name in self.links else 0o100644, blob.id)
        for folder, inside in folders.items():
            tree.add(folder, stat.S_IFDIR, self._tree(inside))
        self.repo.object_store.add_object(tree)
        return tree.id
