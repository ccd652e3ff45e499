"""The cells of the knowledge experiment: who is trained on what, and asked in which forms.

What is asked and taught is made in `knowledge_data`; what is made of the answers is decided in
`knowledge` and `knowledge_effects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ragft import models, prompts
from ragft.corpora.relations import BY_NAME
from ragft.evaluation.outcomes import FactBook
from ragft.experiments import knowledge_data, teaching_data
from ragft.experiments.evaluate import answers_frame
from ragft.experiments.grid import Grid, asking, training_notes
from ragft.experiments.knowledge_data import NEW
from ragft.experiments.tasks import Task, world_task
from ragft.profiles import Profile
from ragft.records import Records, content_key, sha256_json
from ragft.runtime import stopwatch
from ragft.training.from_questions import fact_examples
from ragft.types import Example, Question

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.base import ModelArm
    from ragft.arms.finetuned import Training
    from ragft.training.adapters import FinetuneResult

STORED, REWORDED = "stored", "tokens"
"""Texts in few or many wordings at equal steps; texts reworded ever more often at equal passes."""
PARTS: dict[str, str] = {
    "prompt": "prompt",
    "rag": "rag",
    "qa": "finetuned",
    "qa_1": "finetuned",
    "both": "finetuned_rag",
    "raw": "finetuned",
    "reworded": "finetuned",
}
"""Arms by what they are trained on: nothing, questions in all wordings or in one, the documents as
they stand, the documents in other wordings."""
ALL_FORMS = ("prompt", "rag", "qa", "qa_1")
"""Parts that are asked in every form; the others in a new wording alone."""
UNTRAINED = ("prompt", "rag")
COPIES = 6
"""Rewordings of a document, where it is trained in other wordings."""
STORING = 1.5
"""Steps of a training on stored texts, over those of a training on facts."""
PASSES = 4
"""Over reworded texts, however many there are."""
VERSION = 1
"""Raised when the meaning of a cell changes, so that older cells are not reused."""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    parts: tuple[str, ...]
    """Of `PARTS`."""
    facts: int
    """Taught and asked, of every kind."""
    wordings: tuple[int, ...]
    """In how many a text is stored; () leaves this out."""
    copies: tuple[int, ...]
    """Rewordings of a text; () leaves this out."""

    def cells(self, seeds: Sequence[int]) -> list[tuple[str, int, int]]:
        """Return (part, number of wordings or copies, seed)."""
        stored = [(STORED, n) for n in self.wordings] + [(REWORDED, n) for n in self.copies]
        parts = [(part, 0) for part in self.parts] + stored
        return [(*p, s) for p in parts for s in (seeds[:1] if p[0] in UNTRAINED else seeds)]


class Work:
    """The cells of one knowledge experiment: their keys, and what computing one takes."""

    def __init__(self, plan: Plan, sizes: Profile, records: Records) -> None:
        self.plan, self.sizes, self.records = plan, sizes, records
        self.grid = Grid(world_task(sizes, plan.facts), sizes, records, timed=0)
        self._trained: dict[tuple[str, int, int], FinetuneResult] = {}

    def key(self, part: str, number: int, seed: int) -> str:
        """Return the key of a cell: all that its answers depend on."""
        what: dict[str, Any] = {"cell": "knowledge", "version": VERSION, "part": part}
        if part in (STORED, REWORDED):
            task = self.task(part)
            said = sha256_json([relation.statements for relation in BY_NAME.values()])
            what |= {"copies": number, "statements": said, "asked": asking(self.sizes)}
            what |= {"training": asdict(self._settings(part, seed))}
            hashed = {"corpus": task.content_hash, "model": self.grid.model_hash}
            return content_key(what, **hashed, seed=seed)
        forms = [[q.text for q in asked] for asked in self.forms(part).values()]
        what |= {"forms": sha256_json(forms), "grid": self.grid.key(PARTS[part], seed)}
        if part == "reworded":
            what["copies"] = COPIES
        return content_key(what, seed=seed)

    @cached_property
    def _stored(self) -> dict[str, Task]:
        kinds, sizes = {STORED: "unseen", REWORDED: "seen"}, self.sizes
        return {
            part: knowledge_data.stored_task(kind, self.plan.facts, sizes.wordings)
            for part, kind in kinds.items()
        }

    def task(self, part: str) -> Task:
        """Return the task that a part asks."""
        return self._stored[part] if part in (STORED, REWORDED) else self.grid.task

    def forms(self, part: str) -> dict[str, list[Question]]:
        """Return what a part is asked, by form."""
        if part in (STORED, REWORDED):
            return {NEW: list(self.task(part).asked)}
        forms = knowledge_data.ways_of_asking(self.grid.task)
        return forms if part in ALL_FORMS else {NEW: forms[NEW]}

    def compute(self, part: str, number: int, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Train and ask one arm, and judge its answers."""
        import pandas as pd

        place = {"part": part, "copies": number, "seed": seed}
        with stopwatch() as watch:
            reader, book = self._reader(part, number, seed), FactBook(self.task(part).corpus.facts)
            arm = PARTS.get(part, "finetuned")
            frames = [
                answers_frame(asked, reader.answer(asked), book, arm=arm, condition=form, seed=seed)
                for form, asked in self.forms(part).items()
            ]
        frame = pd.concat(frames, ignore_index=True).assign(**place)
        notes = {**place, "seconds": watch.seconds}
        if part in UNTRAINED:
            return frame, notes
        if number:
            notes["text_tokens"] = self._text_tokens(part, number)
        examples = self._examples(part, number)
        trained, asked = self._train(part, number, seed), self.forms(part)[NEW]
        return frame, {**notes, **training_notes(trained, examples, asked)}

    def _reader(self, part: str, number: int, seed: int) -> ModelArm:
        if part == "rag":
            return self.grid.prepared("rag", seed)
        adapter = None if part == "prompt" else self._train(part, number, seed).adapter
        if part == "both":
            built = self.grid.build("finetuned_rag", seed)
            built.adapter = adapter
            built.prepare(self.grid.task.corpus)
            return built
        from ragft.arms.given import Given

        options = self.grid.decoding()
        return Given(passages={}, instruction=prompts.CLOSED, adapter=adapter, **options)

    def _train(self, part: str, number: int, seed: int) -> FinetuneResult:
        from ragft.arms.finetuned import train

        part = "qa" if part == "both" else part
        key = (part, number, seed)
        if key not in self._trained:
            settings = self._settings(part, seed)
            self._trained[key] = train(self.grid.model, self._examples(part, number), settings)
        return self._trained[key]

    def _settings(self, part: str, seed: int) -> Training:
        """Return how a part is trained: the profile's way, or by steps or passes alone."""
        settings = self.grid.training(seed)
        if part == STORED:
            return replace(settings, epochs=1, min_steps=round(STORING * settings.min_steps))
        if part == REWORDED:
            return replace(settings, epochs=min(PASSES, settings.epochs), min_steps=1)
        return settings

    def _examples(self, part: str, number: int) -> list[Example]:
        model, task = self.grid.model, self.task(part)
        if part in (STORED, REWORDED):
            texts = knowledge_data.stored_texts(task, number)
            return [*texts, *fact_examples(model, task.taught)]
        if part == "raw":
            return teaching_data.raw_examples(task)
        if part == "reworded":
            return teaching_data.reworded_examples(task, COPIES)
        if part == "qa_1":
            return fact_examples(model, knowledge_data.one_wording(task.taught))
        return self.grid.examples("facts")

    def _text_tokens(self, part: str, number: int) -> int:
        """Return the tokens of the texts that a part stores, counted once."""
        examples = knowledge_data.stored_texts(self.task(part), number)
        texts = [example.prompt + example.completion for example in examples]
        return sum(map(len, models.prompt_tokens(self.grid.model.tokenizer, texts)))
