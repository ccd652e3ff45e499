"""Exact search among vectors: the rows with the highest inner products, whatever it takes.

Approximate search lives in `ann`; which vectors need no comparing, in `first_look`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from ragft.retrieval import first_look
from ragft.retrieval.first_look import Coded, Codes
from ragft.retrieval.topk import top_k as best

_BLOCK = 2**24
"""Scores held in memory at once (64 MiB)."""
_PARTS = 8
"""Parts that the vectors are compared in, side by side."""
_SMALLEST = 64
"""Vectors in a part, at least; where there are fewer, each is compared by itself."""
_CONVERTED = 2**14
"""Vectors of float16 that are compared as float32 at once (24 MiB at 384 dimensions)."""


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
        The query and the row of each pair; the queries ascending.
    held : sequence of tensors of float32 or float16
        Their rows follow each other. Of float32 none is copied.
    """
    import torch
    from scipy.sparse import csr_array

    _hush()
    found, begin = np.empty(len(rows), np.float32), 0
    for part in (piece for whole in held for piece in _pieces(whole)):
        here = np.flatnonzero((rows >= begin) & (rows < begin + len(part)))
        columns, begin = rows[here] - begin, begin + len(part)
        if part.dtype != torch.float32 and len(columns) > len(part):
            part = part.float()
        elif part.dtype != torch.float32:
            part, columns = part[columns].float(), np.arange(len(columns))
        ends = np.searchsorted(owners[here], np.arange(len(asked) + 1))
        # What is kept at a pair is its place among all.
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
    yield from (some.float() for some in _pieces(held))


def _pieces(held: Any) -> Sequence[Any]:
    """Return a tensor of float32 as it is, one of float16 in pieces that may be made float32."""
    import torch

    return [held] if held.dtype == torch.float32 else held.split(_CONVERTED)


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
