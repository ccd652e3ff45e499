"""Made-up names and values, as pure functions of a number.

Two vocabularies that share no word: 'pretraining' for the embedded model's
lessons and 'evaluation' for every world that is measured on. What the names are
names of, and when a fact holds, is decided in `world`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b

from ragft.types import RagftError

ONSETS = "b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sh sk st t tr v w z".split()
VOWELS = "a e i o u".split()
ENDINGS = "n r s l m th x k nd ra lo vi".split()

COMPANY_SUFFIXES = (
    "Labs Works Group Systems Foods Energy Logistics Motors Software Textiles Media Partners"
).split()
COLOURS = (
    "red blue green black white grey brown orange purple pink yellow silver gold teal navy "
    "olive maroon beige ivory coral indigo amber crimson turquoise"
).split()
MATERIALS = (
    "steel oak glass cotton copper leather bamboo wool marble granite ceramic rubber aluminium "
    "titanium linen walnut carbon brass slate cork silk plastic paper clay"
).split()
MONTHS = (
    "January February March April May June July August September October November December"
).split()
ROLES = (
    "accountant analyst architect auditor buyer chemist clerk designer director driver editor "
    "engineer florist gardener geologist inspector lawyer librarian machinist nurse painter "
    "pilot planner printer surveyor tailor teacher technician translator welder"
).split()
FIELDS = (
    "acoustics agronomy anatomy astronomy biology botany ceramics chemistry classics dance "
    "drama ecology economics finance forestry genetics geography geology history hydrology "
    "law linguistics logic mathematics medicine music optics philosophy physics statistics"
).split()
HOBBIES = (
    "archery baking birdwatching bowling camping canoeing chess climbing cycling diving fencing "
    "fishing gardening hiking juggling kayaking knitting painting pottery quilting riding "
    "rowing sailing sculpture skating skiing surfing weaving woodwork wrestling"
).split()
POLICY_TOPICS = (
    "travel refund privacy parking training expense security leave safety purchasing hiring "
    "backup visitor warranty delivery archive overtime recycling complaints gifts"
).split()

SPLITS = ("pretraining", "evaluation")


def draw(*key: object) -> int:
    """Return a 64-bit number that is a pure function of `key`."""
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "big")


def draw_unit(*key: object) -> float:
    """Return a number in [0, 1) that is a pure function of `key`."""
    return draw(*key) / 2**64


@cache
def words(split: str) -> tuple[str, ...]:
    """Return the made-up words of a vocabulary (some ten thousand, all distinct).

    Which vocabulary a word belongs to is read off the word itself, so that the two
    cannot overlap whatever else changes.

    Raises
    ------
    RagftError
        If `split` is not one of `SPLITS`.
    """
    if split not in SPLITS:
        raise RagftError(f"names={split!r}: choose one of {', '.join(SPLITS)}")
    syllables = [onset + vowel for onset in ONSETS for vowel in VOWELS]
    every = (a + b + end for a in syllables for b in syllables for end in ENDINGS)
    codes = {word: zlib.crc32(word.encode()) for word in every}
    mine = [word for word in codes if (codes[word] % 3 == 0) == (split == "evaluation")]
    return tuple(sorted(mine, key=codes.__getitem__))


@cache
def _step(capacity: int, salt: int) -> int:
    """Return a step coprime to `capacity`, so that index -> step·index is a permutation."""
    from math import gcd

    step = draw("step", capacity, salt) % capacity | 1
    while gcd(step, capacity) != 1:
        step += 2
    return step


def permuted(index: int, capacity: int, salt: int) -> int:
    """Map `index` to a number below `capacity`, without collisions, differently for each salt."""
    if not 0 <= index < capacity:
        raise RagftError(f"a world cannot have more than {capacity:,} subjects of one kind")
    return (_step(capacity, salt) * index + draw("shift", capacity, salt)) % capacity


def subject_name(kind: str, index: int, split: str, salt: int) -> str:
    """Return the name of the `index`-th subject of a kind in the world numbered `salt`.

    Names of one kind in one world are all different.
    """
    vocabulary = words(split)
    size = len(vocabulary)
    if kind == "company":
        number = permuted(index, size * len(COMPANY_SUFFIXES), salt)
        return f"{vocabulary[number % size].title()} {COMPANY_SUFFIXES[number // size]}"
    if kind == "product":
        number = permuted(index, size * 90, salt + 1)
        return f"{vocabulary[number % size].title()} {10 + number // size}"
    if kind == "person":
        number = permuted(index, size * size, salt + 2)
        return f"{vocabulary[number % size].title()} {vocabulary[number // size].title()}"
    if kind == "policy":
        number = permuted(index, size * len(POLICY_TOPICS), salt + 3)
        return f"the {vocabulary[number % size].title()} {POLICY_TOPICS[number // size]} policy"
    raise RagftError(f"unknown kind of subject {kind!r}")


def _pick(options: Sequence[str], number: int) -> str:
    return options[number % len(options)]


def value_of(value_type: str, split: str, *key: object) -> str:
    """Draw a value of a type as a pure function of `key`.

    Open types (city, person, company, code) have thousands of values, closed ones
    (colour, month) a few; numbers are written as the world's documents write them.
    """
    n = draw(value_type, *key)
    vocabulary = words(split)
    match value_type:
        case "city":
            return _pick(vocabulary, n).title()
        case "person":
            first, last = _pick(vocabulary, n), _pick(vocabulary, n // len(vocabulary))
            return f"{first.title()} {last.title()}"
        case "company":
            return f"{_pick(vocabulary, n).title()} {_pick(COMPANY_SUFFIXES, n >> 32)}"
        case "year":
            return str(1900 + n % 120)
        case "count":
            return str(10 + n % (10 ** (2 + n // 7 % 4)))
        case "price":
            return f"{5 + n % 900}.{n // 977 % 10}0 credits"
        case "days":
            return f"{5 + n % 360} days"
        case "percent":
            return f"{1 + n % 98} percent"
        case "version":
            return f"{n % 20}.{n // 23 % 30}.{n // 977 % 20}"
        case "weight":
            return f"{20 + n % 9000} grams"
        case "date":
            return f"{1950 + n % 70}-{1 + n // 71 % 12:02d}-{1 + n // 997 % 28:02d}"
        case "time":
            return f"{n % 24:02d}:{n // 29 % 60:02d}"
        case "code":
            letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
            return f"{letters[n % 24]}{letters[n // 31 % 24]}-{1000 + n // 997 % 9000}"
        case "word":
            return _pick(vocabulary, n)
    closed = {
        "colour": COLOURS,
        "material": MATERIALS,
        "month": MONTHS,
        "role": ROLES,
        "field": FIELDS,
        "hobby": HOBBIES,
    }
    return _pick(closed[value_type], n)
