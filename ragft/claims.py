"""The ledger: what the articles assert, what records measured for it, and a verdict by rule.

`claims.yaml` holds the rows and how each is judged, written down before measuring. Knows
records only, so that it judges results made elsewhere too; pictures are `plotting`'s matter.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from textwrap import shorten
from typing import Any

from ragft.files import plain
from ragft.models import SHIPPED
from ragft.types import RagftError

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

PERCENT = ("points", "share")
"""Units stored as shares of one and shown in per cent."""
UNITS = (
    *PERCENT, "ratio", "seconds", "days", "weeks", "months", "dollars", "calls a day", "",
)  # fmt: skip

ROWS = Path(__file__).with_name("claims.yaml")


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

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise RagftError(f"interval [{self.low}, {self.high}]: give two numbers, low first")


_MEASURED = tuple(field.name for field in fields(Measured))


@dataclass(frozen=True)
class Row:
    """One row of the ledger."""

    claim: Claim
    measured: Measured | None
    verdict: str
    reason: str
    """Why it is not measured yet, or why its verdict is fixed; '' otherwise."""

    @property
    def shown(self) -> str:
        """What was measured, for people: '-18.0 [-21.0, -15.0]', shares in per cent."""
        if self.measured is None:
            return "–"
        form = "{:.1f}" if self.claim.unit in PERCENT else "{:.3g}"
        scale = 100 if self.claim.unit in PERCENT else 1
        found = (self.measured.mean, self.measured.low, self.measured.high)
        mean, low, high = (form.format(scale * value) for value in found)
        unit = {"share": "%", "ratio": "times"}.get(self.claim.unit, self.claim.unit)
        return f"{mean} [{low}, {high}] {unit}"

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON can hold it: numbers in `unit`, None where not measured."""
        claim = asdict(self.claim)
        del claim["why"]  # is in the reason
        found = asdict(self.measured) if self.measured else dict.fromkeys(_MEASURED)
        claim["measured"] = found.pop("mean")
        return plain({**claim, **found, "verdict": self.verdict, "reason": self.reason})


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
    """Judge a difference or ratio on a scale where no effect is 0 and the claimed side is up."""
    ends = (_effect(claim, measured.low), _effect(claim, measured.high))
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


def _effect(claim: Claim, value: float) -> float:
    if claim.effect == "ratio":  # an interval may reach 0, infinitely far below 1
        value = math.log(value) if value > 0 else -math.inf
    return claim.direction * value


def _judge_level(claim: Claim, measured: Measured) -> str:
    low = -math.inf if claim.direction < 0 else claim.span[0] - claim.margin
    high = math.inf if claim.direction > 0 else claim.span[1] + claim.margin
    if low <= measured.low and measured.high <= high:
        return SUPPORTED
    return CONTRADICTED if measured.high < low or high < measured.low else UNDECIDED


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
    elif claim.effect != "level" and any(_effect(claim, v) <= 0 for v in claim.span or ()):
        yield "claimed", f"an effect on the side of the direction, {claim.direction}"
    if (claim.scope == "none") != (claim.verdict == NOT_TESTABLE):
        yield "verdict", f"'{NOT_TESTABLE}' with the scope 'none', and with no other"
    if claim.verdict is not None and not claim.why:
        yield "why", "the reason of the fixed verdict"


def ledger(folder: str | Path = "figures/data") -> tuple[Row, ...]:
    """Return all rows in their order, judged by the records in a folder.

    Raises
    ------
    RagftError
        If there is no such folder, or a record in it is damaged (names it).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RagftError(f"{folder}: no such folder; give the one that holds the records.")
    claims = load_claims()
    paths = {c.record: folder / f"{c.record}.json" for c in claims if c.record}
    records = {name: _read(path) for name, path in paths.items() if path.is_file()}
    return tuple(_row(claim, records, folder) for claim in claims)


def _row(claim: Claim, records: Mapping[str, Mapping[str, Any]], folder: Path) -> Row:
    try:
        measured, reason = _find(claim, records)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        path = folder / f"{claim.record}.json"
        raise RagftError(f"{path}: is no record ({error}); write it anew.") from error
    return Row(claim, measured, verdict(claim, measured), claim.why or reason)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {name: record[name] for name in ("date", "profile", "parameters", "results")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RagftError(f"{path}: is no record ({error}); write it anew.") from error


def _find(claim: Claim, records: Mapping[str, Mapping[str, Any]]) -> tuple[Measured | None, str]:
    """Return what the records hold for a claim, or the reason why they hold nothing for it."""
    if claim.record is None:
        return None, "no experiment measures it yet"
    if claim.record not in records:
        return None, f"the record {claim.record}.json is not there"
    name, record = f"{claim.record}.json", records[claim.record]
    if record["profile"]["name"] == "smoke":
        return None, f"the record {name} is of a smoke run"
    found = record["results"].get("quantities", {}).get(claim.measured)
    if found is None:
        return None, f"the record {name} has no quantity '{claim.measured}'"
    lacking = [k for k in ("mean", "low", "high", "n", "seeds", "unit") if k not in found]
    if lacking:
        return None, f"'{claim.measured}' in the record {name} lacks {', '.join(lacking)}"
    if any(found[k] is None or math.isnan(found[k]) for k in ("mean", "low", "high")):
        return None, f"the interval of '{claim.measured}' is undefined (n = {found['n']})"
    if found["unit"] != claim.unit and {found["unit"], claim.unit} != set(PERCENT):
        return None, f"'{claim.measured}' is in {found['unit']}, the row is in {claim.unit}"
    measured = _measured(record, found)
    if claim.judged_on == "packages" and measured.corpus.startswith("world"):
        return None, "measured on a made-up world, whose change rate is chosen"
    return measured, ""


def _measured(record: Mapping[str, Any], found: Mapping[str, Any]) -> Measured:
    """Return a quantity with the provenance of its record, or with its own where it has one."""
    asked = record["parameters"]
    corpus = asked.get("timeline") or asked.get("corpus") or f"packages:{asked.get('package', '?')}"
    return Measured(
        *(float(found[name]) for name in ("mean", "low", "high")),
        n=found["n"],
        seeds=found["seeds"],
        corpus=found.get("corpus", corpus),
        model=found.get("model", record["profile"]["model"]),
        date=record["date"][:10],
        arms=tuple(found.get("arms", ())),
        stated_shape=found.get("stated_shape", False),
    )


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many rows have each verdict, in the order of `VERDICTS`; none is left out."""
    found = Counter(row.verdict for row in rows)
    return {name: found[name] for name in VERDICTS}


def table(rows: Sequence[Row]) -> dict[str, list[list[str]]]:
    """Return the rows of each group as cells for people, a head first."""
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        cells = groups.setdefault(
            row.claim.group, [["id", "claim", "figure", "measured [95 %]", "n", "verdict"]]
        )
        told = (shorten(text, 60, placeholder=" …") for text in (row.claim.claim, row.claim.figure))
        n = "–" if row.measured is None else str(row.measured.n)
        cells.append([row.claim.id, *told, row.shown, n, row.verdict])
    return groups
