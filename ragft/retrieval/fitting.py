"""The training loop of retrievers, and the folder that its result is kept in.

The loop is that of sentence-transformers' trainers; what is trained by it is decided in `tune`.
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragft import files, models
from ragft.retrieval.pairs import Pair
from ragft.runtime import set_seed
from ragft.types import RagftError

SETTINGS = "tuning.json"
"""What a folder was trained with, and how it went; it lies beside the weights."""


@dataclass(frozen=True)
class Tuning:
    """How a retriever is trained.

    Raises
    ------
    RagftError
        A number is out of range.
    """

    epochs: int = 1
    """Passes over the pairs."""
    batch_size: int = 32
    """Pairs in a step; for an embedder all other pairs' texts are negatives, too."""
    learning_rate: float = 2e-5
    """Peak of a linear warm-up over 10 % and a linear decay to 0."""
    max_length: int = 128
    """Tokens of a text (for a reranker of query and text together) that are read in training; a
    longer text is cut, which is counted. The finished model reads as much as its base."""
    seed: int = 0
    """Of new weights, dropout and the order of the batches."""
    bf16: bool = False
    """Multiply in bfloat16, for processors that know it."""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2), ("max_length", 8), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise RagftError(f"tuning: {name}={value!r} must be a whole number from {least} on")
        if not 0 < self.learning_rate < math.inf:
            raise RagftError(f"tuning: learning_rate={self.learning_rate!r} must be above 0")


def texts_of(pair: Pair) -> tuple[str, ...]:
    """Return the texts of a pair, the right one first."""
    return (pair.positive, *pair.negatives)


def keep(
    out: Path, pairs: Sequence[Pair], settings: dict[str, Any], train: Callable[[Path], None]
) -> Path:
    """Train into a folder that appears whole; return it at once where it is there already.

    Raises
    ------
    RagftError
        Too few pairs or an empty text; a folder with another model, or a changed file in it.
    """
    if len(pairs) < 2:
        raise RagftError(f"tuning: {len(pairs)} pairs; a contrast needs at least two")
    for number, pair in enumerate(pairs):
        if not all(text.strip() for text in (pair.query, *texts_of(pair))):
            raise RagftError(f"tuning: pair {number} has an empty text")

    def build(folder: Path) -> None:
        with _random_state():
            train(folder)

    files.check_folder(files.build_once(out, out.with_name(f".{out.name}.lock"), build))
    try:
        found = files.from_json((out / SETTINGS).read_text("utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found != files.plain(settings):
        raise RagftError(f"{out}: holds a model of other pairs or settings; choose another folder")
    return out


def note(folder: Path, settings: dict[str, Any], measured: dict[str, Any]) -> None:
    """Write what a model was trained with and what was measured beside its weights."""
    content = files.to_json({"settings": settings, "measured": measured})
    files.atomic_write(folder / SETTINGS, content)


def fit_model(
    trainer: Any,
    arguments: Any,
    model: Any,
    loss: Any,
    columns: dict[str, list],
    tuning: Tuning,
    progress: bool,
) -> dict[str, Any]:
    """Train a model in place; return steps, losses, seconds and how many texts were cut.

    Raises
    ------
    RagftError
        A loss that is not a number.
    """
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback

    count = len(columns[next(iter(columns))])
    # Batches without repeated texts; a reranker's rows stand alone, so that any batch will do.
    sampler = "no_duplicates" if "anchor" in columns else "batch_sampler"
    with tempfile.TemporaryDirectory() as scratch, models.quiet():
        options = arguments(
            output_dir=scratch,
            num_train_epochs=tuning.epochs,
            per_device_train_batch_size=min(tuning.batch_size, count),
            learning_rate=tuning.learning_rate,
            warmup_steps=0.1,
            seed=tuning.seed,
            bf16=tuning.bf16,
            use_cpu=not torch.cuda.is_available(),
            batch_sampler=sampler,
            logging_steps=1,
            logging_strategy="steps",
            logging_nan_inf_filter=False,  # else a loss that is NaN is logged as one that is not
            save_strategy="no",
            report_to=[],
            disable_tqdm=not progress,
            dataloader_pin_memory=False,
        )
        set_seed(tuning.seed)
        fit = trainer(
            model=model, args=options, train_dataset=Dataset.from_dict(columns), loss=loss
        )
        fit.remove_callback(PrinterCallback)
        start = time.perf_counter()
        fit.train()
        seconds = time.perf_counter() - start
    losses = [float(entry["loss"]) for entry in fit.state.log_history if "loss" in entry]
    if not losses or not all(map(math.isfinite, losses)):
        raise RagftError(
            f"tuning: the loss is no longer a number; lower learning_rate "
            f"(now {tuning.learning_rate:g})"
        )
    cut = _cut(model.tokenizer, columns, tuning.max_length)
    return {"rows": count, "steps": len(losses), "seconds": seconds, "losses": losses, "cut": cut}


def _cut(tokenizer: Any, columns: dict[str, list], limit: int) -> int:
    """Count the texts (for a reranker the pairs) that are longer than was read."""
    if "label" in columns:
        both = zip(columns["query"], columns["text"], strict=True)
        return models.count_longer(tokenizer, [f"{q}\n{t}" for q, t in both], limit - 1)
    return sum(models.count_longer(tokenizer, texts, limit) for texts in columns.values())


@contextmanager
def _random_state() -> Iterator[None]:
    """Leave the random numbers of others as they were; the trainer seeds them all."""
    import torch

    state = random.getstate()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(state)
