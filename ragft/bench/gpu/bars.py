"""The bars that the card is held to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
