"""An index as a caller sees it: some collections, and nothing of the others.

The limit is one more filter, applied before anything is ranked, so that no fusion, reranker,
router or explicit filter can widen it. Who a caller is and what that allows is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING

from ragft.retrieval.filters import Days, Names, names

if TYPE_CHECKING:
    from ragft.retrieval.candidates import Candidate
    from ragft.retrieval.parts import EmbedsTexts
    from ragft.retrieval.searching import Searching
    from ragft.types import Hit, Passage


class CallerView:
    """What a caller may ask of an index, and of which collections.

    A collection that is forbidden and one that does not exist look alike: nothing is found. BM25
    weighs words by how rare they are in the whole index, the forbidden part included, so scores
    (never texts) depend on it a little; where even that must not be, keep an index of its own.

    Parameters
    ----------
    index : HybridIndex or ShardedIndex
    allowed : str or iterable of str
        Names of collections. Passages without a collection belong to ''.

    Raises
    ------
    RagftError
        A name is not a string.
    """

    def __init__(self, index: Searching, allowed: str | Iterable[str]) -> None:
        self._index, self.allowed = index, names(allowed)

    def __len__(self) -> int:
        return len(self.passages)

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages that the caller may see."""
        return tuple(p for p in self._index.passages if p.collection in self.allowed)

    @property
    def retriever(self) -> str:
        """Of the index."""
        return self._index.retriever

    @property
    def embedder(self) -> EmbedsTexts:
        """Of the index."""
        return self._index.embedder

    def for_caller(self, allowed: str | Iterable[str]) -> CallerView:
        """Return a narrower view: what is allowed by both."""
        return CallerView(self._index, self.allowed & names(allowed))

    def search(
        self,
        query: str | Sequence[str],
        top_k: int = 10,
        as_of: Days = None,
        collection: Names = None,
        timings: MutableMapping[str, float] | None = None,
        *,
        source: Names = None,
    ) -> list[Hit] | list[list[Hit]]:
        """Find the best passages among those allowed; see `HybridIndex.search`."""
        return self._index.search(
            query, top_k, as_of, collection, timings, source=source, allowed=self.allowed
        )

    def explain(
        self,
        query: str | Sequence[str],
        as_of: Days = None,
        collection: Names = None,
        depth: int | None = None,
        *,
        source: Names = None,
    ) -> list[Candidate] | list[list[Candidate]]:
        """Show what a search considers, among the passages allowed; see `HybridIndex.explain`."""
        return self._index.explain(
            query, as_of, collection, depth, source=source, allowed=self.allowed
        )
