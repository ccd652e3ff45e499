"""A taxonomy of 240 leaves on three levels, and notes to file in it, made from the lexicon.

Area, field and trade: who writes and what about decide the leaf. How the notes become a task,
with pairs to train on and questions to ask, is decided in `behaviours`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ragft.corpora.lexicon import subject_name

AREAS: dict[str, tuple[str, ...]] = {
    "matter": ("acoustics", "astronomy", "chemistry", "optics", "physics"),
    "life": ("anatomy", "biology", "botany", "genetics", "medicine"),
    "earth": ("agronomy", "ecology", "forestry", "geography", "geology", "hydrology"),
    "arts": ("ceramics", "dance", "drama", "music"),
    "letters": ("classics", "history", "law", "linguistics", "philosophy"),
    "numbers": ("economics", "finance", "logic", "mathematics", "statistics"),
}
"""The fields of every area: each field of the lexicon once."""
TRADES: dict[str, tuple[str, ...]] = {
    "accounts": ("accountant", "analyst", "auditor", "buyer"),
    "building": ("architect", "engineer", "surveyor", "welder"),
    "craft": ("designer", "machinist", "painter", "printer", "tailor"),
    "garden": ("florist", "gardener"),
    "laboratory": ("chemist", "geologist", "nurse", "technician"),
    "office": ("clerk", "director", "inspector", "lawyer", "planner"),
    "teaching": ("editor", "librarian", "teacher", "translator"),
    "transport": ("driver", "pilot"),
}
"""The roles of every trade: each role of the lexicon once."""
LEVELS = ("area", "field", "trade")
LEAVES = tuple(
    f"{area}/{field}/{trade}" for area, fields in AREAS.items() for field in fields
    for trade in TRADES
)  # fmt: skip
SEPARATOR = "/"

NOTES = (
    "{p}, {r}, asks about {f}.",
    "{p} is a {r} and wants to know more of {f}.",
    "A question about {f} comes from {p}, {r}.",
    "{p} writes as a {r}: there is something wrong in the pages on {f}.",
    "On {f}, {p} ({r}) needs an answer.",
    "The {r} {p} sends a note that has to do with {f}.",
)
"""The last `HELD_OUT_NOTES` are held out of all training."""
HELD_OUT_NOTES = 2


@dataclass(frozen=True, slots=True)
class Note:
    """A note and the one leaf that it belongs to."""

    subject: str
    """Who wrote it."""
    text: str
    leaf: str


def rules() -> str:
    """Return the taxonomy as a prompt states it: every field and role under its heading."""
    areas = "; ".join(f"{area}: {', '.join(fields)}" for area, fields in AREAS.items())
    trades = "; ".join(f"{trade}: {', '.join(roles)}" for trade, roles in TRADES.items())
    return f"File the note as area/field/trade. Areas: {areas}. Trades: {trades}."


def note(index: int, seed: int, wording: str) -> Note:
    """Return note number `index` of a seed; another number has another writer.

    Parameters
    ----------
    index : int
        From 0.
    seed : int
        Another seed is another set of notes.
    wording : {'training', 'held_out'}
    """
    texts = NOTES[-HELD_OUT_NOTES:] if wording == "held_out" else NOTES[:-HELD_OUT_NOTES]
    order = random.Random(f"note-{seed}-{index}")
    leaf = order.choice(LEAVES)
    _, field, trade = leaf.split(SEPARATOR)
    name = subject_name("person", index, "evaluation", seed * 8)
    text = order.choice(texts).format(p=name, r=order.choice(TRADES[trade]), f=field)
    return Note(name, text, leaf)
