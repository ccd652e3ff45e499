"""The cells of the forgetting experiment: how each method is trained, and what is asked then.

What is made of the answers is decided in `forgetting` and `forgetting_effects`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ragft import prompts
from ragft.corpora.relations import BY_NAME
from ragft.evaluation.outcomes import FactBook
from ragft.evaluation.text import same_value
from ragft.experiments.evaluate import answers_frame
from ragft.experiments.grid import Grid, training_notes
from ragft.experiments.known_data import PROBED, all_facts, resident_world
from ragft.experiments.tasks import world_task
from ragft.profiles import Profile
from ragft.records import Records, content_key, sha256_json
from ragft.runtime import stopwatch
from ragft.training.from_questions import fact_examples
from ragft.types import Example, Passage, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.base import ModelArm
    from ragft.arms.finetuned import Training
    from ragft.training.adapters import FinetuneResult


class Method(NamedTuple):
    """A way of training, and how fast."""

    method: str
    """As `finetune` knows it."""
    rank: int
    rate: float
    """Peak learning rate, in units of the profile's (which is LoRA's for facts)."""


METHODS: dict[str, Method] = {
    "full": Method("full", 32, 1 / 40),
    "lora": Method("lora", 32, 1 / 8),
    "lora_4": Method("lora", 4, 1 / 2),
    "qlora": Method("qlora", 32, 1 / 8),
    "prefix": Method("prefix", 32, 60.0),
    "prompt": Method("prompt", 32, 60.0),
}
"""All methods, in the order of tables and figures.

Rates: in steps of two, the lowest at which 30 passes taught nine of ten of 30 facts of a world that
no experiment uses; where none did (prompt tuning), the one that taught most. At the profile's own
rate, which is meant to teach many facts quickly, LoRA forgets nearly all that it knew."""
REHEARSED = ("full", "lora")
"""Methods that are also trained with rehearsal."""
BASE, RAG = "base", "rag"
"""The model as it comes; the same reading the passages of the new facts."""
NEW, CONTROL, READING = "new", "control", "reading"
"""What is asked: the new facts; facts that the model knew before, none of them trained; the new
facts with the passages that retrieval finds, which takes the skill of reading."""
REHEARSAL = 0.5
"""Known facts rehearsed for every new one, of subjects that the control never asks about."""
POPULAR = 0.4
"""Share of the subjects that may be asked as control: those that pretraining told most about."""
BLOCK = 30
"""Subjects asked about at once."""
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    methods: tuple[str, ...]
    passes: tuple[int, ...]
    """Over the new facts, rising; each is a whole training of its own."""
    facts: int
    """New facts, taught and asked."""
    control: int
    """Known facts asked, at most."""

    def cells(self, seeds: Sequence[int]) -> list[tuple[str, bool, int, int]]:
        """Return (method, rehearsal, passes, seed); what does not train has the first seed."""
        trained = [
            (method, rehearsal, passes, seed)
            for method in self.methods
            for rehearsal in ((False, True) if method in REHEARSED else (False,))
            for passes in self.passes
            for seed in seeds
        ]
        return [(BASE, False, 0, seeds[0]), (RAG, False, 0, seeds[0]), *trained]


class Work:
    """The cells of one forgetting experiment: their keys, and what computing one takes."""

    def __init__(self, plan: Plan, sizes: Profile, records: Records) -> None:
        self.plan, self.sizes, self.records = plan, sizes, records
        self.world = resident_world()
        self.grid = Grid(world_task(sizes, plan.facts), sizes, records, timed=0)
        self.new = [q for q in self.grid.task.asked if q.answerable]
        self._trained: dict[tuple, FinetuneResult] = {}

    def key(self, method: str, rehearsal: bool, passes: int, seed: int) -> str:
        """Return the key of a cell: all that its answers depend on."""
        arm = RAG if method == RAG else "finetuned" if passes else "prompt"
        what = {"cell": "forgetting", "version": VERSION, "grid": self.grid.key(arm, seed)}
        what |= {"control": [self._control_hash, self.plan.control, POPULAR, BLOCK]}
        if passes:
            what["training"] = asdict(self.training(method, passes, seed))
            what["rehearsal"] = REHEARSAL if rehearsal else 0
        return content_key(what, seed=seed if passes else None)

    @cached_property
    def _control_hash(self) -> str:
        words = [[r.name, r.statements, r.questions] for r in BY_NAME.values()]
        return sha256_json([str(self.world), words])

    @cached_property
    def _known(self) -> list[Question]:
        """What the model knows of its most popular subjects, in an order drawn by subject.

        Known is what it answers rightly, without passages, in both probing wordings. Less popular
        subjects are only asked about until enough is known.
        """
        worlds = [all_facts(self.world, n) for n in PROBED]
        popular, known = round(POPULAR * self.world.subjects), []
        wanted = self.plan.control + round(REHEARSAL * len(self.new))
        for start in range(0, popular, BLOCK):
            block = range(start, min(start + BLOCK, popular))
            names = {self.world.subject(n).name for n in block}
            probed = [[q for q in asked if q.subject in names] for asked in worlds]
            right = [self._right(questions) for questions in probed]
            known += [q for q, *both in zip(probed[0], *right, strict=True) if all(both)]
            if len(known) >= wanted:
                break
        if len({q.subject for q in known}) < 2:
            raise RagftError(
                f"forgetting: the model knows {len(known)} facts of the world that 'resident' was "
                "taught, so that it has nothing to forget; start from model='resident'"
            )
        return sorted(known, key=lambda q: random.Random(f"control {q.subject}").random())

    def _right(self, questions: Sequence[Question]) -> list[bool]:
        answers = self._reader(BASE, None).answer(questions)
        pairs = zip(questions, answers, strict=True)
        return [same_value(a.text, q.answers_on(q.asked_on)[0]) for q, a in pairs]

    @cached_property
    def control(self) -> list[Question]:
        """Known facts in a wording that no training uses; two thirds of the known at most."""
        kept = self._known[: min(self.plan.control, 2 * len(self._known) // 3)]
        held_out = {q.id: q for q in all_facts(self.world, "held_out")}
        return [held_out[q.id] for q in kept]

    @cached_property
    def _rehearsed(self) -> list[Question]:
        """Known facts about other subjects than the control's, in every training wording."""
        kept = {q.subject for q in self.control}
        others = [q.id for q in self._known if q.subject not in kept]
        ids = others[: round(REHEARSAL * len(self.new))]
        worded = ({q.id: q for q in all_facts(self.world, n)} for n in range(self.sizes.wordings))
        return [questions[i] for questions in worded for i in ids]

    def compute(
        self, method: str, rehearsal: bool, passes: int, seed: int
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Train a method, ask for what is new and for what was known, and judge the answers."""
        import pandas as pd

        place = {"tuning": method, "rehearsal": rehearsal, "passes": passes, "seed": seed}
        with stopwatch() as watch:
            trained = self._train(method, rehearsal, passes, seed) if passes else None
            frames = list(self._frames(method, trained, seed))
        frame = pd.concat(frames, ignore_index=True).assign(**place)
        notes = {**place, "seconds": watch.seconds}
        if trained is None:
            return frame, notes
        examples = self._examples(rehearsal)
        counted = {
            "trainable": trained.trainable,
            "total": trained.total,
            "bytes": trained.adapter_bytes,
            "peak_memory_mb": trained.peak_memory_mb,
        }
        asked = [*self.new, *self.control]
        return frame, {**notes, **counted, **training_notes(trained, examples, asked)}

    def _frames(
        self, method: str, trained: FinetuneResult | None, seed: int
    ) -> Iterator[pd.DataFrame]:
        known, book = self._known_book, self.grid.book
        closed = self._reader(method, trained)
        asked = {NEW: (closed, self.new, book), CONTROL: (closed, self.control, known)}
        if method != RAG:
            asked[READING] = (self._reader(method, trained, self._found), self.new, book)
        arm = RAG if method == RAG else "finetuned" if trained else "prompt"
        for condition, (reader, questions, facts) in asked.items():
            answers = reader.answer(questions)
            where = {"arm": arm, "condition": condition, "seed": seed}
            yield answers_frame(questions, answers, facts, **where)

    @cached_property
    def _known_book(self) -> FactBook:
        return FactBook(self.world.corpus().facts)

    @cached_property
    def _found(self) -> dict[str, list[Passage]]:
        found = self.grid.library.search(self.new, self.sizes.top_k, {})
        return {
            q.id: [hit.passage for hit in hits] for q, hits in zip(self.new, found, strict=True)
        }

    def _reader(
        self,
        method: str,
        trained: FinetuneResult | None,
        passages: Mapping[str, Sequence[Passage]] | None = None,
    ) -> ModelArm:
        """Return what answers: by a search, from passages handed over, or from the weights."""
        from ragft.arms.given import Given
        from ragft.generation.local import LocalModel

        if method == RAG:
            return self.grid.prepared(RAG, self.sizes.seeds[0])
        told = prompts.READ if passages else prompts.CLOSED
        options = self.grid.decoding() | {"passages": passages or {}, "instruction": told}
        if trained is None:
            return Given(**options)
        if METHODS[method].method != "full":
            return Given(adapter=trained.adapter, **options)
        sizes = self.sizes
        whole = LocalModel.load(trained.adapter, device=sizes.device, dtype=sizes.dtype)
        return Given(**{**options, "model": whole})

    def training(self, method: str, passes: int, seed: int) -> Training:
        """Return how a method is trained: whole passes at a rate of its own."""
        how, settings = METHODS[method], self.grid.training(seed)
        rank = min(how.rank, self.sizes.rank)
        return replace(
            settings,
            method=how.method,
            rank=rank,
            alpha=2 * rank,
            epochs=passes,
            min_steps=1,
            learning_rate=settings.learning_rate * how.rate,
        )

    def _train(self, method: str, rehearsal: bool, passes: int, seed: int) -> FinetuneResult:
        from ragft.arms.finetuned import train

        key = (method, rehearsal, passes, seed)
        if key not in self._trained:
            settings = self.training(method, passes, seed)
            self._trained[key] = train(self.grid.model, self._examples(rehearsal), settings)
        return self._trained[key]

    def _examples(self, rehearsal: bool) -> list[Example]:
        """Return the new facts in every wording, and with rehearsal known ones behind them."""
        examples = self.grid.examples("facts")
        if not rehearsal:
            return examples
        return [*examples, *fact_examples(self.grid.model, self._rehearsed)]
