"""Headings, titles, inline marks and comments of Markdown."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.corpora.markdown import headings, plain, title_of, without_comments


def test_headings_stand_where_they_say():
    text = (
        "---\ntitle: metadata\n---\n# One ##\n\n  ### Two # three\n#no\n#\n"
        "    # code\n~~~\n# fenced\n```\n# still\n~~~\nFour\n====\n\n---\n\nFive\r\n---\r\n"
    )
    found = list(headings(text))
    assert [h.text for h in found] == ["One", "Two # three", "Four", "Five"]
    assert all(text[h.start : h.end] == h.text for h in found)


@given(st.text("# -=`~ab\n\r\x0b\u2028", max_size=60))
def test_offsets_hold_for_any_text(text):
    assert all(text[h.start : h.end] == h.text and h.text.strip() for h in headings(text))


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("no heading", "name.md"),
        ("# \n# **B** [l](u) `c_d` ![i](p.png)<br>", "B l c_d i"),
        ("# **\n## Two", "Two"),
        ("# " + "x" * 500, "x" * 200),
    ],
)
def test_title_is_the_first_heading_with_words(text, title):
    assert title_of(text, "name.md") == title


def test_inline_marks_go_and_names_with_underscores_stay():
    assert plain("_a_ **b** my_name_here 2 * 3") == "a b my_name_here 2 3"


def test_comments_go_and_are_told_but_not_those_in_code():
    text = (
        "a<!-- one\ntwo -->b `<!-- x -->` ``<!-- ` -->``\n```\n<!-- y -->\n```\nc<!-- -->d<!-- end"
    )
    kept, said = without_comments(text)
    assert kept == "ab `<!-- x -->` ``<!-- ` -->``\n```\n<!-- y -->\n```\ncd"
    assert said == ["one two", "end"]


@pytest.mark.parametrize("part", ["<!--", "`", "[", "#  ", "``` ", "<a ", "!["])
def test_a_long_text_of_one_mark_takes_no_time(part):
    text, start = part * 100_000, time.perf_counter()
    without_comments(text)
    title_of("# " + text, "")
    assert time.perf_counter() - start < 5
