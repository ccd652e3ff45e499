"""The embedded model's tokenizer, and lessons packed into rows of token ids.

What the lessons say lives in `lessons`; the optimiser lives in `pretrain`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from ragft.generation.embedded.lessons import BOS, EOS, PAD, Lesson

VOCABULARY = 1024
CONTEXT = 2048

# Words carry the space before them; digits and signs stand alone, and CamelCase and
# snake_case fall into words, so that a value is cut the same way wherever it stands.
_PIECES = r" ?[A-Z]?[a-z]+| ?[A-Z]+(?![a-z])|[0-9]|[^\sA-Za-z0-9]|\s"


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Train a byte-level BPE of `VOCABULARY` entries with single digits."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Save in the format that transformers loads; BOS is added by itself, EOS never."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)


def encode(tokenizer: Tokenizer, lesson: Lesson) -> tuple[list[int], list[int]]:
    """Return token ids of a lesson and marks: 0 read, 1 taught, 2 the number of a citation.

    Pieces are encoded one by one, as prompt and completion are at inference.
    """
    ids: list[int] = []
    marks: list[int] = []
    for encoding, (_, is_taught) in zip(
        tokenizer.encode_batch([text for text, _ in lesson], add_special_tokens=False),
        lesson,
        strict=True,
    ):
        ids += encoding.ids
        if is_taught:
            before = ["", *encoding.tokens]
            marks += [2 if left == "[" else 1 for left in before[:-1]]
        else:
            marks += [0] * len(encoding.ids)
    return ids, marks


def rows(
    tokenizer: Tokenizer, draw: Callable[[], Lesson], count: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pack freshly drawn lessons into `count` rows of `length` tokens.

    Lessons longer than a row are left out; the end of a row is padding.

    Returns
    -------
    (ids, taught) : arrays of shape (count, length), int64 and int8
        `taught` holds the marks of `encode`, and -1 on padding.
    """
    ids = np.zeros((count, length), np.int64)
    taught = np.full((count, length), -1, np.int8)
    filled = np.zeros(count, np.int64)
    misses = 0
    for lesson_ids, lesson_taught in _encoded(tokenizer, draw):
        room = length - filled
        fits = np.flatnonzero(room >= len(lesson_ids))
        if fits.size:
            row = fits[np.argmin(room[fits])]
            span = slice(filled[row], filled[row] + len(lesson_ids))
            ids[row, span], taught[row, span] = lesson_ids, lesson_taught
            filled[row] = span.stop
        elif len(lesson_ids) <= length:
            misses += 1
        if misses > count or filled.min() > length - 16:
            return ids, taught
    raise AssertionError("lessons never end")


def _encoded(
    tokenizer: Tokenizer, draw: Callable[[], Lesson]
) -> Iterator[tuple[list[int], list[int]]]:
    while True:
        yield encode(tokenizer, draw())


def batch(
    tokenizer: Tokenizer, draw: Callable[[random.Random], Lesson], key: str, count: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the batch that belongs to `key`: the same key gives the same batch."""
    rng = random.Random(key)
    return rows(tokenizer, lambda: draw(rng), count, length)
