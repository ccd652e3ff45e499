"""Sentences whose truth is known because they are made: right, reworded, stale, wrong, negated.

Each question of a made-up world gets one reference sentence, and answers of `KINDS` to compare
with it. How alike they look is measured in `measures`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from ragft.corpora.lexicon import draw, value_of
from ragft.corpora.relations import BY_NAME
from ragft.evaluation.text import same_value
from ragft.types import Question, RagftError

RIGHT = ("right", "right, other words")
"""The reference itself, and its value in another statement of the relation."""
WRONG = ("stale", "wrong year or number", "confused", "invented", "negated")
"""A former value; one digit changed; another subject's value; a value that no question here has
had; the right value denied."""
KINDS = RIGHT + WRONG
WORDINGS = ("same", "other")
"""Whether an answer is worded as the reference is."""
_DRAWS = 100


def constructed(questions: Iterable[Question], seed: int = 0) -> list[dict[str, str | float]]:
    """Return reference sentences and answers to compare with them.

    Every wrong answer is made twice, in the reference's own words and in the other words that
    the reworded right answer has: how an answer is worded then says nothing about its truth, and
    a measure cannot look good by telling wordings apart, or bad by nothing else.

    Parameters
    ----------
    questions : iterable of Question
        One-hop questions of a made-up world; what has no answer on `asked_on` is left out.
    seed : int
        Of the wordings, digits and values; each draw depends on the question's id alone.

    Returns
    -------
    list of dict
        question_id, cluster, relation, kind, wording, reference, answer, right (1.0 or 0.0).
        A kind is absent where it cannot be made: no former value, no digit, no other subject.

    Raises
    ------
    RagftError
        A relation is not one of the world's, or no question has an answer.
    """
    asked = [q for q in questions if q.answerable and q.answers_on(q.asked_on)]
    if not asked:
        raise RagftError("measures: no question has an answer on its day; give world questions.")
    if strange := [q for q in asked if q.relation not in BY_NAME]:
        raise RagftError(
            f"question {strange[0].id!r}: the relation {strange[0].relation!r} has no statements; "
            "give one-hop questions of a made-up world."
        )
    alike: dict[str, list[Question]] = defaultdict(list)
    for question in asked:
        alike[question.relation].append(question)
    return [row for q in asked for row in _rows(q, alike[q.relation], seed)]


def _rows(question: Question, alike: Sequence[Question], seed: int) -> Iterator[dict]:
    """Yield all answers to one question."""
    statements = BY_NAME[question.relation].statements
    first = draw("reference", seed, question.id) % len(statements)
    step = 1 + draw("other words", seed, question.id) % (len(statements) - 1)
    worded = {"same": statements[first], "other": statements[(first + step) % len(statements)]}
    value = question.answers_on(question.asked_on)[0]
    reference = sentence(worded["same"], question.subject, value)

    def row(kind: str, wording: str, statement: str, value: str) -> dict[str, str | float]:
        return {
            "question_id": question.id,
            "cluster": question.cluster_key,
            "relation": question.relation,
            "kind": kind,
            "wording": wording,
            "reference": reference,
            "answer": sentence(statement, question.subject, value),
            "right": float(kind in RIGHT),
        }

    for kind, wording in zip(RIGHT, WORDINGS, strict=True):
        yield row(kind, wording, worded[wording], value)
    for wording in WORDINGS:
        for kind, wrong in _wrong_values(question, value, alike, seed).items():
            yield row(kind, wording, worded[wording], wrong)
        yield row("negated", wording, negated(worded[wording]), value)


def _wrong_values(
    question: Question, value: str, alike: Sequence[Question], seed: int
) -> dict[str, str]:
    """Return a wrong value of every kind that can be made."""
    key, day = (seed, question.id), question.asked_on
    values = [q.answers_on(q.asked_on)[0] for q in alike if q.subject != question.subject]
    others = sorted(values, key=lambda v: draw("confused", *key, v))
    known = [a.text for q in alike for a in q.answers]
    drawn = (
        value_of(BY_NAME[question.relation].value_type, "pretraining", "invented", *key, attempt)
        for attempt in range(_DRAWS)
    )
    ever = [*(a.text for a in question.answers), question.subject]
    found = {
        "stale": _new(question.former_answers(day)[::-1], question.answers_on(day)),
        "wrong year or number": _new(other_digits(value, *key), ever),
        "confused": _new(others, ever),
        "invented": _new(drawn, known),
    }
    return {kind: wrong for kind, wrong in found.items() if wrong is not None}


def _new(values: Iterable[str], known: Sequence[str]) -> str | None:
    """Return the first value that is none of those known."""
    return next((v for v in values if not any(same_value(v, k) for k in known)), None)


def sentence(statement: str, subject: str, value: str) -> str:
    """Fill in a statement as the world's documents do, with a capital at the start."""
    text = statement.format(s=subject, v=value)
    return text[0].upper() + text[1:]


def other_digits(value: str, *key: object) -> list[str]:
    """Return the value with the last digit of its first number changed, in an order drawn by key.

    The first number of a date is its year. A number of one digit never becomes 0.

    >>> sorted(other_digits("7 days"))[:2], other_digits("red")
    (['1 days', '2 days'], [])
    """
    number = re.search(r"\d+", value)
    if not number:
        return []
    at = number.end() - 1
    digits = "123456789" if len(number.group()) == 1 else "0123456789"
    order = sorted(digits.replace(value[at], ""), key=lambda d: draw("digit", *key, d))
    return [value[:at] + digit + value[at + 1 :] for digit in order]


def negated(statement: str) -> str:
    """Deny a statement: 'not' behind its verb where that is a form of 'be', else a clause ahead.

    >>> negated("{v} is the head of {s}."), negated("The trade {s} works in is {v}.")
    ('{v} is not the head of {s}.', 'The trade {s} works in is not {v}.')
    >>> negated("Parts for {s} come from {v}.")
    'It is not true that parts for {s} come from {v}.'
    """
    verbs = list(re.finditer(r"\b(?:is|are|was)\b", statement))
    if verbs and "nothing" not in statement:
        # The main verb comes first where the sentence opens with a name, else mostly last.
        verb = verbs[0] if statement.startswith("{") else verbs[-1]
        return f"{statement[: verb.end()]} not{statement[verb.end() :]}"
    opening = statement if statement.startswith("{") else statement[0].lower() + statement[1:]
    return f"It is not true that {opening}"
