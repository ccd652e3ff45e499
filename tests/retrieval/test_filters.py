"""Filters let through what is in force on a day and belongs to a collection."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.retrieval.filters import Filter, parse_day
from ragft.types import Passage, RagftError

DAYS = st.none() | st.dates(date(2020, 1, 1), date(2020, 1, 6))


@given(
    st.lists(st.tuples(DAYS, DAYS, st.sampled_from("ab")), max_size=8),
    DAYS,
    st.sampled_from([None, "a", "b", "other"]),
)
def test_equals_asking_each_passage(dated, day, collection):
    passages = [
        Passage(str(i), "d", "t", 0, 1, collection=c, valid_from=start, valid_to=end)
        for i, (start, end, c) in enumerate(dated)
    ]
    slow = [
        i
        for i, p in enumerate(passages)
        if (day is None or p.holds_on(day)) and collection in (None, p.collection)
    ]
    rows = Filter(passages).rows(day, collection)
    if day is None and collection is None:
        assert rows is None
    else:
        assert rows.tolist() == slow


def test_days_come_as_dates_times_or_iso_strings():
    day = date(2020, 2, 3)
    assert parse_day(day) == parse_day("2020-02-03") == parse_day(datetime(2020, 2, 3, 4)) == day


@pytest.mark.parametrize("day", ["yesterday", 2020])
def test_other_days_are_refused(day):
    with pytest.raises(RagftError, match="is not a day such as 2024-05-31"):
        parse_day(day)
