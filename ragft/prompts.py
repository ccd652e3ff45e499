"""The one prompt template, used by training and by inference alike, and its inverse.

Text in, text out: how a question, its passages and its instructions become a prompt,
and how a completion becomes an answer with citations. Which passages are shown is
decided by the arms; tokens are counted by whoever holds a tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Protocol

from ragft.types import UNKNOWN, Passage

CLOSED = "Answer the question."
CLOSED_ABSTAIN = "Answer the question, or say unknown."
READ = "Answer from the passages and cite them; if they do not say, answer unknown."
READ_PLAIN = "Answer from the passages; if they do not say, answer unknown."
NEWEST = "Where passages disagree, the newest is right."
JSON = 'Answer as JSON: {"answer": ..., "source": ...}'

REFUSED = "refused"
"""The one word with which a forbidden question is refused."""

_CITATION = re.compile(r"\[(\d{1,3})\]")
_PARAMETER = re.compile(r"[A-Za-z_]\w*=(?!=)")


def refuse(category: str) -> str:
    """Return the instruction to refuse questions about a category."""
    return f"Refuse questions about {category}."


def instruct(*sentences: str) -> str:
    """Join instruction sentences into the line that opens a prompt, leaving out empty ones."""
    return " ".join(sentence for sentence in sentences if sentence)


def one_line(text: str) -> str:
    """Collapse white space, so that a passage is one line and cannot open a new section.

    Retrieved text is data: without this a document could contain a line 'Question: ...'
    that reads like part of the template.
    """
    return " ".join(text.split())


def name_of(passage: Passage) -> str:
    """Return the name a passage is cited by: its title without what stands in brackets."""
    return one_line(passage.title).split(" (")[0]


def passage_line(number: int, passage: Passage) -> str:
    """Return the line under which passage `number` (from 1) is shown: name, number, text, date.

    The number stands right behind the name, where a reader that has the name finds it.
    """
    name, text = name_of(passage), passage.text
    first, _, rest = text.partition("\n")
    text = one_line(rest if rest and one_line(first) == name else text)
    dated = f" ({passage.valid_from.isoformat()})" if passage.valid_from else ""
    return f"{name} [{number}]: {text}{dated}" if name else f"[{number}] {text}{dated}"


def by_date(passages: Iterable[Passage]) -> list[Passage]:
    """Put passages in order of date, oldest first, undated ones before all others.

    Every arm that shows passages shows them in this order unless the order itself is
    what an experiment varies; ties keep the order given.
    """
    return sorted(passages, key=lambda p: p.valid_from or date.min)


def render(
    question: str,
    passages: Sequence[Passage] = (),
    *,
    instruction: str = CLOSED,
    demonstrations: Sequence[tuple[str, str]] = (),
) -> str:
    """Render a prompt as plain text, for models without a chat template.

    Parameters
    ----------
    question : str
        Collapsed to one line.
    passages : sequence of Passage
        Shown in the order given, numbered from 1; may be empty.
    instruction : str
        First line; '' leaves it out.
    demonstrations : sequence of (question, answer)
        Few-shot examples, shown before the question.

    Returns
    -------
    str
        Ends in 'Answer:' without a space; a completion starts with one (`complete`).
    """
    lines = [instruction] if instruction else []
    lines += [passage_line(n, p) for n, p in enumerate(passages, 1)]
    for asked, answered in demonstrations:
        lines += [f"Question: {one_line(asked)}", f"Answer: {one_line(answered)}"]
    return "\n".join([*lines, f"Question: {one_line(question)}", "Answer:"])


def messages(
    question: str,
    passages: Sequence[Passage] = (),
    *,
    instruction: str = CLOSED,
    demonstrations: Sequence[tuple[str, str]] = (),
) -> list[dict[str, str]]:
    """Render the same prompt as chat messages, for a model's own chat template.

    The instruction is the system message, each demonstration a user and an assistant
    turn, and the last user turn holds passages and question.
    """
    turns = [{"role": "system", "content": instruction}] if instruction else []
    for asked, answered in demonstrations:
        turns += [
            {"role": "user", "content": f"Question: {one_line(asked)}"},
            {"role": "assistant", "content": one_line(answered)},
        ]
    shown = [passage_line(n, p) for n, p in enumerate(passages, 1)]
    asked = "\n".join([*shown, f"Question: {one_line(question)}"])
    return [*turns, {"role": "user", "content": asked}]


class ReadsPrompts(Protocol):
    """What rendering needs to know of a model."""

    has_chat_template: bool
    tokenizer: Any


def for_model(
    model: ReadsPrompts,
    question: str,
    passages: Sequence[Passage] = (),
    *,
    instruction: str = CLOSED,
    demonstrations: Sequence[tuple[str, str]] = (),
) -> str:
    """Render a prompt as a model reads it: through its own chat template, else as plain text."""
    if not model.has_chat_template:
        return render(question, passages, instruction=instruction, demonstrations=demonstrations)
    turns = messages(question, passages, instruction=instruction, demonstrations=demonstrations)
    return model.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def complete(answer: str, cited: Sequence[int] = (), name: str = "") -> str:
    """Return the completion that teaches an answer: name, citations, then the value.

    Where to look is decided before what to say, and the name of what is looked up is said
    before its number: a small model finds a number by the name before it, and that is worth
    several times the training.

    Examples
    --------
    >>> complete("Oslo", [2], "Tarmo")
    ' Tarmo [2] Oslo'
    """
    marks = "".join(f"[{number}]" for number in cited)
    return "".join(f" {part}" for part in (name, marks, answer) if part)


def parse(completion: str, passages: Sequence[Passage] = ()) -> tuple[str, tuple[str, ...]]:
    """Split a completion into the answer and the ids of the passages it cites.

    The answer is what follows the last citation on the first line; text before it (a name,
    the intermediate value of a two-hop answer) is not part of the answer. Numbers that no
    passage has are dropped, and of `name=value` the value is the answer (a default is read as
    it stands in its signature). An empty answer, or one that ends in 'unknown', is `UNKNOWN`.

    Examples
    --------
    >>> parse(" [2] Tarmo")
    ('Tarmo', ())
    >>> parse("unknown.")
    ('unknown', ())
    """
    line = completion.strip().split("\n", 1)[0].strip()
    marks = list(_CITATION.finditer(line))
    text = line[marks[-1].end() :] if marks else line
    if marks and not text.strip():  # a model that cites after the value
        text = _CITATION.sub("", line)
    text = _PARAMETER.sub("", text.strip(), count=1) if _PARAMETER.match(text.strip()) else text
    text = text.strip()
    numbers = dict.fromkeys(int(mark.group(1)) for mark in marks)
    cited = tuple(passages[n - 1].id for n in numbers if 1 <= n <= len(passages))
    unknown = not text or text.rstrip(".").casefold().split()[-1:] == [UNKNOWN]
    return (UNKNOWN if unknown else text), cited
