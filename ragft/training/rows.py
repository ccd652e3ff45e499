"""From examples to rows of tokens: what can be trained on, and what is refused.

Nothing is cut and nothing is left out: an example that cannot be trained on is an error that
names it. In which order rows are trained is the matter of `batches`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ragft import files, models
from ragft.training.batches import Row
from ragft.types import Example, RagftError


def examples_hash(examples: Sequence[Example]) -> str:
    """Return the SHA-256 over prompts and completions, in order."""
    return files.sha256_json([[e.prompt, e.completion] for e in examples])


def conflicting(examples: Sequence[Example]) -> dict[str, tuple[str, ...]]:
    """Return the prompts that are given more than one completion, with their completions.

    Examples
    --------
    >>> conflicting([Example("2 + 2 =", " 4"), Example("2 + 2 =", " 5"), Example("1 =", " 1")])
    {'2 + 2 =': (' 4', ' 5')}
    """
    said: dict[str, dict[str, None]] = defaultdict(dict)
    for example in examples:
        said[example.prompt][example.completion] = None
    return {prompt: tuple(texts) for prompt, texts in said.items() if len(texts) > 1}


def refuse_conflicts(examples: Sequence[Example]) -> None:
    """Raise a RagftError that counts the conflicts and shows one, if there are any."""
    found = conflicting(examples)
    if found:
        prompt, texts = next(iter(found.items()))
        raise RagftError(
            f"{len(found)} of the prompts are given more than one completion, such as "
            f"{prompt[-80:]!r} ({', '.join(repr(text) for text in texts[:3])}): keep one of each, "
            "or pass conflicts='allow' to train on all of them"
        )


def tokenise(
    folder: Path, examples: Sequence[Example], max_length: int | None, reserved: int = 0
) -> tuple[list[Row], int]:
    """Return the examples as rows of tokens, and the length they had to keep to.

    Parameters
    ----------
    folder : Path
        Of the model whose tokenizer and context these are.
    examples : sequence of Example
    max_length : int, optional
        Tokens that a row may have; the context where None.
    reserved : int
        Places of the context that something else takes, such as virtual tokens.

    Raises
    ------
    RagftError
        Naming the first example (counted from 0) that cannot be trained on. Nothing is cut.
    """
    if not examples:
        raise RagftError("no examples to train on")
    for number, example in enumerate(examples):
        for field in ("prompt", "completion"):
            if not getattr(example, field).strip():
                raise RagftError(f"example {number} has an empty {field}")
    tokenizer = models.open_tokenizer(folder)
    context = models.context_length(models.open_config(folder), tokenizer) - reserved
    limit = min(max_length or context, context)
    prompts = models.prompt_tokens(tokenizer, [e.prompt for e in examples])
    ends = models.completion_tokens(tokenizer, [e.completion for e in examples])
    for number, (prompt, end) in enumerate(zip(prompts, ends, strict=True)):
        if len(prompt) + len(end) > limit:
            raise RagftError(
                f"example {number}: its prompt has {len(prompt)} tokens and its completion "
                f"{len(end)}, but at most {limit} fit; shorten the prompt or show fewer passages"
            )
    return [Row(p + e, len(p)) for p, e in zip(prompts, ends, strict=True)], limit
