"""What all arms share: the protocol, decoding settings, and the way from question to answer.

An arm that asks a language model differs from the others in three things only: which
passages it shows, with which instruction, and with which adapter. Each arm's own file
says which; nothing here knows how answers are judged.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

from ragft import models, prompts
from ragft.corpora.corpus import Corpus
from ragft.types import Answer, Changes, Example, Hit, Passage, Question, RagftError, RefreshCost

if TYPE_CHECKING:
    from pathlib import Path

    from ragft.generation.base import CompletesPrompts, Completion


class Arm(Protocol):
    """One way of answering; all arms are interchangeable."""

    name: str
    teaches: str
    """What its examples teach: '' (it does not train), 'facts', 'other_facts', 'reading'."""

    def prepare(self, corpus: Corpus, examples: Sequence[Example] = ()) -> RefreshCost:
        """Index, train, or whatever the arm needs before its first answer."""
        ...

    def refresh(self, changes: Changes) -> RefreshCost:
        """Take in what changed, as far as this kind of arm can."""
        ...

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer as of each question's `asked_on`; one answer a question, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Decoding:
    """How completions are drawn: the same for all arms of a comparison."""

    max_new_tokens: int = 48
    batch_size: int = 32
    temperature: float = 0.0
    """0 is greedy."""
    seed: int = 0


class ModelArm:
    """An arm that asks a language model; on its own it shows no passages.

    Parameters
    ----------
    model : CompletesPrompts or str or path
        A loaded model, 'embedded', 'resident', a Hugging Face id, a folder, or the URL of a
        server.
    adapter : path, optional
        A trained adapter to answer with; on a server the name of a model.
    instructions : sequence of str
        Sentences added to the instruction, such as `prompts.NEWEST`.
    decoding : Decoding
    """

    name = ""
    instruction = prompts.CLOSED
    ordered = True
    """Whether passages are shown in order of date; else in the order found."""
    teaches = ""

    def __init__(
        self,
        model: CompletesPrompts | str | Path = "embedded",
        *,
        adapter: str | Path | None = None,
        instructions: Sequence[str] = (),
        decoding: Decoding | None = None,
    ) -> None:
        self._model = model
        self.adapter = adapter
        self._tuned: tuple[str | Path, CompletesPrompts] | None = None
        self.instructions = tuple(instructions)
        self.decoding = decoding or Decoding()
        self.dropped = 0
        """Passages left out because a prompt would not have fitted the model's context."""
        self.said: dict[tuple, Completion] | None = None
        """Greedy completions by adapter and prompt, where an experiment shares one dict between
        arms that ask the same thing again and again; None: every prompt is completed anew."""

    @property
    def model(self) -> CompletesPrompts:
        """The base model, loaded when first needed."""
        if not hasattr(self._model, "generate"):
            from ragft.generation.catalog import load_model

            self._model = load_model(self._model)
        return self._model

    @property
    def remote(self) -> bool:
        """Whether the model is on a server, where nothing can be trained."""
        return getattr(self._model, "remote", models.is_server(self._model))

    @property
    def reader(self) -> CompletesPrompts:
        """The model that answers: the base, or the base with this arm's adapter."""
        if not self.adapter:
            return self.model
        # Kept: giving a model an adapter checks every file of it.
        if self._tuned is None or self._tuned[0] != self.adapter:
            self._tuned = self.adapter, self.model.with_adapter(self.adapter)
        return self._tuned[1]

    def prepare(self, corpus: Corpus, examples: Sequence[Example] = ()) -> RefreshCost:
        """Do nothing: there is nothing to prepare."""
        return RefreshCost()

    def refresh(self, changes: Changes) -> RefreshCost:
        """Do nothing: what the model knows stays as it is."""
        return RefreshCost()

    def find(self, questions: Sequence[Question], timings: dict[str, float]) -> list[list[Hit]]:
        """Return the passages to show for each question, best first."""
        return [[] for _ in questions]

    def demonstrations(self, question: Question) -> Sequence[tuple[str, str]]:
        """Return few-shot demonstrations for a question."""
        return ()

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question; an empty list gives an empty list.

        Raises
        ------
        RagftError
            A prompt does not fit the model's context even without passages.
        """
        timings: dict[str, float] = {}
        found, shown, texts = self._asked(questions, timings)
        said = self._complete(texts)
        shared = {stage: ms / len(questions) for stage, ms in timings.items()}
        return [
            _answer(completion, hits, passages, shared)
            for completion, hits, passages in zip(said, found, shown, strict=True)
        ]

    def stream(self, question: Question) -> Generator[str, None, Answer]:
        """Answer one question, giving the text as it comes; nothing is taken from `said`.

        Yields
        ------
        str
            Pieces of the completion; the first comes with the first token.

        Returns
        -------
        Answer
            What `answer` would have returned.

        Raises
        ------
        RagftError
            As for `answer`.
        """
        timings: dict[str, float] = {}
        found, shown, texts = self._asked([question], timings)
        options = asdict(self.decoding)
        del options["batch_size"]
        completion = yield from self.reader.stream(texts[0], **options)
        return _answer(completion, found[0], shown[0], timings)

    def _asked(
        self, questions: Sequence[Question], timings: dict[str, float]
    ) -> tuple[list[list[Hit]], list[list[Passage]], list[str]]:
        """Return what was found for every question, what is shown of it, and the prompts."""
        found = self.find(questions, timings)
        found = [self._fitting(q, hits) for q, hits in zip(questions, found, strict=True)]
        shown = [self._shown(hits) for hits in found]
        texts = [self._prompt(q, passages) for q, passages in zip(questions, shown, strict=True)]
        return found, shown, texts

    def _complete(self, texts: Sequence[str]) -> list[Completion]:
        """Complete prompts, without those whose completion is kept."""
        options = asdict(self.decoding)
        if self.said is None or self.decoding.temperature > 0:
            return self.reader.generate(texts, **options)
        keys = {text: (str(self.adapter), text, self.decoding) for text in texts}
        new = [text for text, key in keys.items() if key not in self.said]
        for text, completion in zip(new, self.reader.generate(new, **options), strict=True):
            self.said[keys[text]] = completion
        return [self.said[keys[text]] for text in texts]

    def _shown(self, hits: Sequence[Hit]) -> list[Passage]:
        passages = [hit.passage for hit in hits]
        return prompts.by_date(passages) if self.ordered else passages

    def _prompt(self, question: Question, passages: Sequence[Passage]) -> str:
        return prompts.for_model(
            self.model,
            question.text,
            passages,
            instruction=prompts.instruct(self.instruction, *self.instructions),
            demonstrations=self.demonstrations(question),
        )

    def _fitting(self, question: Question, hits: list[Hit]) -> list[Hit]:
        """Drop the worst hits until the prompt fits; count them, so that it is not silent."""
        if not hits or self._fits(question, hits):
            return hits
        # halved, not one by one: a server counts the tokens of every prompt that is tried
        kept = bisect_left(
            range(len(hits) - 1), True, key=lambda last: not self._fits(question, hits[: last + 1])
        )
        self.dropped += len(hits) - kept
        return hits[:kept]

    def _fits(self, question: Question, hits: Sequence[Hit]) -> bool:
        room = self.model.context_length - self.decoding.max_new_tokens
        text = self._prompt(question, self._shown(hits))
        # A token is at least one byte, so short prompts need no tokenising.
        if len(text.encode()) < room:
            return True
        # A server that does not count says itself what is too long; nothing is cut in silence.
        length = self.model.count_tokens(text)
        return length is None or length <= room


def _answer(
    completion: Completion, hits: list[Hit], passages: list[Passage], shared: dict[str, float]
) -> Answer:
    text, cited = prompts.parse(completion.text, passages)
    stages = {**shared, **completion.stage_ms}
    return Answer(
        text,
        cited,
        tuple(hits),
        stages,
        completion.prompt_tokens,
        completion.completion_tokens,
        completion.entropy,
        completion.logprob,
        completion.text,
    )


def no_examples(arm: ModelArm) -> RagftError:
    """Return the error for a trained arm that has neither adapter nor examples."""
    return RagftError(
        f"{arm.name}: give it examples to train on (prepare(corpus, examples)) or an adapter"
    )
