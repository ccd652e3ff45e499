"""A full disk, a folder that cannot be written, a clock that jumps, and two at once.

After each: what was finished is there, nothing was done twice, and the message names the place.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from tests.reliability import operations
from tests.reliability.copies import Copy, Heard, copy, warmed
from tests.reliability.operations import OPERATIONS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
NOBODY = 65534
"""A user without rights, on every Unix."""
ANEW = tuple(name for name, operation in OPERATIONS.items() if operation.anew)
UNLOCKED = {
    "vector cache": "two that want one vector at once both make it; either is the same",
    "runs": "what a run computes are cells; its record is written once, whoever comes first",
    "saved index": "saving replaces the whole: the later one takes the place of the earlier",
}
QUICK = ("cells", "vector cache", "full grids", "batch")
NAMES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long])
    for name in OPERATIONS
    if name not in ("training", "pretraining")  # the adapter's; a process that no copy can start
]


@pytest.fixture(autouse=True)
def two_units(monkeypatch):
    monkeypatch.setattr(operations, "UNITS", range(2))


def check_refused(heard: Heard, folder: Path) -> None:
    """Check that an operation ended in an error of ragft's own that names a place in the folder."""
    assert heard.error.startswith("RagftError: "), heard.error
    assert str(folder) in heard.error, heard.error


def check_goes_on(name: str, folder: Path, before: Heard, whole: Heard) -> None:
    """Check that an operation that was broken off is taken up, and does nothing again."""
    after = copy(name, folder)
    assert after.result == whole.result, after
    if name not in ANEW:
        assert not set(before.finished) & set(after.computing)


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk(name, tmp_path):
    """Files that may not grow beyond a size: the kernel breaks off the write in its middle."""
    _, whole = warmed(name, tmp_path)
    sizes = {p.stat().st_size for p in (tmp_path / "whole").rglob("*") if p.is_file()}
    refused = 0
    for size in sorted({s // 2 for s in sizes if s > 1}, reverse=True)[:4]:
        work = tmp_path / f"at most {size}"
        work.mkdir()
        heard = copy(
            name, work, lambda size=size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        )
        if not heard.result:
            check_refused(heard, work)
            refused += 1
        check_goes_on(name, work, heard, whole)
        left = [p.name for p in work.rglob("*") if ".unfinished" in p.name or p.suffix == ".part"]
        assert [name for name in left if name != ".unfinished"] == []
    assert refused > 0


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system of so many KiB; skip where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("name", ["cells", "index", "vector cache", "batch"])
def test_a_disk_that_is_really_full(name, tmp_path):
    _, whole = warmed(name, tmp_path)
    with small_disk(tmp_path / "disk", 512) as disk:
        work, ballast = disk / "work", disk / "ballast"
        work.mkdir()
        left = shutil.disk_usage(disk).free
        ballast.write_bytes(bytes(max(left - 12 * 2**10, 0)))  # three pages are left
        heard = copy(name, work)
        if not heard.result:
            check_refused(heard, work)
        ballast.unlink()
        check_goes_on(name, work, heard, whole)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take the right to write away from a folder and all in it."""
    places = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in places}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222 | 0o444 | (0o111 if path.is_dir() else 0))
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def become_nobody() -> None:
    """Give root's rights up: they would write anyway."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


@pytest.fixture
def open_folder():
    """A folder whose parents others may enter, which those of `tmp_path` may not be."""
    folder = Path(tempfile.mkdtemp(prefix="reliability"))
    folder.chmod(0o755)
    operations.inputs().chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_cannot_be_written(name, open_folder):
    """What is finished is read; what is not is refused by name."""
    _, whole = warmed(name, open_folder)
    work, empty = open_folder / "whole", open_folder / "empty"
    empty.mkdir()
    with read_only(open_folder):
        heard = copy(name, work, become_nobody)
        if name in (*ANEW, "batch"):  # a batch notes who works in its folder
            check_refused(heard, work)
        else:
            assert heard.result == whole.result, heard
            assert heard.computing == []
        if name != "hashes of weights":  # the hash is known without its note
            check_refused(copy(name, empty, become_nobody), empty)
    check_goes_on(name, work, whole, whole)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("years", [-30, 30])
def test_a_clock_that_jumps(name, years, tmp_path):
    """While it runs, and between two runs: files are then of another age, or of the future."""
    _, whole = warmed(name, tmp_path)
    away, real = years * 365 * 86400.0, time.time
    calls = iter(range(10**9))
    work = tmp_path / "work"
    work.mkdir()
    with mock.patch("time.time", lambda: real() + away * (next(calls) % 2)):
        first = copy(name, work)
    assert first.result == whole.result, first
    for path in work.rglob("*"):
        os.utime(path, (real() + away, real() + away))
    check_goes_on(name, work, first, whole)


@pytest.mark.parametrize("name", NAMES)
def test_two_at_once_in_one_folder(name, tmp_path):
    _, whole = warmed(name, tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    both = [Copy.begin(name, work) for _ in range(2)]
    heard = [one.end() for one in both]
    assert any(one.result for one in heard), heard
    for one in heard:
        if one.result:
            assert one.result == whole.result
        else:
            check_refused(one, work)
    computed = [unit for one in heard for unit in one.computing]
    finished = {unit for one in heard for unit in one.finished}
    if name not in (*ANEW, *UNLOCKED):
        # The one that is told of the other had begun to compute what it then did not write.
        allowed = len(set(computed)) + sum(bool(one.error) for one in heard)
        assert len(computed) <= allowed, computed
    check_goes_on(name, work, Heard(finished=sorted(finished)), whole)
