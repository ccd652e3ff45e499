"""Which passages may be found: those in force on a day, those of a collection.

Dates become numbers once per change of the index, so that a filter costs no loop over passages.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np

from ragft.types import Passage, RagftError

_ALWAYS = 0
_STILL = date.max.toordinal() + 1


class Filter:
    """The dates and collections of passages, in their order.

    Parameters
    ----------
    passages : sequence of Passage
        May be empty.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        start = [_ALWAYS if p.valid_from is None else p.valid_from.toordinal() for p in passages]
        end = [_STILL if p.valid_to is None else p.valid_to.toordinal() for p in passages]
        self._start, self._end = np.array(start, dtype=np.int64), np.array(end, dtype=np.int64)
        self._codes: dict[str, int] = {}
        codes = [self._codes.setdefault(p.collection, len(self._codes)) for p in passages]
        self._collection = np.array(codes, dtype=np.int64)

    def rows(self, as_of: date | str | None, collection: str | None) -> np.ndarray | None:
        """Return the ascending positions of passages that may be found; None where all may.

        Closed on the left and open on the right, as `types.holds_on`. An unknown collection
        gives an empty array.

        Raises
        ------
        RagftError
            `as_of` is a string but not an ISO day.
        """
        if as_of is None and collection is None:
            return None
        keep = np.ones(len(self._start), dtype=bool)
        if as_of is not None:
            day = parse_day(as_of).toordinal()
            keep &= (self._start <= day) & (day < self._end)
        if collection is not None:
            keep &= self._collection == self._codes.get(collection, -1)
        return np.flatnonzero(keep)


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
