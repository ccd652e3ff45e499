"""The leakage check: does training contain what will be asked?

Knowledge arms train on the facts that are asked, but never on the wordings; skill arms train on
neither. Whether an overlap is meant is decided by the experiment that reads the report.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ragft.types import Example, Question

_KEY = 3  # words by which a question is looked up in a prompt


@dataclass(frozen=True, slots=True)
class Leakage:
    """What training examples and asked questions have in common."""

    examples: int
    questions: int
    exact: tuple[tuple[int, str], ...]
    """Number of the example (from 0) and id of the question whose text its prompt holds."""
    normalised: tuple[tuple[int, str], ...]
    """The same, without regard to case, punctuation and white space; holds the exact ones too."""
    subjects: tuple[str, ...]
    """Subjects of examples that are also asked about; none are allowed for a skill arm."""

    @property
    def wordings_clean(self) -> bool:
        """Whether no question is asked in words that were trained on."""
        return not self.normalised

    @property
    def subjects_clean(self) -> bool:
        """Whether no subject is asked about that was trained on."""
        return not self.subjects

    def __str__(self) -> str:
        asked = len({question for _, question in self.normalised})
        exact = len({question for _, question in self.exact})
        return (
            f"{asked} of {self.questions} questions occur in the {self.examples} training prompts "
            f"({exact} word for word); {len(self.subjects)} shared subjects"
        )


def leakage(train: Sequence[Example], questions: Sequence[Question]) -> Leakage:
    """Compare training examples with the questions that will be asked.

    A question occurs in a prompt when its words stand there in a row, wherever in the prompt:
    after the instruction, behind passages, or in a chat template.

    Parameters
    ----------
    train : sequence of Example
        May be empty: then nothing leaks.
    questions : sequence of Question

    Examples
    --------
    >>> train = [Example("Question: Who leads  TARMO?\\nAnswer:", " Ida", "Tarmo")]
    >>> found = leakage(train, [Question("q1", "Who leads Tarmo?", subject="Velka")])
    >>> found.exact, found.normalised, found.subjects
    ((), ((0, 'q1'),), ())
    """
    by_start: dict[tuple[str, ...], list[tuple[list[str], Question]]] = defaultdict(list)
    for question in questions:
        words = _words(question.text)
        if words:
            by_start[tuple(words[:_KEY])].append((words, question))
    exact, normalised = [], []
    for number, example in enumerate(train):
        for question in _contained(_words(example.prompt), by_start):
            normalised.append((number, question.id))
            if question.text in example.prompt:
                exact.append((number, question.id))
    asked = {_name(question.subject) for question in questions if question.subject}
    shared = {example.subject for example in train if _name(example.subject) in asked}
    return Leakage(
        len(train), len(questions), tuple(exact), tuple(normalised), tuple(sorted(shared))
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


def _name(text: str) -> str:
    return " ".join(text.casefold().split())


def _contained(
    prompt: list[str], by_start: dict[tuple[str, ...], list[tuple[list[str], Question]]]
) -> list[Question]:
    """Return the questions whose words stand in a row in the prompt, each once."""
    found: dict[int, Question] = {}
    sizes = {len(start) for start in by_start}
    for place in range(len(prompt)):
        for size in sizes:
            for words, question in by_start.get(tuple(prompt[place : place + size]), ()):
                if prompt[place : place + len(words)] == words:
                    found[id(question)] = question
    return list(found.values())
