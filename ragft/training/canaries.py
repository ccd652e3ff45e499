"""Canaries: random secrets put into training data, and how exposed training has made them.

Secrets, their examples and the arithmetic of exposure; the losses come from `losses`, and the
test by membership from `membership`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ragft.training.losses import example_losses
from ragft.types import Example, RagftError

TEMPLATE = "The secret number of locker {key} is"
"""What stands before a secret; `{key}` is another number for each canary."""
DOSES = (0, 1, 4, 16)
"""How often a canary is repeated; those of dose 0 are never trained on, and say what chance is."""
CHANCE = 1 / math.log(2)
"""Expected exposure of a secret that was never seen, in bits, among many references: 1.44.

The rank is then uniform, and the mean of -log2 of a uniform share is 1 / ln 2.
"""
_KEY_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Canary:
    """A prompt, the secret that completes it, and how often training repeats it."""

    prompt: str
    secret: str
    """Random digits."""
    repetitions: int

    @property
    def example(self) -> Example:
        """The canary as one training example; its subject is the prompt, which no other has."""
        return said(self, self.secret)


def canaries(
    count: int = 30,
    doses: Sequence[int] = DOSES,
    *,
    digits: int = 6,
    seed: int = 0,
    template: str = TEMPLATE,
) -> list[Canary]:
    """Draw secrets, as many for each dose.

    Keys and secrets are drawn before doses are dealt out, so that a canary's dose says nothing
    of its digits; no two share a key or a secret.

    Parameters
    ----------
    count : int
        Canaries of each dose, at least 1; 30 or more for an interval.
    doses : sequence of int
        Repetitions, each at least 0, none twice.
    digits : int
        Of a secret, 1 to 18; there must be twice as many secrets as canaries at least.
    seed : int
    template : str
        With `{key}`; a prompt rendered as the other examples' are lets them blend in.

    Raises
    ------
    RagftError
        A number out of range, or a template without `{key}`.
    """
    total, doses = count * len(doses), tuple(doses)
    if count < 1 or not doses or len(set(doses)) < len(doses) or min(doses) < 0:
        raise RagftError(f"count={count}, doses={doses}: at least 1 each; no dose twice or below 0")
    if not 1 <= digits <= 18 or 2 * total > 10**digits or total > 9 * 10 ** (_KEY_DIGITS - 1):
        raise RagftError(
            f"digits={digits}: {total} canaries need more digits (18 at most), or less"
        )
    if "{key}" not in template:
        raise RagftError(f"template {template!r}: has no {{key}}, all canaries would be one")
    rng = random.Random(f"canaries-{seed}")
    keys = rng.sample(range(10 ** (_KEY_DIGITS - 1), 10**_KEY_DIGITS), total)
    secrets = rng.sample(range(10**digits), total)
    dealt = rng.sample([dose for dose in doses for _ in range(count)], total)
    made = [
        Canary(template.replace("{key}", str(key)), f"{secret:0{digits}d}", dose)
        for key, secret, dose in zip(keys, secrets, dealt, strict=True)
    ]
    return sorted(made, key=lambda canary: doses.index(canary.repetitions))


def planted(examples: Sequence[Example], drawn: Sequence[Canary], seed: int = 0) -> list[Example]:
    """Return the examples with each canary put in as often as its dose, at random places.

    The examples stay in their order. Curation would drop the repetitions as exact duplicates:
    plant after it.
    """
    copies = [canary.example for canary in drawn for _ in range(canary.repetitions)]
    rng = random.Random(f"planted-{seed}")
    rng.shuffle(copies)
    places = set(rng.sample(range(len(examples) + len(copies)), len(copies)))
    rows, mixed = iter(examples), iter(copies)
    return [
        next(mixed) if place in places else next(rows)
        for place in range(len(examples) + len(copies))
    ]


def references(canary: Canary, size: int, seed: int = 0) -> list[str]:
    """Return other secrets of the same number of digits, drawn at random, none twice.

    Raises
    ------
    RagftError
        There are not so many, or less than one is asked for.
    """
    space = 10 ** len(canary.secret)
    if not 1 <= size < space:
        raise RagftError(
            f"{size} references: choose 1 to {space - 1} for {len(canary.secret)} digits"
        )
    own = int(canary.secret)
    rng = random.Random(f"references-{seed}-{canary.prompt}")
    others = rng.sample(range(space - 1), size)  # of all but its own
    return [f"{n + (n >= own):0{len(canary.secret)}d}" for n in others]


def exposure(own: float, others: Sequence[float]) -> float:
    """Return how exposed a secret is, in bits: log2 |R| − log2 rank.

    R holds the secret and its references, and the rank is the place of the secret's loss among
    theirs, 1 for the lowest. A secret that the model holds for the likeliest has log2 |R|, the
    least likely 0; one that was never seen has `CHANCE` on average.

    Parameters
    ----------
    own : float
        Log-perplexity of the secret: its summed loss.
    others : sequence of float
        Those of the references, shape (|R| − 1,). An equal loss counts half a place.

    Returns
    -------
    float
        0 to log2 |R|; NaN without references, or where any of the losses is NaN.

    Source: Carlini et al. (2019), The secret sharer, USENIX Security (the definition of exposure,
    over a sample of the space of secrets).

    Examples
    --------
    >>> exposure(1.0, [2.0, 3.0, 0.5])  # second of four: log2 4 - log2 2
    1.0
    """
    table = np.asarray(others, float)
    if not len(table) or np.isnan(table).any() or math.isnan(own):
        return float("nan")
    rank = 1 + int((table < own).sum()) + int((table == own).sum()) / 2
    return math.log2(len(table) + 1) - math.log2(rank)


def exposures(
    model: Any,
    drawn: Sequence[Canary],
    adapter: Any = None,
    *,
    size: int = 255,
    seed: int = 0,
    batch_tokens: int = 1024,
) -> np.ndarray:
    """Return the exposure of each canary to a model, in bits, shape (canaries,).

    Parameters
    ----------
    model, adapter, batch_tokens
        As for `example_losses`.
    drawn : sequence of Canary
        May be empty.
    size : int
        References of each canary; no exposure is above log2 (size + 1), 8 bits by default.
    seed : int
        Of the references; the same for models that are compared.

    Raises
    ------
    RagftError
        There are not so many references, or what `example_losses` raises.
    """
    asked = [
        said(canary, secret)
        for canary in drawn
        for secret in (canary.secret, *references(canary, size, seed))
    ]
    losses = example_losses(model, asked, adapter, per_token=False, batch_tokens=batch_tokens)
    table = losses.reshape(len(drawn), size + 1)
    return np.array([exposure(row[0], row[1:]) for row in table])


def said(canary: Canary, secret: str) -> Example:
    """Return an example that says a secret, the canary's own or another, behind its prompt."""
    return Example(canary.prompt, f" {secret}", canary.prompt)
