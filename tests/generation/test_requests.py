"""Batches by hand, and what of a growing text is certain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragft.generation.requests import batches, certain


def test_batches_cover_every_row_once_longest_first():
    assert list(batches([3, 9, 1, 5, 5], 2)) == [[1, 3], [4, 0], [2]]


def testbatches_keep_to_a_budget_of_padded_tokens():
    lengths = [3, 9, 1, 5, 5]
    assert list(batches(lengths, 4, 10)) == [[1], [3, 4], [0, 2]]
    assert list(batches(lengths, 1, 10)) == [[1], [3], [4], [0], [2]]
    assert list(batches(lengths, 2, 4)) == [[1], [3], [4], [0], [2]]  # too long alone: alone


def test_half_a_character_and_half_a_stop_are_not_certain():
    assert certain("caf\ufffd", ()) == "caf"
    assert certain("one\n", ("\n\n",)) == "one"
    assert certain("one\nt", ("\n\n",)) == "one\nt"
    assert certain("a###", ("##x", "####")) == "a"


@given(st.text("ab#", max_size=12), st.lists(st.text("ab#", min_size=1, max_size=4), max_size=3))
def test_what_is_certain_stays_whatever_comes(text, stops):
    def shown(whole):
        for stop in stops:
            whole = whole.split(stop, 1)[0]
        return whole

    whole = shown(text)
    said = ""
    for length in range(len(text) + 1):
        now = shown(text[:length])
        if now != text[:length]:  # a stop was met: generation ends here
            whole = now
            break
        said = certain(now, stops)
        assert shown(text).startswith(said) or whole.startswith(said)
    assert whole.startswith(said)
