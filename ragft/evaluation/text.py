"""When two answers are the same: values, exact match, token F1, and whether a text states a value.

Rules of writing only (numbers, quotes, versions, articles). What an answer is worth on a day is
decided in `outcomes`.
"""

from __future__ import annotations

import ast
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable
from functools import lru_cache

_ARTICLES = frozenset(("a", "an", "the"))
_EDGES = "\"'`.,;:!?()<>*_"
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2212": "-"})
_THOUSANDS = re.compile(r"(?<![\d.,])[-+]?\d{1,3}(?:,\d{3})+(?![\d,]|\.\d+[.\d])")
_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w]|\.\d|,\d{3})"
)
_VERSION_LIKE = re.compile(r"[1-9]\d*\.\d+0")
_LONGEST_LITERAL = 1000


def same_value(a: str, b: str) -> bool:
    """Tell whether two answers say the same value.

    - Numbers compare as numbers: 1e-3 = 0.001, 1.0 = 1, 1,234 = 1234, but -1 is not 1.
    - A number with a trailing zero after a point (1.10) may be a version and compares as text,
      as do versions and dates of three parts; 2.0 = 2 and 0.50 = 0.5 all the same.
    - Python literals compare by value and type: True is not 1, None is not 'None', (1, 2) is not
      [1, 2]; quotes may differ ('auto' = "auto") or be left out (auto), case may not.
    - Anything else compares through `normalize_answer`.

    Parameters
    ----------
    a, b : str
        May be empty: two empty answers are the same, and '' (a quoted empty string) is a value.

    Returns
    -------
    bool

    >>> same_value("1e-3", "0.001"), same_value("'auto'", "auto"), same_value("3.10", "3.1")
    (True, True, False)
    """
    return not value_keys(a).isdisjoint(value_keys(b))


@lru_cache(maxsize=200_000)
def value_keys(text: str) -> frozenset[Hashable]:
    """Return what identifies a value: two texts say the same if they share a key.

    A text has several keys where it can be read in several ways: bare `auto` is prose, and
    could be the string 'auto'. Sets of keys make looking up a value among a million quick.
    """
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES).strip().strip("`").strip()
    if text.endswith(".") and text != "..." and not text[:-1].endswith("."):
        text = text[:-1]
    prose = ("prose", normalize_answer(text))
    if _VERSION_LIKE.fullmatch(text) and not re.fullmatch(r"\d+\.0+", text):
        return frozenset((prose,))
    known, value = _literal(text)
    if not known:
        return frozenset((prose, ("str", text)) if text else (prose,))
    if isinstance(value, str):
        return frozenset((("str", value),))
    if _is_number(value):
        return frozenset((("number", value),))
    return frozenset(
        (_tagged(value), prose) if value is None or value in (True, False) else (_tagged(value),)
    )


@lru_cache(maxsize=200_000)
def _literal(text: str) -> tuple[bool, object]:
    """Return (True, value) where the text is a number or a Python literal."""
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if not text or len(text) > _LONGEST_LITERAL:
        return False, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # '1is' and '\d' make the parser warn
            return True, ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False, None


def _is_number(value: object) -> bool:
    """Tell whether a value is a number; True and False are none."""
    return isinstance(value, int | float | complex) and not isinstance(value, bool)


def _tagged(value: object) -> Hashable:
    """Return a hashable form of a literal that keeps types apart, bool from int among them."""
    if _is_number(value):
        return ("number", value)
    if isinstance(value, list | tuple):
        return (type(value).__name__, tuple(map(_tagged, value)))
    if isinstance(value, set):
        return ("set", frozenset(map(_tagged, value)))
    if isinstance(value, dict):
        return ("dict", frozenset((_tagged(k), _tagged(v)) for k, v in value.items()))
    return (type(value).__name__, value)


@lru_cache(maxsize=200_000)
def normalize_answer(text: str) -> str:
    """Return the text in lower case without articles, outer punctuation and extra space.

    As SQuAD's, with care for values: punctuation inside a word stays (3.10.2, 2024-03-01,
    n_jobs, o'neil without its apostrophe), signs of numbers stay, commas between thousands go,
    hyphens between letters become spaces. A text of articles or punctuation alone keeps them,
    so that the answer 'A' is not the empty one.

    Source: Rajpurkar et al. (2016), SQuAD, evaluation script.

    >>> normalize_answer("The Jean-Luc, aged 1,234.")
    'jean luc aged 1234'
    """
    plain = unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold()
    spaced = re.sub(r"(?<=[^\W\d_])-(?=[^\W\d_])", " ", plain)
    spaced = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), spaced)
    words = [word.strip(_EDGES).replace("'", "") for word in spaced.split()]
    kept = [w for w in words if w and w not in _ARTICLES]
    return " ".join(kept) or " ".join(plain.split())


def exact_match(prediction: str, golds: Iterable[str]) -> float:
    """Return 1.0 if the prediction says the same value as any gold answer, else 0.0.

    NaN without any gold answer: nothing can be matched.
    """
    golds = list(golds)
    return float(any(same_value(prediction, g) for g in golds)) if golds else float("nan")


def token_f1(prediction: str, golds: Iterable[str]) -> float:
    """Return the best F1 over gold answers of the words shared, in [0, 1].

    2 x shared / (words in the prediction + words in the gold answer), words as
    `normalize_answer` leaves them, counted as often as they occur. Two empty texts agree (1.0);
    an empty one shares nothing with another (0.0). NaN without any gold answer.

    Source: Rajpurkar et al. (2016), SQuAD, evaluation script.

    >>> round(token_f1("the red house", ["red brick house"]), 3)
    0.8
    """
    said = normalize_answer(prediction).split()
    return max((_f1(said, normalize_answer(g).split()) for g in golds), default=float("nan"))


def _f1(said: list[str], gold: list[str]) -> float:
    """Return the F1 of two lists of words."""
    if not said or not gold:
        return float(said == gold)
    return 2 * sum((Counter(said) & Counter(gold)).values()) / (len(said) + len(gold))


def states(passage: str, value: str) -> bool:
    """Tell whether a text states a value: as whole words, a whole literal, or the same number.

    '5' is not stated by 'cv=15' or '1.5', but by 'cv=5,'; 0.001 is stated by 'tol=1e-3'. An
    empty value is stated by nothing.
    """
    value = value.strip().strip("`").strip()
    known, literal = _literal(value)
    if known and _is_number(literal):
        return literal in _numbers(passage)
    if known and isinstance(literal, str):
        return any(_whole(passage, f"{q}{literal}{q}") for q in "'\"")
    said = normalize_answer(value)
    if not said:
        return False
    return _whole(passage, value) or f" {said} " in f" {normalize_answer(passage)} "


@lru_cache(maxsize=50_000)
def _numbers(passage: str) -> frozenset[float]:
    """Return all numbers that a text states."""
    text = passage.translate(_QUOTES)
    return frozenset(float(match.replace(",", "")) for match in _NUMBER.findall(text))


def _whole(passage: str, piece: str) -> bool:
    """Tell whether the text holds the piece, case and all, not as part of a longer word."""
    start = passage.find(piece)
    while start >= 0:
        end = start + len(piece)
        before, after = passage[start - 1 : start], passage[end : end + 2]
        joined = (piece[0].isalnum() and (before.isalnum() or before in ("_", ".")) and before) or (
            piece[-1].isalnum() and (after[:1].isalnum() or after[:1] == "_")
        )
        dotted = piece[-1].isalnum() and after[:1] == "." and after[1:].isalnum()
        if not joined and not dotted:
            return True
        start = passage.find(piece, start + 1)
    return False
