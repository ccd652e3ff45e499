"""The rules: from an interval and what is claimed to a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragft.models import SHIPPED
from ragft.types import RagftError

if TYPE_CHECKING:
    from ragft.claims.rows import Claim

SUPPORTED = "supported"
DIRECTION_ONLY = "direction only"
NOT_SEEN = "direction not seen here"
CONTRADICTED = "contradicted"
UNDECIDED = "undecided"
BY_CONSTRUCTION = "by construction"
NOT_TESTABLE = "not testable here"
NOT_MEASURED = "not measured yet"
VERDICTS = (
    SUPPORTED, DIRECTION_ONLY, NOT_SEEN, CONTRADICTED, UNDECIDED, BY_CONSTRUCTION,
    NOT_TESTABLE, NOT_MEASURED,
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What a record holds for a claim: a 95 % interval in the claim's unit, and its provenance."""

    mean: float
    low: float
    high: float
    n: int = 0
    seeds: int = 0
    corpus: str = ""
    model: str = ""
    date: str = ""
    arms: Sequence[str] = ()
    stated_shape: bool = False
    """Whether it was measured at the shape that the claim states."""
    one: float = math.nan
    """The first side of a difference or ratio; NaN where the record does not tell it."""
    two: float = math.nan

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise RagftError(f"interval [{self.low}, {self.high}]: give two numbers, low first")


def verdict(claim: Claim, measured: Measured | None) -> str:
    """Return the verdict that the rules give, one of `VERDICTS`.

    A difference or ratio is *supported* where the interval excludes no effect and holds the
    figure (without one: lies beyond the margin), *direction only* where it excludes no effect
    alone, *contradicted* where it excludes no effect the other way or lies inside the margin,
    else *undecided*. A level is read as its figure ± margin: *supported* where the interval lies
    inside, *contradicted* where outside, else *undecided*.

    How far a verdict goes depends on what was measured. A mechanism seen in a model that ships
    with this package, and a system at another shape than the stated one, reach *direction only*
    or *direction not seen here* at most; how such a model behaves is *by construction*.
    """
    if claim.verdict is not None:
        return claim.verdict
    if measured is None:
        return NOT_MEASURED
    own = measured.model in SHIPPED
    if claim.scope == "model" and own:
        return BY_CONSTRUCTION
    found = _judge_level(claim, measured) if claim.effect == "level" else _judge(claim, measured)
    other_shape = claim.scope == "system" and claim.shape and not measured.stated_shape
    if (claim.scope == "mechanism" and own) or other_shape:
        return {SUPPORTED: DIRECTION_ONLY, CONTRADICTED: NOT_SEEN}.get(found, found)
    return found


def _judge(claim: Claim, measured: Measured) -> str:
    ends = (signed(claim, measured.low), signed(claim, measured.high))
    low, high = min(ends), max(ends)
    margin = math.log1p(claim.margin) if claim.effect == "ratio" else claim.margin
    if high < 0 or -margin < low <= high < margin:
        return CONTRADICTED
    if low <= 0:
        return UNDECIDED
    if claim.span is None:
        return SUPPORTED if low >= margin else DIRECTION_ONLY
    held = measured.low <= claim.span[1] and claim.span[0] <= measured.high
    return SUPPORTED if held else DIRECTION_ONLY


def signed(claim: Claim, value: float) -> float:
    """Return a number on a scale where no effect is 0 and the claimed side is up."""
    if claim.effect == "ratio":  # an interval may reach 0, infinitely far below 1
        value = math.log(value) if value > 0 else -math.inf
    return claim.direction * value


def _judge_level(claim: Claim, measured: Measured) -> str:
    low = -math.inf if claim.direction < 0 else claim.span[0] - claim.margin
    high = math.inf if claim.direction > 0 else claim.span[1] + claim.margin
    if low <= measured.low and measured.high <= high:
        return SUPPORTED
    return CONTRADICTED if measured.high < low or high < measured.low else UNDECIDED
