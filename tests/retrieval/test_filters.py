"""Filters let through what is in force on a day and belongs to a collection."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.retrieval.filters import Filter, names, parse_day
from ragft.types import Passage, RagftError

DAYS = st.none() | st.dates(date(2020, 1, 1), date(2020, 1, 6))


SOME = st.none() | st.sampled_from("abx") | st.lists(st.sampled_from("abx"), max_size=2)


@given(
    st.lists(st.tuples(DAYS, st.sampled_from("ab"), st.sampled_from("ab")), max_size=8),
    st.lists(st.dates(date(2020, 1, 1), date(2020, 1, 6)), max_size=3),
    SOME,
    SOME,
    SOME,
)
def test_several_of_each_equal_asking_each_passage(held, days, collection, source, allowed):
    passages = [
        Passage(str(i), "d", "t", 0, 1, "", source, collection, start)
        for i, (start, collection, source) in enumerate(held)
    ]
    slow = [
        i
        for i, p in enumerate(passages)
        if any(p.holds_on(day) for day in days)
        and (collection is None or p.collection in collection)
        and (source is None or p.source in source)
        and (allowed is None or p.collection in allowed)
    ]
    assert Filter(passages).rows(days, collection, source, allowed).tolist() == slow


def test_a_name_is_one_name_and_not_its_letters():
    passages = [Passage(c, "d", "t", 0, 1, collection=c) for c in ("ab", "a", "b")]
    assert Filter(passages).rows(collection="ab").tolist() == [0]
    assert names("ab") == {"ab"} and names(["ab", "a"]) == {"ab", "a"}
    assert Filter(passages).collections == ("ab", "a", "b")
    with pytest.raises(RagftError, match="3 is not the name of a collection or source"):
        names([3])


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
