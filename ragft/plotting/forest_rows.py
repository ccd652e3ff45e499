"""Rows of the forest: the remedies of each group, and their places in inches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragft.plotting.checks import in_table_order
from ragft.plotting.style import WIDTH, look, wrap
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd

ROW, LINE, GAP = 0.19, 0.14, 0.1
"""Inches: from one arm to the next, from one line of a name to the next, around a remedy."""
GROUP = 0.36
"""Inches for the heading of a group."""
LEFT, NAME, VALUES = 0.064, 2.5, 1.5
"""Inches: where names of remedies begin, their greatest width, and room for the values."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """One remedy, on its place in the figure."""

    group: str
    """'' = under no heading."""
    name: list[str]
    """Its lines."""
    rows: list[dict[str, Any]]
    """One per arm."""
    heading: float
    """Inches from the top of the axis to the middle of the group's heading; NaN without one."""
    middle: float
    """Inches from the top of the axis."""
    end: float

    def height(self, place: int) -> float:
        """Return where the row of the arm at a place goes, in inches from the top."""
        return self.middle + ROW * (place - (len(self.rows) - 1) / 2)


def placed(frame: pd.DataFrame) -> list[Remedy]:
    """Return the remedies, group by group, from the top down."""
    import pandas as pd

    none = pd.Series("", frame.index)
    frame = frame.assign(
        group=frame["group"].fillna("").astype(str) if "group" in frame else none,
        arm=frame["arm"] if "arm" in frame else none,
    )
    found: list[Remedy] = []
    y = 0.0
    for group, mine in frame.groupby("group", sort=False):
        head = math.nan
        if group:
            head, y = y + 0.6 * GROUP, y + GROUP
        for name, rows in mine.groupby("remedy", sort=False):
            lines = wrap(str(name), NAME, 8.5, lines=3)
            size = max(ROW * len(rows), LINE * len(lines)) + GAP
            ordered = _by_arm(rows, str(name), str(group))
            found.append(Remedy(str(group), lines, ordered, head, y + size / 2, y + size))
            head, y = math.nan, y + size
    return found


def _by_arm(rows: pd.DataFrame, name: str, group: str) -> list[dict[str, Any]]:
    """Return the rows of a remedy in the order of arms; '' is no arm."""
    if (rows["arm"] == "").all():
        if len(rows) > 1:
            place = f" in {group!r}" if group else ""
            raise RagftError(f"plot: the data has the remedy {name!r} twice{place}")
        return rows.to_dict("records")
    return in_table_order(rows, f"{group}, {name}" if group else name).to_dict("records")


def columns(remedies: Sequence[Remedy], arms: Sequence[str]) -> tuple[float, float]:
    """Return the left edge and the width of the axes, in inches, beside the names."""
    names = max(_wide(line, 8.5) for remedy in remedies for line in remedy.name)
    left = LEFT + names + 0.2
    if len(arms) > 1:
        left += max(_wide(look(arm).label, 8, bold=True) for arm in arms) + 0.1
    return left, WIDTH - left - VALUES


def _wide(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / 72
