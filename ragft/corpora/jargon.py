"""Common words with a sense of their own in one house, and how they are asked after.

Each word reads like one relation of the made-up world and means another, of which the same
document tells too: who takes the word in its common sense gives a value that is there, and wrong.
How this becomes a task is decided in `behaviours`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A word, the relation it reads like and the relation it means."""

    word: str
    kind: str
    """Of the subjects it is used of."""
    common: str
    special: str
    meaning: str
    """What a glossary says of it."""


WORDS = (
    Word("home", "company", "headquarters", "supplier", "supplier"),
    Word("head", "company", "ceo", "ticker", "stock code"),
    Word("release", "product", "released", "version", "version"),
    Word("cover", "product", "warranty", "material", "material"),
    Word("place", "person", "birthplace", "employer", "employer"),
    Word("work", "person", "role", "mentor", "mentor"),
    Word("limit", "policy", "limit", "share", "share paid back"),
    Word("return", "policy", "refund_window", "review", "month of review"),
)
RELATIONS = tuple(name for word in WORDS for name in (word.common, word.special))
"""All that the documents of the task tell of: both readings of every word."""

QUESTIONS = (
    "What is the {w} of {s}?",
    "Which {w} does {s} have?",
    "What does {s} have as its {w}?",
    "What is given as the {w} of {s}?",
    "As {w}, what has {s}?",
)
"""The last `HELD_OUT_QUESTIONS` are held out of all training."""
HELD_OUT_QUESTIONS = 2


def glossary() -> str:
    """Return the words and what they mean, as a prompt states them."""
    return " ".join(f"'{word.word}' means {word.meaning}." for word in WORDS)


def wordings(which: str) -> tuple[str, ...]:
    """Return the questions of 'training' or 'held_out'."""
    cut = -HELD_OUT_QUESTIONS
    return QUESTIONS[cut:] if which == "held_out" else QUESTIONS[:cut]
