"""The bars that the card is held to, and the numbers that the ledger reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

BIG = "Llama-3.1-8B"
"""The shape whose efficiency is asked: large enough that the card, not the host, sets the pace."""


def bar(
    quantity: str,
    least: float,
    chosen: Callable[[list[float]], float],
    shares: Iterable[float | None],
) -> dict[str, Any]:
    """Return whether a measured share reaches its bar; None where nothing was measured.

    Parameters
    ----------
    quantity : str
        What the share is of.
    least : float
        The bar.
    chosen : callable
        Which of several shares counts: `min` where all have to reach it, `max` where one has to.
    shares : iterable of float
        None where the rates are unknown; such do not count.
    """
    known = [share for share in shares if share is not None]
    value = chosen(known) if known else None
    met = None if value is None else value >= least
    return {"quantity": quantity, "bar": least, "measured": value, "met": met}


def span(values: Iterable[float], unit: str, shape: str) -> dict[str, Any] | None:
    """Return the median of several settings' numbers, and the lowest and highest; None of none.

    Memory and counts are the same however often they are measured, so what an interval would be
    over questions is here the span over settings: `n` of them.
    """
    known = sorted(values)
    if not known:
        return None
    return {
        "mean": median(known),
        "low": known[0],
        "high": known[-1],
        "n": len(known),
        "method": "span over settings",
        "seeds": 1,
        "unit": unit,
        "corpus": "lengths of the committed comparison",
        "model": f"{shape}, random weights",
        "stated_shape": shape == BIG,
    }
