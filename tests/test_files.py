"""Files that are whole or not there."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from ragft import files
from ragft.types import RagftError


def test_plain_values():
    @dataclass
    class Point:
        x: float
        when: date

    given = {
        1: np.float32(0.5),
        "n": np.int64(3),
        "b": np.bool_(True),
        "a": np.array([1.0, math.nan]),
        "nan": float("nan"),
        "np nan": np.float64("nan"),
        "t": (1, "x"),
        "s": {"b", "a"},
        "p": Path("a/b"),
        "d": Point(1.0, date(2024, 5, 6)),
        "none": None,
    }
    assert files.plain(given) == {
        "1": 0.5,
        "n": 3,
        "b": True,
        "a": [1.0, None],
        "nan": None,
        "np nan": None,
        "t": [1, "x"],
        "s": ["a", "b"],
        "p": "a/b",
        "d": {"x": 1.0, "when": "2024-05-06"},
        "none": None,
    }
    assert json.loads(files.to_json(given)) == files.plain(given)


def test_text_that_is_no_json_is_a_value_error_however_deep():
    assert files.from_json(b'{"a": [1]}') == {"a": [1]}
    for text in ("", "{", "[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(ValueError):
            files.from_json(text)


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(RagftError, match="no infinite number"):
        files.plain({"x": math.inf})
    with pytest.raises(RagftError, match="of type object"):
        files.plain(object())


def test_sha256_json_is_that_of_the_canonical_text():
    expected = hashlib.sha256(b'{"a":[1,null],"b":"\xc3\xa9"}').hexdigest()
    assert files.sha256_json({"b": "é", "a": (1, math.nan)}) == expected


def test_hash_folder_depends_on_names_and_bytes_alone(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "x").write_bytes(b"1")
    (tmp_path / "two" / ".hidden").write_bytes(b"2")
    first = files.hash_folder(tmp_path / "one")
    assert files.hash_folder(tmp_path / "two") == first
    (tmp_path / "two" / "sub" / "x").write_bytes(b"2")
    assert files.hash_folder(tmp_path / "two") != first
    with pytest.raises(RagftError, match="no such folder"):
        files.hash_folder(tmp_path / "three")


def test_sha256_file_names_a_missing_file(tmp_path):
    with pytest.raises(RagftError, match=r"nothing.txt: cannot be read \(No such file"):
        files.sha256_file(tmp_path / "nothing.txt")


def test_atomic_write_replaces_whole_files(tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.atomic_write(path, "é\n")
    files.atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["a.txt"]


def test_full_disk_leaves_what_was_there(tmp_path):
    """A limit on the size of files fails in the middle of a write, as a full disk does."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    code = (
        "import resource, sys; from ragft import files; from ragft.types import RagftError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: files.atomic_write(sys.argv[1], b'x' * 100_000)\n"
        "except RagftError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
    )
    assert f"{path}: cannot be written (File too large)" in done.stdout
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def build(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "x.bin").write_bytes(b"12345678")


def test_sealed_folder_is_whole(tmp_path):
    folder = files.build_folder(tmp_path / "f", build)
    assert files.check_folder(folder) == folder
    assert sorted(os.listdir(tmp_path)) == ["f"]


@pytest.mark.parametrize("position", range(8))
def test_any_flipped_byte_is_refused_by_name(tmp_path, position):
    folder = files.build_folder(tmp_path / "f", build)
    content = bytearray((folder / "sub" / "x.bin").read_bytes())
    content[position] ^= 1
    (folder / "sub" / "x.bin").write_bytes(content)
    with pytest.raises(RagftError, match=r"x\.bin: is not the file that was written; delete the"):
        files.check_folder(folder)


def test_missing_extra_and_unreadable_files_are_refused_by_name(tmp_path):
    folder = files.build_folder(tmp_path / "f", build)
    (folder / "extra").write_text("")
    with pytest.raises(RagftError, match="extra: is not the file"):
        files.check_folder(folder)
    (folder / "extra").unlink()
    (folder / "sub" / "x.bin").unlink()
    with pytest.raises(RagftError, match=r"x\.bin: is in the manifest but missing"):
        files.check_folder(folder)
    (folder / files.MANIFEST).write_text("{")
    with pytest.raises(RagftError, match=r"manifest\.json: missing or damaged"):
        files.check_folder(folder)


def test_failed_build_leaves_nothing(tmp_path):
    def fail(folder: Path) -> None:
        build(folder)
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        files.build_folder(tmp_path / "f", fail)
    assert os.listdir(tmp_path) == []


def test_interrupted_build_is_cleared_away(tmp_path):
    left = tmp_path / ".f.999999.unfinished"
    left.mkdir()
    (left / "half").write_text("")
    files.build_folder(tmp_path / "f", build)
    assert os.listdir(tmp_path) == ["f"]


HOLD = """
import sys, time
from ragft.files import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_lock_of_a_killed_process_is_free(tmp_path):
    pytest.importorskip("fcntl")
    import fcntl

    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with open(path, "ab") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(RagftError, match="^somebody else has it$"):
            with files.locked(path, busy="somebody else has it"):
                pytest.fail("held twice")
    finally:
        holder.kill()
        holder.communicate()
    start = time.monotonic()
    with files.locked(path), pytest.raises(RagftError, match="held here"):
        assert time.monotonic() - start < 30
        with files.locked(path, busy="held here"):
            pytest.fail("held twice")
    with files.locked(path, busy="held here"):
        pass
