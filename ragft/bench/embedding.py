"""Embedding texts: in both precisions, and compiled, against sentence-transformers as it comes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ragft.bench import row
from ragft.bench.sides import on, ratios
from ragft.experiments.crowd import crowd
from ragft.retrieval import embedding_model
from ragft.retrieval.dense import Embedder
from ragft.types import RagftError

EMBEDDED = 64
"""Texts that are embedded, of about a hundred tokens each."""
WAYS = ({}, {"dtype": "bfloat16"}, {"dtype": "bfloat16", "compiled": True})
"""How ours does it."""
LEAST_COSINE = 0.999
"""To the vectors of float32; lower ones are other vectors."""


def embedding(repeats: int, cores: int) -> list[dict[str, Any]]:
    """Time embedding against `SentenceTransformer.encode` with its defaults."""
    documents = [document.text for document in crowd(2 * EMBEDDED)]
    texts = [" ".join(documents[2 * n : 2 * n + 2]) for n in range(EMBEDDED)]
    exact = Embedder(cache=None)
    model = embedding_model.load(exact.folder.resolve())
    options = {"normalize_embeddings": True, "show_progress_bar": False}

    def theirs() -> np.ndarray:
        return model.encode(texts, **options)

    truth, (_, tokens) = theirs(), exact.counted(texts)
    rows = []
    for way in WAYS:
        ours = Embedder(cache=None, **way)
        least = float((ours.embed(texts) * truth).sum(axis=1).min())
        if least < LEAST_COSINE:
            raise RagftError(f"bench retrieval: embedding {way} gives other vectors ({least:.4f})")
        found = ratios(lambda ours=ours: ours.embed(texts), theirs, repeats)
        note = (
            f"{on(cores)}; {tokens:.0f} tokens a text; lowest cosine {least:.5f}; {matrix_units()}"
        )
        stage = f"embedding {ours.dtype}{', compiled' if ours.compiled else ''}"
        rows.append(row(stage, len(texts), "encode with its defaults", found, note))
    return rows


def matrix_units() -> str:
    """Say whether the processor multiplies matrices of bfloat16 by itself."""
    import torch

    known = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return "AMX" if known else "no AMX"
