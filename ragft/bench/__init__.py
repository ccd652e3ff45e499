"""Speed, as ratios within one run: nothing here is a test, and nothing here judges a claim.

Every benchmark returns rows of the same shape, so that machines read all of them alike:
stage, size, against, ratio, low, high, recall, note. Times differ between machines and hours;
two things timed side by side differ much less.
"""

from __future__ import annotations

from statistics import median
from typing import Any


def row(
    stage: str,
    size: int,
    against: str,
    ratios: list[float],
    note: str,
    recall: float | None = None,
) -> dict[str, Any]:
    """Return one row: the median of the repeated ratios, and the lowest and highest of them."""
    return {
        "stage": stage,
        "size": size,
        "against": against,
        "ratio": median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "recall": recall,
        "note": note,
    }
