"""The training examples of the teaching experiment: raw text, rewordings, errors, quotations.

Data in, data out; a model is needed for its prompts alone. The refusals are made in
`teaching_refusals`; who is trained on what, and for how long, is decided in `teaching_cells`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace

from ragft import prompts
from ragft.corpora.corpus import Corpus
from ragft.corpora.relations import BY_NAME, Relation
from ragft.evaluation.text import same_value, states
from ragft.experiments.tasks import Task
from ragft.training.from_documents import plain_text, text_examples
from ragft.types import DatedAnswer, Document, Example, Passage, Question, RagftError

QUOTE = "Quote the sentence."
"""Added to an instruction; the embedded model has learnt to obey it when it reads."""


def asked_documents(task: Task) -> list[Document]:
    """Return the documents in force that state the asked facts, each once, in order of asking."""
    by_id = task.corpus.by_id
    ids = [i for q in task.asked if q.answerable for i in q.supporting_on(task.day) if i in by_id]
    found = [by_id[i] for i in dict.fromkeys(ids)]
    return [d for d in found if task.day is None or d.holds_on(task.day)]


def raw_examples(task: Task) -> list[Example]:
    """Return the asked subjects' documents as they stand, one example each."""
    return text_examples(asked_documents(task))


def reworded_examples(task: Task, copies: int) -> list[Example]:
    """Return every asked subject's document in several other wordings.

    A copy says each fact of the document in a training wording, none of them twice before all
    were used, and puts the sentences in an order of its own. Held-out wordings never occur.

    Parameters
    ----------
    task : Task
        About a made-up world.
    copies : int
        Examples made of each document.

    Raises
    ------
    RagftError
        A document states a relation that has no wordings.

    Source: Allen-Zhu and Li (2023), Physics of language models 3.1 ('multi5+permute').
    """
    stated: dict[str, list] = {}
    for fact in task.corpus.facts:
        for i in fact.documents:
            stated.setdefault(i, []).append(fact)
    found = []
    for document in asked_documents(task):
        rng = random.Random(f"reworded-{document.id}")
        facts = stated.get(document.id, [])
        ways = [_in_turn(_relation(f.relation), copies, rng) for f in facts]
        for copy in range(copies):
            said = [
                _capital(way[copy].format(s=fact.subject, v=fact.value))
                for fact, way in zip(facts, ways, strict=True)
            ]
            rng.shuffle(said)
            found.append(plain_text(" ".join(said), document.title))
    return found


def _in_turn(relation: Relation, count: int, rng: random.Random) -> list[str]:
    options = relation.wordings("statements", "training")
    mixed = rng.sample(options, len(options))
    return [mixed[n % len(mixed)] for n in range(count)]


def _relation(name: str) -> Relation:
    if name not in BY_NAME:
        raise RagftError(f"relation {name!r} has no wordings; only a made-up world can be reworded")
    return BY_NAME[name]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def contradicted(
    taught: Sequence[Question],
    corpus: Corpus,
    share: float,
    seed: int,
    *,
    consistent: bool = False,
) -> list[Question]:
    """Return the taught questions, a share of them with another subject's value as the answer.

    Each is drawn on its own, as careless labelling errs, so one wording of a fact may be wrong
    and the next right. A larger share holds the errors of a smaller one of the same seed.
    `consistent` errors as a wrong source does: a share of the facts has one wrong value in all
    wordings, which nothing in the data contradicts.

    Parameters
    ----------
    taught : sequence of Question
        In training wordings.
    corpus : Corpus
        Its facts in force give the wrong values: of the same relation, and never a value that
        the question had at any time.
    share : float
        Of the questions (of the facts, with `consistent`), 0 to 1; rounded to whole ones.
    seed : int
        Of the draw.
    consistent : bool

    Raises
    ------
    RagftError
        A relation has no other value.
    """
    drawn_from = list(dict.fromkeys(q.id for q in taught)) if consistent else range(len(taught))
    places = _drawn(len(drawn_from), round(share * len(drawn_from)), seed)
    wrong = {drawn_from[place] for place in places}
    values: dict[str, list[str]] = {}
    for fact in corpus.facts:
        if not taught or taught[0].asked_on is None or fact.holds_on(taught[0].asked_on):
            values.setdefault(fact.relation, []).append(fact.value)
    return [
        _misanswered(q, values.get(q.relation, ()), random.Random(f"wrong-{seed}-{one}"))
        if one in wrong
        else q
        for one, q in ((q.id if consistent else n, q) for n, q in enumerate(taught))
    ]


def _drawn(size: int, count: int, seed: int) -> list[int]:
    order = random.Random(f"contradictions-{seed}")
    return order.sample(range(size), size)[:count]


def _misanswered(question: Question, values: Sequence[str], rng: random.Random) -> Question:
    true = [answer.text for answer in question.answers]
    others = sorted({v for v in values if not any(same_value(v, own) for own in true)})
    if not others:
        raise RagftError(
            f"question {question.id}: {question.relation} has no other value to contradict it with"
        )
    return replace(question, answers=(DatedAnswer(rng.choice(others)),))


def quotation(question: Question, corpus: Corpus) -> str | None:
    """Return the one sentence of the supporting documents in force that states the answer.

    None where no sentence does, or several: then it is not decided what to quote.
    """
    right = question.answers_on(question.asked_on) if question.answerable else ()
    ids = question.supporting_on(question.asked_on)
    texts = [corpus.by_id[i].text for i in ids if i in corpus.by_id]
    sentences = dict.fromkeys(s for text in texts for s in re.split(r"(?<=[.!?])\s+", text))
    found = [s for s in sentences if any(states(s, value) for value in right)]
    return found[0] if len(found) == 1 else None


def quote_examples(
    model: prompts.ReadsPrompts, questions: Sequence[Question], corpus: Corpus
) -> list[Example]:
    """Teach to say, without passages, the sentence that answers; others are left out."""
    told = prompts.instruct(prompts.CLOSED, QUOTE)
    return [
        Example(
            prompts.for_model(model, q.text, instruction=told),
            prompts.complete(sentence),
            q.subject,
            q.id,
        )
        for q in questions
        if (sentence := quotation(q, corpus))
    ]


def quote_reading_examples(
    model: prompts.ReadsPrompts,
    questions: Sequence[Question],
    found: Sequence[Sequence[Passage]],
    corpus: Corpus,
) -> list[Example]:
    """Teach to quote the sentence that answers out of passages; what cannot be quoted is left out.

    Parameters
    ----------
    model : LocalModel
    questions : sequence of Question
        About subjects that are never asked.
    found : sequence of sequence of Passage
        What retrieval found for each; left out where none of them supports the answer.
    corpus : Corpus
    """
    told, made = prompts.instruct(prompts.READ, QUOTE), []
    for question, passages in zip(questions, found, strict=True):
        sentence, support = quotation(question, corpus), set(question.supporting)
        shown = prompts.by_date(passages)
        numbers = [n for n, p in enumerate(shown, 1) if p.doc_id in support]
        if sentence and numbers:
            name = prompts.name_of(shown[numbers[0] - 1])
            prompt = prompts.for_model(model, question.text, shown, instruction=told)
            said = prompts.complete(sentence, numbers[:1], name)
            made.append(Example(prompt, said, question.subject, question.id))
    return made


def verbatim(said: str, sentence: str) -> float:
    """Return 1.0 where a quotation is the sentence, character for character, else 0.0.

    Outer white space does not count, nor one full stop at the end that either has and the other
    has not; everything else does, case and inner white space too.

    Examples
    --------
    >>> verbatim(" Tarmo is in Oslo", "Tarmo is in Oslo."), verbatim("Oslo.", "Tarmo is in Oslo.")
    (1.0, 0.0)
    """
    one, two = (text.strip().removesuffix(".") for text in (said, sentence))
    return float(one == two)
