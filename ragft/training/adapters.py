"""Tuned weights on disk: begun under a temporary name, renamed when whole, never mixed up.

An adapter is a PEFT folder in safetensors with one more file, its card: base hash, settings,
what the training cost, and the SHA-256 of every file. How it is trained lives elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ragft import models
from ragft.types import RagftError

_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate")


@dataclass(frozen=True)
class FinetuneResult:
    """An adapter (or a tuned model) on disk and what it cost; every number is measured."""

    adapter: Path
    """Folder; with method 'full' a whole model folder."""
    base_hash: str
    adapter_hash: str
    """SHA-256 over the trained weights: equal for equal runs."""
    method: str
    seed: int
    trainable: int
    """Parameters trained."""
    total: int
    """Parameters of base and adapter together."""
    adapter_bytes: int
    examples: int
    conflicting: int
    """Prompts trained with more than one completion."""
    steps: int
    tokens_seen: int
    """Tokens read in training, without padding, over all epochs."""
    seconds: float
    """Time in the training loop; of a resumed run, of all its parts."""
    tokens_per_second: float
    peak_memory_mb: float
    """Most memory held: of the GPU, without one of the whole process so far."""
    losses: tuple[float, ...]
    """Mean training loss of each epoch, in nats per completion token."""


@dataclass(frozen=True)
class Settings:
    """What decides the result; kept in the card and compared when a folder is met again."""

    method: str
    rank: int
    alpha: float
    dropout: float
    target_modules: str | tuple[str, ...]
    epochs: int
    learning_rate: float
    batch_tokens: int
    seed: int
    max_length: int
    base_hash: str
    examples_hash: str

    def as_json(self) -> dict[str, Any]:
        """Return the settings as they read back from a JSON file."""
        return json.loads(json.dumps(asdict(self)))


def begin(out: Path, settings: Settings, resume: bool) -> Path:
    """Return the folder to work in, beside `out`; what an interrupted run left stays there.

    It is emptied where `resume` is false or the run that left it had other settings.
    """
    part = out.with_name(out.name + ".part")
    path = part / "settings.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if part.exists() and not (resume and known == settings.as_json()):
        shutil.rmtree(part)
    part.mkdir(parents=True, exist_ok=True)
    models.write_json(path, settings.as_json())
    return part


def save(network: Any, tokenizer: Any, part: Path) -> None:
    """Save an adapter, or with its tokenizer a whole model, as safetensors under `part/result`."""
    folder = part / "result"
    shutil.rmtree(folder, ignore_errors=True)
    with models.quiet():
        network.save_pretrained(folder)
        if not hasattr(network, "peft_config"):
            tokenizer.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty form of a model card


def close(part: Path, out: Path, settings: Settings, measured: Mapping[str, Any]) -> FinetuneResult:
    """Write the card, give the folder its name, and drop the checkpoints."""
    folder = part / "result"
    names = sorted(path.name for path in folder.iterdir())
    card = {
        "base_hash": settings.base_hash,
        "settings": settings.as_json(),
        "measured": dict(measured),
        "files": {name: models.sha256_file(folder / name) for name in names},
        "versions": {name: version(name) for name in _PACKAGES},
    }
    models.write_json(folder / models.ADAPTER_CARD, card)
    os.replace(folder, out)
    shutil.rmtree(part, ignore_errors=True)
    return result(out, card)


def finished(out: Path, settings: Settings) -> FinetuneResult:
    """Return what `out` holds if it was made with these settings.

    Raises
    ------
    RagftError
        It is damaged, not an adapter, or made with other settings (which are named).
    """
    card = models.read_card(out)
    there, here = card["settings"], settings.as_json()
    other = [f"{k}: {there.get(k)!r} there, {v!r} here" for k, v in here.items() if there.get(k) != v]
    if other:
        raise RagftError(
            f"{out}: holds a result of other settings ({'; '.join(other)}): "
            "choose another folder or delete this one"
        )
    return result(out, card)


def result(out: Path, card: Mapping[str, Any]) -> FinetuneResult:
    """Read the result back from a card."""
    weights = [name for name in card["files"] if name.endswith(".safetensors")]
    measured = card["measured"] | {"losses": tuple(card["measured"]["losses"])}
    return FinetuneResult(
        adapter=out,
        base_hash=card["base_hash"],
        adapter_hash=card["files"][weights[0]] if len(weights) == 1 else models.weights_hash(out),
        method=card["settings"]["method"],
        seed=card["settings"]["seed"],
        adapter_bytes=sum((out / name).stat().st_size for name in weights),
        **measured,
    )


def merge(model: Any, adapter: str | os.PathLike[str], *, out: str | os.PathLike[str]) -> Path:
    """Write a model folder with the adapter merged into the base: W + scale · B A.

    The base is loaded in full precision also where the adapter was trained on a 4-bit one:
    merging into quantised weights would round the adapter away.

    Raises
    ------
    RagftError
        The adapter is for another base, or `out` is there already.
    """
    from peft import PeftModel

    folder, out = models.locate(getattr(model, "folder", model)), Path(out)
    if out.exists():
        raise RagftError(f"{out}: is there already; choose another folder")
    card = models.read_card(adapter)
    models.check_base(adapter, card, models.weights_hash(folder))
    network = models.open_network(folder, device="cpu", dtype=torch.float32)
    merged = PeftModel.from_pretrained(network, str(adapter)).merge_and_unload()
    part = out.with_name(out.name + ".part")
    merged.save_pretrained(part)
    models.open_tokenizer(folder).save_pretrained(part)
    os.replace(part, out)
    return out
