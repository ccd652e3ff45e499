"""Probes: what the same arms make of other wordings, neighbouring facts, two hops and repeats.

The arms know what they know in the hallucination experiment; here the questions change. The
numbers that the ledger reads are made in `probe_effects`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.corpora.world import World
from ragft.experiments import effects
from ragft.experiments.cells import Finished, distinct, run_cells
from ragft.experiments.effects import Rated
from ragft.experiments.evaluate import answers_frame, scored
from ragft.experiments.grid import Grid
from ragft.experiments.hallucination import FORMER, hallucination_task
from ragft.experiments.probe_effects import quantities, risk_curves
from ragft.experiments.tasks import Task, asked_world
from ragft.experiments.tracing import trace
from ragft.profiles import Profile, profile
from ragft.records import Records, content_key
from ragft.types import Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.base import Arm

ARMS = ("prompt", "rag", "finetuned", "finetuned_rag", "raft")
PROBES: dict[str, str] = {
    "trained": "wordings trained on",
    "asked": "wordings never seen",
    "casual": "casual wording",
    "format": "odd format",
    "neighbours": "neighbouring facts, never trained",
    "two_hop": "two documents needed",
}
"""Sets of questions and how they are shown."""
REWORDINGS = (0, 5, -2, -1)
"""Wordings over which answers should agree: one trained, one of pretraining, two never seen."""
NEIGHBOURS = 2
"""Untrained facts asked about each subject that a trained fact is about."""
REPEAT_TEMPERATURE = 0.7
SAMPLE_TEMPERATURE = 1.0
MEASURES = (
    "accuracy", "stale", "confused", "fabricated", "abstained", "hallucination", "agreement",
)  # fmt: skip
REDUCED: dict[str, Any] = {"arms": ("prompt", "rag", "finetuned"), "repeats": 2, "samples": 5}
"""Settings that a minute on two cores is enough for."""
VERSION = 1
"""Raised when the meaning of a probe changes, so that older cells are not reused."""
Cell = tuple[str, str, int, int]
"""(arm, probe, number of the wording or of the repeat, training seed)."""


def casual(text: str) -> str:
    """Return a question as it is typed in a hurry."""
    return f"hey, {text[0].lower()}{text[1:].rstrip('?')} pls"


def odd_format(text: str) -> str:
    """Return a question in the form of an exam sheet."""
    return f"Q1) {text} (one answer, no explanation)"


class Probed(Finished):
    """What the probes found.

    There is an answer per arm, probe, number, seed and question, with entropy and log probability.
    """

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per arm × probe × measure, with mean, low, high, n, seeds."""
        return self.frame("summary")


def probes(
    facts: int | None = None,
    *,
    arms: Sequence[str] = ARMS,
    sets: Sequence[str] = tuple(PROBES),
    repeats: int = 4,
    samples: int = 10,
    world_seed: int = 0,
    model: str = "embedded",
    seeds: Sequence[int] = (0, 1, 2),
    base: str | Profile = "cpu",
    out: str | Path = "results",
    progress: bool = True,
) -> Probed:
    """Ask arms about one made-up world in many ways, and judge the answers.

    Parameters
    ----------
    facts : int, optional
        Facts trained and asked about; the profile's where None.
    arms : sequence of str
        Of `ARMS`.
    sets : sequence of str
        Of `PROBES`.
    repeats : int
        Answers drawn at temperature 0.7 for every asked question, 0 for none; agreement is
        measured over these and over four wordings, with and without old versions in the index.
    samples : int
        Answers of 'finetuned' drawn at temperature 1 for every asked question and every
        neighbour, for semantic entropy; 0 for none.
    world_seed : int
        Of the world.
    model, seeds, base, out, progress
        As for `compare`.

    Raises
    ------
    RagftError
        An unknown arm or probe, or one twice, or a number below 0.
    """
    for name, given, known in (("arms", arms, ARMS), ("sets", sets, PROBES)):
        if not set(given) <= set(known) or len(set(given)) < len(given) or not given:
            raise RagftError(f"{name}={list(given)}: choose of {', '.join(known)}, none twice")
    if repeats < 0 or samples < 0:
        raise RagftError(f"repeats={repeats}, samples={samples}: give 0 or more")
    sizes = profile(base, model=str(model), seeds=distinct(seeds))
    sizes = replace(sizes, facts=facts or sizes.facts)
    work = _Work(sizes, world_seed, Records(out, smoke=sizes.name == "smoke"))
    return run_cells(
        Probed,
        "probes",
        work.cells(arms, sets, repeats, samples),
        work.key,
        work.compute,
        lambda frames, _: _summed_up(frames, sizes),
        records=work.grid.records,
        sizes=sizes,
        settings={"n_boot": sizes.n_boot, "level": sizes.level, "version": VERSION},
        parameters={"corpus": work.task.name, "arms": list(arms), "sets": list(sets),
                    "repeats": repeats, "samples": samples, **work.task.counts},
        hashes={"corpus": work.task.content_hash, "model": work.grid.model_hash},
        progress=progress,
    )  # fmt: skip


class Questions:
    """The questions of every probe, all about one world on one day.

    Parameters
    ----------
    world : World
    task : Task
        Made of it: its answerable questions are the asked facts.
    """

    def __init__(self, world: World, task: Task) -> None:
        self.world, self.task = world, task
        self.facts = tuple(q for q in task.asked if q.answerable)

    def of(self, probe: str) -> list[Question]:
        """Return the questions of a probe.

        The facts are those of 'asked' in every probe but 'neighbours' (`NEIGHBOURS` others about
        each of the same subjects) and 'two_hop' (as many, about any subjects).
        """
        forms: dict[str, Callable[[str], str]] = {"casual": casual, "format": odd_format}
        if probe in forms:
            return [replace(q, text=forms[probe](q.text)) for q in self.facts]
        if probe == "trained":
            return self.worded(REWORDINGS[0])
        if probe == "neighbours":
            return self._neighbours()
        if probe == "two_hop":
            return self._all("two_hop", "held_out")[: len(self.facts)]
        return list(self.facts)

    def worded(self, number: int) -> list[Question]:
        """Return the asked facts in one wording, in the same order."""
        known = {q.id: q for q in self._all("one_hop", number)}
        return [known[q.id] for q in self.facts]

    def _neighbours(self) -> list[Question]:
        asked, near = {q.id for q in self.facts}, {q.subject: [] for q in self.facts}
        for question in self._all("one_hop", "held_out"):
            if question.subject in near and question.id not in asked:
                near[question.subject].append(question)
        return [question for others in near.values() for question in others[:NEIGHBOURS]]

    def _all(self, kind: str, wording: str | int) -> list[Question]:
        world = self.world
        every = world.subjects * world.facts_per_subject
        return world.questions(world.start, every, kind=kind, wording=wording)


class _Work:
    """The cells of the probes: their keys, and what computing one takes."""

    def __init__(self, sizes: Profile, world_seed: int, records: Records) -> None:
        self.sizes = sizes
        self.world = asked_world(sizes, sizes.facts, world_seed, FORMER)
        self.task = hallucination_task(sizes, seed=world_seed)
        self.grid = Grid(self.task, sizes, records, timed=0)
        self.questions = Questions(self.world, self.task)

    def cells(
        self, arms: Sequence[str], sets: Sequence[str], repeats: int, samples: int
    ) -> list[Cell]:
        """Return every cell."""
        asked = [(arm, probe, 0) for arm, probe in product(arms, sets)]
        if "rag" in arms and "two_hop" in sets:
            asked += [("rag", f"two_hop_{given}", 0) for given in ("both", "first", "second")]
        agreeing = [("finetuned", ""), ("rag", ""), ("rag", "_old")] if repeats else []
        for arm, index in agreeing:
            if arm in arms:
                asked += [(arm, f"reworded{index}", n) for n in range(len(REWORDINGS))]
                asked += [(arm, f"repeated{index}", n) for n in range(repeats)]
        if "finetuned" in arms:
            asked += [("finetuned", "sampled", n) for n in range(samples)]
        return [(*cell, seed) for cell in asked for seed in self.grid.seeds_of(cell[0])]

    def key(self, arm: str, probe: str, number: int, seed: int) -> str:
        """Return the key of a cell."""
        what = {"cell": "probe", "version": VERSION, "probe": probe, "number": number}
        return content_key({**what, "grid": self.grid.key(arm, seed)}, seed=seed)

    def compute(
        self, arm: str, probe: str, number: int, seed: int
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Ask one arm one set of questions in one way, and judge the answers."""
        built, questions = self._asked(arm, probe, number, seed)
        answers = built.answer(questions)
        day = self.task.day
        frame = answers_frame(
            questions, answers, self.grid.book, arm=arm, day=day, condition=probe, seed=seed
        )
        causes = trace(built, questions, answers)["cause"] if probe in PROBES else None
        return frame.assign(number=number, cause=causes), {}

    def _asked(self, arm: str, probe: str, number: int, seed: int) -> tuple[Arm, list[Question]]:
        name = probe.removesuffix("_old")
        built = self.grid.prepared(arm, seed)
        if probe != name:
            built.library = copy.copy(built.library)
            built.library.as_of = False  # the index keeps every version, and shows any
        if name == "reworded":
            return built, self.questions.worded(REWORDINGS[number])
        if name == "repeated":
            built.decoding = replace(
                built.decoding, temperature=REPEAT_TEMPERATURE, seed=1 + number
            )
            return built, self.questions.of("asked")
        if name == "sampled":
            built.decoding = replace(
                built.decoding, temperature=SAMPLE_TEMPERATURE, seed=1 + number
            )
            return built, self.questions.of("asked") + self.questions.of("neighbours")
        if name.startswith("two_hop_"):
            questions = self.questions.of("two_hop")
            return self._given(questions, name.removeprefix("two_hop_")), questions
        return built, self.questions.of(name)

    def _given(self, questions: Sequence[Question], which: str) -> Arm:
        """Return RAG that is handed both documents of a two-hop question, or one of them."""
        from ragft.arms.given import Given
        from ragft.chunking import chunk

        by_id, shown = self.task.corpus.by_id, {}
        for question in questions:
            passages = chunk([by_id[i] for i in question.supporting], strategy="whole")
            parts = {"both": passages, "first": passages[:1], "second": passages[1:]}
            shown[question.id] = parts[which]
        return Given(passages=shown, **self.grid.decoding())


def _summed_up(
    frames: Sequence[pd.DataFrame], sizes: Profile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    from ragft.evaluation.tracing import causes

    answers = pd.concat(frames, ignore_index=True)
    where = ["arm", "condition", "number", "seed", "question_id", "cluster", "text"]
    rated = scored(answers, [*where, "completion_tokens", "entropy", "logprob", "cause"])
    # named also where no arm was asked again, which leaves nothing to agree
    rated = pd.concat([rated.assign(agreement=math.nan), *_agreements(rated)], ignore_index=True)
    once = rated[~rated["condition"].str.match("reworded|repeated|sampled")]
    traced = causes(answers[answers["condition"].isin(PROBES)], ("arm", "condition"))
    return answers, {
        "summary": effects.summary(once, ["arm", "condition"], MEASURES, sizes),
        "quantities": quantities(rated, sizes),
        "risk": risk_curves(Rated(rated, sizes)),
        "causes": traced.to_dict("records"),
    }


def _agreements(rated: pd.DataFrame) -> list[pd.DataFrame]:
    """Return frames of a row a question: the agreement of its answers over wordings and repeats.

    The conditions are 'agreement' and 'agreement_old' (old versions in the index); the
    agreement over wordings alone and over repeats alone stands under names of its own.
    """
    from ragft.evaluation.consistency import agreement

    found = []
    for ending in ("", "_old"):
        ways = {
            "agreement": ("reworded", "repeated"),
            "agreement_reworded": ("reworded",),
            "agreement_repeated": ("repeated",),
        }
        for name, kinds in ways.items():
            mine = rated[rated["condition"].isin([f"{kind}{ending}" for kind in kinds])]
            keys = ["arm", "seed", "question_id", "cluster"]
            if len(mine):
                texts = mine.groupby(keys, sort=False)["text"].agg(list).reset_index()
                texts["agreement"] = [agreement(t) for t in texts.pop("text")]
                found.append(texts.assign(condition=f"{name}{ending}", number=0))
    return found
