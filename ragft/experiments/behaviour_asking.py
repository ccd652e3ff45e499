"""How a behaviour's pairs become training examples, and its answers become checked rows.

Shared by the experiments that teach a behaviour. Who is taught and asked what is decided in their
cells, how a single answer is checked in `evaluation.behaviours`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragft import models, prompts
from ragft.experiments.behaviour_prompts import SHORT, Shown
from ragft.types import Answer, Example

if TYPE_CHECKING:
    import pandas as pd


def taught_examples(
    model: prompts.ReadsPrompts, name: str, taught: Sequence[Shown]
) -> list[Example]:
    """Return the pairs of a behaviour as training examples, under the instruction without rules.

    Parameters
    ----------
    model : LocalModel
        Decides how a prompt is rendered.
    name : str
        Of the behaviour.
    taught : sequence of Shown
        May be empty.
    """
    told = SHORT[name]
    return [
        Example(
            prompts.for_model(model, s.question.text, s.passages, instruction=told),
            s.completion,
            s.question.subject,
            s.question.id,
        )
        for s in taught
    ]


def longest(tokenizer: Any, asked: Sequence[Shown]) -> int:
    """Return the tokens that an answer may take: the longest that passes, and an end."""
    texts = [s.completion for s in asked]
    return 1 + max(map(len, models.prompt_tokens(tokenizer, texts)))


def checked(
    asked: Sequence[Shown],
    answers: Sequence[Answer],
    scores: Callable[[Mapping[str, Any], Answer], Mapping[str, float]],
) -> pd.DataFrame:
    """Return a checked row for each answer.

    Parameters
    ----------
    asked : sequence of Shown
    answers : sequence of Answer
        As many, in the same order.
    scores : callable
        `scores(expects, answer)`: the columns that the check gives.
    """
    import pandas as pd

    rows = []
    for one, answer in zip(asked, answers, strict=True):
        question = one.question
        rows.append(
            {
                "question_id": question.id,
                "question": question.text,
                "cluster": question.cluster_key,
                "text": answer.raw,
                "expected": one.completion,
                **scores(one.expects, answer),
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
            }
        )
    return pd.DataFrame(rows)
