"""Hybrid search: queries a second, building and memory, against the libraries in `peers`."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ragft.bench import row
from ragft.bench.peers import PEERS, Peer, Search, ours
from ragft.bench.sides import REAL, Known, agreement, on, ratios, texts_and_queries, vectors_of
from ragft.retrieval.vectors import DTYPES
from ragft.types import RagftError

BUILT = "LlamaIndex fusion + FAISS"
"""The peer whose building and memory are compared."""
SAME = 0.98
"""Share of the passages found from float32 that those kept in another way must lead to."""
STATM = Path("/proc/self/statm")
"""Where Linux tells the memory of a process, in pages."""


def hybrid(count: int, queries: int, repeats: int, cores: int) -> list[dict[str, Any]]:
    """Time a batch of hybrid searches, building, and measure memory.

    A peer that is not installed gets a row without numbers that says how to have it.
    """
    texts, asked, known = collection(count, queries)
    mine = ours(texts, known)
    rows = [_searching(peer, mine, texts, asked, known, repeats, cores) for peer in PEERS]
    built = next(peer for peer in PEERS if peer.name == BUILT)
    return [
        *rows,
        _building(built, texts, known, repeats, cores),
        *_memory(built, mine(asked), texts, asked, known),
    ]


def collection(count: int, queries: int) -> tuple[list[str], list[str], Known]:
    """Return texts, queries, and the vectors of both."""
    import numpy as np

    texts, asked = texts_and_queries(count, queries)
    both = np.concatenate(vectors_of(texts[:REAL], asked, count))
    return texts, asked, Known([*texts, *asked], both)


def _absent(stage: str, count: int, peer: Peer) -> dict[str, Any]:
    note = "not installed here: `make bench` makes an environment that has it"
    return row(stage, count, peer.label, [math.nan], note)


def _searching(
    peer: Peer,
    mine: Search,
    texts: Sequence[str],
    asked: Sequence[str],
    known: Known,
    repeats: int,
    cores: int,
) -> dict[str, Any]:
    if not peer.installed:
        return _absent("hybrid search", len(texts), peer)
    theirs, some = peer.build(texts, known), asked[: peer.queries]
    alike = agreement(mine(some), theirs(some), peer.least, peer.name)
    found = ratios(lambda: mine(asked), lambda: theirs(some), repeats, len(some) / len(asked))
    note = (
        f"{on(cores)}; queries a second: {len(asked)} at once by ours, {len(some)} by the other; "
        f"{alike:.0%} of the passages found are the same"
    )
    return row("hybrid search", len(texts), peer.label, found, note)


def _building(
    peer: Peer, texts: Sequence[str], known: Known, repeats: int, cores: int
) -> dict[str, Any]:
    if not peer.installed:
        return _absent("hybrid build", len(texts), peer)
    found = ratios(lambda: ours(texts, known), lambda: peer.build(texts, known), repeats)
    note = f"{on(cores)}; from texts to the first search, vectors given"
    return row("hybrid build", len(texts), peer.label, found, note)


def _memory(
    peer: Peer, found: list[list[int]], texts: Sequence[str], asked: Sequence[str], known: Known
) -> list[dict[str, Any]]:
    """Compare memory; `found` is what a search finds among vectors kept in float32."""
    count = len(texts)
    if not peer.installed:
        return [_absent("hybrid memory", count, peer)]
    if not STATM.exists():
        told = "this system does not tell the memory of a process"
        return [row("hybrid memory", count, peer.label, [math.nan], told)]
    names, rows = (peer.name, *DTYPES), []
    theirs, *ours_by_dtype = _grown(names, texts, asked, known)
    for dtype, mine in zip(DTYPES, ours_by_dtype, strict=True):
        alike = agreement(found, ours(texts, known, dtype)(asked), SAME, dtype)
        note = (
            "measured once: resident memory of a process of its own that building the index adds "
            "and that free pages given back leave, without the texts and vectors given: "
            f"{mine / 2**20:.0f} MiB by ours, {theirs / 2**20:.0f} by the other; {alike:.1%} of "
            "the passages found are those found from float32"
        )
        rows.append(row(f"hybrid memory, {dtype}", count, peer.label, [theirs / mine], note))
    return rows


def _grown(
    names: Sequence[str], texts: Sequence[str], asked: Sequence[str], known: Known
) -> list[int]:
    """Return the bytes by which a fresh process grows when it builds an index, one for each name.

    The vectors are handed over in a file: what a process frees that has made them itself, an index
    would take first.
    """
    import numpy as np

    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        np.save(path, known.vectors)
        for name in names:
            given = f"{name!r}, {len(texts)}, {len(asked)}, {str(path)!r}"
            code = f"from ragft.bench.hybrid import print_growth; print_growth({given})"
            told = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=False
            )
            if told.returncode:
                raise RagftError(
                    f"bench retrieval: the memory of {name} is not known: {told.stderr[-300:]}"
                )
            found.append(json.loads(told.stdout.splitlines()[-1]))
    return found


def print_growth(name: str, count: int, queries: int, path: str) -> None:
    """Print the bytes that the index of a peer, or ours of a dtype, adds to this process.

    The vectors, of texts and then of queries, are read from a file of numpy.
    """
    import numpy as np

    peers: dict[str, Callable[[Sequence[str], Known], Search]] = {p.name: p.build for p in PEERS}
    build = peers[name] if name in peers else partial(ours, dtype=name)
    texts, asked = texts_and_queries(count, queries)
    known = Known([*texts, *asked], np.load(path))
    build(texts[:100], known)(asked[:1])  # what is imported for it is no part of the index
    before = _resident()
    search = build(texts, known)
    search(asked[:1])
    print(json.dumps(_resident() - before))


def _resident() -> int:
    """Return the resident memory of this process, in bytes, once what is free was given back."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
