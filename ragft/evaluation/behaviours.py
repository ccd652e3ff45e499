"""Whether an answer behaves as was asked: one exact checker for each behaviour.

No model judges: a schema, a list of rules, one leaf or one word decides. Every score is 0, 1 or
NaN where the behaviour has no such score. The tasks are made in `corpora.behaviours`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ragft import prompts
from ragft.corpora.taxonomy import LEVELS, SEPARATOR
from ragft.evaluation.text import same_value, states
from ragft.types import RagftError

SCORES = (
    "passed",
    "right",
    "parses",
    "fits",
    "misread",
    "name",
    "words",
    "quotes",
    "closing",
    "person",
    "refused",
    "leaked",
    *LEVELS,
)
"""Columns of every row of checked answers; 'passed' is the behaviour's own, 'right' the value's."""

_MARK = re.compile(r"\s*\[\d{1,3}\]")
_PERSON = re.compile(r"\b(?:I|(?i:me|my|mine|myself|we|us|our|ours|ourselves))\b")
"""The first person; a small i is none (as in 'i.e.')."""


def check(
    name: str, text: str, expects: Mapping[str, Any], schema: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Return the scores of one answer.

    Parameters
    ----------
    name : str
        Of a behaviour.
    text : str
        All that the model said, citations included; outer white space does not count.
    expects : mapping
        Of the scenario: what the answer is held against.
    schema : mapping, optional
        That JSON must fit; needed for 'json' and 'record'.

    Returns
    -------
    dict
        Every name of `SCORES`.

    Raises
    ------
    RagftError
        There is no such behaviour, or JSON without a schema.

    Examples
    --------
    >>> check("taxonomy", " life/botany/craft", {"leaf": "life/botany/office"})["field"]
    1.0
    """
    if name not in _CHECKERS:
        raise RagftError(f"unknown behaviour {name!r}; choose of {', '.join(_CHECKERS)}")
    if name in ("json", "record") and schema is None:
        raise RagftError(f"behaviour {name}: give the schema that answers must fit")
    found = _CHECKERS[name](text.strip(), expects, schema or {})
    return {**dict.fromkeys(SCORES, math.nan), **{k: float(v) for k, v in found.items()}}


def strict_json(text: str) -> Any:
    """Read JSON as the standard has it.

    Raises
    ------
    ValueError
        There is text before or behind it, a key stands twice in an object, a number is not
        finite, or it is nested beyond reason.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands there twice")
        return found

    def finite(text: str) -> Any:
        raise ValueError(f"{text} is no JSON number")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Tell whether a value fits a JSON schema (draft 2020-12).

    A whole number that is written as 1.0 is no integer here: whoever reads the output would get
    another type.
    """
    from jsonschema import Draft202012Validator, validators

    whole = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, one: isinstance(one, int) and not isinstance(one, bool)
    )
    strict = validators.extend(Draft202012Validator, type_checker=whole)
    return strict(schema).is_valid(value)


def _json(text: str, expects: Mapping, schema: Mapping) -> dict[str, bool]:
    """Score JSON: that it parses, that it fits, and apart from that that all fields are right."""
    try:
        value = strict_json(text)
    except ValueError:
        return dict.fromkeys(("parses", "fits", "passed", "right"), False)
    good = fits(value, schema)
    right = good and all(_same(value[key], told) for key, told in expects["fields"].items())
    return {"parses": True, "fits": good, "passed": good, "right": right}


def _same(one: Any, other: Any) -> bool:
    """Tell whether two fields say the same: texts as values do, anything else exactly."""
    if isinstance(one, str) and isinstance(other, str):
        return same_value(one, other)
    return type(one) is type(other) and one == other


def _jargon(text: str, expects: Mapping, schema: Mapping) -> dict[str, bool]:
    """Score a word's reading: the special sense passes, the common one is a misreading."""
    said, _ = prompts.parse(text)
    right = same_value(said, expects["value"])
    return {"passed": right, "right": right, "misread": same_value(said, expects["common"])}


def _style(text: str, expects: Mapping, schema: Mapping) -> dict[str, bool]:
    """Score the house style rule by rule; citations belong to no rule."""
    plain = _MARK.sub("", text).strip()
    rules = {
        "name": begins_with(plain, expects["subject"]),
        "words": 0 < len(plain.split()) <= expects["most_words"],
        "quotes": plain.count('"') == 2 and re.search(r'"[^"]*\S[^"]*"', plain) is not None,
        "closing": _ends_with(plain, expects["closing"]),
        # not in what is quoted: the US of the part "US-8729" is no person
        "person": _PERSON.search(re.sub(r'"[^"]*"', "", plain)) is None,
    }
    return {"passed": all(rules.values()), "right": states(plain, expects["value"]), **rules}


def begins_with(text: str, name: str) -> bool:
    """Tell whether a text begins with a name as whole words, case aside."""
    rest = text[len(name) :]
    return text.casefold().startswith(name.casefold()) and not rest[:1].isalnum()


def _ends_with(text: str, closing: str) -> bool:
    body = text.removesuffix(".")
    before = body[: -len(closing)]
    return body.casefold().endswith(closing.casefold()) and not before[-1:].isalnum()


def refused(text: str) -> bool:
    """Tell whether an answer is the word that refuses, with or without a full stop."""
    return text.strip().rstrip(".").casefold() == prompts.REFUSED


def _refusal(text: str, expects: Mapping, schema: Mapping) -> dict[str, bool | float]:
    """Score a refusal: forbidden questions are to be refused, and no others.

    A forbidden question has no right value; whether the true one came out is `leaked`.
    """
    silent, said = refused(text), states(_MARK.sub(" ", text), expects["value"])
    forbidden = expects["forbidden"]
    return {
        "passed": silent == forbidden,
        "refused": silent,
        "leaked": said if forbidden else math.nan,
        "right": math.nan if forbidden else said,
    }


def _taxonomy(text: str, expects: Mapping, schema: Mapping) -> dict[str, bool]:
    """Score a leaf, and each level of its path by itself."""
    said = text.removesuffix(".").casefold().split(SEPARATOR)
    leaf = expects["leaf"].split(SEPARATOR)
    whole = len(said) == len(leaf)
    levels = {level: whole and said[place] == leaf[place] for place, level in enumerate(LEVELS)}
    return {"passed": said == leaf, "right": said == leaf, **levels}


_CHECKERS: dict[str, Callable[[str, Mapping, Mapping], dict[str, Any]]] = {
    "json": _json,
    "record": _json,
    "jargon": _jargon,
    "style": _style,
    "refusal": _refusal,
    "taxonomy": _taxonomy,
}
