"""Noise put into examples at a stated rate, and how well a filter finds it again.

For experiments alone: what was spoilt is known, so that a filter can be held against it. What
filters look for lives in `curation`.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from ragft.types import Example, RagftError

KINDS = ("wrong_value", "swapped", "truncated", "duplicate", "near_duplicate")
"""What can be done to an example, see `inject`."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What was spoilt."""

    kind: str
    rate: float
    positions: tuple[int, ...]
    """Of the spoilt rows, or of the added ones, in what was returned; sorted."""


@dataclass(frozen=True, slots=True)
class FilterQuality:
    """What a filter dropped, held against what was spoilt."""

    precision: float
    """Of the rows dropped, the share that was spoilt; NaN where none was dropped."""
    recall: float
    """Of the rows spoilt, the share that was dropped; NaN where none was spoilt."""
    dropped: int
    spoilt: int
    both: int


def inject(
    examples: Sequence[Example], rate: float, kind: str, seed: int = 0
) -> tuple[list[Example], Noise]:
    """Spoil a share of the examples.

    - 'wrong_value': the completion is that of an example of another subject, of the same form of
      prompt where there is one (the prompts are equal but for the subject), else of any.
    - 'swapped': completions change places among the examples drawn; each gets another one.
    - 'truncated': the completion breaks off within its text.
    - 'duplicate': a copy is added, somewhere behind its original.
    - 'near_duplicate': the same, with the prompt in small letters and without its last mark.

    The last two add rows, the others replace them. All other rows stay as they are, in order.

    Parameters
    ----------
    examples : sequence of Example
        May be empty: then nothing is spoilt.
    rate : float
        Rows spoilt or added per row given, 0 to 1, rounded to whole rows. Those of a smaller
        rate are among those of a larger one of the same seed (with 'swapped', too, though they
        may get other completions).
    kind : str
        Of `KINDS`.
    seed : int

    Returns
    -------
    list of Example, Noise

    Raises
    ------
    RagftError
        The kind is not known, the rate out of range, or too few examples can be spoilt so.

    Examples
    --------
    >>> examples = [Example("Where is Tarmo?", " Oslo", "Tarmo")] * 4
    >>> spoilt, noise = inject(examples, 0.5, "truncated")
    >>> len(noise.positions), [spoilt[i].completion == " Oslo" for i in noise.positions]
    (2, [False, False])
    """
    if kind not in KINDS:
        raise RagftError(f"kind={kind!r}: choose one of {', '.join(KINDS)}")
    if not 0 <= rate <= 1:
        raise RagftError(f"rate={rate}: must lie between 0 and 1")
    count = round(rate * len(examples))
    if kind.endswith("duplicate"):
        drawn = _drawn(range(len(examples)), count, kind, seed)
        rows, positions = _added(examples, drawn, kind, seed)
    else:
        makers = {"wrong_value": _wrong_values, "swapped": _swapped, "truncated": _truncated}
        changed = makers[kind](examples, count, seed)
        rows = [
            replace(e, completion=changed[i]) if i in changed else e for i, e in enumerate(examples)
        ]
        positions = sorted(changed)
    return rows, Noise(kind, rate, tuple(positions))


def filter_quality(dropped: Collection[int], spoilt: Collection[int]) -> FilterQuality:
    """Hold the rows that a filter dropped against those that were spoilt.

    Precision is the share of the dropped that were spoilt, recall the share of the spoilt that
    were dropped. A filter that drops at random has a precision of the noise rate.

    Parameters
    ----------
    dropped, spoilt : collection of int
        Positions in the same list; each counts once.

    Examples
    --------
    >>> found = filter_quality([1, 2, 3], [2, 3, 4, 5])
    >>> round(found.precision, 3), found.recall
    (0.667, 0.5)
    """
    dropped, spoilt = set(dropped), set(spoilt)
    both = len(dropped & spoilt)
    return FilterQuality(
        both / len(dropped) if dropped else float("nan"),
        both / len(spoilt) if spoilt else float("nan"),
        len(dropped),
        len(spoilt),
        both,
    )


def _drawn(able: Sequence[int], count: int, kind: str, seed: int) -> list[int]:
    """Draw `count` of the positions that can be spoilt; a smaller draw begins a larger one."""
    if len(able) < count:
        raise RagftError(
            f"{kind}: {count} examples are to be spoilt, but only {len(able)} can be; "
            "lower the rate or choose another kind"
        )
    return random.Random(f"noise-{kind}-{seed}").sample(able, len(able))[:count]


def _same(one: str, two: str) -> bool:
    return one.split() == two.split()


def _wrong_values(examples: Sequence[Example], count: int, seed: int) -> dict[int, str]:
    """Return another subject's completion for the examples drawn."""
    by_form: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for example in examples:
        for form in (_form(example), ""):
            by_form[form][example.completion].add(example.subject)

    def others(example: Example, form: str) -> list[str]:
        return sorted(
            text
            for text, subjects in by_form[form].items()
            if not _same(text, example.completion) and subjects - {example.subject}
        )

    choices = {i: others(e, _form(e)) or others(e, "") for i, e in enumerate(examples)}
    drawn = _drawn([i for i, texts in choices.items() if texts], count, "wrong_value", seed)
    return {i: random.Random(f"wrong-{seed}-{i}").choice(choices[i]) for i in drawn}


def _form(example: Example) -> str:
    """Return the prompt without its subject: what is asked, and in which words."""
    gone = example.prompt.replace(example.subject, "\0") if example.subject else ""
    return gone if gone != example.prompt else ""


def _swapped(examples: Sequence[Example], count: int, seed: int) -> dict[int, str]:
    """Return completions in other places: none where it was, and none that says the same."""
    drawn = _drawn(range(len(examples)), count, "swapped", seed)
    texts = {i: " ".join(examples[i].completion.split()) for i in drawn}
    ordered = sorted(drawn, key=lambda i: texts[i])
    most = max(Counter(texts.values()).values(), default=0)
    if 2 * most > count:
        raise RagftError(
            f"swapped: {most} of the {count} examples drawn have the same completion, so that they "
            "cannot all get another; choose another rate, seed or kind"
        )
    # Equal ones stand side by side: moved on by as many as there are of any, all get another.
    return {i: examples[ordered[n - most]].completion for n, i in enumerate(ordered)}


def _truncated(examples: Sequence[Example], count: int, seed: int) -> dict[int, str]:
    """Return the beginnings of the completions drawn: at least a character, and not all."""
    able = [i for i, e in enumerate(examples) if len(e.completion.strip()) > 1]
    changed = {}
    for i in _drawn(able, count, "truncated", seed):
        text = examples[i].completion.rstrip()
        first = len(text) - len(text.lstrip())
        cut = random.Random(f"cut-{seed}-{i}").randrange(first + 1, len(text))
        changed[i] = text[:cut].rstrip()
    return changed


def _added(
    examples: Sequence[Example], drawn: Sequence[int], kind: str, seed: int
) -> tuple[list[Example], list[int]]:
    """Add copies of the examples drawn, each somewhere behind its original."""
    copy: Callable[[Example], Example] = _worse if kind == "near_duplicate" else lambda e: e
    behind: dict[int, list[Example]] = defaultdict(list)
    for i in drawn:
        place = random.Random(f"place-{seed}-{i}").randrange(i, len(examples))
        behind[place].append(copy(examples[i]))
    rows: list[Example] = []
    positions: list[int] = []
    for i, example in enumerate(examples):
        rows.append(example)
        for added in behind[i]:
            positions.append(len(rows))
            rows.append(added)
    return rows, positions


def _worse(example: Example) -> Example:
    prompt = example.prompt.rstrip()
    shorter = prompt[:-1] if prompt[-1:] in (".", "?", "!", ":") else prompt
    return replace(example, prompt=shorter.casefold() or example.prompt)
