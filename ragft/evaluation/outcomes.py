"""What an answer was: correct, abstained, stale, confused, fabricated; and shares of these.

Judged from the questions' dated answers and the corpus's facts, without a model. How values are
compared lives in `text`, intervals in `statistics`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

from ragft.evaluation.text import same_value, states, value_keys
from ragft.prompts import REFUSED
from ragft.types import UNKNOWN, Answer, Fact, Passage, Question, RagftError

if TYPE_CHECKING:
    import pandas as pd

WRONG = "wrong"
"""Outcome of a wrong answer of which no more can be said: the corpus has no facts."""
DEFAULT = "default"
"""Kind of the facts of package history."""
SCORES = (
    "correct",
    "abstained",
    "stale",
    "confused",
    "fabricated",
    "hallucination",
    "hallucination_attempted",
    "supported",
    "refused_rightly",
)
"""Columns of `score_columns`, each 0, 1 or NaN."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one answer was; 1.0 or 0.0 or NaN where the question leaves it undefined."""

    outcome: str
    """One of `types.OUTCOMES`, or 'wrong' where the corpus has no facts to say more."""
    supported: float = math.nan
    """Whether the passages shown state the value; NaN without passages or without a value."""
    refused_rightly: float = math.nan
    """Whether an unanswerable question was answered 'unknown'; NaN for answerable ones."""
    stale: float = math.nan
    confused: float = math.nan
    fabricated: float = math.nan

    def to_dict(self) -> dict[str, str | float]:
        """Return the fields as columns of an answers frame."""
        return asdict(self)


class FactBook:
    """Look up whether a value is true of something.

    In the made-up world: of anything by the same relation at any time, or, unless it is a
    number, by any relation (a number is always true of something). In package history (all
    facts of the kind 'default') only of the same parameter, because nearly every default is
    true of some other one.

    Parameters
    ----------
    facts : iterable of Fact
        All versions of all facts; may be empty, then no value is true of anything.
    """

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._by_relation: dict[str, set[Hashable]] = defaultdict(set)
        seen: set[tuple[str, str]] = set()
        kinds = set()
        for fact in facts:
            kinds.add(fact.kind)
            if (fact.relation, fact.value) not in seen:
                seen.add((fact.relation, fact.value))
                self._by_relation[fact.relation] |= value_keys(fact.value)
        self.of_packages = kinds == {DEFAULT}
        """Whether these are the defaults of a package's history."""
        self._texts = set().union(*self._by_relation.values())
        self._texts = {k for k in self._texts if k[0] != "number"}

    def holds(self, relation: str, value: str) -> bool:
        """Tell whether the value is true of something, by this relation or another.

        A relation without facts of its own (a two-hop question's) is looked up in all.
        """
        keys = value_keys(value)
        if not keys.isdisjoint(self._by_relation.get(relation, ())):
            return True
        if self.of_packages:
            return False
        if relation not in self._by_relation:
            return any(not keys.isdisjoint(known) for known in self._by_relation.values())
        return not keys.isdisjoint(self._texts)


def judge(
    question: Question,
    answer: Answer | str,
    day: date | None,
    *,
    facts: FactBook | Iterable[Fact] | None = None,
    passages: Sequence[Passage | str] | None = None,
) -> Judgement:
    """Say what an answer was on a day.

    Parameters
    ----------
    question : Question
        Right answers are those that hold on `day`. Where none does, or none that is dated for a
        question marked unanswerable, the right answer is 'unknown'.
    answer : Answer or str
        'unknown' (or 'refused') in any case, with or without a full stop, abstains.
    day : date or None
        None: any answer that was ever right is right, and nothing is stale.
    facts : FactBook or iterable of Fact, optional
        Build the `FactBook` once for many answers. None: a wrong answer that was not once right
        is 'wrong', and `confused` and `fabricated` are NaN.
    passages : sequence of Passage or str, optional
        What the model was shown; None = the answer's own hits.

    Returns
    -------
    Judgement
        The outcome is the first that fits in the order correct, stale, confused, fabricated.

    Raises
    ------
    RagftError
        If the question is answerable and has no answers at all.
    """
    text = (answer.text if isinstance(answer, Answer) else answer).strip()
    if passages is None:
        passages = [h.passage for h in answer.hits] if isinstance(answer, Answer) else ()
    if facts is not None and not isinstance(facts, FactBook):
        facts = FactBook(facts)
    right, silent = _right_answers(question, day), abstains(text)
    shown = [p if isinstance(p, str) else p.text for p in passages]
    supported = math.nan
    if shown and not silent:
        supported = float(any(states(passage, text) for passage in shown))
    if silent:
        outcome = "abstained" if right else "correct"
    elif any(same_value(text, value) for value in right):
        outcome = "correct"
    else:
        outcome = _wrong(question, text, day, facts, supported == 1)
    return _judgement(question, outcome, supported, silent if not right else None, facts)


def abstains(text: str) -> bool:
    """Tell whether an answer says nothing: empty, 'unknown' or 'refused'."""
    return text.strip().rstrip(".").casefold() in ("", UNKNOWN, REFUSED)


def _right_answers(question: Question, day: date | None) -> tuple[str, ...]:
    """Return the right answers, none where the question cannot be answered on that day."""
    if question.answerable and not question.answers:
        raise RagftError(
            f"question {question.id!r}: has no answer key; give it golden_answers, or "
            '"answerable": false in its metadata, or use it for retrieval only.'
        )
    if question.answerable:
        return question.answers_on(day)
    if day is None:
        return ()
    dated = [a for a in question.answers if a.valid_from is not None or a.valid_to is not None]
    return tuple(a.text for a in dated if a.holds_on(day))


def _wrong(
    question: Question, text: str, day: date | None, facts: FactBook | None, supported: bool
) -> str:
    """Return which kind of wrong a value is."""
    if day is not None and any(same_value(text, v) for v in question.former_answers(day)):
        return "stale"
    if facts is None:
        return WRONG
    # What a retrieved passage says of another function is true of that one.
    if facts.holds(question.relation, text) or (facts.of_packages and supported):
        return "confused"
    return "fabricated"


def _judgement(
    question: Question, outcome: str, supported: float, refused: bool | None, facts: FactBook | None
) -> Judgement:
    """Fill in the shares that are defined for the question, whatever was answered."""
    dated = facts is not None or any(a.valid_from or a.valid_to for a in question.answers)
    return Judgement(
        outcome,
        supported,
        math.nan if refused is None else float(refused),
        float(outcome == "stale") if dated else math.nan,
        float(outcome == "confused") if facts is not None else math.nan,
        float(outcome == "fabricated") if facts is not None else math.nan,
    )


def score_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return 0, 1 or NaN for every answer and every score, for `statistics` to average.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per answer with the column `outcome`, and those of `Judgement` where there are
        any. Without them `stale`, `confused` and `fabricated` follow from the outcome.

    Returns
    -------
    pandas.DataFrame
        Columns `SCORES`, the frame's index. `hallucination` = stale, confused, fabricated or
        wrong, of all answers; `hallucination_attempted` is NaN where the arm abstained.

    Raises
    ------
    RagftError
        If `outcome` is missing or holds another word.
    """
    import pandas as pd

    if "outcome" not in frame:
        raise RagftError("outcomes: the frame has no column 'outcome'.")
    outcome = frame["outcome"].astype(object)
    known = {"correct", "abstained", "stale", "confused", "fabricated", WRONG}
    strange = set(outcome.unique()) - known
    if strange:
        raise RagftError(f"outcomes: no outcome {min(map(repr, strange))}; there are {known}.")
    scores = {name: (outcome == name).astype(float) for name in SCORES[:5]}
    undefined = (outcome == WRONG).any()
    for name in ("stale", "confused", "fabricated"):
        if name in frame:
            scores[name] = frame[name].astype(float)
        elif undefined:
            scores[name] = scores[name] * math.nan
    for name in ("supported", "refused_rightly"):
        column = frame[name] if name in frame else pd.Series(math.nan, frame.index)
        scores[name] = column.astype(float)
    wrong = ~outcome.isin(["correct", "abstained"])
    attempted = (outcome != "abstained") & (scores["refused_rightly"] != 1)
    scores["hallucination"] = wrong.astype(float)
    scores["hallucination_attempted"] = wrong.astype(float).where(attempted)
    return pd.DataFrame(scores, index=frame.index)[list(SCORES)]


def outcome_shares(frame: pd.DataFrame, by: Sequence[str] = ("arm",)) -> pd.DataFrame:
    """Return the share of every outcome, and of how many answers it is a share.

    Parameters
    ----------
    frame : pandas.DataFrame
        As for `score_columns`, with the columns of `by`.
    by : sequence of str
        What to group by; () gives one row over all.

    Returns
    -------
    pandas.DataFrame
        One row per group: the columns of `by`, `n`, and for every score its mean (NaN where it
        is undefined throughout) and `n_<score>`, the answers for which it is defined.

    Raises
    ------
    RagftError
        If a column is missing.
    """
    missing = [name for name in by if name not in frame]
    if missing:
        raise RagftError(f"outcomes: the frame has no column {missing[0]!r}.")
    scores = score_columns(frame)
    keys = [frame[name] for name in by] or [scores["correct"] * 0]
    groups = scores.groupby(keys, sort=False, dropna=False, observed=True)
    shares = groups.mean()
    counts = groups.count().add_prefix("n_")
    table = shares.join(counts)
    table.insert(0, "n", groups.size())
    return table.reset_index() if by else table.reset_index(drop=True)
