"""How documents are cut: recall@10 over strategy, size and overlap of the passages.

The best and the worst way are picked on one half of the questions and compared on the other, since
the best of many on the same questions is partly luck.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.chunking import chunk
from ragft.experiments import effects
from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.embedder import embedder_of
from ragft.experiments.retrieval_effects import ROOM, Scored
from ragft.experiments.retrieval_sets import MEASURES, Remembering, Searched, search_rows
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.retrieval.index import EmbedsTexts, HybridIndex
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

Cut = tuple[str, int, int]
"""Strategy, size and overlap, in tokens."""
CUTS: tuple[Cut, ...] = (
    *(("sentences", size, 0) for size in (16, 32, 64, 128, 256)),
    *(("sentences", size, size // 4) for size in (32, 64, 128, 256)),
    *(("tokens", size, 0) for size in (16, 32, 64, 128, 256)),
    *(("tokens", size, size // 4) for size in (32, 64, 128, 256)),
    ("whole", 128, 0),
)
"""Ways of cutting; 'whole' keeps each document in one piece, whatever the size."""
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


class Chunking(Finished):
    """What a comparison of ways of cutting found: an answer per set, cut and question."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per set × strategy × size × overlap × measure.

        Mean, low, high, n, and passages a document.
        """
        return self.frame("summary")

    @property
    def picked(self) -> dict[str, Any]:
        """Per set the best and the worst cut, picked on half of the questions."""
        return self.results["picked"]


def retrieval_chunking(
    sets: Sequence[Searched],
    cuts: Sequence[Cut] = CUTS,
    *,
    retriever: str | None = None,
    embedder: EmbedsTexts | None = None,
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Chunking:
    """Search collections whose documents are cut in several ways.

    Parameters
    ----------
    sets : sequence of Searched
        With different names.
    cuts : sequence of (strategy, size, overlap)
        At least two, none twice.
    retriever : str, optional
        The profile's where None.
    embedder : Embedder, optional
        The profile's where None.
    base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        Two sets of one name, fewer than two cuts, one twice, or one that `chunk` refuses.
    """
    names = [one.name for one in sets]
    if not names or len(set(names)) < len(names):
        raise RagftError(f"retrieval chunking: sets {names}: give at least one, none twice")
    if len(cuts) < 2 or len(set(cuts)) < len(cuts):
        raise RagftError(f"retrieval chunking: cuts={list(cuts)}: give two or more, none twice")
    for strategy, size, overlap in cuts:
        chunk([], strategy, size, overlap)
    sizes = profile(base) if retriever is None else profile(base, retriever=retriever)
    records = Records(out, smoke=sizes.name == "smoke")
    work = _Work(sets, embedder, sizes)
    return run_cells(
        Chunking,
        "retrieval_chunking",
        [(name, cut) for name in names for cut in cuts],
        work.key,
        work.compute,
        lambda frames, notes: _summed_up(frames, notes, sizes),
        records=records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "room": ROOM, "version": VERSION},
        parameters={"corpus": ", ".join(names), "cuts": list(cuts), "retriever": sizes.retriever},
        hashes={one.name: one.content_hash for one in sets} | {"embedder": work.model_hash},
        progress=progress,
    )


class _Work:
    """The cells of one comparison, and what they share."""

    def __init__(
        self, sets: Sequence[Searched], embedder: EmbedsTexts | None, sizes: Profile
    ) -> None:
        self.sets, self.sizes = {one.name: one for one in sets}, sizes
        self.embedder: Remembering | None = None
        if sizes.retriever != "bm25":
            self.embedder = Remembering(embedder or embedder_of(sizes))
        self.model_hash = "" if self.embedder is None else self.embedder.model_hash

    def key(self, name: str, cut: Cut) -> str:
        """Return the key of a cell: all that its rows depend on."""
        what = {"cell": "retrieval chunking", "version": VERSION, "cut": list(cut)}
        what |= {"retriever": self.sizes.retriever}
        return content_key(what, corpus=self.sets[name].content_hash, model=self.model_hash)

    def compute(self, name: str, cut: Cut) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Search one collection, cut in one way."""
        held, (strategy, size, overlap) = self.sets[name], cut
        passages = chunk(held.documents, strategy, size, overlap)
        index = HybridIndex(passages, retriever=self.sizes.retriever, embedder=self.embedder)
        place = {"set": name, "strategy": strategy, "size": size, "overlap": overlap}
        rows = search_rows(index, held).assign(**place)
        return rows, {**place, "passages": len(passages) / len(held.documents)}


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[dict[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    rows = pd.concat(frames, ignore_index=True).assign(seed=0)
    summary = [
        {**note, **found}
        for frame, note in zip(frames, notes, strict=True)
        for found in effects.summary(frame.assign(seed=0, all=0), ["all"], MEASURES, sizes)
    ]
    rows["part"] = "other half"
    rows["stage"] = [str(cut) for cut in zip(rows["strategy"], rows["size"], rows["overlap"])]  # noqa: B905
    picked, best, worst = {}, [], []
    for name, part in rows.groupby("set", sort=False):
        chosen, first, last = _picked(part)
        picked[name] = chosen
        best.append(first)
        worst.append(last)
    quantities = _quantities(pd.concat(best), pd.concat(worst), sizes)
    return rows, {"summary": summary, "picked": picked, "quantities": quantities}


def _picked(rows: pd.DataFrame) -> tuple[dict[str, str], pd.DataFrame, pd.DataFrame]:
    """Return the best and worst cut by one half of the clusters, and their rows of the other."""
    for_picking = rows["cluster"].isin(effects.drawn_half(rows["cluster"]))
    means = rows[for_picking].groupby("stage", sort=False)["recall"].mean()
    chosen = {"best": means.idxmax(), "worst": means.idxmin()}
    first, last = (rows[~for_picking & (rows["stage"] == stage)] for stage in chosen.values())
    return chosen, first, last


def _quantities(best: pd.DataFrame, worst: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    """R3: recall@10 of the best chunking minus that of the worst, on questions not picked by.

    Over all sets it is of those with `ROOM` above the worst.
    """
    found: dict[str, Any] = {}
    both = [
        rows.assign(**{k: rows["set"] + "/" + rows[k] for k in ("question_id", "cluster")})
        for rows in (best, worst)
    ]
    for name in ("", *dict.fromkeys(best["set"])):
        parts = [rows if not name else rows[rows["set"] == name] for rows in both]
        scored = Scored(parts[0], sizes, math.inf if name else ROOM)
        difference, corpus = scored.difference(*parts, "recall")
        suffix = f"@{name}" if name else ""
        named = {f"recall_best_minus_worst_chunking{suffix}": difference}
        found |= effects.quantities(named, "points", corpus=corpus)
    return found
