"""What a search considered: every passage that one of its stages found, and how it stood in each.

Rankings come from `retrieval.index`; what a rank means for an answer is judged in `evaluation`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ragft.types import Passage

STAGES = ("bm25", "dense", "hybrid")
"""The stages of a search, in their order; a retriever has its own, 'hybrid' has all three."""
RERANK = "rerank"
"""The stage of a reranker, which looks at the first candidates of the stage before it."""

Ranking = tuple[np.ndarray, np.ndarray]
"""Positions of passages, best first, and their scores."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that a search considered, with its rank and score at every stage that found it."""

    passage: Passage
    ranks: Mapping[str, int] = field(default_factory=dict, hash=False)
    """By stage, from 1; a stage that did not find it is absent."""
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    """By stage: BM25's, the cosine, the fusion's; not to be compared between stages."""


def merged(passages: Sequence[Passage], stages: Mapping[str, Ranking]) -> list[Candidate]:
    """Return one candidate per passage, in the order of the last stage.

    What the last one does not hold (a reranker looks at the first few only) follows in the order
    of the stage before it, and so on.

    Parameters
    ----------
    passages : sequence of Passage
        What the positions refer to.
    stages : mapping of str to Ranking
        At least one, the one that decides last.
    """
    ranks: dict[int, dict[str, int]] = defaultdict(dict)
    scores: dict[int, dict[str, float]] = defaultdict(dict)
    for stage, (found, values) in stages.items():
        pairs = zip(found.tolist(), values.tolist(), strict=True)
        for rank, (position, score) in enumerate(pairs, start=1):
            ranks[position][stage], scores[position][stage] = rank, score
    order = dict.fromkeys(i for found, _ in reversed(stages.values()) for i in found.tolist())
    return [Candidate(passages[i], ranks[i], scores[i]) for i in order]
