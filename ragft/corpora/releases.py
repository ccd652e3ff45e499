"""Releases of a package: which to take, their days, what they offer; read once, then kept.

Getting wheels lives in `corpora.wheels`, reading signatures in `corpora.signatures`; what the
releases mean together lives in `corpora.packages`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path

from packaging.version import Version

from ragft.corpora import wheels
from ragft.corpora.jsonl import parse_day
from ragft.corpora.signatures import Entry, public_api
from ragft.files import atomic_write, from_json, read_sealed, sealed_json, sha256_file
from ragft.runtime import cache_dir
from ragft.types import RagftError

RELEASES = 8
MINORS = 15
LIST_SECONDS = 24 * 3600
"""For how long the list of releases is believed before pip is asked again."""

_FORMAT = "v1"


@dataclass(frozen=True)
class Release:
    """What one release of a package offers.

    `day` is None where the wheel's time stamps are one constant; `skipped` counts modules
    that could not be parsed.
    """

    name: str
    version: str
    day: date | None
    api: Mapping[str, Entry]
    skipped: int = 0
    stamp: str = ""
    """Newest time stamp in the wheel, as in its zip entries; '' without any."""
    wheel: str = ""
    wheel_sha256: str = ""


def package_releases(
    name: str,
    versions: Sequence[str] | None = None,
    *,
    dates: Mapping[str, date | str] | str | Path | None = None,
    cache: str | Path | None = None,
) -> list[Release]:
    """Read the releases of a package, oldest first; see `package_history`."""
    name = wheels.check_name(name)
    given = read_dates(dates) if isinstance(dates, str | Path) else _days(dates or {})
    days = {Version(version): day for version, day in given.items()}  # 1.0 is 1.0.0
    folder = _cache_folder(cache) / name
    named = versions is not None
    versions = [wheels.check_version(v) for v in versions or choose_versions(_listed(name, folder))]
    if not versions:
        raise RagftError(f"{name}: no release to choose from; name some: {name}==1.0,2.0")
    releases = list(_read_all(name, sorted(set(versions), key=Version), folder, named))
    releases = [
        replace(r, day=days.get(Version(r.version), r.day)) for r in _undate_constants(releases)
    ]
    _warn_of_skipped(releases)
    return _in_order(releases, named)


def choose_versions(available: Iterable[str], n: int = RELEASES) -> list[str]:
    """Choose the last patch of `n` minor releases, evenly from old to new.

    Only the newest 15 minor releases are looked at: wheels of older ones are rare.

    Examples
    --------
    >>> choose_versions(["1.0", "1.0.2", "1.1", "1.2.0", "1.2.1", "2.0"], n=3)
    ['1.0.2', '1.2.1', '2.0']
    """
    last: dict[tuple[int, ...], Version] = {}
    for version in sorted(map(Version, available)):
        last[version.epoch, version.major, version.minor] = version
    minors = sorted(last.values())[-MINORS:]
    if len(minors) > n:
        minors = [minors[round(i * (len(minors) - 1) / (n - 1))] for i in range(n)]
    return [str(version) for version in minors]


def read_dates(path: str | Path) -> dict[str, date]:
    """Read release days: a JSON object of version to date, or CSV lines `version,date`.

    Raises
    ------
    RagftError
        Naming the file (and the line): missing, broken, not a version or not a date.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        named = path.suffix == ".json"
        pairs = from_json(text).items() if named else csv.reader(text.split("\n"))
        return _days({row[0].strip(): row[1] for row in pairs if row and row[0] != "version"}, path)
    except FileNotFoundError:
        raise RagftError(f"{path}: no such file.") from None
    except (OSError, ValueError, AttributeError, IndexError, csv.Error) as error:
        raise RagftError(
            f"{path}: expected a JSON object or CSV lines of version and date: {error}"
        ) from error


def _days(dates: Mapping[str, date | str], path: str | Path = "dates") -> dict[str, date]:
    days = {}
    for version, day in dates.items():
        if isinstance(day, str):
            day = parse_day(day.strip(), f"{path}: the day of {version}")
        if not isinstance(day, date):
            raise RagftError(f"{path}: the day of {version} is missing.")
        days[wheels.check_version(version)] = day
    return days


def _cache_folder(cache: str | Path | None) -> Path:
    return cache_dir() / "packages" if cache is None else Path(cache)


def _read_all(name: str, versions: list[str], folder: Path, named: bool) -> Iterator[Release]:
    python = wheels.PYTHONS[0]
    for version in versions:
        # A chosen release that had no wheel is not asked for again; a named one is.
        without = folder / f"{version}.without-wheel"
        try:
            if without.exists() and not named:
                raise wheels.NoWheelError(without.read_text(encoding="utf-8"))
            release, python = _kept_or_fetched(name, version, folder, python)
        except wheels.NoWheelError as error:
            if named:
                raise
            if not without.exists():
                atomic_write(without, str(error))
            warnings.warn(f"{error} It is left out.", RuntimeWarning, stacklevel=4)
        else:
            yield release


def _kept_or_fetched(name: str, version: str, folder: Path, python: str) -> tuple[Release, str]:
    kept = folder / f"{version}.{_FORMAT}.json"
    if kept.exists():
        return _load(kept), python
    with tempfile.TemporaryDirectory() as temporary:
        # A later release seldom supports an older interpreter: go on with the last one.
        wheel, python = wheels.download_wheel(name, version, Path(temporary), python)
        release = read_release(wheel, name, version)
    _save(kept, release)
    return release, python


def read_release(wheel: Path, name: str, version: str) -> Release:
    """Read one wheel; errors as in `wheels.read_wheel`."""
    sources, stamps = wheels.read_wheel(wheel)
    api, skipped = public_api(sources)
    return Release(
        name=name,
        version=version,
        day=None if _is_constant(stamps) else stamps[-1].date(),
        api=api,
        skipped=skipped,
        stamp=stamps[-1].isoformat() if stamps else "",
        wheel=wheel.name,
        wheel_sha256=sha256_file(wheel),
    )


def _is_constant(stamps: Sequence[datetime]) -> bool:
    """Tell whether stamps say nothing of the day.

    Build tools that make equal wheels out of equal sources write one constant: the zip epoch
    (1980) or a midnight (2016-01-01, 2020-02-02). One stamp on all entries is no such sign
    by itself: repacking a wheel for manylinux sets the time at which it was done.
    """
    if not stamps or stamps[-1].year < 1990:
        return True
    return stamps[0] == stamps[-1] and stamps[0].time() == datetime.min.time()


def _undate_constants(releases: list[Release]) -> list[Release]:
    """Two releases with the very same newest stamp: a constant that we did not know."""
    stamps = [r.stamp for r in releases]
    return [replace(r, day=None) if stamps.count(r.stamp) > 1 else r for r in releases]


def _save(path: Path, release: Release) -> None:
    body = asdict(release) | {"day": release.day and release.day.isoformat()}
    text = json.dumps(body, ensure_ascii=True, sort_keys=True)
    atomic_write(path, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")


def _load(path: Path) -> Release:
    try:
        digest, text = path.read_bytes().split(b"\n", 1)
        if hashlib.sha256(text.rstrip(b"\n")).hexdigest().encode() != digest:
            raise ValueError("its SHA-256 does not fit")
        body = from_json(text)
        api = {key: Entry(**entry) for key, entry in body.pop("api").items()}
        return Release(**body | {"api": api, "day": parse_day(body["day"], str(path))})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RagftError(
            f"{path}: the kept release is damaged ({error}); delete the file to fetch it again."
        ) from error


def _listed(name: str, folder: Path) -> list[str]:
    """Final releases, from pip or from the list kept after the last time."""
    kept = folder / "versions.json"
    # A day in the future is one of a clock that was put right since: it says nothing.
    if kept.exists() and 0 <= time.time() - kept.stat().st_mtime < LIST_SECONDS:
        return _kept_list(kept)
    try:
        listed = wheels.available_versions(name)
    except RagftError:
        if kept.exists():
            return _kept_list(kept)
        raise
    atomic_write(kept, sealed_json({"versions": listed}))
    return listed


def _kept_list(path: Path) -> list[str]:
    advice = "delete the file, and pip is asked again."
    try:
        return [str(Version(version)) for version in read_sealed(path, advice)["versions"]]
    except (KeyError, ValueError, TypeError) as error:
        raise RagftError(f"{path}: damaged ({error}); {advice}") from error


def _warn_of_skipped(releases: Iterable[Release]) -> None:
    for release in releases:
        if release.skipped:
            warnings.warn(
                f"{release.name} {release.version}: {release.skipped} module(s) cannot be parsed "
                "by this Python; what they define is missing from the release.",
                RuntimeWarning,
                stacklevel=4,
            )


def _in_order(releases: list[Release], named: bool) -> list[Release]:
    """Check the days; a release no newer than one of a higher version was never the current one."""
    unknown = [r.version for r in releases if r.day is None]
    if unknown:
        name = releases[0].name
        raise RagftError(
            f"{name}: the release day of {', '.join(unknown)} is unknown, because all time stamps "
            "in the wheel are one constant. Give it: --dates FILE with lines such as "
            f"'{unknown[0]},2024-07-31' (in Python: dates={{{unknown[0]!r}: '2024-07-31'}})."
        )
    kept: list[Release] = []
    for release in reversed(releases):
        later = kept[-1] if kept else None
        if later is None or release.day < later.day:
            kept.append(release)
            continue
        message = (
            f"{release.name} {release.version} ({release.day}) came no earlier than "
            f"{later.version} ({later.day}), so it was never the newest release."
        )
        if named:
            raise RagftError(f"{message} Leave one of the two out, or give days with --dates.")
        warnings.warn(f"{message} It is left out.", RuntimeWarning, stacklevel=4)
    return kept[::-1]
