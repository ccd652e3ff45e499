"""What the GPU benchmark measures: lengths of prompts and answers, batches, loads, the time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragft import files, models
from ragft.types import RagftError

LONG_PROMPT = 4096
"""Tokens of a long RAG prompt as published systems have them; typical, not measured here."""
ARMS = {"closed_book": ("closed_book", "prompt"), "rag": ("rag",)}
"""The loads that lengths are needed for, and the names that a record may have them under."""


@dataclass(frozen=True)
class Load:
    """A kind of question: how much is read and how much is written for one answer."""

    prompt: int
    """Tokens."""
    completion: int
    """Tokens."""
    source: str
    """Where the two numbers come from."""

    @property
    def tokens(self) -> int:
        """Tokens of prompt and completion."""
        return self.prompt + self.completion


@dataclass(frozen=True)
class Settings:
    """Everything that the measured numbers depend on, the machine and the shapes apart."""

    loads: Mapping[str, Load]
    """By name: closed_book, rag and long."""
    real: Path
    """Folder of the model whose real weights are compared with random ones."""
    device: str = "cuda"
    dtype: str = "bfloat16"
    repeats: int = 5
    """Timings of each; their median counts. Warm-up comes before and does not count."""
    steps: int = 32
    """Tokens decoded in one timing."""
    batches: tuple[int, ...] = (1, 8, 64)
    """Sequences that are decoded at once."""
    concurrencies: tuple[int, ...] = (1, 4, 16, 64, 256)
    """Questions that arrive together."""
    passages: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)
    """Sizes of an index, for its memory."""
    rank: int = 16
    """Of the LoRA matrices, on all linear layers but the output."""
    step_tokens: tuple[int, ...] = (1024, 4096, 8192)
    """Tokens of a training step; as many examples of one length as fit."""
    examples: tuple[int, ...] = (5_000, 50_000)
    """Sizes of a training set, for its hours."""
    epochs: int = 3
    """Passes over a training set, for its hours."""
    full_below: float = 4e9
    """Parameters of a model up to which all its weights are trained too."""

    @property
    def size(self) -> int:
        """Bytes of a number."""
        return 4 if self.dtype == "float32" else 2


def check_settings() -> Settings:
    """Return settings that a CPU runs in seconds: all paths, no meaningful number."""
    lengths = {"closed_book": (8, 3), "rag": (24, 3), "long": (48, 3)}
    return Settings(
        loads={name: Load(*pair, "check") for name, pair in lengths.items()},
        real=models.locate("embedded"),
        device="cpu",
        dtype="float32",
        repeats=2,
        steps=2,
        batches=(1, 2),
        concurrencies=(1, 2),
        rank=4,
        step_tokens=(64,),
    )


def read_lengths(lengths: str | Path | None, record: str | Path) -> dict[str, Load]:
    """Return the loads: from a file of lengths, else as a committed record measured them.

    Parameters
    ----------
    lengths : path, optional
        JSON such as {"closed_book": {"prompt": 40, "completion": 12}, "rag": {...}}, in tokens;
        "long" may be given too, and is otherwise `LONG_PROMPT` with the completions of "rag".
    record : path
        Read where `lengths` is None: `results.tokens` holds the same per arm, as means.

    Raises
    ------
    RagftError
        A file cannot be read or lacks a length (names it), or one is no number of at least 1.
    """
    path = Path(record if lengths is None else lengths)
    told = _json(path, "--figures-record" if lengths is None else "--lengths")
    if lengths is None:
        results = told.get("results") if isinstance(told, dict) else None
        told = results.get("tokens") if isinstance(results, dict) else None
    if not isinstance(told, dict):
        raise RagftError(
            f"{path}: holds no lengths of prompts and completions (results.tokens in a record, "
            "closed_book and rag in a file); give them with --lengths FILE"
        )
    loads = {name: _load(told, names, path) for name, names in ARMS.items()}
    typical = Load(LONG_PROMPT, loads["rag"].completion, f"{LONG_PROMPT} tokens: typical published")
    return loads | {"long": _load(told, ("long",), path) if "long" in told else typical}


def _json(path: Path, option: str) -> Any:
    try:
        return files.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RagftError(
            f"{option} {path}: cannot be read ({error}); give lengths with --lengths FILE"
        ) from error


def _load(told: Mapping[str, Any], names: tuple[str, ...], path: Path) -> Load:
    row = next((told[name] for name in names if name in told), None)
    counts = [row.get(key) for key in ("prompt", "completion")] if isinstance(row, dict) else []
    if not counts or not all(_counts(count) for count in counts):
        raise RagftError(
            f"{path}: {' or '.join(names)} needs the numbers prompt and completion, in tokens and "
            f"at least 1, but has {row!r}; correct it or give --lengths FILE"
        )
    return Load(round(counts[0]), round(counts[1]), path.as_posix())


def _counts(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 1
