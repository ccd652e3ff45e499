"""What a search is worth to the answers: RAG over ways of searching and of cutting documents.

Retrieval and answers are scored on the same questions, side by side. What a cell takes lives in
`grid`, what the ledger reads in `retrieval_answer_effects`; retrieval alone, on any collection, in
`retrieval_quality`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.chunking import chunk
from ragft.experiments import effects
from ragft.experiments.cells import Finished, run_cells
from ragft.experiments.evaluate import scored
from ragft.experiments.grid import Grid
from ragft.experiments.retrieval_answer_effects import COLUMNS, MEASURES, quantities
from ragft.experiments.tasks import Task
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

ARM = "rag"
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


@dataclass(frozen=True)
class Way:
    """A way of searching: how, how much of it is shown, and what a passage is."""

    retriever: str = "hybrid"
    top_k: int = 4
    strategy: str = ""
    """How documents are cut; the task's own way where ''."""
    size: int = 128
    """Tokens of a passage, at most; has no meaning for 'whole' documents."""
    overlap: int = 0


SEARCHES = tuple(Way(r, k) for r in ("bm25", "dense", "hybrid") for k in (1, 2, 4, 8))
"""Retrievers, and passages shown."""
CUTS = (
    *(Way("hybrid", 4, "sentences", size) for size in (32, 64, 128, 256)),
    *(Way("hybrid", 4, "sentences", size, size // 4) for size in (64, 128)),
    Way("hybrid", 4, "whole"),
)
"""Ways of cutting that are compared."""
REDUCED_SEARCHES = tuple(way for way in SEARCHES if way.top_k in (1, 4))
REDUCED_CUTS = tuple(replace(way, retriever="bm25") for way in CUTS if way.overlap == 0)
"""Without vectors, so that nothing has to be embedded for a size that is only looked at once."""


class RetrievalAnswers(Finished):
    """What was found and answered: an answer per corpus, way and question."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per corpus × way × measure: mean, low, high, n.

        `found` is the share of questions one of whose documents was shown; the other measures are
        of the answers.
        """
        return self.frame("summary")


def retrieval_answers(
    tasks: Sequence[Task],
    searches: Sequence[Way] = SEARCHES,
    cuts: Sequence[Way] = (),
    *,
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> RetrievalAnswers:
    """Ask every task's questions with RAG in every way.

    Parameters
    ----------
    tasks : sequence of Task
        With different names.
    searches : sequence of Way
        Retrievers and numbers of passages.
    cuts : sequence of Way
        Ways of cutting, compared among themselves.
    base, out, progress
        As for `compare`; the model is the profile's, its retriever and sizes are each way's own.

    Raises
    ------
    RagftError
        No task, two of one name, no way, one way twice in a list, or one that `chunk` refuses.
    """
    sizes = profile(base)
    ways = list(dict.fromkeys((*searches, *cuts)))
    _check(tasks, searches, cuts)
    records = Records(out, smoke=sizes.name == "smoke")
    work = _Work(tasks, sizes, records)
    return run_cells(
        RetrievalAnswers,
        "retrieval_answers",
        work.cells(ways),
        work.key,
        work.compute,
        lambda frames, _: _summed_up(frames, searches, cuts, sizes),
        records=records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "version": VERSION,
                  "searches": [asdict(w) for w in searches], "cuts": [asdict(w) for w in cuts]},
        parameters={"corpus": ", ".join(task.name for task in tasks), "arm": ARM},
        hashes={task.name: task.content_hash for task in tasks} | {"model": work.model_hash},
        progress=progress,
    )  # fmt: skip


def _check(tasks: Sequence[Task], searches: Sequence[Way], cuts: Sequence[Way]) -> None:
    names = [task.name for task in tasks]
    if not names or len(set(names)) < len(names):
        raise RagftError(f"retrieval answers: tasks {names}: give at least one, none twice")
    if not searches and not cuts:
        raise RagftError("retrieval answers: there is no way of searching to compare")
    for what, ways in (("searches", searches), ("cuts", cuts)):
        if len(set(ways)) < len(ways):
            raise RagftError(f"retrieval answers: {what}: one way stands there twice")
    for way in (*searches, *cuts):
        if way.strategy:
            chunk([], way.strategy, way.size, way.overlap)


class _Work:
    """The cells of one comparison, and what they share."""

    def __init__(self, tasks: Sequence[Task], sizes: Profile, records: Records) -> None:
        self.tasks, self.sizes, self.records = {t.name: t for t in tasks}, sizes, records

    @property
    def model_hash(self) -> str:
        """Hash of the model's weights."""
        return self._grid(next(iter(self.tasks)), Way()).model_hash

    def cells(self, ways: Sequence[Way]) -> list[tuple[str, Way]]:
        """Return (task, way); those that search one index stand together: it is built once."""
        together = sorted(ways, key=lambda w: (w.strategy, w.size, w.overlap, w.retriever, w.top_k))
        return [(name, way) for name in self.tasks for way in together]

    def key(self, name: str, way: Way) -> str:
        """Return the key of a cell: all that its rows depend on."""
        answers = self._grid(name, way).key(ARM, self.sizes.seeds[0])
        what = {"cell": "retrieval answers", "version": VERSION, "way": asdict(way)}
        return content_key({**what, "answers": answers})

    def compute(self, name: str, way: Way) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Answer a task's questions in one way."""
        frame, notes = self._grid(name, way).compute(ARM, self.sizes.seeds[0])
        return frame.assign(corpus=name, **asdict(way)), notes

    def _grid(self, name: str, way: Way) -> Grid:
        task = self.tasks[name]
        sizes = replace(
            self.sizes,
            retriever=way.retriever,
            top_k=way.top_k,
            chunk_size=way.size,
            chunk_overlap=way.overlap,
        )
        cut = replace(task, chunking=way.strategy or task.chunking)
        return Grid(cut, sizes, self.records, timed=0)


def _summed_up(
    frames: Sequence[pd.DataFrame], searches: Sequence[Way], cuts: Sequence[Way], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    rated = scored(answers, [*COLUMNS, "seed", "question_id", "cluster", "found"])
    summary = effects.summary(rated, COLUMNS, MEASURES, sizes)
    listed = [[asdict(way) for way in ways] for ways in (searches, cuts)]
    return answers, {"summary": summary, "quantities": quantities(rated, *listed, sizes)}
