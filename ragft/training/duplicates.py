"""Examples that say what another said already, or something else to the same prompt.

What is found is only named here; what is dropped for it is decided in `curation`.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ragft.types import Example, RagftError

Item = tuple[str, str]
"""A word and where it stands: 'prompt' or 'completion'."""

_EDGES = ".,;:!?…\"'`“”‘’()[]{}"
_SLACK = 1e-9  # sums of weights in another order differ in their last digits


@dataclass(frozen=True, slots=True)
class Twin:
    """An example that another one before it makes superfluous."""

    position: int
    """Of the later one, counted from 0."""
    other: int
    """Of the earlier one."""
    similarity: float
    """Above 0, at most 1."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A prompt that is completed in several ways. Which one stands is not decided."""

    prompt: str
    """As the first of them has it."""
    completions: tuple[str, ...]
    """Each as it was said first, in order."""
    positions: tuple[tuple[int, ...], ...]
    """Of the examples that say each of them."""


def normal(text: str) -> str:
    """Return a text in lower case, with single spaces and without punctuation around words.

    Punctuation within a word stays, and so do the signs of numbers and of C++. A text of
    nothing else keeps it.

    Examples
    --------
    >>> normal(" Who leads\\nTarmo, since -1? ")
    'who leads tarmo since -1'
    """
    words = unicodedata.normalize("NFKC", text).casefold().split()
    return " ".join(kept for word in words if (kept := word.strip(_EDGES))) or " ".join(words)


def said(completion: str) -> str:
    """Return what a completion says, without regard to case, outer space and a last full stop.

    All other punctuation stays: (1, 2) is not [1, 2].

    Examples
    --------
    >>> said(" Oslo.") == said("oslo")
    True
    """
    words = unicodedata.normalize("NFKC", completion).casefold().split()
    return " ".join(words).removesuffix(".")


def exact_duplicates(examples: Sequence[Example]) -> list[Twin]:
    """Return the examples whose prompt and completion stood before, character for character.

    Subject and question are not compared. Nothing is found among no examples.

    Examples
    --------
    >>> exact_duplicates([Example("a", "b"), Example("a", "c"), Example("a", "b")])
    [Twin(position=2, other=0, similarity=1.0)]
    """
    first: dict[tuple[str, str], int] = {}
    found = []
    for position, example in enumerate(examples):
        other = first.setdefault((example.prompt, example.completion), position)
        if other != position:
            found.append(Twin(position, other, 1.0))
    return found


def near_duplicates(examples: Sequence[Example], threshold: float = 0.8) -> list[Twin]:
    """Return the examples that are almost the same as one before them that is kept.

    Almost the same is a Jaccard similarity of the words, each weighted by how rare it is, of at
    least `threshold`: the weight of the words in both over that of the words in either. Examples
    of one template share most of their words and differ in the one name that matters; unweighted,
    every fact would be a near duplicate of the next. A word weighs ln(1 + examples / examples
    that have it), and one in the prompt is another than the same in the completion. The order of
    words and how often they occur do not count.

    Never near duplicates: examples of two different subjects, examples that answer the same
    prompt differently (`contradictions`), and exact duplicates, which are not listed.

    Parameters
    ----------
    examples : sequence of Example
        May be empty.
    threshold : float
        Above 0, at most 1; 1 leaves differences of case, order, space and outer punctuation.

    Returns
    -------
    list of Twin
        In order of position; `other` is the first example that is alike and is no twin itself.

    Raises
    ------
    RagftError
        The threshold is out of range.

    Notes
    -----
    Exact, and not quadratic unless rare words are shared by many: two examples that are alike
    share a word among the rarest of both, those before the weight of the rest falls below
    `threshold` times the whole. Only those are looked up.

    Source: Xiao et al. (2008), Efficient similarity joins for near duplicate detection, WWW
    (prefix filtering), with weighted words as in Bayardo et al. (2007), Scaling up all pairs
    similarity search, WWW.
    """
    if not 0 < threshold <= 1:
        raise RagftError(f"threshold={threshold}: must be above 0 and at most 1")
    bags = [_bag(example) for example in examples]
    weights = _weights(bags)
    index: dict[Item, list[int]] = defaultdict(list)
    texts: set[tuple[str, str]] = set()
    found = []
    for position, example in enumerate(examples):
        text = (example.prompt, example.completion)
        if text in texts:
            continue
        texts.add(text)
        rarest = _rarest(bags[position], weights, threshold)
        twin = None
        for other in sorted({i for item in rarest for i in index[item]}):
            alike = similarity(bags[position], bags[other], weights)
            if alike >= threshold - _SLACK and _comparable(example, examples[other]):
                twin = Twin(position, other, min(1.0, alike))
                break
        if twin is None:
            for item in rarest:
                index[item].append(position)
        else:
            found.append(twin)
    return found


def similarity(one: frozenset[Item], two: frozenset[Item], weights: Mapping[Item, float]) -> float:
    """Return the weighted Jaccard similarity of two sets of words, 0 to 1; NaN of empty ones."""
    whole = sum(weights[item] for item in one | two)
    return sum(weights[item] for item in one & two) / whole if whole else float("nan")


def _bag(example: Example) -> frozenset[Item]:
    fields = {"prompt": example.prompt, "completion": example.completion}
    return frozenset(
        (field, word) for field, text in fields.items() for word in normal(text).split()
    )


def _weights(bags: Sequence[frozenset[Item]]) -> dict[Item, float]:
    counts = Counter(item for bag in bags for item in bag)
    return {item: math.log1p(len(bags) / count) for item, count in counts.items()}


def _rarest(bag: frozenset[Item], weights: Mapping[Item, float], threshold: float) -> list[Item]:
    """Return the words of which an example that is alike must have one, the rarest first."""
    ordered = sorted(bag, key=lambda item: (-weights[item], item))
    left = whole = sum(weights[item] for item in ordered)
    found = []
    for item in ordered:
        if left < threshold * whole - _SLACK:
            break
        found.append(item)
        left -= weights[item]
    return found


def _comparable(one: Example, two: Example) -> bool:
    subjects = {normal(one.subject), normal(two.subject)} - {""}
    if len(subjects) > 1:
        return False
    same = said(one.completion) == said(two.completion)
    return same or normal(one.prompt) != normal(two.prompt) or not _asks(normal(one.prompt))


def _asks(prompt: str) -> bool:
    """Tell whether a normal prompt asks anything: raw text has its first word for a prompt."""
    return " " in prompt


def contradictions(examples: Sequence[Example]) -> list[Contradiction]:
    """Return the prompts that are completed in more than one way.

    Prompts are compared as `normal` leaves them, completions as `said` does. Two wordings of one
    question are two prompts: that they are answered differently is not seen. A prompt of one
    word asks nothing, as raw text begins, and is passed over. For `rows.conflicting`, which
    `finetune` asks, prompts must be equal character for character.

    Examples
    --------
    >>> found = contradictions([Example("2 + 2?", " 4"), Example("2 + 2", " 5")])
    >>> found[0].completions, found[0].positions
    ((' 4', ' 5'), ((0,), (1,)))
    """
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for position, example in enumerate(examples):
        groups[normal(example.prompt)][said(example.completion)].append(position)
    return [
        Contradiction(
            examples[min(p for places in ways.values() for p in places)].prompt,
            tuple(examples[places[0]].completion for places in ways.values()),
            tuple(map(tuple, ways.values())),
        )
        for prompt, ways in groups.items()
        if len(ways) > 1 and _asks(prompt)
    ]
