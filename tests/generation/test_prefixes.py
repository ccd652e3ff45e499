"""Which beginnings are known, by hand; that reuse changes no answer lives in `test_local`."""

from __future__ import annotations

import pytest

from ragft.generation.prefixes import PrefixCache
from ragft.types import RagftError


def test_the_longest_common_beginning_is_found_and_counted():
    cache = PrefixCache()
    cache.keep("a", [1, 2, 3, 4], "four")
    cache.keep("a", [1, 2, 9], "three")
    assert cache.longest("a", [1, 2, 3, 7, 8]) == (3, "four")
    assert cache.longest("a", [1, 2, 9, 9]) == (3, "three")
    assert cache.longest("a", [5, 2, 3]) == (0, None)
    assert (cache.tokens, cache.reused) == (5 + 4 + 3, 6)


def test_the_last_token_is_always_read():
    cache = PrefixCache()
    cache.keep("a", [1, 2, 3], "kept")
    assert cache.longest("a", [1, 2, 3]) == (2, "kept")
    assert cache.longest("a", [1, 2]) == (1, "kept")
    assert cache.longest("a", [1]) == (0, None)


def test_other_weights_know_nothing():
    cache = PrefixCache()
    cache.keep("a", [1, 2, 3], "kept")
    assert cache.longest("b", [1, 2, 3]) == (0, None)
    assert cache.longest(None, [1, 2, 3]) == (0, None)


def test_what_was_used_longest_ago_goes_first():
    cache = PrefixCache(2)
    cache.keep("a", [1, 1], "one")
    cache.keep("a", [2, 2], "two")
    cache.longest("a", [1, 1, 1])
    cache.keep("a", [3, 3], "three")
    assert len(cache) == 2
    assert cache.longest("a", [2, 2, 2]) == (0, None)
    assert cache.longest("a", [1, 1, 1]) == (2, "one")


def test_no_room_is_refused():
    with pytest.raises(RagftError, match="capacity=0 must be at least 1"):
        PrefixCache(0)
