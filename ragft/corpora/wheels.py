"""Published wheels through pip: which releases there are, and the text inside one.

Wheels only, never source distributions, whose build would run their code; what is in a wheel
is read with `zipfile` and never unpacked, imported or executed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ragft.types import RagftError

PYTHONS = (*(f"3.{minor}" for minor in range(5, 15)), "2.7")
"""Interpreters whose wheels are asked for, since those of old releases do not fit the running one.

The oldest first: a wheel for an interpreter newer than the release is added weeks later, and
its time stamps are then those of that day.
"""

PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 26, 27, 28, 31, 34)),
    *(f"manylinux{year}_x86_64" for year in ("2014", "2010", "1")),
    *("win_amd64", "macosx_10_9_x86_64", "macosx_11_0_arm64"),
)

MODULE_BYTES = 4_000_000
"""A larger module is no source text written by people; it is left unread."""

_SKIPPED = {
    *("tests", "test", "testdata", "conftest", "setup", "benchmarks", "examples"),
    *("externals", "_externals", "extern", "_external", "_vendor", "vendor", "vendored"),
    *("third_party", "_vendored"),
}
_OFFLINE = re.compile(
    r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|Max retries"
    r"|ConnectTimeout|Connection (refused|aborted|reset|broken)|Network is unreachable"
    r"|ProxyError|ReadTimeout|Failed to establish|SSLError|Could not fetch URL|timed out",
    re.IGNORECASE,
)


class NoWheelError(RagftError):
    """A release that exists, but only as a source distribution."""


def check_name(name: str) -> str:
    """Return the normalised name of a package ('scikit-learn').

    Raises
    ------
    RagftError
        Not a package name; checked because it becomes an argument of pip.
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        raise RagftError(f"{name!r} is not the name of a package, such as scikit-learn.")
    return canonicalize_name(name)


def check_version(version: str) -> str:
    """Return the normalised version ('1.5.2').

    Raises
    ------
    RagftError
        Not a version number.
    """
    try:
        return str(Version(version))
    except InvalidVersion:
        raise RagftError(f"{version!r} is not a version, such as 1.5.2.") from None


def _pip(*arguments: str) -> tuple[bool, str]:
    """Run pip; return whether it succeeded, and all that it said."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    try:
        done = subprocess.run(
            [*command, "--retries", "1", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=900,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, "pip timed out"
    if "No module named pip" in done.stderr:
        raise RagftError(f"{sys.executable} has no pip; run: python -m ensurepip")
    return done.returncode == 0, done.stdout + done.stderr


def _raise_if_offline(output: str, what: str) -> None:
    if _OFFLINE.search(output):
        raise RagftError(
            f"{what}: pip reached no package index. Is there a network? Releases fetched before "
            "can be named (NAME==V1,V2) and are read from the cache."
        )


def available_versions(name: str) -> list[str]:
    """Return the final releases that pip knows of, oldest first.

    Those published only as wheels for another Python than the running one are not listed.

    Raises
    ------
    RagftError
        No such package, or no index could be reached.
    """
    name = check_name(name)
    done, output = _pip("index", "versions", "--ignore-requires-python", name)
    match = re.search(r"Available versions: (.+)", output)
    if match is None:
        # A package whose wheels fit no running Python is named only in an error.
        match = re.search(r"\(from versions: (?!none\))(.+?)\)", output)
    if not match:
        _raise_if_offline(output, name)
        raise RagftError(f"there is no package {name!r} on pip's index.")
    versions = {v for v in map(_version, match[1].split(",")) if v and not v.is_prerelease}
    return [str(version) for version in sorted(versions)]


def _version(text: str) -> Version | None:
    try:
        return Version(text.strip())
    except InvalidVersion:
        return None


def download_wheel(
    name: str, version: str, folder: Path, pythons: Sequence[str] = PYTHONS
) -> tuple[Path, str]:
    """Download one wheel of a release.

    Parameters
    ----------
    name, version : str
    folder : Path
        An empty folder to put it in.
    pythons : sequence of str
        Interpreters in the order in which their wheels are tried.

    Returns
    -------
    path : Path
    python : str
        The interpreter it was found for: a good first guess for the next release.

    Raises
    ------
    RagftError
        No network, no such package or release, or a release without a wheel.
    """
    output = ""
    for python in pythons:
        digits = python.replace(".", "")
        abi = f"cp{digits}" + ("m" if Version(python) < Version("3.8") else "")
        done, output = _pip(
            *("download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"),
            *("--no-cache-dir", "--progress-bar", "off", "--dest", str(folder)),
            *("--implementation", "cp", "--python-version", python, "--abi", abi),
            *(word for platform in PLATFORMS for word in ("--platform", platform)),
            f"{name}=={version}",
        )
        wheels = list(folder.glob("*.whl"))
        if done and wheels:
            return wheels[0], python
        if "No matching distribution" not in output:
            break
        _raise_if_offline(output, f"{name} {version}")
    _raise_if_offline(output, f"{name} {version}")
    raise _why_not(name, version, output)


def _why_not(name: str, version: str, output: str) -> RagftError:
    if "No matching distribution" not in output:
        said = next((line for line in output.splitlines()[::-1] if "ERROR" in line), output[-300:])
        return RagftError(f"{name} {version}: pip could not download it: {said.strip()}")
    known = available_versions(name)
    if version in known:
        return NoWheelError(
            f"{name} {version} has no wheel that can be read, only a source distribution, "
            "which would have to be executed; choose another release."
        )
    return RagftError(
        f"there is no release {version} of {name}; pip knows {', '.join(known[-12:])}"
        + (" and older ones." if known[12:] else ".")
    )


def read_wheel(path: Path) -> tuple[dict[str, bytes], list[datetime]]:
    """Read the source text and the time stamps of a wheel, in memory.

    Returns
    -------
    sources : dict of str to bytes
        Path to text of the Python modules. Tests, vendored code and paths that are no
        importable module ('../x.py', 'pkg-1.0.data/…') are left out.
    stamps : list of datetime
        When the entries were last changed, sorted, in the clock of the building machine.

    Raises
    ------
    RagftError
        The file is not a zip archive, or it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            wanted = [e for e in entries if _is_module(e.filename) and e.file_size <= MODULE_BYTES]
            sources = {entry.filename: archive.read(entry) for entry in wanted}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
        raise RagftError(f"the wheel {path.name} is not a readable zip file: {error}.") from error
    except (OSError, ValueError, RuntimeError, zlib.error) as error:
        raise RagftError(f"the wheel {path.name} cannot be read: {error}.") from error
    return sources, sorted(filter(None, map(_stamp, entries)))


def _is_module(path: str) -> bool:
    parts = path.removesuffix(".py").split("/")
    return (
        path.endswith(".py")
        and all(part.isidentifier() for part in parts)
        and not _SKIPPED.intersection(parts)
        and not parts[-1].startswith("test_")
    )


def _stamp(entry: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*entry.date_time)
    except ValueError:
        return None
