"""Documents that somebody marked as right, wrong or noise: what was shown, and who was misled.

Marks stand in the corpus (`Document.mark`); what an answer was is decided in `outcomes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ragft.evaluation.text import states
from ragft.types import MARKS, Answer

SCORES = ("misled", *(f"shown_{mark}" for mark in MARKS))
"""What is measured of an answer where documents are marked."""


def mark_scores(answer: Answer, outcome: str, marks: Mapping[str, str]) -> dict[str, float]:
    """Say whether an answer follows a document marked wrong, and what its passages were.

    Parameters
    ----------
    answer : Answer
    outcome : str
        Of `outcomes.judge`.
    marks : mapping of document id to mark
        Of `types.MARKS`; documents that are not in it are unmarked.

    Returns
    -------
    dict
        `SCORES`, each 0 to 1. 'misled': 1 where the answer is wrong and a shown passage marked
        wrong states it. 'shown_MARK': share of the marked passages among those shown. All are
        NaN where no marked passage was shown.
    """
    shown = [(marks[h.passage.doc_id], h.passage.text) for h in answer.hits
             if h.passage.doc_id in marks]  # fmt: skip
    if not shown:
        return dict.fromkeys(SCORES, math.nan)
    wrong = outcome not in ("correct", "abstained")
    misled = wrong and any(mark == "wrong" and states(text, answer.text) for mark, text in shown)
    shares = {f"shown_{m}": sum(mark == m for mark, _ in shown) / len(shown) for m in MARKS}
    return {"misled": float(misled), **shares}
