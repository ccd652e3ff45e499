"""`raft`: an adapter trained to read (distractors and unknowns in its passages), with passages.

The method of RAFT (Zhang et al. 2024): it is a skill that is trained, on subjects that
are never asked.
"""

from __future__ import annotations

from ragft.arms.finetuned import Tuned
from ragft.arms.rag import RAG


class Raft(Tuned, RAG):
    """Retrieve, then answer with an adapter that was trained to read."""

    name = "raft"
    teaches = "reading"
