"""Which passages may be found: those in force on a day, of a collection, of a source.

Dates become numbers once per change of the index, so that a filter costs no loop over passages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

import numpy as np

from ragft.types import Passage, RagftError

Days = date | str | Iterable[date | str] | None
"""A day, several, or no matter which."""
Names = str | Iterable[str] | None
"""A name, several, or no matter which."""
_ALWAYS = 0
_STILL = date.max.toordinal() + 1


class Filter:
    """The dates, collections and sources of passages, in their order.

    Parameters
    ----------
    passages : sequence of Passage
        May be empty.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        start = [_ALWAYS if p.valid_from is None else p.valid_from.toordinal() for p in passages]
        end = [_STILL if p.valid_to is None else p.valid_to.toordinal() for p in passages]
        self._start, self._end = np.array(start, dtype=np.int64), np.array(end, dtype=np.int64)
        self._collection = _Codes(p.collection for p in passages)
        self._source = _Codes(p.source for p in passages)

    @property
    def collections(self) -> tuple[str, ...]:
        """The collections that there are, in the order in which they first come."""
        return tuple(self._collection.known)

    def rows(
        self,
        as_of: Days = None,
        collection: Names = None,
        source: Names = None,
        allowed: Names = None,
    ) -> np.ndarray | None:
        """Return the ascending positions of passages that may be found; None where all may.

        A passage must pass every filter, so no filter widens another.

        Parameters
        ----------
        as_of : date, ISO string or several, optional
            In force on one of these days at least; closed on the left and open on the right, as
            `types.holds_on`.
        collection, source : str or several, optional
            Of one of these. One that no passage has lets nothing through, as does an empty list.
        allowed : str or several, optional
            The collections that the caller may see: another filter on collections.

        Raises
        ------
        RagftError
            `as_of` is a string but not an ISO day.
        """
        if as_of is None and collection is None and source is None and allowed is None:
            return None
        keep = np.ones(len(self._start), dtype=bool)
        if as_of is not None:
            days = [parse_day(day).toordinal() for day in _several(as_of)]
            held = [(self._start <= day) & (day < self._end) for day in days]
            keep &= np.any(held, axis=0) if held else False
        for codes, wanted in (
            (self._collection, collection),
            (self._source, source),
            (self._collection, allowed),
        ):
            if wanted is not None:
                keep &= codes.among(names(wanted))
        return np.flatnonzero(keep)


class _Codes:
    """Names as numbers, so that a filter compares no strings."""

    def __init__(self, values: Iterable[str]) -> None:
        self.known: dict[str, int] = {}
        codes = [self.known.setdefault(value, len(self.known)) for value in values]
        self.codes = np.array(codes, dtype=np.int64)

    def among(self, wanted: Iterable[str]) -> np.ndarray:
        """Tell for each passage whether it has one of the names."""
        return np.isin(self.codes, [self.known[name] for name in wanted if name in self.known])


def names(wanted: str | Iterable[str]) -> frozenset[str]:
    """Return one name or several as a set; a string is one name and never its letters.

    Raises
    ------
    RagftError
        One of them is not a string.
    """
    found = frozenset([wanted] if isinstance(wanted, str) else wanted)
    for name in found:
        if not isinstance(name, str):
            raise RagftError(f"search: {name!r} is not the name of a collection or source.")
    return found


def _several(days: Days) -> list[date | str]:
    return [days] if isinstance(days, date | str) or not isinstance(days, Iterable) else list(days)


def parse_day(day: date | str) -> date:
    """Return a day given as a date, a time (its date is taken) or an ISO string.

    Raises
    ------
    RagftError
        It is none of these.
    """
    if isinstance(day, datetime):
        return day.date()
    if isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except (ValueError, TypeError) as error:
        raise RagftError(f"search: as_of {day!r} is not a day such as 2024-05-31.") from error
