"""Embedding many texts piece by piece, so that a killed process loses the last piece only.

Which texts need a vector is the matter of `vectors`; how one is made, of `dense`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ragft.retrieval.dense import SLAB
from ragft.retrieval.parts import EmbedsTexts, checked_vectors
from ragft.retrieval.vector_cache import VectorCache
from ragft.types import RagftError

_PATIENCE_S = 2.0
"""Seconds without a progress bar; most changes are through by then."""


def embed_in_slabs(
    embedder: EmbedsTexts, texts: Sequence[str], kept: VectorCache | None = None
) -> np.ndarray:
    """Return the vectors of texts, with a progress bar where it takes long.

    Parameters
    ----------
    embedder : EmbedsTexts
    texts : sequence of str
        At least one, none twice.
    kept : VectorCache, optional
        Where finished slabs are written and looked for first. Not needed for an `Embedder` with a
        cache of its own.

    Returns
    -------
    ndarray of float32, shape (texts, dimension)

    Raises
    ------
    RagftError
        The embedder gave something else, numbers that are not finite, or zeros only.
    """
    from tqdm.auto import tqdm

    known = kept.get(texts) if kept else {}
    missing = [text for text in texts if text not in known]
    short = len(missing) <= SLAB
    bar = tqdm(total=len(texts), desc="embedding", unit="text", delay=_PATIENCE_S, disable=short)
    with bar:
        bar.update(len(known))
        for start in range(0, len(missing), SLAB):
            slab = missing[start : start + SLAB]
            made = dict(zip(slab, checked_vectors(embedder.embed(slab), slab), strict=True))
            if kept:
                kept.put(made)
            known.update(made)
            bar.update(len(slab))
    if len({vector.shape for vector in known.values()}) > 1:
        raise RagftError("embedder: its vectors are of different lengths; use one model for all.")
    return np.stack([known[text] for text in texts])
