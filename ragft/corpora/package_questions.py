"""Questions about the defaults of a package's parameters, as of a day of its history.

The history itself is made in `corpora.packages`; how answers are judged lives in `evaluation`.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from ragft.corpora.corpus import Corpus
from ragft.types import DatedAnswer, Fact, Question, RagftError

WORDINGS = (
    "What is the default of `{parameter}` in `{subject}`?",
    "If `{parameter}` is not given, which value does `{subject}` use?",
    "Which default value does `{subject}` give to `{parameter}`?",
    "`{subject}`: what is `{parameter}` set to by default?",
    "What value does the parameter `{parameter}` of `{subject}` have by default?",
    "Calling `{subject}` without `{parameter}`: what is its value?",
)
"""Ways to ask for a default; `wording=` is an index into it."""

HELD_OUT_WORDINGS = (0, 1)
"""For asking: never to be trained on."""

TRAINING_WORDINGS = (2, 3, 4, 5)
"""For training examples."""

_Key = tuple[str, str]


def package_questions(
    corpus: Corpus,
    day: date,
    n: int = 300,
    seed: int = 0,
    previous: date | None = None,
    *,
    wording: int = 0,
    unanswerable: float = 0.1,
) -> list[Question]:
    """Ask for defaults as they are on `day`: those that changed first, then others at random.

    Every answer carries its days and the documents that state it, over the whole history, so
    that the same question can be judged on another day and former answers are known.

    Parameters
    ----------
    corpus : Corpus
        A whole history (`package_history`), not one `as_of` a day.
    day : date
    n : int
        Questions wanted; fewer are returned where the package has fewer facts.
    seed : int
        Of the draw; equal for every wording, so that wordings can be paired by `metadata.key`.
    previous : date, optional
        What counts as changed: defaults that had another value on this day; None takes all
        that ever had another value before `day`.
    wording : int
        Index into `WORDINGS`.
    unanswerable : float
        Share in [0, 1] of questions about parameters that do not exist on `day` but did or
        will (functions that exist on `day` first); right answer: unknown.

    Returns
    -------
    list of Question
        Answerable ones first. Changed facts form one cluster per campaign (same parameter,
        old and new value), unchanged ones per function or class.

    Raises
    ------
    RagftError
        No fact of a default holds on `day`, or an argument is out of range.
    """
    _check(n, wording, unanswerable)
    history = _history(corpus)
    current = {k: f for k, facts in history.items() for f in facts if f.holds_on(day)}
    if not current:
        raise RagftError(
            f"{corpus.name or 'the corpus'}: no default is known on {day}; "
            f"it knows the days from {min(corpus.days, default='(none)')} on."
        )
    draw = random.Random(seed)
    changed = {k: old for k in current if (old := _old_value(history[k], day, previous))}
    absent = _absent(corpus, history, current, day, draw)[: round(n * unanswerable)]
    keys = _shuffled(changed, draw) + _shuffled(current.keys() - changed.keys(), draw)
    chosen = keys[: n - len(absent)]
    return [
        _question(corpus, history[key], day, wording, changed.get(key), key in current)
        for key in [*chosen, *absent]
    ]


def questions_about(
    corpus: Corpus, keys: Sequence[str], day: date, *, wording: int = 0
) -> list[Question]:
    """Ask about given facts on a day, leaving out those that do not hold on it.

    Parameters
    ----------
    corpus : Corpus
        A whole history.
    keys : sequence of str
        'qualified name:parameter', as in `metadata.key`; the order is kept.
    day : date
    wording : int
        Index into `WORDINGS`.
    """
    _check(1, wording, 0)
    history = _history(corpus)
    asked = []
    for key in keys:
        facts = history[tuple(key.rsplit(":", 1))]
        if any(f.holds_on(day) for f in facts):
            old = _old_value(facts, day, None)
            asked.append(_question(corpus, facts, day, wording, old, answerable=True))
    return asked


def values_on(corpus: Corpus, day: date) -> dict[str, str]:
    """Return the default of every 'qualified name:parameter' that holds on a day."""
    return {
        f"{f.subject}:{f.relation}": f.value
        for f in corpus.facts
        if f.kind == "default" and f.holds_on(day)
    }


def _check(n: int, wording: int, unanswerable: float) -> None:
    if n < 1:
        raise RagftError(f"n must be at least 1, not {n}.")
    if not 0 <= wording < len(WORDINGS):
        raise RagftError(f"wording must lie in 0..{len(WORDINGS) - 1}, not {wording}.")
    if not 0 <= unanswerable <= 1:
        raise RagftError(f"unanswerable must lie in [0, 1], not {unanswerable}.")


def _history(corpus: Corpus) -> dict[_Key, list[Fact]]:
    history: dict[_Key, list[Fact]] = defaultdict(list)
    for fact in sorted(
        corpus.facts, key=lambda f: (f.subject, f.relation, f.valid_from or date.min)
    ):
        if fact.kind == "default":
            history[fact.subject, fact.relation].append(fact)
    return history


def _shuffled(keys: Sequence[_Key] | set[_Key], draw: random.Random) -> list[_Key]:
    keys = sorted(keys)
    draw.shuffle(keys)
    return keys


def _old_value(facts: Sequence[Fact], day: date, previous: date | None) -> str | None:
    """Return the latest value that differs from that on `day`; None if it did not change."""
    value = next(f.value for f in facts if f.holds_on(day))
    if previous is not None:
        facts = [f for f in facts if f.holds_on(previous)]
    before = [f.value for f in facts if f.valid_to and f.valid_to <= day]
    before = [old for old in before if not _same(old, value)]
    return before[-1] if before else None


def _same(one: str, other: str) -> bool:
    """Tell whether two defaults differ in spelling at most, such as 1.0 and 1."""
    try:
        return one == other or ("." in one + other and float(one) == float(other))
    except ValueError:
        return False


def _absent(
    corpus: Corpus,
    history: dict[_Key, list[Fact]],
    current: dict[_Key, Fact],
    day: date,
    draw: random.Random,
) -> list[_Key]:
    """Parameters that no signature has on `day`, those of existing functions first."""
    texts = {d.source: d.text for d in corpus.documents if d.holds_on(day)}
    existing, missing = [], []
    for key in _shuffled(history.keys() - current.keys(), draw):
        subject, parameter = key
        if subject not in texts:
            missing.append(key)
        elif not _mentions(texts[subject].split("\n")[1], parameter):
            existing.append(key)
    return existing + missing


def _mentions(signature: str, parameter: str) -> bool:
    """Tell whether a parameter may exist: required, or its default is no literal, or unknown."""
    unknown = signature.endswith("(...)")
    return unknown or re.search(rf"\b{re.escape(parameter)}\b", signature) is not None


def _question(
    corpus: Corpus,
    facts: Sequence[Fact],
    day: date,
    wording: int,
    old: str | None,
    answerable: bool,
) -> Question:
    subject, parameter = facts[0].subject, facts[0].relation
    answers = tuple(DatedAnswer(f.value, f.valid_from, f.valid_to, f.documents) for f in facts)
    value = next((f.value for f in facts if f.holds_on(day)), None)
    stating = [d for f in facts if f.holds_on(day) for d in f.documents]
    if answerable:
        cluster = subject if old is None else f"{parameter}:{old}->{value}"
    else:
        cluster = f"{parameter}:absent"
    return Question(
        id=f"{subject}:{parameter}@{day}/{wording}",
        text=WORDINGS[wording].format(parameter=parameter, subject=subject),
        answers=answers,
        asked_on=day,
        subject=subject,
        relation=parameter,
        kind="default" if answerable else "unanswerable",
        answerable=answerable,
        supporting=tuple(d for d in stating if corpus.by_id[d].holds_on(day)),
        cluster=cluster,
        metadata={
            "changed": old is not None,
            "parameter": parameter,
            "key": f"{subject}:{parameter}",
            "wording": wording,
        },
    )
