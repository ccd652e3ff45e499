"""Axes of days and of logarithms, and the marks of events on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragft.plotting.style import GREY, SMALL, halo
from ragft.types import RagftError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def day_axis(axes: Axes, label: str = "days since day 0", most: int = 4) -> None:
    """Count days in at most so many steps, each read at a glance."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 3, 5, 10], integer=True))
    axes.set_xlabel(label)


def event_lines(axes: Axes, events: Sequence[float]) -> None:
    """Draw a grey vertical at each event, behind the data."""
    for day in events:
        axes.axvline(day, color="#999999", lw=1, zorder=0.9)


def label_event(axes: Axes, event: float, text: str) -> None:
    """Write beside the line of an event, at the top of the panel, on its wider side."""
    right = event <= sum(axes.get_xlim()) / 2
    axes.annotate(
        text, (event, 1), xycoords=("data", "axes fraction"), xytext=(3 if right else -3, -1),
        textcoords="offset points", ha="left" if right else "right", va="top",
        fontsize=SMALL, color=GREY, path_effects=halo(),
    )  # fmt: skip


def log_axis(
    axes: Axes, low: float, high: float, room: float = 1.9, fine: float = 2, axis: str = "x"
) -> None:
    """Span values from `low` to `high` on a logarithmic axis, a decade at least.

    Parameters
    ----------
    axes : Axes
    low, high : float
        Above 0.
    room : float
        Factor that is left free at both ends.
    fine : float
        Decades below which there are ticks at 3 besides those at 1.
    axis : {'x', 'y'}

    Raises
    ------
    RagftError
        A value is not above 0.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if not low > 0:
        raise RagftError("plot: a log axis needs values above 0; leave out what is 0 or less")
    room = max(room, (10 / (high / low)) ** 0.5)
    axes.set(**{f"{axis}scale": "log", f"{axis}lim": (low / room, high * room)})
    decades = math.log10(high / low * room**2)
    ruled = getattr(axes, f"{axis}axis")
    ruled.set_major_locator(LogLocator(subs=(1, 3) if decades < fine else (1,), numticks=6))
    ruled.set_minor_locator(NullLocator())
    ruled.set_major_formatter(FuncFormatter(lambda x, _: _short(x)))


def _short(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:,.0f} M"
    if value >= 1e4:  # written out, two of these touch each other
        return f"{value / 1e3:.0f} k"
    if value >= 1:
        return f"{value:,.0f}"
    places = 1 - math.floor(math.log10(value))  # two digits, however small it is
    return f"{value:.{places}f}".strip("0")
