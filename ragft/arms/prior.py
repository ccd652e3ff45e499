"""`prior`: the commonest value for the relation or parameter, which is what guessing earns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from ragft.corpora.corpus import Corpus
from ragft.types import UNKNOWN, Answer, Changes, Example, Question, RagftError, RefreshCost


class Prior:
    """Answer with the value that most other subjects have for the same relation.

    The subject asked about is left out of the count, so that a value of its own cannot
    win by itself; a relation that nobody else has is answered with `unknown`.
    """

    name = "prior"
    teaches = ""

    def prepare(self, corpus: Corpus, examples: Sequence[Example] = ()) -> RefreshCost:
        """Remember the corpus's facts.

        Raises
        ------
        RagftError
            The corpus has no facts, so nothing can be counted.
        """
        if not corpus.facts:
            raise RagftError("prior: this corpus has no facts to count; leave the arm out")
        self._by_relation = defaultdict(list)
        for fact in corpus.facts:
            self._by_relation[fact.relation].append(fact)
        self._counts: dict = {}
        return RefreshCost()

    def refresh(self, changes: Changes) -> RefreshCost:
        """Do nothing: the facts carry their own dates."""
        return RefreshCost()

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question with its relation's commonest value on the day."""
        return [Answer(self._commonest(question)) for question in questions]

    def _commonest(self, question: Question) -> str:
        day = question.asked_on
        key = question.relation, day
        if key not in self._counts:
            held = self._by_relation.get(question.relation, ())
            now = [f for f in held if day is None or f.holds_on(day)]
            own = defaultdict(Counter)
            for fact in now:
                own[fact.subject][fact.value] += 1
            self._counts[key] = Counter(f.value for f in now), own
        everyone, own = self._counts[key]
        others = everyone - own.get(question.subject, Counter())
        # Ties go to the value that sorts first, so that a rerun gives the same answer.
        return min(others, key=lambda v: (-others[v], v), default=UNKNOWN)
