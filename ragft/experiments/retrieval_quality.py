"""Retrieval stage by stage: BM25, dense, hybrid, a reranker, a tuned embedder, on real text.

Weights and depth of the fusion are chosen on one collection and then fixed for the others. What is
trained learns from one half of the documents and is measured on the other (`pairs`). What the
scores mean lives in `retrieval_sets`, what the ledger reads in `retrieval_effects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.chunking import chunk
from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.embedder import embedder_of
from ragft.experiments.retrieval_effects import ROOM, quantities, summary_rows
from ragft.experiments.retrieval_sets import (
    Remembering,
    Searched,
    best_fusion,
    choices,
    drawn,
    fusion_rows,
    search_rows,
    usual_cut,
)
from ragft.experiments.retrieval_training import Trained, Training, usual_training
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.retrieval.fusion import Fusion
from ragft.retrieval.index import EmbedsTexts, HybridIndex
from ragft.retrieval.parts import ScoresPairs
from ragft.retrieval.rerank import Reranker
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Stage:
    """A way of searching."""

    retriever: str
    reranked: bool = False
    tuned: bool = False

    @property
    def trained(self) -> bool:
        """Whether something learns from the collection's own questions."""
        return self.reranked or self.tuned


STAGES: dict[str, Stage] = {
    "bm25": Stage("bm25"),
    "dense": Stage("dense"),
    "hybrid": Stage("hybrid"),
    "hybrid, reranked": Stage("hybrid", reranked=True),
    "dense, tuned": Stage("dense", tuned=True),
    "hybrid, tuned": Stage("hybrid", tuned=True),
}
WHOLE, HELD = "whole", "held out"
"""All documents and questions; the half that nothing was trained on, searched by itself."""
WEIGHTS = (1.0, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1)
"""Of the reranker's scores beside those of the hybrid search, to choose from."""
MOST = 300
"""Questions, drawn, on which the reranker's weight is chosen; all would take far too long."""
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


class Quality(Finished):
    """What a comparison of stages found: an answer per set, part, stage, seed and question."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per set × part × stage × measure: mean, low, high, n."""
        return self.frame("summary")

    @cached_property
    def marks(self) -> pd.DataFrame:
        """One row per set × stage where documents are marked.

        Shares of questions whose first document is right, wrong, noise, or none of the question's
        own.
        """
        return self.frame("marks")

    @property
    def chosen(self) -> dict[str, Any]:
        """The fusion and depth, the weight of the reranker, and on which set they were chosen."""
        return self.results["chosen"]


def retrieval_quality(
    sets: Sequence[Searched],
    *,
    choose_on: str,
    stages: Sequence[str] = tuple(STAGES),
    train_on: Sequence[str] | None = None,
    training: Training | None = None,
    reranker: str | Path | None = None,
    chunking: Mapping[str, Any] | None = None,
    embedder: EmbedsTexts | None = None,
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Quality:
    """Search every collection in every way, and compare.

    Parameters
    ----------
    sets : sequence of Searched
        With different names.
    choose_on : str
        The set on which the fusion's method, weights, k and depth are chosen, and (on its held-out
        half) the weight of the reranker. Its own scores for 'hybrid' are therefore flattered; the
        quantities without '@' leave it out.
    stages : sequence of str
        Of `STAGES`.
    train_on : sequence of str, optional
        Sets for which the trained stages are made, and the others once more on the held-out half;
        all where None.
    training : Training, optional
        `usual_training` where None.
    reranker : str or path, optional
        A cross-encoder to use as it is, in place of one trained here.
    chunking : mapping, optional
        Arguments of `chunk`; the profile's size and overlap, by sentences, where None.
    embedder : Embedder, optional
        The generic one; the profile's where None. Training starts from the profile's.
    base, out, progress
        As for `compare`; the profile's seeds are those of training.

    Raises
    ------
    RagftError
        Two sets of one name, an unknown stage, or a name that is no set's.
    """
    names = [one.name for one in sets]
    train_on = names if train_on is None else list(train_on)
    _check(names, choose_on, stages, train_on)
    sizes = profile(base)
    records = Records(out, smoke=sizes.name == "smoke")
    if embedder is None and any(STAGES[stage].retriever != "bm25" for stage in stages):
        embedder = embedder_of(sizes)
    work = _Work(
        sets, choose_on, training or usual_training(), reranker, chunking, embedder, sizes, records
    )
    cells = _cells(names, stages, train_on, sizes.seeds)
    return run_cells(
        Quality,
        "retrieval_quality",
        cells,
        work.key,
        work.compute,
        lambda frames, _: work.summed_up(frames, cells),
        records=records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "room": ROOM, "version": VERSION},
        parameters={"corpus": ", ".join(names), "choose_on": choose_on, "stages": list(stages),
                    "train_on": train_on, "training": asdict(work.training),
                    "chunking": work.chunking, "reranker": str(reranker or "trained here")},
        hashes={one.name: one.content_hash for one in sets} | {"embedder": work.model_hash},
        progress=progress,
    )  # fmt: skip


def _check(
    names: Sequence[str], choose_on: str, stages: Sequence[str], train_on: Sequence[str]
) -> None:
    if not names or len(set(names)) < len(names):
        raise RagftError(f"retrieval quality: sets {list(names)}: give at least one, none twice")
    for what, given, known in (
        ("choose_on", [choose_on], names),
        ("train_on", train_on, names),
        ("stages", stages, STAGES),
    ):
        strange = sorted(set(given) - set(known))
        if strange or len(set(given)) < len(given):
            raise RagftError(
                f"retrieval quality: {what}={list(given)}: choose of {', '.join(known)}, none twice"
            )


def _cells(
    names: Sequence[str], stages: Sequence[str], train_on: Sequence[str], seeds: Sequence[int]
) -> list[tuple[str, str, str, int]]:
    """Return (set, part, stage, seed); what learns nothing has the first seed alone."""
    plain = [stage for stage in stages if not STAGES[stage].trained]
    cells = [(name, WHOLE, stage, seeds[0]) for name in names for stage in plain]
    # Half of a collection is only looked at for the sake of what was trained on the other.
    parts = train_on if len(plain) < len(stages) else []
    for name in parts:
        for stage in stages:
            several = seeds if STAGES[stage].trained else seeds[:1]
            cells += [(name, HELD, stage, seed) for seed in several]
    return cells


class _Work:
    """The cells of one comparison, and what they share."""

    def __init__(
        self,
        sets: Sequence[Searched],
        choose_on: str,
        training: Training,
        reranker: str | Path | None,
        chunking: Mapping[str, Any] | None,
        embedder: EmbedsTexts | None,
        sizes: Profile,
        records: Records,
    ) -> None:
        self.sets, self.choose_on = {one.name: one for one in sets}, choose_on
        self.training, self.given, self.sizes, self.records = training, reranker, sizes, records
        self.chunking = usual_cut(sizes, chunking)
        self.embedder = None if embedder is None else Remembering(embedder)
        self.model_hash = "" if embedder is None else self.embedder.model_hash
        self.trained = Trained(
            self.sets, self.training, self.chunking, sizes, self.model_hash, records
        )

    def key(self, name: str, part: str, stage: str, seed: int) -> str:
        """Return the key of a cell: all that its rows depend on."""
        how = STAGES[stage]
        what: dict[str, Any] = {"cell": "retrieval quality", "version": VERSION, "part": part}
        what |= {"stage": asdict(how), "chunking": self.chunking}
        if part == HELD:
            what |= {"share": self.training.share, "split_seed": self.training.split_seed}
        if how.retriever == "hybrid":
            what["choice"] = self._choice_key
        if how.tuned:
            what["trained"] = self.trained.key(name, "embedder", seed)
        if how.reranked:
            given = None if self.given is None else Reranker(self.given).model_hash
            what["reranker"] = given or self.trained.key(name, "reranker", seed)
            what["weight"] = self._weight_key
        model = "" if how.retriever == "bm25" else self.model_hash
        return content_key(what, corpus=self.sets[name].content_hash, model=model)

    def compute(
        self, name: str, part: str, stage: str, seed: int
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Search one collection, or its held-out half, in one way."""
        how, held = STAGES[stage], self.sets[name]
        if part == HELD:
            held = self.trained.halves(name)[1]
        fusion, depth = self.chosen() if how.retriever == "hybrid" else (Fusion(), 100)
        embedder: EmbedsTexts | None = self.embedder
        if how.tuned:
            folder = self.trained.folder(name, "embedder", seed)
            embedder = embedder_of(replace(self.sizes, embedding_model=str(folder)))
        reranker = self.trained.reranker(name, seed, self.given) if how.reranked else None
        index = HybridIndex(
            chunk(held.documents, **self.chunking),
            retriever=how.retriever,
            embedder=embedder,
            depth=depth,
            fusion=fusion,
            reranker=reranker,
            rerank_depth=self.training.rerank_depth,
            rerank_weight=self._rerank_weight() if how.reranked else 1.0,
        )
        rows = search_rows(index, held)
        notes = {"passages": len(index), "documents": len(held.documents)}
        return rows.assign(set=name, part=part, stage=stage, seed=seed), notes

    @property
    def _choice_key(self) -> str:
        options = [[asdict(fusion), depth] for fusion, depth in choices()]
        what = {"cell": "fusion choice", "version": VERSION, "chunking": self.chunking}
        corpus = self.sets[self.choose_on].content_hash
        return content_key({**what, "options": options}, corpus=corpus, model=self.model_hash)

    def chosen(self) -> tuple[Fusion, int]:
        """Return the fusion and depth, chosen the first time."""
        return best_fusion(self._choice_rows())

    def _choice_rows(self) -> pd.DataFrame:
        held = self.sets[self.choose_on]

        def compute() -> tuple[pd.DataFrame, dict[str, Any]]:
            passages = chunk(held.documents, **self.chunking)
            return fusion_rows(held, passages, self.embedder), {}

        return self.records.cached(self._choice_key, compute)[0]

    @property
    def _weight_key(self) -> str:
        seed, name = self.sizes.seeds[0], self.choose_on
        given = None if self.given is None else Reranker(self.given).model_hash
        what = {"cell": "rerank weight", "version": VERSION, "options": list(WEIGHTS)}
        what |= {"reranker": given or self.trained.key(name, "reranker", seed)}
        what |= {"choice": self._choice_key, "depth": self.training.rerank_depth, "most": MOST}
        return content_key(what)

    def _rerank_weight(self) -> float:
        """Return the reranker's weight with the highest nDCG@10, the largest of equals."""
        rows = self._weight_rows()
        return float(rows.loc[rows["ndcg"].idxmax(), "weight"])

    def _weight_rows(self) -> pd.DataFrame:
        def compute() -> tuple[pd.DataFrame, dict[str, Any]]:
            import pandas as pd

            held = self.trained.halves(self.choose_on)[1]
            asked = drawn(held, MOST)
            fusion, depth = self.chosen()
            index = HybridIndex(
                chunk(held.documents, **self.chunking),
                embedder=self.embedder,
                depth=depth,
                fusion=fusion,
                reranker=_Known(
                    self.trained.reranker(self.choose_on, self.sizes.seeds[0], self.given)
                ),
                rerank_depth=self.training.rerank_depth,
            )
            means = []
            for weight in WEIGHTS:
                index.rerank_weight = weight
                means.append(search_rows(index, asked)["ndcg"].mean())
            return pd.DataFrame({"weight": WEIGHTS, "ndcg": means}), {}

        return self.records.cached(self._weight_key, compute)[0]

    def summed_up(
        self, frames: Sequence[pd.DataFrame], cells: Sequence[tuple[str, str, str, int]]
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Return all rows, and the results of the record."""
        import pandas as pd

        rows = pd.concat(frames, ignore_index=True)
        summary, marks = summary_rows(rows, self.sizes)
        chosen: dict[str, Any] = {"on": self.choose_on}
        if any(STAGES[stage].retriever == "hybrid" for _, _, stage, _ in cells):
            fusion, depth = self.chosen()
            table = self._choice_rows().to_dict("records")
            chosen |= {"fusion": asdict(fusion), "depth": depth, "tried": table}
        if any(STAGES[stage].reranked for _, _, stage, _ in cells):
            weights = self._weight_rows().to_dict("records")
            chosen |= {"rerank_weight": self._rerank_weight(), "rerank_weights": weights}
        found = quantities(rows, self.choose_on, self.sizes)
        return rows, {"summary": summary, "marks": marks, "chosen": chosen, "quantities": found}


class _Known:
    """A reranker that scores a pair once, for searches that are not timed."""

    def __init__(self, reranker: ScoresPairs) -> None:
        self._reranker, self._known = reranker, {}

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the scores, shape (pairs,)."""
        new = list(dict.fromkeys(pair for pair in pairs if pair not in self._known))
        self._known.update(zip(new, self._reranker.scores(new), strict=True))
        return np.array([self._known[pair] for pair in pairs])
