"""Rows of the ledger: the panel a claim is drawn in, its place there, and its numbers in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragft.plotting.style import sentences
from ragft.types import RagftError

COLUMNS = (
    "id", "claim", "figure", "measured", "low", "high", "claimed", "effect", "unit", "verdict", "n",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """How a verdict is drawn."""

    colour: str
    marker: str
    hollow: bool = False


_GREEN, _RED, _GREY = "#1B7F79", "#B2182B", "#777777"
VERDICTS: dict[str, Mark] = {
    "supported": Mark(_GREEN, "o"),
    "direction only": Mark(_GREEN, "o", hollow=True),
    "contradicted": Mark(_RED, "X"),
    "direction not seen here": Mark(_RED, "X"),
    "undecided": Mark(_GREY, "s", hollow=True),
    "by construction": Mark(_GREY, "_"),
}
"""Verdicts of what was measured; what has another verdict is not drawn, but counted."""


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its numbers, the panel it is drawn in ('' = none), and its place there.

    Of the places, `at` is the measurement's, `ends` its interval's, and `figure_at` the
    claimed range's, empty where a single number or none is claimed.
    """
    values = {name: number(row[name]) for name in ("measured", "low", "high")}
    claimed = tuple(map(number, row["claimed"] if _is_range(row["claimed"]) else [row["claimed"]]))
    place = _place(row, claimed) if _drawable(row, values["measured"]) else None
    if place is None or math.isnan(at := place(values["measured"])):
        return {**row, **values, "claimed": claimed, "panel": ""}
    ends = sorted((place(values["low"]), place(values["high"])))
    return {
        **row,
        **values,
        "claimed": claimed,
        "panel": _panel(row, claimed),
        "at": at,
        "ends": [at, at] if any(map(math.isnan, ends)) else ends,
        "figure_at": sorted(map(place, claimed)) if len(claimed) > 1 else [],
    }


def number(value: Any) -> float:
    """Return a number; NaN for None."""
    return math.nan if value is None else float(value)


def _is_range(claimed: Any) -> bool:
    return isinstance(claimed, Sequence)


def _drawable(row: Mapping[str, Any], measured: float) -> bool:
    if not math.isfinite(measured) or row["verdict"] not in VERDICTS:
        return False
    if row["effect"] not in ("difference", "ratio", "level"):
        raise RagftError(
            f"plot: claim {row['id']} is measured and has the effect {row['effect']!r}; "
            "it must be 'difference', 'ratio' or 'level'"
        )
    return True


def _panel(row: Mapping[str, Any], claimed: Sequence[float]) -> str:
    """Return the panel of a row; '' where it has no axis in common with others."""
    if math.isfinite(claimed[0]) and any(claimed):
        return "level" if row["effect"] == "level" else "effect"
    # Other units have no common axis, and a level needs a figure beside it, if only 0.
    sized = row["effect"] == "level" and claimed != (0,)
    common = row["effect"] != "ratio" and not sized and row["unit"] in PERCENT
    return "points" if common else ""


def _place(row: Mapping[str, Any], claimed: Sequence[float]) -> Callable[[float], float] | None:
    """Return the map from a row's unit to its panel's axis; None where there is none."""
    panel = _panel(row, claimed)
    if panel == "points":
        toward = 100 * (row.get("direction") or 1)
        return lambda value: toward * value
    scale = _logarithm if row["effect"] == "ratio" else float
    middle = sum(map(scale, claimed)) / len(claimed)
    if not panel or not middle or not math.isfinite(middle):
        return None
    return lambda value: scale(value) / middle


def _logarithm(value: float) -> float:
    return math.log(value) if value > 0 else value if math.isnan(value) else -math.inf


def left_out(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return how many claims are drawn, and how many are not, by their verdict."""
    hidden = Counter(
        "measured but without a common axis"
        if row["verdict"] in VERDICTS and math.isfinite(row["measured"])
        else row["verdict"]
        for row in rows
        if not row["panel"]
    )
    shown = f"{len(rows) - hidden.total()} of {len(rows)} claims."
    kinds = ", ".join(f"{count} {verdict}" for verdict, count in hidden.most_common())
    rule = "Differences divide as points, ratios as logarithms."
    strip = "Strips: the range that is claimed, divided by its middle."
    ranged = any(row["panel"] and row["figure_at"] for row in rows)
    return sentences(shown, f"Not shown: {kinds}." if kinds else "", rule, strip if ranged else "")


PERCENT = ("points", "share")
"""Units that are stored as shares of one and shown in per cent."""
_UNITS = {"points": " pt", "share": " %", "ratio": "", "seconds": " s", "dollars": "",
          "calls a day": "/day"}  # fmt: skip
_BEFORE = {"ratio": "×", "dollars": "$"}


def amounts(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return 'measured [low, high]' and the claimed amount ('' = none) of a row from `told`."""
    unit, signed = row["unit"], row["effect"] == "difference"
    unit = "points" if signed and unit in PERCENT else unit
    scale, sign = (100 if unit in PERCENT else 1), "+" * signed
    before, after = _BEFORE.get(unit, ""), _UNITS.get(unit, f" {unit}")
    measured, low, high = (scale * row[name] for name in ("measured", "low", "high"))
    digits = _digits(measured, high - low)

    def written(value: float, form: str) -> str:
        text = format(value, form)
        # What is rounded to nothing has no sign.
        return text.lstrip("+-") if not text.strip("+-0.") else text.replace("-", "−")

    text = f"{before}{written(measured, f'{sign},.{digits}f')}{after}"
    if math.isfinite(high - low):
        text += f" [{written(low, f',.{digits}f')}, {written(high, f',.{digits}f')}]"
    if not math.isfinite(row["claimed"][0]):
        return text, ""
    claimed = " to ".join(written(scale * value, f"{sign},.6g") for value in row["claimed"])
    return text, f"{before}{claimed}{after}"


def _digits(value: float, width: float) -> int:
    """Return as many decimals as the interval tells, or two significant ones without it."""
    telling = width / 2 if width > 0 else abs(value) / 10
    return min(3, max(0, -math.floor(math.log10(telling)))) if telling else 0
