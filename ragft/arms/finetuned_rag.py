"""`finetuned_rag`: the facts adapter and retrieved passages together."""

from __future__ import annotations

from ragft.arms.finetuned import Tuned
from ragft.arms.rag import RAG


class FineTunedRAG(Tuned, RAG):
    """Facts in the weights and passages in the prompt."""

    name = "finetuned_rag"
    teaches = "facts"
