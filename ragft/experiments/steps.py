"""What a search did for questions, beside the passages that it should have brought.

The search is made again, once for all questions; what follows from it is decided in
`evaluation.tracing`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from ragft.evaluation import tracing
from ragft.evaluation.outcomes import Judgement
from ragft.retrieval.candidates import STAGES, Candidate
from ragft.types import Answer, Passage, Question

if TYPE_CHECKING:
    from ragft.arms.base import Arm
    from ragft.arms.library import Library


@dataclass(frozen=True)
class Way:
    """What a search did for one question; empty for an arm that made none."""

    stages: tuple[str, ...] = ()
    """Of the search, the one that decides last."""
    found: Mapping[str, Candidate] = field(default_factory=dict)
    """The candidates by passage id, in the order of the search."""
    right: tuple[frozenset[str], ...] = ()
    """As `evaluation.tracing.right_passages` gives them."""
    held: tuple[Passage, ...] = ()
    """The right passages, best ranked first, those that no stage found last."""
    traceable: bool = False

    def rank(self, stage: str) -> float:
        """Return at which rank of a stage all that the answer needs was found."""
        ranks = {i: c.ranks[stage] for i, c in self.found.items() if stage in c.ranks}
        return tracing.first_rank(self.right, ranks)

    def cause(self, judgement: Judgement, answer: Answer) -> str | None:
        """Return why the answer is wrong; None where it is right."""
        shown = [hit.passage.id for hit in answer.hits]
        standing = tracing.standing(self.right, self.found, shown)
        return tracing.cause(judgement, answer, standing if self.traceable else None)


def ways_of(
    arm: Arm,
    questions: Sequence[Question],
    judged: Sequence[Judgement | None],
    day: date | None = None,
) -> list[Way]:
    """Search once more for all questions, and look up where the right passages stood.

    Parameters
    ----------
    arm : Arm
        One without a library makes no search: then every way is empty.
    questions : sequence of Question
    judged : sequence of Judgement or None
        One per question; None without an answer key.
    day : date, optional
        As judged for; each question's own `asked_on` where None.
    """
    if not hasattr(arm, "library"):
        return [Way() for _ in questions]
    of_document: dict[str, list[Passage]] = defaultdict(list)
    for passage in arm.library.index.passages:
        of_document[passage.doc_id].append(passage)
    found = arm.library.explain(questions, arm.top_k)
    return [
        _way(arm.library, of_document, question, judgement, candidates, day or question.asked_on)
        for question, judgement, candidates in zip(questions, judged, found, strict=True)
    ]


def _way(
    library: Library,
    of_document: Mapping[str, Sequence[Passage]],
    question: Question,
    judgement: Judgement | None,
    candidates: Sequence[Candidate],
    day: date | None,
) -> Way:
    # Nothing states an answer that is not there, whatever documents are named.
    to_refuse = unanswerable(judgement)
    groups = () if to_refuse else tracing.needed(question, day)
    documents = dict.fromkeys(i for group in groups for i in sorted(group))
    passages = [p for d in documents for p in of_document.get(d, ())]
    findable = [p for p in passages if library.may_find(p, question)]
    right = tracing.right_passages(question, day, findable) if groups else ()
    found = {c.passage.id: c for c in candidates}
    order = {i: n for n, i in enumerate(found)}
    held = [p for p in findable if any(p.id in group for group in right)]
    held.sort(key=lambda p: order.get(p.id, len(order)))
    retriever = library.index.retriever
    stages = STAGES if retriever == "hybrid" else (retriever,)
    return Way(stages, found, right, tuple(held), to_refuse or bool(groups))


def unanswerable(judgement: Judgement | None) -> bool:
    """Tell whether 'unknown' was the right answer: only then is there anything to refuse."""
    return judgement is not None and not math.isnan(judgement.refused_rightly)
