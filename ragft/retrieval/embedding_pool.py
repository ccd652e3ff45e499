"""Many texts embedded in several processes at once, by `datasets.Dataset.map`.

What a vector is and where it is kept is decided in `dense`; here texts are only dealt out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.types import RagftError

if TYPE_CHECKING:
    from ragft.retrieval.dense import Embedder
    from ragft.retrieval.vector_cache import VectorCache

PIECE = 256
"""Texts that a process embeds between two writes to the disk: what a killed one can lose."""


def pays(texts: int, processes: int) -> bool:
    """Tell whether there is a piece for each process: forking them takes about a second."""
    return processes > 1 and texts >= processes * PIECE


def dealt(texts: Sequence[str], hands: int, size: int) -> list[int]:
    """Return the places of texts so that equal parts of the list take equally long.

    Texts sorted by length are cut into batches, and the batches dealt out in turn: a batch holds
    the texts that it holds in one process.

    Examples
    --------
    >>> dealt(["a", "bbb", "cc", "dddd"], hands=2, size=1)
    [3, 2, 1, 0]
    """
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    starts = (
        start for hand in range(hands) for start in range(hand * size, len(order), hands * size)
    )
    return [place for start in starts for place in order[start : start + size]]


def embed(
    embedder: Embedder, texts: Sequence[str], cache: VectorCache | None, processes: int
) -> tuple[np.ndarray, int]:
    """Embed texts; each process writes what it has made to the cache.

    Parameters
    ----------
    embedder : Embedder
        Its model must be loaded and lie on a CPU: processes are forked, and share its memory.
    texts : sequence of str
        All different.
    cache : VectorCache, optional
    processes : int
        Each takes one thread.

    Returns
    -------
    vectors : ndarray of float32, shape (n, dimension)
        In the order of the texts.
    truncated : int
        Texts that were longer than the model reads.

    Raises
    ------
    RagftError
        A process ended before its work was done, or what `Embedder.embed` raises.
    """
    from datasets import Dataset, Features, List, Value

    order = dealt(texts, processes, embedder.batch_size or 8)
    made = np.empty((len(texts), embedder.dimension), dtype=np.float32)
    with _quiet():
        try:
            rows = Dataset.from_dict({"text": [texts[place] for place in order]}).map(
                _piece,
                batched=True,
                batch_size=PIECE,
                num_proc=processes,
                remove_columns="text",
                fn_kwargs={"embedder": embedder, "cache": cache},
                features=Features(
                    {"vector": List(Value("float32"), length=made.shape[1]), "cut": Value("bool")}
                ),
                load_from_cache_file=False,
                keep_in_memory=True,
                new_fingerprint="ragft",  # else the texts are hashed for a cache that is not used
            )
        except RuntimeError as error:
            if "abruptly died" not in str(error):
                raise
            raise RagftError(
                f"embedding in {processes} processes: one of them was ended from outside, most "
                "often because memory ran out; take fewer processes. What was written to the "
                "vector cache is kept."
            ) from error
    rows = rows.with_format("numpy")
    made[order] = rows["vector"][:]
    return made, int(rows["cut"][:].sum())


def _piece(
    columns: dict[str, list[str]], embedder: Embedder, cache: VectorCache | None
) -> dict[str, Any]:
    """Embed a piece in one of the processes."""
    import torch

    # A forked process cannot use the threads of the one it comes from: it would wait for ever.
    torch.set_num_threads(1)
    texts, before = columns["text"], embedder.truncated
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the process that asked tells of long texts, once
        vectors = embedder._forward(texts)
    if cache:
        cache.put(dict(zip(texts, vectors, strict=True)))
    cut = embedder.truncated - before
    return {"vector": list(vectors), "cut": [place < cut for place in range(len(texts))]}


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the progress bars of `datasets`, and Python's word on forks of many threads."""
    from datasets.utils import are_progress_bars_disabled as quiet
    from datasets.utils import disable_progress_bars, enable_progress_bars

    before = quiet()
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            yield
    finally:
        if not before:
            enable_progress_bars()
