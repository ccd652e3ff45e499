"""Personal data in examples: found by patterns before training, counted, and masked on request.

Names of people are not found: no pattern tells them. What is found is reported by place and
kind; its value is never kept and never printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ragft.training.patterns import KINDS, REGIONS, Span, spans
from ragft.training.rows import examples_hash
from ragft.types import Example, RagftError

Recogniser = Callable[[str], Iterable[Span]]
"""Text → (start, end, kind) of what it finds there; may overlap."""

FIELDS = ("prompt", "completion")
_PRESIDIO = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "IBAN_CODE": "IBAN",
    "CREDIT_CARD": "CARD",
    "IP_ADDRESS": "IP",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something personal stands. What it is, is not kept."""

    position: int
    """Of the example, counted from 0."""
    field: str
    """'prompt' or 'completion'."""
    start: int
    end: int
    """Offsets into the field, in characters."""
    kind: str
    """One of `patterns.KINDS`, or what a recogniser of your own calls it."""


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What was found in examples, in order of place; no two findings overlap."""

    examples: int
    """Examples searched."""
    findings: tuple[Finding, ...]
    examples_hash: str
    """Of the examples searched: findings say nothing about any others."""

    @property
    def counts(self) -> dict[str, int]:
        """Findings of each kind, the most frequent first; kinds without any are left out."""
        return dict(Counter(finding.kind for finding in self.findings).most_common())

    @property
    def positions(self) -> tuple[int, ...]:
        """Examples that hold something personal, each once, in order."""
        return tuple(dict.fromkeys(finding.position for finding in self.findings))

    def __str__(self) -> str:
        told = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        return (
            f"{len(self.findings)} findings in {len(self.positions)} of {self.examples} examples"
            f"{f': {told}' if told else ''}"
        )


def find(
    examples: Sequence[Example],
    *,
    kinds: Collection[str] = KINDS,
    regions: Sequence[str] = REGIONS,
    recognisers: Sequence[Recogniser] | None = None,
) -> PersonalData:
    """Search the prompts and completions of examples for personal data.

    Where findings overlap, the longest counts (a card number, not the telephone number within
    it). What is found is blanked and the text searched again until nothing more is found.

    Parameters
    ----------
    examples : sequence of Example
        May be empty: then nothing is found.
    kinds : collection of str
        Of `patterns.KINDS`.
    regions : sequence of str
        Countries (ISO 3166, 'US') whose national telephone numbers are known; international
        ones, which begin with +, are found without.
    recognisers : sequence of Recogniser, optional
        In place of our own, `kinds` and `regions`; such as presidio's, see `from_presidio`.

    Raises
    ------
    RagftError
        A kind or a region that is not known, or the extra `pii` is not installed.
    """
    if recognisers is None:
        recognisers = [spans(kinds, regions)]
    findings = [
        Finding(position, field, start, end, kind)
        for position, example in enumerate(examples)
        for field in FIELDS
        for start, end, kind in _searched(getattr(example, field), recognisers)
    ]
    return PersonalData(len(examples), tuple(findings), examples_hash(examples))


def _searched(text: str, recognisers: Sequence[Recogniser]) -> list[Span]:
    found: list[Span] = []
    while True:
        new = _apart(span for recognise in recognisers for span in recognise(text))
        if not new:
            return sorted(found)
        found += new
        for start, end, _ in new:  # between the signs that a mask has at its ends
            text = f"{text[:start]}<{'_' * (end - start - 2)}>{text[end:]}"


def _apart(found: Iterable[Span]) -> list[Span]:
    """Return spans that do not overlap, the longest first."""
    chosen: list[Span] = []
    for start, end, kind in sorted(found, key=lambda span: (span[0] - span[1], span)):
        if end - start >= 2 and all(end <= s or start >= e for s, e, _ in chosen):
            chosen.append((start, end, kind))
    return chosen


def mask(
    examples: Sequence[Example], found: PersonalData, kinds: Collection[str] | None = None
) -> list[Example]:
    """Return the examples with what was found replaced by its kind: <EMAIL>, <PHONE>.

    Masked examples hold nothing more to find, so that masking them again changes nothing.

    Parameters
    ----------
    examples : sequence of Example
        Those that were searched.
    found : PersonalData
        From `find`.
    kinds : collection of str, optional
        What to mask; all that was found by default.

    Raises
    ------
    RagftError
        The examples are not those that were searched.

    Examples
    --------
    >>> examples = [Example("Who is ann@example.org?", " Ann")]
    >>> mask(examples, find(examples, kinds=["EMAIL"]))[0].prompt
    'Who is <EMAIL>?'
    """
    if examples_hash(examples) != found.examples_hash:
        raise RagftError("mask: these are not the examples that were searched; search them first")
    masked = list(examples)
    for one in reversed(found.findings):  # from the end, so that offsets before it still hold
        if kinds is None or one.kind in kinds:
            text = getattr(masked[one.position], one.field)
            text = f"{text[: one.start]}<{one.kind}>{text[one.end :]}"
            masked[one.position] = replace(masked[one.position], **{one.field: text})
    return masked


def from_presidio(recognizer: Any, score: float = 0.4) -> Recogniser:
    """Return a pattern recogniser of presidio-analyzer as one that `find` takes.

    Presidio is no dependency of ragft: it brings spaCy, and its check of e-mail addresses asks
    the network for a list of domains. Where it is installed, its recognisers can be used:
    `find(examples, recognisers=[from_presidio(IbanRecognizer())])`.

    Parameters
    ----------
    recognizer : presidio_analyzer.EntityRecognizer
        One that needs no language model, such as a `PatternRecognizer`.
    score : float
        Results below it are left out, 0 to 1; presidio gives telephone numbers 0.4.
    """

    def recognise(text: str) -> Iterator[Span]:
        for result in recognizer.analyze(text, recognizer.supported_entities, None):
            if result.score >= score:
                kind = _PRESIDIO.get(result.entity_type, result.entity_type)
                yield result.start, result.end, kind

    return recognise
