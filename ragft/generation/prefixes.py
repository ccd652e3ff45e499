"""What was read lately, kept so that a prompt that begins alike need not be read from its start.

Keys and values of a position depend on the tokens up to it alone, so those of a common beginning
can be taken over; only what differs is read anew. How a cache is filled lives in `decoding`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

from ragft.types import RagftError


class PrefixCache:
    """Keys and values of the prompts that were read last.

    Attributes
    ----------
    tokens, reused : int
        Of the prompts so far: their tokens, and how many of them need not have been read again.
    """

    def __init__(self, capacity: int = 8) -> None:
        """Keep at most `capacity` prompts; the one used longest ago goes first."""
        if capacity < 1:
            raise RagftError(f"PrefixCache: capacity={capacity} must be at least 1")
        self.capacity = capacity
        self.tokens = self.reused = 0
        self._kept: OrderedDict[tuple[Hashable, tuple[int, ...]], Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def longest(self, weights: Hashable, prompt: Sequence[int]) -> tuple[int, Any]:
        """Return how many first tokens of a prompt are known, and the cache that knows them.

        Parameters
        ----------
        weights : hashable
            What read the kept ones, such as an adapter: other weights give other values.
        prompt : sequence of int
            At least one token. The last one is never known: what follows it has to be computed.

        Returns
        -------
        common : int
            0 where nothing is known.
        cache : DynamicCache or None
        """
        best, found = 0, None
        for key in self._kept:
            common = _common(key[1], prompt) if key[0] == weights else 0
            if common > best:
                best, found = common, key
        best = min(best, len(prompt) - 1)
        self.tokens += len(prompt)
        self.reused += best
        if not best:
            return 0, None
        self._kept.move_to_end(found)
        return best, self._kept[found]

    def keep(self, weights: Hashable, prompt: Sequence[int], cache: Any) -> None:
        """Remember a prompt by the cache that was filled when it was read."""
        key = (weights, tuple(prompt))
        self._kept[key] = cache
        self._kept.move_to_end(key)
        while len(self._kept) > self.capacity:
            self._kept.popitem(last=False)


def _common(one: Sequence[int], two: Sequence[int]) -> int:
    """Return the length of the longest common beginning."""
    for place, (a, b) in enumerate(zip(one, two, strict=False)):
        if a != b:
            return place
    return min(len(one), len(two))
