"""Training examples out of a JSON Lines file, one prompt and its completion a line.

What can be trained on and what is refused is decided in `rows`.
"""

from __future__ import annotations

from pathlib import Path

from ragft.corpora.jsonl import read_rows, text_of
from ragft.types import Example


def read_examples(path: str | Path) -> list[Example]:
    """Read examples: `{"prompt": …, "completion": …}` a line.

    `subject` and `question_id` are read where they stand; other keys are not.

    Returns
    -------
    list of Example
        In the order of the file; [] of an empty one.

    Raises
    ------
    RagftError
        No such file, or a line that is no JSON object or lacks a key: the message names it.
    """
    return [
        Example(
            text_of(row, "prompt", where),
            text_of(row, "completion", where),
            text_of(row, "subject", where, ""),
            text_of(row, "question_id", where, ""),
        )
        for where, row in read_rows(path)
    ]
