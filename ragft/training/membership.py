"""Membership: half of the examples trained on, half held out at random, told apart by their loss.

Only the split and the scores live here. How well the scores tell members from others is an AUC:
`ragft.evaluation.uncertainty.auroc(scores, labels, clusters)`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragft.types import Example, RagftError


@dataclass(frozen=True, slots=True)
class Membership:
    """Which examples are trained on, and which are held out to compare them with."""

    members: tuple[int, ...]
    """Positions, sorted."""
    others: tuple[int, ...]
    clusters: tuple[str, ...]
    """What was dealt out whole: one for each example given, in order."""

    @property
    def labels(self) -> np.ndarray:
        """1.0 for members and 0.0 for the others, shape (examples,)."""
        labels = np.zeros(len(self.members) + len(self.others))
        labels[list(self.members)] = 1.0
        return labels


def membership(
    examples: Sequence[Example], *, by: str = "subject", seed: int = 0, at_least: int = 1
) -> Membership:
    """Deal examples at random into members, to be trained on, and others, never to be.

    Which half is which is a toss of a coin, so that members and others are exchangeable: before
    training no score can tell them apart but by chance, and an AUC that is not near one half is
    a fault of the test. (Splits by date or by source are told apart by their words alone.)

    Parameters
    ----------
    examples : sequence of Example
    by : {'subject', 'example'}
        What is dealt out whole. By subject, the wordings of one fact are on one side: otherwise
        training on one would lower the loss of the other. Without a subject an example is
        dealt by itself.
    seed : int
    at_least : int
        Examples that each side must have.

    Returns
    -------
    Membership
        Half of the subjects (of the examples) are members, rounded down.

    Raises
    ------
    RagftError
        `by` is not known, or a side has too few examples.

    Source: Duan et al. (2024), Do membership inference attacks work on large language models?,
    COLM (that splits which are not exchangeable make the attack look strong).
    """
    if by not in ("subject", "example"):
        raise RagftError(f"by={by!r}: choose 'subject' or 'example'")
    clusters = tuple(
        f"subject {e.subject}" if by == "subject" and e.subject else f"example {i}"
        for i, e in enumerate(examples)
    )
    groups = list(dict.fromkeys(clusters))
    chosen = set(random.Random(f"membership-{seed}").sample(groups, len(groups) // 2))
    members = tuple(i for i, cluster in enumerate(clusters) if cluster in chosen)
    others = tuple(i for i, cluster in enumerate(clusters) if cluster not in chosen)
    if min(len(members), len(others)) < at_least:
        raise RagftError(
            f"{len(members)} members and {len(others)} others: at least {at_least} of each are "
            "needed; give more examples or more subjects"
        )
    return Membership(members, others, clusters)


def membership_scores(losses: Sequence[float], before: Sequence[float] | None = None) -> np.ndarray:
    """Return scores that are higher for examples that were trained on.

    The negative loss, or, with the losses of the model before training, how far training has
    lowered it: that takes out how hard an example is by itself.

    Parameters
    ----------
    losses : sequence of float
        From `example_losses` with the adapter, shape (n,).
    before : sequence of float, optional
        The same without it.

    Returns
    -------
    numpy.ndarray
        Shape (n,), in nats per token; NaN where a loss is.

    Raises
    ------
    RagftError
        The lengths differ.

    Source: Yeom et al. (2018), Privacy risk in machine learning, CSF (the loss as the score);
    Carlini et al. (2021), Extracting training data from large language models, USENIX Security
    (the loss against that of another model).

    Examples
    --------
    >>> membership_scores([1.0, 3.0], before=[2.0, 3.5]).tolist()
    [1.0, 0.5]
    """
    after = np.asarray(losses, float)
    if before is None:
        return -after
    if len(before) != len(after):
        raise RagftError(f"{len(after)} losses, but {len(before)} before training: give as many")
    return np.asarray(before, float) - after
