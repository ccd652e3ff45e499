"""Wheels: only importable modules are read, in memory, and broken files are named."""

from __future__ import annotations

import zipfile
from datetime import datetime

import pytest

from ragft.corpora import wheels
from ragft.corpora.wheels import check_name, check_version, download_wheel, read_wheel
from ragft.types import RagftError


def test_only_public_importable_modules_are_read_and_nothing_is_unpacked(tmp_path, make_wheel):
    modules = {
        "toy/__init__.py": "A = 1",
        "toy/_impl.py": "B = 1",
        **dict.fromkeys(
            (
                *("../evil.py", "/etc/evil.py", "toy/../../evil.py", "C:\\evil.py", "toy//x.py"),
                *("toy-1.0.data/scripts/run.py", "toy/tests/test_a.py", "toy/externals/six.py"),
                *("toy/_vendor/x.py", "toy/conftest.py", "toy/test_x.py", "toy/data.txt", ".py"),
            ),
            "EVIL = 1",
        ),
    }
    path = make_wheel(tmp_path, "toy", "1.0", modules)
    sources, _ = read_wheel(path)
    assert sources == {"toy/__init__.py": b"A = 1", "toy/_impl.py": b"B = 1"}
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_executed(tmp_path, make_wheel, capfd):
    module = "print('ran')\nimport sys\nsys.exit(3)"
    read_wheel(make_wheel(tmp_path, "toy", "1.0", {"toy/__init__.py": module}))
    assert capfd.readouterr().out == ""


def test_a_huge_module_is_left_unread(tmp_path, make_wheel, monkeypatch):
    monkeypatch.setattr(wheels, "MODULE_BYTES", 10)
    path = make_wheel(tmp_path, "toy", "1", {"toy/a.py": "x" * 11, "toy/b.py": "x" * 10})
    assert list(read_wheel(path)[0]) == ["toy/b.py"]


def test_stamps_are_sorted_and_impossible_ones_ignored(tmp_path):
    with zipfile.ZipFile(tmp_path / "toy.whl", "w") as archive:
        for stamp in [(2021, 1, 1, 0, 0, 0), (2020, 1, 1, 0, 0, 0), (2022, 0, 0, 0, 0, 0)]:
            archive.writestr(zipfile.ZipInfo(str(stamp), stamp), "")
    _, stamps = read_wheel(tmp_path / "toy.whl")
    assert stamps == [datetime(2020, 1, 1), datetime(2021, 1, 1)]


def test_a_wheel_that_is_no_zip_or_damaged_is_named(tmp_path, make_wheel):
    (tmp_path / "toy.whl").write_bytes(b"<html>not found</html>")
    with pytest.raises(RagftError, match=r"the wheel toy\.whl is not a readable zip"):
        read_wheel(tmp_path / "toy.whl")
    path = make_wheel(tmp_path, "toy", "1.0", {"toy/__init__.py": "A = 1"})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"A = 1", b"A = 2"))
    with pytest.raises(RagftError, match=r"the wheel toy-1\.0-py3-none-any\.whl is not"):
        read_wheel(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RagftError, match="is not a readable zip"):
        read_wheel(path)


def test_pip_refuses_a_wheel_that_is_no_zip(wheelhouse, tmp_path):
    (wheelhouse / "toy-1.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(RagftError, match=r"toy 1\.0: pip could not download it: .*invalid"):
        download_wheel("toy", "1.0", tmp_path / "out")


def test_the_wheel_for_the_oldest_interpreter_is_taken(wheelhouse, make_wheel, tmp_path):
    for digits in ("311", "38", "37"):
        abi = f"cp{digits}" + "m" * (digits == "37")
        make_wheel(wheelhouse, "toy", "1.0", {}, tag=f"cp{digits}-{abi}-manylinux2014_x86_64")
    path, python = download_wheel("toy", "1.0", tmp_path / "a")
    assert (path.name, python) == ("toy-1.0-cp37-cp37m-manylinux2014_x86_64.whl", "3.7")
    path, python = download_wheel("toy", "1.0", tmp_path / "b", first="3.8")
    assert (path.name[8:12], python) == ("cp38", "3.8")


def test_names_and_versions_cannot_become_options():
    assert (check_name("Scikit_Learn"), check_version("1.0.POST1")) == ("scikit-learn", "1.0.post1")
    for name in ("-r", "--index-url", "a/b", "a b", "", "a==1"):
        with pytest.raises(RagftError, match="is not the name of a package"):
            check_name(name)
    for version in ("", "latest", "1;2", "-1"):
        with pytest.raises(RagftError, match="is not a version"):
            check_version(version)


def test_a_python_without_pip_is_told_how_to_get_it(monkeypatch, tmp_path):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    with pytest.raises(RagftError, match="has no pip; run: python -m ensurepip"):
        wheels.available_versions("toy")
