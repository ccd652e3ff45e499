"""Deletion requests: examples without what is to be forgotten, and what is left that comes near.

There is no unlearning here: what an adapter learnt from an example cannot be taken out of its
weights by `ragft.training`. The honest way is to drop the examples, train from the base again,
and delete the old adapter; whether it has then forgotten is measured by asking.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ragft.training.duplicates import normal
from ragft.types import Example, RagftError

ALIKE = 0.8
"""Share of letters in common from which one word may be another, misspelt (difflib's ratio)."""


@dataclass(frozen=True, slots=True)
class NearMention:
    """An example that stays though it may be about what is to be forgotten: to be read."""

    position: int
    """In the examples given, counted from 0."""
    name: str
    word: str
    """What in the example is like the rarest word of the name."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a deletion request took out of the examples."""

    examples: int
    """Examples given."""
    dropped: tuple[int, ...]
    """Positions of the examples dropped, sorted."""
    by_name: dict[str, int]
    """Examples that each name or id was found in; an example may count for several."""
    near: tuple[NearMention, ...]

    @property
    def unmentioned(self) -> tuple[str, ...]:
        """Names and ids that no example has: misspelt, or never trained on."""
        return tuple(name for name, count in self.by_name.items() if not count)

    def __str__(self) -> str:
        unmentioned = f"; in none: {', '.join(self.unmentioned)}" if self.unmentioned else ""
        near = len({mention.position for mention in self.near})
        return (
            f"{len(self.dropped)} of {self.examples} examples dropped, {near} of those left come "
            f"near{unmentioned}"
        )


def without(
    examples: Sequence[Example], subjects: Iterable[str] = (), *, ids: Iterable[str] = ()
) -> tuple[list[Example], Forgotten]:
    """Return the examples without those that mention what is to be forgotten.

    An example mentions a subject when it is about it or when the words of the name stand in a
    row in its prompt or completion, without regard to case and outer punctuation: also where the
    subject is only the answer to a question about another. Facts about it that are told without
    its name are not seen.

    An adapter trained on these examples before still knows them. Train from the base on what is
    left (`finetune` without `start`), which takes as long as the first time, and delete the old
    adapter; going on from it unlearns nothing.

    Parameters
    ----------
    examples : sequence of Example
        May be empty.
    subjects : iterable of str
        Names, as a person would write them.
    ids : iterable of str
        Question ids whose examples go, whatever they say.

    Returns
    -------
    list of Example, Forgotten
        The examples that are left, in order; kept and dropped together are all.

    Raises
    ------
    RagftError
        Nothing is named, or a name has no letter or digit.

    Examples
    --------
    >>> examples = [Example("Where is Tarmo?", " Oslo"), Example("Where is Velka?", " Ravik")]
    >>> kept, report = without(examples, ["tarmo"])
    >>> [e.completion for e in kept], report.dropped
    ([' Ravik'], (0,))
    """
    names, wanted = _distinct(subjects), _distinct(ids)
    if not names and not wanted:
        raise RagftError("nothing to forget: name subjects or ids")
    if blank := [name for name in names if not re.search(r"\w", name)]:
        raise RagftError(f"nothing to forget in {blank[0]!r}: a name needs a letter or digit")
    texts = [
        f" {normal(e.prompt)} | {normal(e.completion)} | {normal(e.subject)} " for e in examples
    ]
    found = {name: [i for i, t in enumerate(texts) if _mentions(t, name)] for name in names}
    for wanted_id in wanted:
        own = [i for i, e in enumerate(examples) if e.question_id == wanted_id]
        found[wanted_id] = sorted({*found.get(wanted_id, []), *own})
    gone = sorted({i for positions in found.values() for i in positions})
    left = sorted(set(range(len(examples))) - set(gone))
    report = Forgotten(
        len(examples),
        tuple(gone),
        {name: len(positions) for name, positions in found.items()},
        tuple(_near(names, texts, left)),
    )
    return [examples[i] for i in left], report


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([names] if isinstance(names, str) else names))


def _mentions(text: str, name: str) -> bool:
    """Tell whether the words of a name stand in a row in a normal text, possessive or not."""
    return bool(re.search(rf"(?<!\w){re.escape(normal(name))}(?!\w)", text))


def _near(names: Sequence[str], texts: Sequence[str], left: Sequence[int]) -> list[NearMention]:
    """Return the examples left that have a word like the rarest of a name.

    A name of several words shares most of them with others: only the rarest tells it.
    """
    words = [set(re.findall(r"\w+", text)) for text in texts]
    counts = Counter(word for text in words for word in text)
    known = sorted({word for i in left for word in words[i]})
    found = []
    for name in names:
        rarest = min(re.findall(r"\w+", normal(name)), key=lambda word: (counts[word], -len(word)))
        like = set(get_close_matches(rarest, known, n=max(1, len(known)), cutoff=ALIKE))
        like |= {word for word in known if len(rarest) > 3 and rarest in word}
        for i in left:
            found += [NearMention(i, name, word) for word in sorted(like & words[i])[:1]]
    return sorted(found, key=lambda mention: (mention.position, mention.name))
