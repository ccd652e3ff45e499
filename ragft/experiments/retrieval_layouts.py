"""One index or several: a router over collections, and shards that are searched together.

Several collections lie in one index. A router sends questions to their collection, its margin set
on one half of the questions and measured on the other; shards must find what the whole finds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.chunking import chunk
from ragft.evaluation.statistics import Interval, mean_interval
from ragft.experiments import effects
from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.embedder import embedder_of
from ragft.experiments.retrieval_sets import (
    CUTOFF,
    Remembering,
    Searched,
    search_rows,
    usual_cut,
)
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.retrieval.index import EmbedsTexts, HybridIndex
from ragft.retrieval.router import CentroidRouter, RoutedIndex, fit_router
from ragft.retrieval.shards import ShardedIndex, write_shards
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

LAYOUTS = ("single", "routed", "always routed", "routed by questions", "by hand", "shards")
"""All collections in one index; a router that knows their passages and abstains where it is unsure;
one that never does; one that knows questions of each collection instead, and abstains; every
question sent to its own collection; and the one index, spread over shards."""
SCORES = ("recall", "ndcg")
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


class Layouts(Finished):
    """What a comparison of layouts found: an answer per layout and question.

    `routed`, `right`: sent to one collection, to its own; `same`: found what the single index
    finds.
    """

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per layout × measure, over the half of the questions that set nothing."""
        return self.frame("summary")

    @property
    def margin(self) -> float:
        """Of the router, as set."""
        return self.results["margin"]

    @property
    def tampered(self) -> dict[str, str]:
        """By file of a shard: what was said when one of its bits was turned."""
        return self.results["tampered"]


def retrieval_layouts(
    sets: Sequence[Searched],
    *,
    shards: int = 4,
    precision: float = 0.95,
    chunking: Mapping[str, Any] | None = None,
    embedder: EmbedsTexts | None = None,
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Layouts:
    """Search several collections together in every layout.

    Parameters
    ----------
    sets : sequence of Searched
        At least two, with different names.
    shards : int
    precision : float
        Share of the routed questions that must go right; sets the margin, see
        `CentroidRouter.calibrate`.
    chunking, embedder, base, out, progress
        As for `retrieval_quality`; the profile's retriever must not be 'bm25'.

    Raises
    ------
    RagftError
        Fewer than two sets or two of one name, or a profile without vectors.
    """
    names = [one.name for one in sets]
    if len(names) < 2 or len(set(names)) < len(names):
        raise RagftError(f"retrieval layouts: sets {names}: give two or more, none twice")
    sizes = profile(base)
    if sizes.retriever == "bm25":
        raise RagftError("retrieval layouts: retriever='bm25' has no vectors; choose another one")
    cut = usual_cut(sizes, chunking)
    embedder = embedder or embedder_of(sizes)
    work = _Work(sets, shards, precision, cut, Remembering(embedder), sizes)
    return run_cells(
        Layouts,
        "retrieval_layouts",
        [(layout,) for layout in LAYOUTS],
        work.key,
        work.compute,
        lambda frames, notes: _summed_up(frames, notes, work.whole.name, sizes),
        records=Records(out, smoke=sizes.name == "smoke"),
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "version": VERSION},
        parameters={"corpus": ", ".join(names), "shards": shards, "precision": precision,
                    "chunking": cut},
        hashes={one.name: one.content_hash for one in sets} | {"embedder": work.model_hash},
        progress=progress,
    )  # fmt: skip


class _Work:
    """The cells of one comparison, and the index they share."""

    def __init__(
        self,
        sets: Sequence[Searched],
        shards: int,
        precision: float,
        chunking: Mapping[str, Any],
        embedder: Remembering,
        sizes: Profile,
    ) -> None:
        self.whole, self.homes = together(sets)
        self.shards, self.precision, self.chunking = shards, precision, chunking
        self.embedder, self.sizes, self.model_hash = embedder, sizes, embedder.model_hash
        self._index: HybridIndex | None = None

    def key(self, layout: str) -> str:
        """Return the key of a cell: all that its rows depend on."""
        what = {"cell": "retrieval layout", "version": VERSION, "layout": layout}
        what |= {"chunking": self.chunking, "retriever": self.sizes.retriever}
        what |= {"shards": self.shards} if layout == "shards" else {"precision": self.precision}
        return content_key(what, corpus=self.whole.content_hash, model=self.model_hash)

    def compute(self, layout: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Search all questions in one layout."""
        index, notes = self.index(), {}
        if layout == "shards":
            return self._in_shards(index)
        if "routed" in layout:
            router = self._router(layout, index)
            searched, notes = RoutedIndex(index, router), {"margin": router.margin}
            routes = searched.routes([q.text for q in self.whole.questions])
        elif layout == "by hand":
            searched, routes = _ByHand(index, self.whole, self.homes), list(self.homes)
        else:
            searched, routes = index, [None] * len(self.homes)
        right = [
            float("nan") if route is None else float(route == home)
            for route, home in zip(routes, self.homes, strict=True)
        ]
        rows = search_rows(searched, self.whole)
        return self._placed(rows, layout, right=right), notes

    def _router(self, layout: str, index: HybridIndex) -> CentroidRouter:
        """Return the router of a layout, made from what is not measured."""
        if layout == "always routed":
            return fit_router(index, 0.0)
        picked = [n for n, one in enumerate(self._for_setting()) if one]
        vectors = self.embedder.embed([self.whole.questions[n].text for n in picked], cached=False)
        homes = [self.homes[n] for n in picked]
        if layout == "routed":
            return fit_router(index).calibrate(vectors, homes, self.precision)
        # One half of them to learn from, the other for the margin.
        router = CentroidRouter().fit(vectors[::2], homes[::2])
        return router.calibrate(vectors[1::2], homes[1::2], self.precision)

    def _in_shards(self, index: HybridIndex) -> tuple[pd.DataFrame, dict[str, Any]]:
        texts = [q.text for q in self.whole.questions]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "shards"
            write_shards(index, folder, self.shards)
            sharded = ShardedIndex(folder, embedder=self.embedder)
            rows = search_rows(sharded, self.whole)
            pairs = zip(sharded.search(texts, CUTOFF), index.search(texts, CUTOFF), strict=True)
            same = [[h.passage for h in a] == [h.passage for h in b] for a, b in pairs]
            files = sorted((folder / sharded.shards[0].name).iterdir())
            tampered = {path.name: _tampered(folder, path, self.embedder) for path in files}
        same = [float(one) for one in same]
        return self._placed(rows, "shards", same=same), {"tampered": tampered}

    def _placed(self, rows: pd.DataFrame, layout: str, **columns: Any) -> pd.DataFrame:
        kept = {"right": float("nan"), "same": float("nan")} | columns
        return rows.assign(layout=layout, setting=self._for_setting(), home=self.homes, **kept)

    def _for_setting(self) -> list[bool]:
        """Tell which questions set the margin: half of the clusters, drawn."""
        clusters = [q.cluster_key for q in self.whole.questions]
        half = effects.drawn_half(clusters)
        return [cluster in half for cluster in clusters]

    def index(self) -> HybridIndex:
        """Return the one index over all collections, made the first time."""
        if self._index is None:
            passages = chunk(self.whole.documents, **self.chunking)
            how = {"retriever": self.sizes.retriever, "embedder": self.embedder}
            self._index = HybridIndex(passages, **how)
        return self._index


class _ByHand:
    """Every question sent to its own collection: what a router that is always right would find."""

    def __init__(self, index: HybridIndex, whole: Searched, homes: Sequence[str]) -> None:
        self.index, self.passages = index, index.passages
        texts = [q.text for q in whole.questions]
        self._home = dict(zip(texts, homes, strict=True))

    def search(self, query: Sequence[str], top_k: int) -> list[Any]:
        """Return the hits of each query in its collection."""
        found: dict[str, Any] = {}
        for home in dict.fromkeys(self._home[text] for text in query):
            mine = [text for text in query if self._home[text] == home]
            hits = self.index.search(mine, top_k, collection=home)
            found |= dict(zip(mine, hits, strict=True))
        return [found[text] for text in query]


def together(sets: Sequence[Searched]) -> tuple[Searched, tuple[str, ...]]:
    """Return several collections as one, ids made distinct, and each question's own collection.

    A question that two collections ask in the same words belongs to the first.
    """
    documents, questions, supporting, homes = [], [], [], []
    asked: set[str] = set()
    for one in sets:
        name = one.name
        documents += [
            replace(
                d, id=f"{name}/{d.id}", collection=name, source=d.source and f"{name}/{d.source}"
            )
            for d in one.documents
        ]
        for question, wanted in zip(one.questions, one.supporting, strict=True):
            if question.text not in asked:
                asked.add(question.text)
                cluster = f"{name}/{question.cluster_key}"
                questions.append(replace(question, id=f"{name}/{question.id}", cluster=cluster))
                supporting.append(tuple(f"{name}/{i}" for i in wanted))
                homes.append(name)
    name = ", ".join(one.name for one in sets)
    whole = Searched(name, tuple(documents), tuple(questions), tuple(supporting))
    return whole, tuple(homes)


def _tampered(folder: Path, path: Path, embedder: EmbedsTexts) -> str:
    """Turn one bit of a file, and return what opening the shards says; '' if nothing."""
    kept = path.read_bytes()
    data = bytearray(kept)
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    try:
        ShardedIndex(folder, embedder=embedder)
    except RagftError as error:
        return str(error).replace(str(folder), folder.name)
    finally:
        path.write_bytes(kept)
    return ""


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[dict[str, Any]], corpus: str, sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    rows = pd.concat(frames, ignore_index=True).assign(seed=0)
    noted = {key: value for note in notes for key, value in note.items() if key == "tampered"}
    margin = notes[LAYOUTS.index("routed")]["margin"]
    measured = rows[~rows["setting"].astype(bool)]
    summary = effects.summary(measured, ["layout"], SCORES, sizes)
    points = {
        f"{score}_{layout.replace(' ', '_')}_minus_single": effects.difference(
            measured[measured["layout"] == layout],
            measured[measured["layout"] == "single"],
            score,
            sizes,
        )
        for score in SCORES
        for layout in LAYOUTS[1:-1]
    }
    shares: dict[str, Interval | None] = {
        "sharded_equals_whole": _share(rows, "shards", "same", sizes)
    }
    measured = measured.assign(sent=measured["right"].notna() * 1.0)
    for layout in LAYOUTS[1:-2]:
        name = layout.replace(" ", "_")
        shares[f"{name}_to_one"] = _share(measured, layout, "sent", sizes)
        shares[f"{name}_rightly"] = _share(measured, layout, "right", sizes)
    named = effects.quantities(points, "points", corpus=corpus)
    named |= effects.quantities(shares, "share", corpus=corpus)
    return rows, {"summary": summary, "margin": margin, **noted, "quantities": named}


def _share(rows: pd.DataFrame, layout: str, column: str, sizes: Profile) -> Interval:
    mine = rows[rows["layout"] == layout]
    return mean_interval(mine[column], mine["cluster"], sizes.level, sizes.n_boot)
