"""Kinds of vector index: how long a search takes, what it finds, what it costs to build and hold.

An approximate index looks as wide as one of passages would, until it finds what is wanted of it.
Vectors beyond those of texts are drawn around them and spread as they do; how many of the true
neighbours it finds among such is an estimate.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.chunking import chunk
from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.crowd import crowd, drawn_around, local_dimension
from ragft.experiments.floors import exact_search
from ragft.experiments.grid import Grid
from ragft.experiments.rates import Rates, measure_rates, read_sizes
from ragft.experiments.tasks import Task
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.retrieval.ann import KINDS, VectorIndex, index_bytes, recall
from ragft.retrieval.index import searched_text
from ragft.retrieval.neighbours import Neighbours
from ragft.runtime import machine, stopwatch
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

FULL: dict[str, tuple[int, ...]] = dict.fromkeys(KINDS, (1_000, 10_000, 100_000, 1_000_000))
"""Vectors that every kind of index is measured with."""
REDUCED = {
    "exact": (1_000, 10_000, 50_000),
    "hnsw": (1_000, 10_000),
    "ivf": (1_000, 10_000, 50_000),
}
"""What is built in a few seconds."""
REAL = 5_000
"""Vectors of texts, where there is a minute for embedding them."""
TOP = 10
"""Neighbours that are looked for."""
QUANTILES = (0.5, 0.95, 0.99)
TOLD = ("kind", "vectors", "seconds", "bytes", "width", "local_dimension")
"""What a row takes from its cell as it stands."""
RATES = ("", 0)
"""The cell in which the machine's rates are measured."""
VERSION = 7
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


class IndexKinds(Finished):
    """What a comparison of indexes found: an answer is one search."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per kind × vectors.

        Quantiles of the milliseconds of a search, recall, the seconds to build, bytes held, the
        `width` of a search (lists that IVF reads, candidates of HNSW), and for 'exact' the floor
        in milliseconds, the median over it, `reading`, the milliseconds in which the vectors
        themselves are read once (longer than the floor where codes are read), and the
        `local_dimension` of the vectors, which is what makes an approximate search hard.
        """
        return self.frame("summary")

    @property
    def origin(self) -> str:
        """Where the vectors come from, as a caption says it."""
        real = self.results["real"]["vectors"]
        return f"{real:,} vectors are those of texts, all others are drawn to lie as these do."


def index_kinds(
    task: Task,
    sizes: Mapping[str, Sequence[int]] | None = None,
    *,
    queries: int = 300,
    warm_up: int = 20,
    real: int = 0,
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> IndexKinds:
    """Search the same vectors through every kind of index, one question at a time.

    Parameters
    ----------
    task : Task
        Its passages and questions are embedded; the profile's retriever must use vectors.
    sizes : mapping, optional
        Kind to numbers of vectors, in ascending order; None: `FULL`.
    queries : int
        Searches of every index, of the task's questions over and over.
    warm_up : int
        Searches before, whose times count for nothing.
    real : int
        Vectors of texts, at least: those of the task's passages, then of others. All beyond are
        drawn.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        An unknown kind, a number out of range, a profile without vectors, or an index that does
        not fit the memory.
    """
    sizes = FULL if sizes is None else {kind: tuple(counts) for kind, counts in sizes.items()}
    settings = profile(base)
    _check(task, sizes, queries, warm_up, real, settings)
    settings = replace(settings, seeds=settings.seeds[:1])
    records = Records(out, smoke=settings.name == "smoke")
    exact = tuple(sizes.get("exact", ()))
    work = _Work(task, settings, records, queries, warm_up, real, exact)
    cells = [(kind, count) for kind, counts in sizes.items() for count in counts]
    return run_cells(
        IndexKinds,
        "index_kinds",
        [*cells, RATES],
        work.key,
        work.compute,
        lambda frames, notes: _summed_up(frames, notes, settings),
        records=records,
        sizes=settings,
        settings={"n_boot": settings.n_boot, "level": settings.level, "version": VERSION},
        parameters={
            "corpus": task.name,
            "sizes": sizes,
            "queries": queries,
            "top": TOP,
            "real": real,
        },
        hashes={"corpus": task.content_hash},
        progress=progress,
    )


def _check(
    task: Task,
    sizes: Mapping[str, Sequence[int]],
    queries: int,
    warm_up: int,
    real: int,
    settings: Profile,
) -> None:
    if not sizes or set(sizes) - set(KINDS):
        raise RagftError(f"index kinds: {list(sizes)}: choose of {', '.join(KINDS)}")
    for kind, counts in sizes.items():
        if not counts or min(counts) < 1 or list(counts) != sorted(set(counts)):
            raise RagftError(
                f"index kinds: {kind}={tuple(counts)}: give whole numbers from 1 on, in order"
            )
    if queries < 1 or min(warm_up, real) < 0 or not task.asked:
        raise RagftError(
            f"index kinds: queries={queries} must be 1 or more, warm_up={warm_up} and real={real} "
            f"0 or more, and {task.name} needs a question"
        )
    if settings.retriever == "bm25":
        raise RagftError("index kinds: retriever='bm25' has no vectors; choose dense or hybrid")


class _Work:
    """The cells of one comparison: the vectors they share, and what measuring one takes."""

    def __init__(
        self,
        task: Task,
        sizes: Profile,
        records: Records,
        queries: int,
        warm_up: int,
        real: int = 0,
        exact: Sequence[int] = (),
    ) -> None:
        self.task, self.sizes, self.exact = task, sizes, exact
        self.grid = Grid(task, sizes, records, timed=0)
        self.queries, self.warm_up, self.real = queries, warm_up, real

    def key(self, kind: str, count: int) -> str:
        """Return the key of a cell: of another machine it is another."""
        what = {"cell": "index kind", "version": VERSION, "kind": kind, "count": count}
        what |= {"queries": self.queries, "warm_up": self.warm_up, "top": TOP, "real": self.real}
        what |= machine()
        what |= {"exact": self.exact} if (kind, count) == RATES else {}
        return content_key({**what, "grid": self.grid.key("rag", self.sizes.seeds[0])})

    def compute(self, kind: str, count: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Build one index and search it."""
        import pandas as pd

        if (kind, count) == RATES:
            return pd.DataFrame(), self._measured()
        vectors, asked = self._vectors(count)
        with stopwatch() as building:
            index = VectorIndex(vectors, kind)
        width = _wide_enough(index, vectors)
        for query in asked[: self.warm_up]:
            index.search(query[None], TOP)
        times, found = [], []
        for query in asked:
            with stopwatch() as watch:
                found.append(index.search(query[None], TOP)[0])
            times.append(watch.ms)
        truth, _ = VectorIndex(vectors).search(asked, TOP)
        shares = recall(np.concatenate(found), truth)
        rows = {"number": np.arange(len(asked)), "ms": times, "recall": shares}
        place = {"kind": kind, "vectors": count}
        held = {"seconds": building.seconds, "bytes": index.bytes, "dimension": vectors.shape[1]}
        held |= {"width": width, "local_dimension": None}
        if kind == "exact":
            held["local_dimension"] = local_dimension(vectors)
        return pd.DataFrame(rows).assign(**place), {**place, **held}

    def _measured(self) -> dict[str, Any]:
        """Return the rates of the machine, and how the vectors of texts lie."""
        texts = self._of_texts[0]
        return {
            "rates": measure_rates(sizes=self._read_sizes()).to_dict(),
            "real": {"vectors": len(texts), "local_dimension": local_dimension(texts)},
        }

    def _read_sizes(self) -> list[int]:
        """Return the buffers whose reading is timed: the very sizes of the vectors among them."""
        dimension = self._of_texts[0].shape[1]
        own = (index_bytes(count, dimension) for count in self.exact)
        return sorted({*read_sizes(self.sizes), *own})

    @cached_property
    def _of_texts(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of texts, those of the task's passages first, and of its questions."""
        library = self.grid.new_library()
        embedder = library.index.embedder
        own = chunk(self.task.corpus.documents, **library.chunking)
        others = chunk(crowd(self.real), **library.chunking)[: max(0, self.real - len(own))]
        texts = [searched_text(passage) for passage in (*own, *others)]
        return embedder.embed(texts), embedder.embed([q.text for q in self.task.asked])

    def _vectors(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return so many vectors, those of texts first, and those of the questions."""
        texts, asked = self._of_texts
        drawn = drawn_around(texts, max(count - len(texts), 0))
        asked = asked[np.arange(self.queries) % len(asked)]
        return np.concatenate([texts, drawn])[:count], asked


def _wide_enough(index: VectorIndex, vectors: np.ndarray) -> int | None:
    """Let an approximate index look as wide as one of passages does; return how wide that is."""
    if index.kind == "exact":
        return None
    rows = np.arange(len(vectors))
    neighbours = Neighbours(index)
    neighbours.arrange(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what is not found stands in the record
        neighbours.measure([vectors], rows)
    return index.tuning.probes if index.kind == "ivf" else index.tuning.search_width


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[dict[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    from ragft.evaluation.quantiles import quantile
    from ragft.evaluation.statistics import mean_interval

    rates = Rates.from_dict(notes[-1]["rates"])
    options = {"level": sizes.level, "n_boot": sizes.n_boot}
    rows = []
    for frame, note in zip(frames[:-1], notes[:-1], strict=True):
        row = {key: note[key] for key in TOLD}
        for q in QUANTILES:
            found = quantile(frame["ms"], q, frame["number"], **options)
            name = f"p{100 * q:.0f}"
            row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        shares = mean_interval(frame["recall"], frame["number"], **options)
        row |= {"recall": shares.mean, "recall_low": shares.low, "recall_high": shares.high}
        row |= {"n": len(frame), "floor": None, "over": None, "reading": None}
        if note["kind"] == "exact":
            floor = exact_search(note["vectors"], note["dimension"]).floor_ms(rates)
            held = index_bytes(note["vectors"], note["dimension"])
            reading = 1000 * rates.floor_seconds(0, held, held)
            row |= {"floor": floor, "over": row["p50"] / floor, "reading": reading}
        rows.append(row)
    searches = pd.concat(frames[:-1], ignore_index=True)
    return searches, {"summary": rows, **notes[-1]}
