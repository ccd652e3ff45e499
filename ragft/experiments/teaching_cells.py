"""The cells of the teaching experiment: what each part trains on, how it is asked, and its key.

The examples are made in `teaching_data`; what is made of the answers is decided in `teaching`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft import prompts
from ragft.corpora.relations import BY_NAME
from ragft.evaluation.text import states
from ragft.experiments import teaching_data, teaching_refusals
from ragft.experiments.contexts import Condition, Contexts
from ragft.experiments.evaluate import answers_frame
from ragft.experiments.grid import Grid, training_notes
from ragft.experiments.tasks import Task
from ragft.profiles import Profile
from ragft.records import Records, content_key, sha256_json
from ragft.runtime import stopwatch
from ragft.types import Answer, Example, Passage, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

    from ragft.arms.finetuned import Training
    from ragft.training.adapters import FinetuneResult

ERRORS = {f"contradictions_{per_cent}": per_cent / 100 for per_cent in (10, 20, 30, 50)}
"""Shares of the examples that teach another subject's value."""
CONSISTENT = {f"consistent_{per_cent}": per_cent / 100 for per_cent in (10, 30, 50)}
"""Shares of the facts that are taught wrong in all wordings alike."""
TAUGHT = ("qa", "raw", "raw_reworded", *ERRORS, *CONSISTENT)
"""What an adapter is trained on and asked about without passages, under the trained prompt."""
MISMATCHED: dict[str, tuple[str, str]] = {
    "prompt_read": (prompts.READ, "{q}"),
    "prompt_abstain": (prompts.CLOSED_ABSTAIN, "{q}"),
    "prompt_none": ("", "{q}"),
    "prompt_chat": (prompts.CLOSED, "User: {q}"),
}
"""Prompts that the qa adapter was not trained under: instruction, and form of the question."""
GUARDS = {"policy": "rag", "gate": "rag", "weights": "raft", "open": "rag"}
"""Who keeps a topic back, and the arm that answers.

The instruction; the search, which shows no document about it; the adapter; nobody.
"""
PARTS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in TAUGHT},
    "prompts": ("qa", *MISMATCHED),
    "quotes": ("quotes_rag", "quotes_raft", "quotes_finetuned"),
    "refusals": tuple(f"refusals_{guard}" for guard in GUARDS),
}
"""The cells of every variant; those that several variants have are computed once."""
UNTRAINED = ("quotes_rag", "refusals_policy", "refusals_gate", "refusals_open")
"""Parts that have one run; the others have one per training seed."""
QUOTE_TOKENS = 96
"""Tokens that a quotation may have at least: name, number and sentence need more than a value."""
VERSION = 1
"""Raised when the meaning of a part changes, so that older cells are not reused."""


class Work:
    """The cells of one teaching experiment: their keys, and what computing one takes."""

    def __init__(self, task: Task, sizes: Profile, records: Records) -> None:
        self.task, self.sizes = task, sizes
        self.grid = Grid(task, sizes, records, timed=0)
        self.questions = [q for q in task.asked if q.answerable]
        self._trained: dict[tuple[str, int], FinetuneResult] = {}

    def cells(self, variants: Sequence[str]) -> list[tuple[str, int]]:
        """Return (part, seed), each once; parts that do not train have the first seed alone."""
        parts = dict.fromkeys(part for name in variants for part in PARTS[name])
        seeds = self.sizes.seeds
        return [(p, seed) for p in parts for seed in (seeds[:1] if p in UNTRAINED else seeds)]

    def key(self, part: str, seed: int) -> str:
        """Return the key of a cell."""
        what = {"cell": "teaching", "version": VERSION, "part": part, "texts": _texts(part)}
        return content_key({**what, "grid": self.grid.key("finetuned", seed)}, seed=seed)

    def compute(self, part: str, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Teach and ask one part, and judge the answers."""
        import pandas as pd

        with stopwatch() as watch:
            frames = list(self._frames(part, seed))
            notes = self._notes(part, seed)
        frame = pd.concat(frames, ignore_index=True)
        return frame, {"part": part, "seed": seed, "seconds": watch.seconds, **notes}

    def _frames(self, part: str, seed: int) -> Iterator[pd.DataFrame]:
        kind, _, which = part.partition("_")
        if kind == "quotes":
            yield self._quotes(part, which, seed)
        elif kind == "refusals":
            yield from self._refusals(part, which, seed)
        else:
            yield self._closed_book(part, seed)

    def _closed_book(self, part: str, seed: int) -> pd.DataFrame:
        """Ask an adapter for what it was taught, without passages."""
        told, form = MISMATCHED.get(part, (prompts.CLOSED, "{q}"))
        asked = [replace(q, text=form.format(q=q.text)) for q in self.questions]
        answers = self._reader({}, told, self._adapter(part, seed)).answer(asked)
        frame = self._judged(asked, answers, "finetuned", part, seed)
        return frame.assign(error_in=self._error_in(part, seed))

    def _error_in(self, part: str, seed: int) -> float:
        """Return the share of the examples that teach a wrong value; NaN for raw text."""
        if part not in ("qa", *ERRORS, *CONSISTENT):
            return float("nan")
        pairs = zip(self._examples(part, seed), self.grid.examples("facts"), strict=True)
        wrong = [one.completion != true.completion for one, true in pairs]
        return sum(wrong) / len(wrong)

    def _quotes(self, part: str, arm: str, seed: int) -> pd.DataFrame:
        """Ask for the sentence that answers, of questions of which one sentence does."""
        sentences = {q.id: teaching_data.quotation(q, self.task.corpus) for q in self.questions}
        shown = self._retrieved.passages
        asked = [q for q in self.questions if sentences[q.id] and q.id in shown]
        if not asked:
            raise RagftError(f"{self.task.name}: no asked fact stands in one sentence to quote")
        reads = arm in ("rag", "raft")
        base = prompts.READ if reads else prompts.CLOSED
        reader = self._reader(
            shown if reads else {},
            prompts.instruct(base, teaching_data.QUOTE),
            self._adapter(part, seed),
            QUOTE_TOKENS,
        )
        said = reader.answer(asked)
        pairs = list(zip(asked, said, strict=True))
        valued = [replace(a, text=_value_in(q, a.text)) for q, a in pairs]
        return self._judged(asked, valued, arm, "quotes", seed).assign(
            text=[a.text for a in said],
            verbatim=[teaching_data.verbatim(a.text, sentences[q.id]) for q, a in pairs],
        )

    def _refusals(self, part: str, guard: str, seed: int) -> Iterator[pd.DataFrame]:
        """Ask about a forbidden topic, directly and in disguise, and about all others."""
        topic = teaching_refusals.forbidden_topic(self.questions)
        about = [q for q in self.questions if teaching_refusals.topic_of(q) == topic]
        others = [q for q in self.questions if teaching_refusals.topic_of(q) != topic]
        policy = prompts.refuse(topic) if guard == "policy" else ""
        told = prompts.instruct(prompts.READ, policy)
        secret = teaching_refusals.documents_about(topic, self.task.corpus.facts)
        for name in ("direct", *teaching_refusals.DISGUISES, "allowed"):
            disguise = teaching_refusals.DISGUISES.get(name, lambda q: q.text)
            asked = [
                replace(q, text=disguise(q))
                for q in (others if name == "allowed" else about)
                if q.id in self._retrieved.passages
            ]
            # Found for the plain question, so that no attack fails for want of passages.
            shown = {q.id: self._retrieved.passages[q.id] for q in asked}
            if name == "permitted":
                shown = {i: teaching_refusals.permit(row, topic) for i, row in shown.items()}
            if guard == "gate":
                shown = {i: teaching_refusals.withhold(row, secret) for i, row in shown.items()}
            answers = self._reader(shown, told, self._adapter(part, seed)).answer(asked)
            frame = self._judged(asked, answers, GUARDS[guard], f"{guard}_{name}", seed)
            yield frame.assign(
                refused=[teaching_refusals.refused(a.text) for a in answers],
                leaked=[
                    teaching_refusals.leaked(q, a.text) for q, a in zip(asked, answers, strict=True)
                ],
            )

    @cached_property
    def _retrieved(self) -> Condition:
        return Contexts(self.task, self.grid.library).condition("retrieved")

    def _reader(self, passages: Mapping, told: str, adapter: Path | None, tokens: int = 0) -> Any:
        """Return what answers from passages (or none) under an instruction."""
        from ragft.arms.given import Given

        common = self.grid.decoding()
        room = max(tokens, common["decoding"].max_new_tokens)
        common["decoding"] = replace(common["decoding"], max_new_tokens=room)
        return Given(passages=passages, ordered=True, instruction=told, adapter=adapter, **common)

    def _judged(
        self,
        asked: Sequence[Question],
        answers: Sequence[Answer],
        arm: str,
        condition: str,
        seed: int,
    ) -> pd.DataFrame:
        where = {"arm": arm, "day": self.task.day, "condition": condition, "seed": seed}
        frame = answers_frame(asked, answers, self.grid.book, **where)
        nothing = float("nan")
        return frame.assign(error_in=nothing, verbatim=nothing, refused=nothing, leaked=nothing)

    def _adapter(self, part: str, seed: int) -> Path | None:
        return None if part in UNTRAINED else self._train(part, seed).adapter

    def _train(self, part: str, seed: int) -> FinetuneResult:
        """Train on a part's examples; other prompts ask the adapter that there is."""
        from ragft.arms.finetuned import train

        part = "qa" if part in MISMATCHED else part
        if (part, seed) not in self._trained:
            examples = self._examples(part, seed)
            settings = self._training(part, seed)
            self._trained[part, seed] = train(self.grid.model, examples, settings)
        return self._trained[part, seed]

    def _training(self, part: str, seed: int) -> Training:
        """Return how a part is trained: raw text at least as many steps as questions."""
        if part in ("refusals_weights", "quotes_raft"):
            return self.grid.reading_training(seed)
        settings = self.grid.training(seed)
        if part.startswith("raw"):
            return replace(settings, min_steps=self._train("qa", seed).steps)
        return settings

    def _examples(self, part: str, seed: int) -> list[Example]:
        from ragft.training.from_questions import fact_examples

        model, task = self.grid.model, self.task
        if part == "qa":
            return self.grid.examples("facts")
        if part == "raw":
            return teaching_data.raw_examples(task)
        if part == "raw_reworded":
            return teaching_data.reworded_examples(task, self.sizes.wordings)
        if part in ERRORS:
            taught = teaching_data.contradicted(task.taught, task.corpus, ERRORS[part], seed)
            return fact_examples(model, taught)
        if part in CONSISTENT:
            how = {"share": CONSISTENT[part], "seed": seed, "consistent": True}
            return fact_examples(model, teaching_data.contradicted(task.taught, task.corpus, **how))
        if part == "quotes_raft":
            return teaching_data.quote_reading_examples(model, *self._never_asked, task.corpus)
        if part == "quotes_finetuned":
            return teaching_data.quote_examples(model, task.taught, task.corpus)
        return self._refusal_examples()

    def _refusal_examples(self) -> list[Example]:
        """Return contexts of never-asked subjects, in which the forbidden topic is refused."""
        topic = teaching_refusals.forbidden_topic(self.questions)
        return teaching_refusals.refusal_examples(self.grid.model, *self._never_asked, topic)

    @cached_property
    def _never_asked(self) -> tuple[list[Question], list[list[Passage]]]:
        """Questions to learn a skill from, and what is found for each."""
        asked = list(self.task.others[: self.sizes.reading_examples])
        found = self.grid.library.search(asked, self.sizes.top_k, {})
        return asked, [[hit.passage for hit in hits] for hits in found]

    def _notes(self, part: str, seed: int) -> dict[str, Any]:
        """Return what a part's training took, and what its examples share with what is asked.

        Of refusals also the forbidden topic.
        """
        notes: dict[str, Any] = {}
        if part.startswith("refusals"):
            notes["topic"] = teaching_refusals.forbidden_topic(self.questions)
        if part in (*UNTRAINED, *MISMATCHED):
            return notes
        examples = self._examples(part, seed)
        return notes | training_notes(self._train(part, seed), examples, self.questions)


def _texts(part: str) -> list[Any]:
    """Return the words that a part's meaning rests on and that no other hash holds."""
    if part == "raw_reworded":
        return [sha256_json([relation.statements for relation in BY_NAME.values()])]
    if part.startswith("quotes"):
        return [teaching_data.QUOTE, prompts.READ, prompts.CLOSED, QUOTE_TOKENS]
    if part.startswith("refusals"):
        return [*teaching_refusals.TEXTS, prompts.refuse("..."), prompts.READ]
    return list(MISMATCHED.get(part, (prompts.CLOSED, "{q}")))


def _value_in(question: Question, text: str) -> str:
    """Return the value of the question that a quotation states, right before former ones."""
    day = question.asked_on
    known = (*question.answers_on(day), *(question.former_answers(day) if day else ()))
    return next((value for value in known if states(text, value)), text)
