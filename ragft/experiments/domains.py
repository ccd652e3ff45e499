"""Several domains at once: one index, a router before it, or one model tuned on the mixture.

Tasks are asked together. The router learns from passages, its margin is set on questions that are
never asked. Retrieval alone, over collections without answers, is in `retrieval_layouts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.corpora.corpus import Corpus
from ragft.evaluation.statistics import Interval, mean_interval
from ragft.experiments import effects
from ragft.experiments.cells import Finished, distinct, run_cells
from ragft.experiments.evaluate import answers_frame, scored
from ragft.experiments.grid import Grid
from ragft.experiments.tasks import Task
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.types import Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

    from ragft.retrieval.router import CentroidRouter

ARMS = ("rag", "routed", "finetuned")
"""One index; a router before it; one model tuned on the facts of all domains."""
MEASURES = ("accuracy", "found", "hallucination", "abstained")
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


class Domains(Finished):
    """What the mixture and the router were worth.

    Of an answer, `home` is the collection of its question, `routed` where it was sent.
    """

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per arm × collection × measure ('all' is every question): mean, low, high, n."""
        return self.frame("summary")


def domains(
    tasks: Sequence[Task],
    *,
    arms: Sequence[str] = ARMS,
    model: str = "embedded",
    seeds: Sequence[int] = (0, 1, 2),
    precision: float = 0.95,
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Domains:
    """Ask several tasks' questions of one mixture, with and without a router.

    Parameters
    ----------
    tasks : sequence of Task
        With different documents, cut in one way.
    arms : sequence of str
        Of `ARMS`.
    model, seeds, base, out, progress
        As for `compare`; without vectors (retriever 'bm25') there is no router.
    precision : float
        See `CentroidRouter.calibrate`.

    Raises
    ------
    RagftError
        No task, tasks that cannot be put together, an unknown arm, or fewer than two collections.
    """
    sizes = profile(base, model=str(model), seeds=distinct(seeds))
    if not arms or [arm for arm in arms if arm not in ARMS]:
        raise RagftError(f"domains: arms {list(arms)}: choose of {', '.join(ARMS)}")
    if "routed" in arms and sizes.retriever == "bm25":
        raise RagftError("domains: retriever='bm25' has no vectors to route by; choose another one")
    task = mixture(tasks)
    work = _Work(
        task, precision, Grid(task, sizes, Records(out, smoke=sizes.name == "smoke"), timed=0)
    )
    return run_cells(
        Domains,
        "domains",
        work.grid.cells(arms),
        work.key,
        work.compute,
        lambda frames, notes: _summed_up(frames, notes, sizes),
        records=work.grid.records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "version": VERSION},
        parameters={"corpus": task.name, "arms": list(arms), "precision": precision, **task.counts},
        hashes={"corpus": task.content_hash, "model": work.grid.model_hash},
        progress=progress,
    )


def mixture(tasks: Sequence[Task]) -> Task:
    """Return several tasks as one: all documents, facts and questions together.

    Raises
    ------
    RagftError
        No task, two ways of cutting, a document id that two tasks have, or one collection alone.
    """
    if not tasks or len({task.chunking for task in tasks}) > 1:
        raise RagftError(
            f"domains: tasks {[task.name for task in tasks]}: give at least one, all cut in one way"
        )
    name = ", ".join(task.name for task in tasks)
    documents = [d for task in tasks for d in task.corpus.documents]
    facts = [f for task in tasks for f in task.corpus.facts]
    corpus = Corpus(documents, facts, name)
    if len({d.collection for d in documents}) < 2:
        raise RagftError(f"domains: {name}: the documents are of one collection; give two or more")
    parts = [
        tuple(question for task in tasks for question in getattr(task, part))
        for part in ("asked", "taught", "others")
    ]
    counts = {key: sum(t.counts.get(key, 0) for t in tasks) for t in tasks for key in t.counts}
    return Task(name, corpus, None, *parts, chunking=tasks[0].chunking, counts=counts)


class _Work:
    """The cells of one comparison, and the router they share."""

    def __init__(self, task: Task, precision: float, grid: Grid) -> None:
        self.task, self.precision, self.grid = task, precision, grid

    def key(self, arm: str, seed: int) -> str:
        """Return the key of a cell: all that its rows depend on."""
        what = {"cell": "domains", "version": VERSION, "arm": arm}
        what |= {"precision": self.precision} if arm == "routed" else {}
        return content_key({**what, "grid": self.grid.key("rag" if arm == "routed" else arm, seed)})

    def compute(self, arm: str, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Answer all questions with one arm."""
        asked, homes = self.task.asked, [self._home(q) for q in self.task.asked]
        if arm != "routed":
            frame, _ = self.grid.compute(arm, seed)
            return frame.assign(home=homes, routed=None), {}
        from ragft.arms.routed import Routed
        from ragft.retrieval.router import RoutedIndex

        built = Routed(router=self.router, **self.grid.retrieving())
        frame = answers_frame(asked, built.answer(asked), self.grid.book, arm=arm, seed=seed)
        through = RoutedIndex(self.grid.library.index, self.router)
        routes = through.routes([question.text for question in asked])
        return frame.assign(home=homes, routed=routes), {"margin": self.router.margin}

    def _home(self, question: Question) -> str:
        """Return the collection of the documents that answer a question; '' without any."""
        known = self.task.corpus.by_id
        return next((known[i].collection for i in question.supporting if i in known), "")

    @cached_property
    def router(self) -> CentroidRouter:
        """The router, its margin set on questions that are never asked."""
        from ragft.retrieval.router import fit_router

        index = self.grid.library.index
        told = [q for q in self.task.others if self._home(q)]
        vectors = index.embedder.embed([q.text for q in told], cached=False)
        homes = [self._home(q) for q in told]
        return fit_router(index).calibrate(vectors, homes, self.precision)


def _summed_up(
    frames: Sequence[pd.DataFrame], notes: Sequence[dict[str, Any]], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    answers = pd.concat(frames, ignore_index=True)
    columns = ["arm", "seed", "question_id", "cluster", "home", "routed", "found"]
    rated = scored(answers, columns)
    both = pd.concat([rated.assign(collection="all"), rated.assign(collection=rated["home"])])
    both = both[both["collection"] != ""]
    summary = effects.summary(both, ["arm", "collection"], MEASURES, sizes)
    margins = [note["margin"] for note in notes if "margin" in note]
    margin = {"margin": margins[0]} if margins else {}
    return answers, {"summary": summary, **margin, "quantities": _quantities(rated, sizes)}


def _quantities(rated: pd.DataFrame, sizes: Profile) -> dict[str, Any]:
    """R4: accuracy with the router minus the better of the two without."""
    parts = dict(list(rated.groupby("arm", sort=False)))
    if "routed" not in parts:
        return {}
    routed = parts.pop("routed")
    points = {
        f"routed_minus_{arm}": effects.difference(routed, rows, "accuracy", sizes)
        for arm, rows in parts.items()
    }
    if len(parts) == 2:
        better = max(parts.values(), key=lambda rows: rows["accuracy"].mean())
        points["routed_minus_single"] = effects.difference(routed, better, "accuracy", sizes)
    known = routed[routed["home"] != ""]
    sent = known[known["routed"].notna()]
    shares: dict[str, Interval | None] = {
        "routed_to_one": _share(known, known["routed"].notna(), sizes),
        "routed_rightly": _share(sent, sent["routed"] == sent["home"], sizes),
    }
    return effects.quantities(points, "points") | effects.quantities(shares)


def _share(rows: pd.DataFrame, true: pd.Series, sizes: Profile) -> Interval | None:
    if rows.empty:
        return None
    return mean_interval(true * 1.0, rows["cluster"], sizes.level, sizes.n_boot)
