"""Does an arm say the same when it is asked the same again? Agreement of answers.

Over rewordings of a question, or over repeats at a temperature above 0. Whether what it says is
right is the matter of `outcomes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from ragft.evaluation.outcomes import abstains
from ragft.evaluation.text import same_value
from ragft.types import RagftError

if TYPE_CHECKING:
    import pandas as pd


def agree(a: str, b: str) -> bool:
    """Tell whether two answers say the same value, or both abstain.

    >>> agree("1e-3", "0.001"), agree("unknown", ""), agree("unknown", "Oslo")
    (True, True, False)
    """
    silent = abstains(a), abstains(b)
    return all(silent) or (not any(silent) and same_value(a, b))


def agreement(texts: Sequence[str]) -> float:
    """Return the share of pairs of answers that agree (`agree`).

    Always wrong in the same way is full agreement, as is always abstaining: agreement is about
    steadiness, and what it is worth as a sign of truth is measured by `uncertainty.auroc`.

    Parameters
    ----------
    texts : sequence of str
        Answers to one question.

    Returns
    -------
    float
        0 (no two agree) to 1; NaN with fewer than two answers.

    >>> agreement(["Oslo", "oslo.", "Bergen"])  # one pair of three
    0.3333333333333333
    """
    pairs = [agree(a, b) for a, b in combinations(texts, 2)]
    return sum(pairs) / len(pairs) if pairs else math.nan


def agreement_frame(
    answers: pd.DataFrame,
    by: Sequence[str] = ("arm", "question_id"),
    over: str = "wording",
    text: str = "text",
) -> pd.DataFrame:
    """Return the agreement of every group of answers, for `statistics` to average.

    Parameters
    ----------
    answers : pandas.DataFrame
        One row per answer, with the columns of `by`, `over` and `text`.
    by : sequence of str
        What an answer is about: rows alike in these are expected to say the same. Rewordings
        of a question need one id in common.
    over : str
        What varies within a group: 'wording', 'repeat', ...; no value may occur twice in a
        group, or an answer would be compared with itself.
    text : str
        Column of the answers. A missing one (None or NaN: generation failed) is left out and
        counted; an empty string is an abstention.

    Returns
    -------
    pandas.DataFrame
        One row per group in order of appearance: the columns of `by`, `agreement` in [0, 1] (NaN
        with fewer than two answers), `n` (answers compared) and `missing`. No rows for an empty
        frame that has the columns.

    Raises
    ------
    RagftError
        A column is missing, `by` is empty, or a group holds one value of `over` twice.
    """
    import pandas as pd

    by = list(by)
    _check(answers, by, over, text)
    rows = []
    for key, texts in answers.groupby(by, sort=False, dropna=False, observed=True)[text]:
        said = texts.dropna().tolist()
        rows.append([*key, agreement(said), len(said), len(texts) - len(said)])
    return pd.DataFrame(rows, columns=[*by, "agreement", "n", "missing"])


def _check(answers: pd.DataFrame, by: list[str], over: str, text: str) -> None:
    """Refuse a frame whose groups are not what they should be."""
    if not by:
        raise RagftError("agreement: `by` is empty; name the columns that tell questions apart.")
    missing = [name for name in (*by, over, text) if name not in answers]
    if missing:
        raise RagftError(f"agreement: the frame has no column {missing[0]!r}.")
    twice = answers.duplicated([*by, over])
    if twice.any():
        row = answers.loc[twice, [*by, over]].iloc[0].to_dict()
        raise RagftError(
            f"agreement: two answers at {row}; add what tells them apart to `by` (such as 'seed' "
            f"or 'day'), or give each its own value of {over!r}."
        )
