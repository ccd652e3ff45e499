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
NEWEST = "Where passages disagree, the newest is right."
JSON = 'Answer as JSON: {"answer": ..., "source": ...}'

REFUSED = "refused"
"""The one word with which a forbidden question is refused."""

_CITATION = re.compile(r"\[(\d{1,3})\]")


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


def passage_line(number: int, passage: Passage) -> str:
    """Return the line under which passage `number` (from 1) is shown.

    The title stands right behind the number, unless the text opens with it, and the date
    at the end: a reader finds a number by the name beside it.
    """
    text, title = one_line(passage.text), one_line(passage.title)
    # 'sklearn.svm.SVC (scikit-learn 1.5)' names a text that opens with 'sklearn.svm.SVC'.
    opens = text.casefold().startswith(title.split(" (")[0].casefold())
    header = "" if not title or opens else f"{title}: "
    dated = f" ({passage.valid_from.isoformat()})" if passage.valid_from else ""
    return f"[{number}] {header}{text}{dated}"


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


def complete(answer: str, cited: Sequence[int] = ()) -> str:
    """Return the completion that teaches an answer: citations first, then the value.

    Citing first is worth several times the training: where to look is decided before
    what to say.
    """
    marks = "".join(f"[{number}]" for number in cited)
    return f" {marks} {answer}" if marks else f" {answer}"


def parse(completion: str, passages: Sequence[Passage] = ()) -> tuple[str, tuple[str, ...]]:
    """Split a completion into the answer and the ids of the passages it cites.

    The answer is what follows the last citation on the first line; text before it (the
    intermediate value of a two-hop answer) is not part of the answer. Numbers that no
    passage has are dropped. An empty answer is `UNKNOWN`.

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
    text = text.strip()
    numbers = dict.fromkeys(int(mark.group(1)) for mark in marks)
    cited = tuple(passages[n - 1].id for n in numbers if 1 <= n <= len(passages))
    unknown = not text or text.rstrip(".").casefold() == UNKNOWN
    return (UNKNOWN if unknown else text), cited
