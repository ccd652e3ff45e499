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
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from ragft.types import RagftError, UnreachableError

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

SOURCE_BYTES = 512_000_000
"""The source text of all modules of a wheel; what claims more is no package (that of PyTorch has
a tenth of it), but made to fill the memory of whoever reads it."""

_SKIPPED = {
    *("tests", "test", "testdata", "conftest", "setup", "benchmarks", "examples"),
    *("externals", "_externals", "extern", "_external", "_vendor", "vendor", "vendored"),
    *("third_party", "_vendored"),
}
_NO_MATCH = "No matching distribution"
_OFFLINE = re.compile(
    r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|Max retries"
    r"|ConnectTimeout|Connection (refused|aborted|reset|broken)|Network is unreachable"
    r"|ProxyError|ReadTimeout|Failed to establish|SSLError|Could not fetch URL|timed out",
    re.IGNORECASE,
)


class NoWheelError(RagftError):
    """A release that exists, but without a wheel that can be had."""


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
        raise UnreachableError(
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
    # Release candidates and the like have no day on which they were what people installed.
    versions = {v for v in map(_version, match[1].split(",")) if v and not v.is_prerelease}
    return [str(version) for version in sorted(versions)]


def _version(text: str) -> Version | None:
    try:
        return Version(text.strip())
    except InvalidVersion:
        return None


def download_wheel(
    name: str, version: str, folder: Path, first: str = PYTHONS[0]
) -> tuple[Path, str]:
    """Download one wheel of a release.

    Parameters
    ----------
    name, version : str
    folder : Path
        An empty folder to put it in.
    first : str
        Interpreter whose wheels are asked for first; then all others, oldest first.

    Returns
    -------
    path : Path
    python : str
        The interpreter it was found for: a good `first` for the next release.

    Raises
    ------
    RagftError
        No network, no such package or release; `NoWheelError`: a release without a wheel.
    """
    path, output = _download(name, version, folder, first)
    if path:
        return path, first
    for python in _other_pythons(output, name, version):
        if python != first:
            path, output = _download(name, version, folder, python)
            if path:
                return path, python
    raise _why_not(name, version, output)


def _download(name: str, version: str, folder: Path, python: str) -> tuple[Path | None, str]:
    digits = python.replace(".", "")
    abi = f"cp{digits}" + ("m" if Version(python) < Version("3.8") else "")
    # Twice verbose, because pip then lists the wheels that it passes over.
    _, output = _pip(
        *("download", "-vv", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"),
        *("--no-cache-dir", "--progress-bar", "off", "--dest", str(folder)),
        *("--implementation", "cp", "--python-version", python, "--abi", abi),
        *(word for platform in PLATFORMS for word in ("--platform", platform)),
        f"{name}=={version}",
    )
    wheels = sorted(folder.glob("*.whl"))
    if wheels:
        return wheels[0], output
    _raise_if_offline(output, f"{name} {version}")
    if _NO_MATCH not in output:
        said = next((line for line in output.splitlines()[::-1] if "ERROR" in line), output[-300:])
        raise RagftError(f"{name} {version}: pip could not download it: {said.strip()}")
    return None, output


def _other_pythons(output: str, name: str, version: str) -> list[str]:
    """Interpreters for which pip passed over a wheel of this release, oldest first."""
    if "Skipping link" not in output and "(from versions: none)" not in output:
        return list(PYTHONS)  # another wording than that of the pips we know: try them all
    found = set()
    for file in set(re.findall(r"[^/\\\s]+\.whl\b", output)):
        try:
            project, wheel_version, _, tags = parse_wheel_filename(unquote(file))
        except (InvalidWheelFilename, InvalidVersion):
            continue
        if project == name and wheel_version == Version(version):
            found |= {tag.interpreter for tag in tags}
    return [python for python in PYTHONS if f"cp{python.replace('.', '')}" in found]


def _why_not(name: str, version: str, output: str) -> RagftError:
    if re.search(r"invalid metadata|Please use pip<", output):
        return NoWheelError(
            f"{name} {version} has a wheel, but this pip refuses its metadata as invalid; "
            "a pip older than 24.1 would take it."
        )
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
        The file is not a zip archive, it is damaged, or it would unpack to more than
        `SOURCE_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            wanted = [e for e in entries if _is_module(e.filename) and e.file_size <= MODULE_BYTES]
            total = sum(entry.file_size for entry in wanted)
            if total > SOURCE_BYTES:
                raise RagftError(
                    f"the wheel {path.name} would unpack to {total / 1e6:,.0f} MB of source text, "
                    f"more than {SOURCE_BYTES / 1e6:,.0f}; it is not read."
                )
            # No more is unpacked of an entry than its size says, whatever is packed in it.
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
