"""Examples that are much longer or shorter than the others, or of another form.

What is found is only named here; what is dropped for it is decided in `curation`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from ragft import files
from ragft.types import Example, RagftError

ORDINARY = 2.0
"""A length within this factor of the median is never an outlier, however alike the others are."""

FORMS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "space": ("begins with white space", lambda text: text[:1].isspace()),
    "lines": ("has several lines", lambda text: "\n" in text.strip()),
    "stop": ("ends in a full stop", lambda text: text.rstrip().endswith((".", "!", "?"))),
    "json": ("is a JSON object or list", lambda text: _is_json(text)),
    "cites": ("cites by a number in brackets", lambda text: bool(re.search(r"\[\d{1,3}\]", text))),
    "marks": ("has marks of Markdown or HTML", lambda text: bool(_MARKS.search(text))),
}
"""What a completion's form is made of, each a property that it has or has not."""

_MARKS = re.compile(r"```|</?[A-Za-z][\w-]*>|^#{1,6} |\*\*\w", flags=re.MULTILINE)


def robust_z(values: Sequence[float]) -> np.ndarray:
    """Return how far each value is from the median, in robust standard deviations.

    0.6745 (x − median) / MAD, where MAD is the median of |x − median|; 0.6745 makes it the usual
    z-score of normal data. Where more than half of the values are the median, MAD is 0 and the
    mean deviation takes its place: (x − median) / (√(π/2) × mean |x − median|), as normal data have
    it.

    Parameters
    ----------
    values : sequence of float
        Shape (n,); NaN is left out, and stays NaN.

    Returns
    -------
    numpy.ndarray
        Shape (n,); all 0 where all values are the same.

    Source: Iglewicz and Hoaglin (1993), How to detect and handle outliers, ASQC; they call more
    than 3.5 an outlier.

    Examples
    --------
    >>> robust_z([1, 2, 3, 4, 100]).round(4).tolist()  # median 3, MAD 1
    [-1.349, -0.6745, 0.0, 0.6745, 65.4265]
    """
    table = np.asarray(values, float)
    known = ~np.isnan(table)
    result = np.full(table.shape, np.nan)
    if not known.any():
        return result
    apart = table[known] - np.median(table[known])
    scale = (
        np.median(np.abs(apart)) / 0.6745 or math.sqrt(math.pi / 2) * np.mean(np.abs(apart)) or 1.0
    )
    result[known] = apart / scale
    return result


def length_outliers(
    examples: Sequence[Example], limit: float = 3.5, count: Callable[[str], int] = len
) -> dict[int, str]:
    """Return the examples of a length out of the ordinary: position → what was seen.

    Prompts and completions are measured apart, by `robust_z` of the logarithm of the length,
    because lengths are skewed. A length within a factor of `ORDINARY` of the median never counts.
    Examples of several kinds (short questions, long contexts) are best looked at kind by kind:
    the rarer kind is out of the ordinary among the other.

    Parameters
    ----------
    examples : sequence of Example
        May be empty. Empty texts have no length to compare; they are no outliers here.
    limit : float
        |z| above which a length is an outlier; above 0.
    count : callable
        Text → length; characters by default, or tokens: `lambda t: len(tokenizer(t).input_ids)`.

    Raises
    ------
    RagftError
        The limit is not above 0.
    """
    if not limit > 0:
        raise RagftError(f"limit={limit}: must be above 0")
    found: dict[int, str] = {}
    for field in ("prompt", "completion"):
        lengths = np.array([count(getattr(e, field)) for e in examples], float)
        logs = np.log(np.where(lengths > 0, lengths, np.nan))
        if np.isnan(logs).all():
            continue
        middle = np.exp(np.nanmedian(logs))
        for position in np.flatnonzero(np.abs(robust_z(logs)) > limit).tolist():
            if max(lengths[position] / middle, middle / lengths[position]) > ORDINARY:
                told = f"{field} of length {lengths[position]:.0f}, the median is {middle:.0f}"
                found[position] = "; ".join(filter(None, (found.get(position), told)))
    return dict(sorted(found.items()))


def format_outliers(examples: Sequence[Example], rare: float = 0.02) -> dict[int, str]:
    """Return the examples whose completion has another form than nearly all others.

    For each property of `FORMS`, those on the side where no more than a share `rare` stands are
    found. Few examples say nothing of what is usual: below 1 / `rare` none is found.

    Parameters
    ----------
    examples : sequence of Example
        May be empty. Empty completions have no form; they are no outliers here.
    rare : float
        Largest share that is out of the ordinary, at least 0 and below 0.5.

    Returns
    -------
    dict
        Position → what is unlike the others.

    Raises
    ------
    RagftError
        The share is out of range.
    """
    if not 0 <= rare < 0.5:
        raise RagftError(f"rare={rare}: must be at least 0 and below 0.5")
    texts = {n: e.completion for n, e in enumerate(examples) if e.completion.strip()}
    found: dict[int, list[str]] = {}
    for told, has in FORMS.values():
        sides: dict[bool, list[int]] = {True: [], False: []}
        for position, text in texts.items():
            sides[has(text)].append(position)
        for side, positions in sides.items():
            if len(positions) <= rare * len(texts):
                for position in positions:
                    found.setdefault(position, []).append(told if side else f"not: {told}")
    return {position: "; ".join(found[position]) for position in sorted(found)}


def _is_json(text: str) -> bool:
    if not text.strip().startswith(("{", "[")):
        return False
    try:
        files.from_json(text)
    except ValueError:
        return False
    return True
