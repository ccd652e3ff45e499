"""Which file went on as which: renames followed from commit to commit, whatever the store.

Files that stayed as they were are paired first, then the likeliest by the lines they share. Where
commits and blobs come from, and what days they count on, lives in `git`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

ALIKE = 0.5
"""Share of a file's bytes, in whole lines, that a renamed one must have kept (as git has it)."""
MOST_PAIRS = 200**2
"""Of removed and new files in a commit; above it only files that stayed as they were are followed
(git's limit too)."""

File = tuple[str, bytes]
"""Path and blob."""
States = dict[int, tuple[str, bytes | None]]
"""By number of the commit: path and blob from then on, None where the file was gone."""


class Lines:
    """Files as they go on from commit to commit, whatever they are called."""

    def __init__(self, read: Callable[[bytes], bytes]) -> None:
        self.read = read
        self.renames = 0
        """How many were followed."""
        self._all: list[States] = []
        self._alive: dict[str, States] = {}
        self._dead: dict[str, States] = {}

    def step(self, number: int, changes: Iterable[tuple[File | None, File | None]]) -> None:
        """Take in what one commit changed: (old, new) of each file, None where it is not there."""
        gone: dict[str, bytes] = {}
        new: dict[str, bytes] = {}
        for old, now in changes:
            if old and now:
                self._alive[now[0]][number] = now
            elif old:
                gone[old[0]] = old[1]
            else:
                new[now[0]] = now[1]
        moved = renamed(gone, new, self.read)
        self.renames += len(moved)
        lines = {path: self._alive.pop(path) for path in gone}
        for path in gone.keys() - moved.keys():
            lines[path][number] = (path, None)
            self._dead[path] = lines[path]
        came_from = {new_path: old_path for old_path, new_path in moved.items()}
        for path, sha in new.items():
            line = lines[came_from[path]] if path in came_from else self._begun(path)
            line[number] = (path, sha)
            self._alive[path] = line

    def _begun(self, path: str) -> States:
        """Return the line of a file that comes back, else a new one."""
        if path in self._dead:
            return self._dead.pop(path)
        self._all.append({})
        return self._all[-1]

    def named(self) -> list[tuple[str, States]]:
        """Return every line under its last path; where two had it, the earlier one as 'PATH~2'."""
        found: dict[str, States] = {}
        for line in sorted(self._all, key=max, reverse=True):
            path, _ = line[max(line)]
            name, copy = path, 1
            while name in found:
                copy += 1
                name = f"{path}~{copy}"
            found[name] = line
        return sorted(found.items())


def renamed(
    gone: Mapping[str, bytes], new: Mapping[str, bytes], read: Callable[[bytes], bytes]
) -> dict[str, str]:
    """Return which of the removed files went on as which of the new ones: old path → new path.

    Files that stayed as they were first (of several the one that kept its name), then the
    likeliest by `likeness`, from `ALIKE` on.

    Parameters
    ----------
    gone, new : mapping of path to blob
    read : callable
        Gives the bytes of a blob.
    """
    found = _unchanged(gone, new)
    old_left = sorted(gone.keys() - found.keys())
    new_left = sorted(new.keys() - set(found.values()))
    if not 0 < len(old_left) * len(new_left) <= MOST_PAIRS:
        return found
    old_lines = {p: Counter(read(gone[p]).splitlines(keepends=True)) for p in old_left}
    new_lines = {p: Counter(read(new[p]).splitlines(keepends=True)) for p in new_left}
    scored = [(-likeness(old_lines[a], new_lines[b]), a, b) for a in old_left for b in new_left]
    for score, old, now in sorted(scored):
        if -score >= ALIKE and old not in found and now not in found.values():
            found[old] = now
    return found


def _unchanged(gone: Mapping[str, bytes], new: Mapping[str, bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    places: dict[bytes, tuple[list[str], list[str]]] = {}
    for side, files in enumerate((gone, new)):
        for path in sorted(files):
            places.setdefault(files[path], ([], []))[side].append(path)
    for olds, news in places.values():
        for old in list(olds):
            if same := [now for now in news if _base(now) == _base(old)]:
                found[old] = same[0]
                olds.remove(old)
                news.remove(same[0])
        found |= dict(zip(olds, news, strict=False))
    return found


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def likeness(one: Counter[bytes], two: Counter[bytes]) -> float:
    """Return the share of the larger file's bytes that both have in common, in whole lines.

    Examples
    --------
    >>> likeness(Counter([b"ab", b"cd"]), Counter([b"ab", b"cd", b"efgh"]))
    0.5
    """
    sizes = [sum(len(line) * n for line, n in lines.items()) for lines in (one, two)]
    shared = sum(len(line) * n for line, n in (one & two).items())
    return shared / max(sizes) if max(sizes) else 0.0
