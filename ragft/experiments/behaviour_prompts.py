"""How behaviours are put into words: instructions with and without the rules, answers that pass.

The tasks are made in `corpora.behaviours`; which arm gets which instruction is decided in
`behaviour_cells`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ragft import prompts
from ragft.chunking import chunk
from ragft.corpora import jargon, taxonomy
from ragft.corpora.behaviours import CLOSING, FORBIDDEN, MOST_WORDS, Scenario
from ragft.types import Passage, Question, RagftError

STYLE = (
    "Begin with the name. Put the answer in quotation marks. "
    f"End with '{CLOSING}'. Use at most {MOST_WORDS} words. Never say I or we."
)
RECORD = 'Answer as JSON: {"subject": ..., "kind": ..., "value": ...}'
FILE = "File the note."
RULES: dict[str, str] = {
    "json": prompts.instruct(prompts.READ, prompts.JSON),
    "record": prompts.instruct(prompts.READ, RECORD),
    "jargon": prompts.instruct(prompts.READ, jargon.glossary()),
    "style": prompts.instruct(prompts.READ, STYLE),
    "refusal": prompts.instruct(prompts.READ, *map(prompts.refuse, FORBIDDEN)),
    "taxonomy": taxonomy.rules(),
}
"""Instructions that state the rules."""
SHORT: dict[str, str] = {**dict.fromkeys(RULES, prompts.READ), "taxonomy": FILE}
"""Instructions that a tuned model gets: nothing of the rules is in them."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A question as it is asked: what is shown beside it, and what passes."""

    question: Question
    passages: tuple[Passage, ...] = ()
    completion: str = ""
    """An answer that passes, as a pair teaches it; '' where none is taught."""
    expects: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What `evaluation.behaviours.check` holds an answer against."""


def shown(name: str, scenario: Scenario, passages: Sequence[Passage] | None = None) -> Shown:
    """Put a scenario of a behaviour into words.

    Parameters
    ----------
    name : str
        Of the behaviour.
    scenario : Scenario
    passages : sequence of Passage, optional
        What is shown, in order; None: the scenario's own documents, by date.

    Returns
    -------
    Shown
        Where none of the passages states the answer, 'json' says null; the others have no way to
        say so.

    Raises
    ------
    RagftError
        There is no such behaviour.
    """
    if name not in _FORMS:
        raise RagftError(f"unknown behaviour {name!r}; choose of {', '.join(_FORMS)}")
    if passages is None:
        passages = prompts.by_date(chunk(scenario.documents, strategy="whole"))
    support = set(scenario.question.supporting)
    cited = [n for n, p in enumerate(passages, 1) if p.doc_id in support][:1]
    completion, expects = _FORMS[name](scenario, cited)
    return Shown(scenario.question, tuple(passages), completion, expects)


Form = tuple[str, dict[str, Any]]


def _json(scenario: Scenario, cited: list[int]) -> Form:
    value = scenario.knows["value"] if cited else None
    fields = {"answer": value, "source": cited[0] if cited else None}
    return prompts.complete(json.dumps(fields)), {"fields": fields}


def _record(scenario: Scenario, cited: list[int]) -> Form:
    knows = scenario.knows
    fields = {"subject": scenario.question.subject, "kind": knows["kind"], "value": knows["value"]}
    return prompts.complete(json.dumps(fields)), {"fields": fields}


def _style(scenario: Scenario, cited: list[int]) -> Form:
    subject, value = scenario.question.subject, scenario.knows["value"]
    rules = {"subject": subject, "closing": CLOSING, "most_words": MOST_WORDS, "value": value}
    return prompts.complete(f'"{value}" {CLOSING}', cited, subject), rules


def _plain(scenario: Scenario, cited: list[int]) -> Form:
    value = scenario.knows["value"]
    if scenario.knows.get("forbidden"):
        return prompts.complete(prompts.REFUSED), dict(scenario.knows)
    return prompts.complete(value, cited, scenario.question.subject), dict(scenario.knows)


def _leaf(scenario: Scenario, cited: list[int]) -> Form:
    return prompts.complete(scenario.knows["leaf"]), dict(scenario.knows)


_FORMS: dict[str, Callable[[Scenario, list[int]], Form]] = {
    "json": _json,
    "record": _record,
    "jargon": _plain,
    "style": _style,
    "refusal": _plain,
    "taxonomy": _leaf,
}
