"""Real facts that change on real dates: the defaults in the signatures of published packages.

Releases of a package become a corpus with history. Reading them lives in `corpora.releases`,
questions about them in `corpora.package_questions` (both are offered here, too).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from textwrap import shorten

from ragft.corpora import wheels
from ragft.corpora.corpus import Corpus
from ragft.corpora.package_questions import (
    HELD_OUT_WORDINGS,
    TRAINING_WORDINGS,
    WORDINGS,
    package_questions,
    questions_about,
    values_on,
)
from ragft.corpora.releases import (
    Release,
    choose_versions,
    package_releases,
    read_dates,
)
from ragft.corpora.signatures import Entry
from ragft.types import Document, Fact, RagftError

__all__ = [
    "HELD_OUT_WORDINGS",
    "TRAINING_WORDINGS",
    "WORDINGS",
    "Release",
    "choose_versions",
    "fewer_releases",
    "history_of",
    "package_history",
    "package_questions",
    "package_releases",
    "parse_package_spec",
    "questions_about",
    "read_dates",
    "values_on",
]


def package_history(
    name: str,
    versions: Sequence[str] | None = None,
    *,
    dates: Mapping[str, date | str] | str | Path | None = None,
    cache: str | Path | None = None,
) -> Corpus:
    """Make a corpus out of a package's releases.

    A document is one public function or class as it was in a run of releases: qualified
    name, signature with its defaults, and the docstring up to its first section (the
    sections repeat defaults and are often out of date, so that the signature stays the one
    source of truth). A fact is the default of one parameter (short literals and dotted
    names). Both hold from the day of the first release that has them to the day of the
    first that has not. Methods are left out, constructors are in.

    Parameters
    ----------
    name : str
        Name of a package on pip's index.
    versions : sequence of str, optional
        Which releases; None chooses about eight, see `choose_versions`.
    dates : mapping of version to date, or path to such a file, optional
        Release days, which win over the wheels' time stamps; see `read_dates`.
    cache : path, optional
        Where the releases that were read are kept.

    Returns
    -------
    Corpus

    Raises
    ------
    RagftError
        No such package or release, no wheel, no network, a damaged file in the cache, or a
        release whose day is unknown or lies after that of a later version.

    Warns
    -----
    RuntimeWarning
        A chosen (not a named) release was left out, or modules could not be parsed.
    """
    return history_of(package_releases(name, versions, dates=dates, cache=cache))


def parse_package_spec(spec: str) -> tuple[str, list[str] | None]:
    """Split 'NAME' or 'NAME==V1,V2' into name and versions.

    Examples
    --------
    >>> parse_package_spec("scikit-learn==1.0.2, 1.5.2")
    ('scikit-learn', ['1.0.2', '1.5.2'])
    >>> parse_package_spec("networkx")
    ('networkx', None)
    """
    name, equals, rest = spec.partition("==")
    name = wheels.check_name(name.strip())
    if not equals:
        return name, None
    return name, [wheels.check_version(version.strip()) for version in rest.split(",")]


def fewer_releases(spec: str, count: int) -> str:
    """Keep some of the releases that a package specification names, spread evenly.

    The first and the last are among them; a specification without versions, or with no more
    than `count` (2 or more), stays as it is.

    Examples
    --------
    >>> fewer_releases("networkx==2.4,2.6.3,2.8.8,3.1,3.3", 3)
    'networkx==2.4,2.8.8,3.3'
    """
    if count < 2:
        raise RagftError(f"count={count}: a history needs 2 releases or more")
    name, versions = parse_package_spec(spec)
    if versions is None or len(versions) <= count:
        return spec
    places = [round(i * (len(versions) - 1) / (count - 1)) for i in range(count)]
    return f"{name}=={','.join(versions[place] for place in places)}"


def history_of(releases: Sequence[Release]) -> Corpus:
    """Make a corpus out of releases in order of version and day; see `package_history`.

    Raises
    ------
    RagftError
        No releases, or none of them has a public function or class.
    """
    name = releases[0].name if releases else ""
    paths = sorted({path for release in releases for path in release.api})
    if not paths:
        raise RagftError(f"{name or 'history_of'}: no public function or class in any release.")
    documents: list[Document] = []
    facts: list[Fact] = []
    for path in paths:
        entries = [release.api.get(path) for release in releases]
        versions = list(_documents(name, path, entries, releases))
        documents += versions
        facts += _facts(path, entries, releases, versions)
    return Corpus(documents, facts, name)


def _runs(
    values: Sequence[str | None], releases: Sequence[Release]
) -> Iterator[tuple[str, int, date, date | None]]:
    """Yield (value, index of its first release, first day, first day without it)."""
    for value, run in groupby(range(len(values)), key=values.__getitem__):
        first, *rest = run
        after = (rest[-1] if rest else first) + 1
        if value is not None:
            end = releases[after].day if after < len(releases) else None
            yield value, first, releases[first].day, end


SUMMARY_CHARACTERS = 160
"""Of a docstring in a document: what the thing is, so that several fit into a small context."""


def document_text(path: str, entry: Entry) -> str:
    """Return the text of a document: name, signature, start of the docstring, a line each."""
    summary = shorten(entry.doc, SUMMARY_CHARACTERS, placeholder=" …")
    return "\n".join(filter(None, (path, entry.signature, summary)))


def _documents(
    name: str, path: str, entries: Sequence[Entry | None], releases: Sequence[Release]
) -> Iterator[Document]:
    texts = [entry and document_text(path, entry) for entry in entries]
    for text, first, start, end in _runs(texts, releases):
        version = releases[first].version
        yield Document(
            id=f"{path}@{version}",
            text=text,
            title=f"{path} ({name} {version})",
            source=path,
            collection=name,
            valid_from=start,
            valid_to=end,
        )


def _facts(
    path: str,
    entries: Sequence[Entry | None],
    releases: Sequence[Release],
    documents: Sequence[Document],
) -> Iterator[Fact]:
    parameters = dict.fromkeys(p for entry in entries if entry for p in entry.defaults)
    for parameter in parameters:
        values = [entry and entry.defaults.get(parameter) for entry in entries]
        for value, _, start, end in _runs(values, releases):
            stated = (d.id for d in documents if _overlap(d, start, end))
            yield Fact(path, parameter, value, start, end, tuple(stated), kind="default")


def _overlap(document: Document, start: date, end: date | None) -> bool:
    begins_before = end is None or document.valid_from < end
    return begins_before and (document.valid_to is None or start < document.valid_to)
