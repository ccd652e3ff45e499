"""How many examples it takes: learning curves of behaviours and of facts, and the ledger's T9.

The other effects of the experiment live in `behaviour_effects`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragft.evaluation.quantiles import FEW
from ragft.evaluation.resampling import resampling_counts
from ragft.evaluation.statistics import Comparison
from ragft.experiments import effects
from ragft.experiments.behaviour_data import CURVES, FACTS, NEW, TRAINED
from ragft.experiments.behaviour_rated import ALL, Behaved
from ragft.profiles import Profile

if TYPE_CHECKING:
    import pandas as pd

BAR = 0.8
"""Share that counts as learnt, for behaviours and facts alike."""


def examples_knowledge_over_behaviour(told: Behaved) -> Comparison | None:
    """T9: examples until 80 % pass, facts in a new wording over the median behaviour.

    Where a curve crosses the bar is read off the straight line between two measured numbers of
    examples, on a logarithmic axis. A behaviour that never does takes more than all others; None
    where that is the median's case, or where the facts never do: the ratio is not defined. The
    interval resamples questions; seeds are averaged.
    """
    curves = {part: curve_of(told, part, NEW if part == FACTS else ALL) for part in CURVES}
    curves = {part: curve for part, curve in curves.items() if curve is not None}
    if FACTS not in curves or len(curves) < 2:
        return None
    fewest = min(passed.shape[1] for _, passed in curves.values())
    places = {part: _draws(told, *curve, seed) for seed, (part, curve) in enumerate(curves.items())}
    facts = places.pop(FACTS)
    typical = np.exp(np.median(np.log(list(places.values())), axis=0))
    if fewest < FEW or np.isinf(facts[0]) or np.isinf(typical[0]):
        return None
    # A resample of the facts that never gets there counts at the largest number: rather too few.
    facts = np.minimum(facts, curves[FACTS][0][-1])
    ratio = facts / typical  # the first is the estimate itself
    tail = (1 - told.sizes.level) / 2
    low, high = map(float, np.quantile(ratio[1:], [tail, 1 - tail]))
    seeds = told.rows["seed"].nunique()
    counts = {"n": fewest, "seeds": seeds, "clusters": fewest}
    sides = {"one": float(facts[0]), "two": float(typical[0])}
    return Comparison(float(ratio[0]), low, high, method="bootstrap", **counts, **sides)


def curve_of(told: Behaved, part: str, condition: str) -> tuple[list[int], np.ndarray] | None:
    """Return numbers of examples, and passes of shape (numbers, questions), seeds averaged."""
    mine = told.rows[(told.rows["arm"] == "finetuned") & (told.rows["part"] == part)]
    counts = sorted(mine["pairs"].unique().tolist())
    if len(counts) < 2:
        return None
    passed = [
        told.rated("finetuned", part, condition, n).groupby("question_id")["passed"].mean()
        for n in counts
    ]
    names = passed[0].index
    return counts, np.array([one[names].to_numpy(float) for one in passed])


def _draws(told: Behaved, counts: list[int], passed: np.ndarray, seed: int) -> np.ndarray:
    """Return where a curve crosses the bar, and the same of every resample of its questions."""
    asked = passed.shape[1]
    weights = np.vstack([np.ones((1, asked)), *resampling_counts(asked, told.sizes.n_boot, seed)])
    means = weights @ passed.T / asked
    return np.array([crossing(counts, row) for row in means])


def crossing(counts: Sequence[int], means: Sequence[float], bar: float = BAR) -> float:
    """Return the number of examples from which on a curve is above a bar.

    Parameters
    ----------
    counts : sequence of int
        Rising; the first may be 0.
    means : sequence of float
        Shares in [0, 1].

    Returns
    -------
    float
        Between two numbers, on a logarithmic axis; the first above the bar where none, or 0, is
        before it (at least 1); infinity where the curve never gets there.

    Examples
    --------
    >>> crossing([0, 10, 1000], [0.0, 0.6, 1.0])
    100.0
    """
    for place, (count, mean) in enumerate(zip(counts, means, strict=True)):
        if mean >= bar - 1e-9:  # what is 80 % but for the last bit counts
            before = counts[place - 1] if place else 0
            if not before:
                return float(max(count, 1))
            share = (bar - means[place - 1]) / (mean - means[place - 1])
            return float(round(before * (count / before) ** share, 9))
    return math.inf


def learning_curves(rows: pd.DataFrame, sizes: Profile) -> list[dict[str, Any]]:
    """Return the learning curves, as a record holds them.

    Rows of `plotting.learning_curves`: series, x (examples), mean, low, high, n, and `learnt`,
    whether the lower end of the interval is above the bar. Facts have a series each wording.
    """
    told, found = Behaved(rows, sizes), []
    for part in CURVES:
        mine = rows[(rows["arm"] == "finetuned") & (rows["part"] == part)]
        for condition in (TRAINED, NEW) if part == FACTS else (ALL,):
            series = f"facts, {condition}" if part == FACTS else part
            for pairs in sorted(mine["pairs"].unique().tolist()):
                one = effects.mean(told.rated("finetuned", part, condition, pairs), "passed", sizes)
                if one is not None:
                    place = {"series": series, "part": part, "x": pairs}
                    found.append({**place, **effects.limits(one), "learnt": one.low >= BAR})
    return found


def note_on_curves(told: Behaved) -> str:
    """Name the curves that never reach the bar, and how many facts are asked."""
    never, facts = [], 0
    for part in CURVES:
        curve = curve_of(told, part, NEW if part == FACTS else ALL)
        if curve is None:
            continue
        facts = curve[1].shape[1] if part == FACTS else facts
        if curve[1].mean(axis=1).max() < BAR:
            never.append(part)
    never_text = f"; never there: {', '.join(never)}" if never else ""
    return f"{facts} facts asked, each taught in several wordings{never_text}"
