"""At which step a wrong answer went wrong: one cause for each, from where the right passages stood.

Pure functions over questions, passages and judgements. What a search considered comes from
`retrieval.candidates`; asking an arm and searching again lives in `experiments.tracing`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from ragft.evaluation.outcomes import Judgement, abstains
from ragft.evaluation.text import states
from ragft.types import Answer, Passage, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

CAUSES = (
    "not in the corpus",
    "not retrieved",
    "ranked too low",
    "read wrongly",
    "wrongly refused",
)
"""What can have gone wrong, in the order of the steps from a document to an answer."""

UNTRACEABLE = "untraceable"
"""In place of a cause: the arm has no steps, or nobody said which documents hold the answer."""

MEANING = {
    "not in the corpus": "no document that states the answer could be found on that day",
    "not retrieved": "what states the answer was no candidate at any stage of the search",
    "ranked too low": "what states the answer was a candidate, but not among the passages shown",
    "read wrongly": "the right passages were shown, or nothing answers it, and a wrong value said",
    "wrongly refused": "the right passages were shown, and no value was said",
    UNTRACEABLE: "no passages were searched for, or no documents are named that state the answer",
}
"""Every cause in a sentence."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the passages that an answer needs came; each step includes the ones before it."""

    in_corpus: bool
    """They are in the index, and a search on that day may find them."""
    candidate: bool
    """Some stage of the search found each of them."""
    shown: bool
    """They stood in the prompt."""


def needed(question: Question, day: date | None) -> tuple[frozenset[str], ...]:
    """Return groups of document ids, of each of which an answer needs one document.

    Where several documents state the answer any of them will do: one group. A two-hop question
    needs its other supporting documents as well, each a group of its own; where all of them are
    named as stating the answer, all of them are needed. No groups where none are named.

    Parameters
    ----------
    question : Question
    day : date or None
        Documents that state what is right on that day; see `Question.supporting_on`.

    Examples
    --------
    >>> needed(Question("q", "Who?", supporting=("a", "b")), None) == (frozenset({"a", "b"}),)
    True
    """
    stating = question.supporting_on(day)
    if question.kind != "two_hop":
        return (frozenset(stating),) if stating else ()
    bridges = [d for d in question.supporting if d not in stating]
    if not bridges:
        return tuple(frozenset((d,)) for d in stating)
    return (frozenset(stating), *(frozenset((d,)) for d in bridges))


def right_passages(
    question: Question, day: date | None, held: Iterable[Passage]
) -> tuple[frozenset[str], ...]:
    """Return for each group of needed documents the ids of the passages that do.

    Of a document the passages that state a right answer in so many words; all of them where none
    does (it says it in other words, or is the first of two hops).

    Parameters
    ----------
    question : Question
    day : date or None
    held : iterable of Passage
        What a search may find; passages of other documents are passed over. A group of which
        nothing is held is empty.
    """
    of_document: dict[str, list[Passage]] = defaultdict(list)
    for passage in held:
        of_document[passage.doc_id].append(passage)
    values = question.answers_on(day)

    def telling(passages: Sequence[Passage]) -> list[str]:
        stating = [p.id for p in passages if any(states(p.text, value) for value in values)]
        return stating or [p.id for p in passages]

    return tuple(
        frozenset(i for d in sorted(group) for i in telling(of_document.get(d, ())))
        for group in needed(question, day)
    )


def standing(
    right: Sequence[Collection[str]], candidates: Collection[str], shown: Collection[str]
) -> Standing:
    """Say how far the right passages came.

    Parameters
    ----------
    right : sequence of collections of str
        Passage ids as `right_passages` gives them; a step is reached when one passage of every
        group reached it. Without any group none is.
    candidates, shown : collections of str
        Ids of the passages that some stage found, and of those that stood in the prompt. What was
        found and then left out because the prompt was full is not shown.
    """
    found = {*candidates, *shown}

    def each(among: Collection[str]) -> bool:
        return bool(right) and all(any(i in among for i in group) for group in right)

    return Standing(bool(right) and all(right), each(found), each(set(shown)))


def first_rank(right: Sequence[Collection[str]], ranks: Mapping[str, int]) -> float:
    """Return the rank at which a reader has all that an answer needs; NaN if it never does.

    The best rank within each group of `right`, and the worst of these.

    Examples
    --------
    >>> first_rank([{"a", "b"}, {"c"}], {"a": 9, "b": 2, "c": 5})
    5.0
    """
    best = [min((ranks[i] for i in group if i in ranks), default=math.nan) for group in right]
    if not best or any(math.isnan(rank) for rank in best):
        return math.nan
    return float(max(best))


def cause(judgement: Judgement, answer: Answer, standing: Standing | None) -> str | None:
    """Return why an answer is wrong: the first step that failed. None for right answers.

    Parameters
    ----------
    judgement : Judgement
        Abstaining from a question that has an answer counts as wrong.
    answer : Answer
    standing : Standing or None
        None where there are no steps to look at: a closed-book arm, or a question of which nobody
        said which documents hold the answer.

    Returns
    -------
    str or None
        One of `CAUSES`, `UNTRACEABLE`, or None.

    Notes
    -----
    Where nothing right was shown the search is at fault, whatever was said then: an arm that
    abstained could do no better, and one that made a value up would have been wrong in any case.

    A value said where the right answer is 'unknown' was read wrongly: no document was missing, the
    passages did not say it. So 'not in the corpus' is always cured by adding a document.
    """
    if judgement.outcome == "correct":
        return None
    if standing is None:
        return UNTRACEABLE
    if judgement.refused_rightly == 0:
        return "read wrongly"
    if not standing.in_corpus:
        return "not in the corpus"
    if not standing.candidate:
        return "not retrieved"
    if not standing.shown:
        return "ranked too low"
    return "wrongly refused" if abstains(answer.text) else "read wrongly"


def causes(frame: pd.DataFrame, by: Sequence[str] = ("arm",)) -> pd.DataFrame:
    """Count the causes; with `UNTRACEABLE` they add up to all wrong answers.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per answer: outcome, cause (missing for right answers), and the columns of `by`.
    by : sequence of str
        What to group by; () counts over all.

    Returns
    -------
    pandas.DataFrame
        For every group a row per cause, in the order of `CAUSES` and `UNTRACEABLE` last: the
        columns of `by`, `cause`, `count`, `wrong` (the group's wrong answers), `n` (all its
        answers) and `share` (of the wrong ones; NaN where none is wrong). Empty for no answers.

    Raises
    ------
    RagftError
        A column is missing, a cause is none there is, a wrong answer has none or a right one has.
    """
    import pandas as pd

    for name in ("outcome", "cause", *by):
        if name not in frame:
            raise RagftError(f"causes: the frame has no column {name!r}.")
    _check_causes(frame)
    groups = frame.groupby(list(by), sort=False, dropna=False) if by else [((), frame)]
    rows = []
    for key, group in groups:
        counts = group["cause"].value_counts()
        wrong = int(counts.sum())
        for name in (*CAUSES, UNTRACEABLE):
            count = int(counts.get(name, 0))
            share = count / wrong if wrong else math.nan
            rows.append((*key, name, count, wrong, len(group), share))
    return pd.DataFrame(rows, columns=[*by, "cause", "count", "wrong", "n", "share"])


def _check_causes(frame: pd.DataFrame) -> None:
    strange = set(frame["cause"].dropna()) - {*CAUSES, UNTRACEABLE}
    if strange:
        raise RagftError(f"causes: no cause {min(map(repr, strange))}; there are {CAUSES}.")
    uneven = (frame["outcome"] == "correct") == frame["cause"].notna()
    if uneven.any():
        row = frame[uneven].iloc[0]
        raise RagftError(
            f"causes: an answer that is {row['outcome']!r} has the cause {row['cause']!r}; wrong "
            "answers have one, right ones none (make the frame with experiments.tracing.trace)."
        )
