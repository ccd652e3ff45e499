"""`oracle`: the right passage given; the ceiling of every arm that shows passages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ragft import prompts
from ragft.arms.base import ModelArm
from ragft.chunking import chunk
from ragft.corpora.corpus import Corpus
from ragft.types import Changes, Example, Hit, Passage, Question, RefreshCost


class Oracle(ModelArm):
    """Show the passages that hold the answer on the day of the question, and no others.

    For a question that nothing answers, what is in force about its subject is shown.
    Give it the adapter of a tuned arm for that model's own ceiling.
    """

    name = "oracle"
    instruction = prompts.READ

    def prepare(self, corpus: Corpus, examples: Sequence[Example] = ()) -> RefreshCost:
        """Remember every document and the subject it is about."""
        self._documents = {d.id: d for d in corpus.documents}
        self._about = defaultdict(list)
        for document in corpus.documents:
            for key in {document.source, document.title} - {""}:
                self._about[key].append(document.id)
        return RefreshCost()

    def refresh(self, changes: Changes) -> RefreshCost:
        """Take in new documents; removed ones stay known but are out of force."""
        fresh = Corpus((*changes.added, *changes.changed))
        known = Corpus(tuple(d for d in self._documents.values() if d.id not in
                             {f.id for f in fresh.documents}) + fresh.documents)  # fmt: skip
        return self.prepare(known)

    def find(self, questions: Sequence[Question], timings: dict[str, float]) -> list[list[Hit]]:
        """Look the right passages up."""
        return [
            [Hit(p, 1.0, rank, "gold") for rank, p in enumerate(self._gold(q), 1)]
            for q in questions
        ]

    def _gold(self, question: Question) -> list[Passage]:
        day = question.asked_on
        ids = question.supporting or question.supporting_on(day)
        if not question.answerable:
            ids = tuple(self._about.get(question.subject, ()))
        documents = [self._documents[i] for i in ids if i in self._documents]
        in_force = [d for d in documents if day is None or d.holds_on(day)]
        return chunk(in_force, strategy="whole")
