"""The rows of `claims.yaml`: what the articles assert, and how each row is judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from ragft.claims.verdicts import BY_CONSTRUCTION, NOT_TESTABLE, signed
from ragft.types import RagftError

ROWS = Path(__file__).with_name("claims.yaml")
PERCENT = ("points", "share")
"""Units stored as shares of one and shown in per cent."""
UNITS = (
    *PERCENT, "ratio", "seconds", "days", "weeks", "months", "dollars", "calls a day", "",
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """What an article asserts, and the rule by which it is judged."""

    id: str
    group: str
    article: str
    """A to E, or the paper."""
    claim: str
    figure: str
    """The number as the article gives it; '' where it gives none."""
    quantity: str
    """What is measured for it."""
    measured: str | None
    """The name of that quantity in a record; None where none is laid down."""
    scope: str
    """'system' (time, memory, tokens, retrieval), 'mechanism' (how training and context act),
    'model' (how capable pretrained models behave) or 'none' (not testable)."""
    effect: str
    """'difference' (no effect is 0), 'ratio' (no effect is 1), 'level' or 'none'."""
    direction: int
    """Of a difference or ratio: the sign that is claimed. Of a level: 1 at least the figure,
    -1 at most, 0 about it."""
    claimed: float | Sequence[float] | None
    """The figure in `unit`, or its range [low, high]; None where there is none to compare."""
    margin: float | None
    """Inside it an effect counts as none; without a figure an effect must reach it. A ratio's
    margin of 0.1 is 1.1 (and 1 / 1.1); a level's is how exactly its figure is read."""
    unit: str
    record: str | None = None
    """File under the folder of records, without its ending."""
    figure_file: str | None = None
    judged_on: str = ""
    """'packages': only real histories count, because a made-up world's change rate is chosen."""
    shape: str = ""
    """The shape that a system row states; measured at another one, its verdict is capped."""
    verdict: str | None = None
    """Only where it is fixed: 'by construction' or 'not testable here'."""
    why: str = ""
    changed: Sequence[Mapping[str, Any]] = ()
    """Date and reason of every change of the rule after it was first written."""

    @property
    def span(self) -> tuple[float, float] | None:
        """The claimed figure as a range (low, high); None where there is none."""
        if self.claimed is None or isinstance(self.claimed, Sequence):
            return None if self.claimed is None else tuple(self.claimed)
        return self.claimed, self.claimed


def load_claims(path: str | Path = ROWS) -> tuple[Claim, ...]:
    """Read and check the rows, in their order.

    Raises
    ------
    RagftError
        A row or field is missing, unknown or makes no sense; names row and field.
    """
    import yaml

    try:
        rows = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise RagftError(f"{path}: cannot be read as YAML ({error}).") from error
    if not isinstance(rows, list) or not rows:
        raise RagftError(f"{path}: holds no list of rows.")
    claims = tuple(_claim(row, f"{path}, row {place}") for place, row in enumerate(rows, 1))
    twice = [name for name, count in Counter(c.id for c in claims).items() if count > 1]
    if twice:
        raise RagftError(f"{path}: {', '.join(twice)} stands there twice; ids are unique.")
    return claims


_Check = tuple[Callable[[Any], bool], str]


def _number(value: Any) -> bool:
    # Compared, because an integer of any size has no float for `math.isfinite`.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _one_of(*allowed: Any) -> _Check:
    shown = ", ".join(map(repr, allowed))
    return lambda v: any(v == a and type(v) is type(a) for a in allowed), f"one of {shown}"


def _is_range(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2 and all(map(_number, value))
    return pair and value[0] < value[1]


def _is_change(value: Any) -> bool:
    if not isinstance(value, Mapping) or set(value) != {"date", "reason"}:
        return False
    return type(value["date"]) is date and _FILLED[0](value["reason"])


_TEXT: _Check = (lambda v: isinstance(v, str), "a text, '' for none")
_FILLED: _Check = (lambda v: isinstance(v, str) and v.strip() != "", "a text that is not empty")
_NAME: _Check = (lambda v: v is None or _FILLED[0](v), "a name or null")
_CHECKS: dict[str, _Check] = {
    **dict.fromkeys(("id", "group", "article", "claim", "quantity"), _FILLED),
    **dict.fromkeys(("figure", "shape", "why"), _TEXT),
    **dict.fromkeys(("measured", "record", "figure_file"), _NAME),
    "scope": _one_of("system", "mechanism", "model", "none"),
    "effect": _one_of("difference", "ratio", "level", "none"),
    "direction": _one_of(1, -1, 0),
    "claimed": (
        lambda v: v is None or _number(v) or _is_range(v),
        "a number, a range [low, high] or null",
    ),
    "margin": (lambda v: v is None or (_number(v) and v >= 0), "a number from 0 up, or null"),
    "unit": _one_of(*UNITS),
    "judged_on": _one_of("", "packages"),
    "verdict": _one_of(None, BY_CONSTRUCTION, NOT_TESTABLE),
    "changed": (
        lambda v: isinstance(v, list) and all(map(_is_change, v)),
        "a list of {date: YYYY-MM-DD, reason: text}",
    ),
}
_OPTIONAL = ("record", "figure_file", "judged_on", "shape", "verdict", "why", "changed")


def _claim(values: Any, place: str) -> Claim:
    if not isinstance(values, Mapping):
        raise RagftError(f"{place}: {values!r} is no row of fields.")
    place += f" ({values['id']})" if "id" in values else ""
    names = [field.name for field in fields(Claim)]
    for name in [n for n in names if n not in values and n not in _OPTIONAL]:
        raise RagftError(f"{place}: the field '{name}' is missing.")
    for name, value in values.items():
        if name not in names:
            raise RagftError(f"{place}: unknown field {name!r}; there are {', '.join(names)}.")
        fits, expected = _CHECKS[name]
        if not fits(value):
            raise RagftError(f"{place}: {name} is {value!r}; give {expected}.")
    claim = Claim(**values)
    for name, expected in _clashes(claim):
        raise RagftError(f"{place}: {name} is {getattr(claim, name)!r}; give {expected}.")
    return claim


def _clashes(claim: Claim) -> Iterator[tuple[str, str]]:
    """Yield the fields that do not go with the others, and what would."""
    if claim.effect == "none":
        for name in ("measured", "claimed", "margin", "record"):
            if getattr(claim, name) is not None:
                yield name, "null, or an effect other than 'none'"
        if not claim.why:
            yield "why", "the reason why there is no effect to judge by"
    elif claim.measured is None or claim.unit == "":
        yield "measured" if claim.measured is None else "unit", "what the record gives"
    elif claim.margin is None or (claim.margin == 0 and claim.effect != "level"):
        yield "margin", "a number above 0: inside it an effect counts as none"
    elif claim.effect == "level" and claim.claimed is None:
        yield "claimed", "the level that the article states"
    elif claim.effect != "level" and claim.direction == 0:
        yield "direction", "1 or -1"
    elif claim.effect != "level" and any(signed(claim, v) <= 0 for v in claim.span or ()):
        yield "claimed", f"an effect on the side of the direction, {claim.direction}"
    if (claim.scope == "none") != (claim.verdict == NOT_TESTABLE):
        yield "verdict", f"'{NOT_TESTABLE}' with the scope 'none', and with no other"
    if claim.verdict is not None and not claim.why:
        yield "why", "the reason of the fixed verdict"
