"""Small wheels made on the spot, and a pip that knows nothing else."""

from __future__ import annotations

import os
import zipfile

import pytest


def _make_wheel(folder, name, version, modules, stamp=(2020, 1, 1, 12, 0, 0), tag="py3-none-any"):
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    entries = {
        **modules,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in entries.items():
            archive.writestr(zipfile.ZipInfo(entry, stamp), text)
    return path


@pytest.fixture(scope="session")
def make_wheel():
    """Write a wheel into a folder; `stamp` is the time on all its entries."""
    return _make_wheel


@pytest.fixture
def wheelhouse(tmp_path, monkeypatch):
    """A folder that is pip's only source of wheels; the cache lies beside it."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    for name in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    return folder
