"""The embedder of a profile: its model, in its precision, with the vectors kept for all runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragft.profiles import Profile
from ragft.runtime import cache_dir

if TYPE_CHECKING:
    from ragft.retrieval.dense import Embedder


def vector_dtype(sizes: Profile) -> str:
    """Return the precision in which a profile embeds: 'bfloat16' where it answers in it."""
    return "bfloat16" if sizes.dtype == "bfloat16" else "float32"


def embedder_of(sizes: Profile, cached: bool = True) -> Embedder:
    """Return the embedder of a profile.

    Parameters
    ----------
    sizes : Profile
    cached : bool
        Whether vectors are read from and kept in the user's cache; otherwise each is computed.

    Raises
    ------
    RagftError
        The embedding model cannot be had.
    """
    from ragft.retrieval.dense import Embedder

    kept = cache_dir() / "vectors" if cached else None
    return Embedder(sizes.embedding_model, cache=kept, dtype=vector_dtype(sizes))
