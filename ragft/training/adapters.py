"""Tuned weights on disk: begun under a temporary name, renamed when whole, never mixed up.

An adapter is a PEFT folder in safetensors with one more file, its card: base hash, settings,
what the training cost, and the SHA-256 of every file. How it is trained lives elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ragft import files, models, runtime
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
    """As given; of a PEFT configuration 'peft:' and its kind."""
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
    curve: tuple[float, ...] = ()
    """The same of each step; () in a result made before this was kept."""
    processes: int = 1
    """Processes that trained it together; `peak_memory_mb` is of the one that held most."""


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
    start_hash: str = ""
    """Adapter that training went on from; '' = a new one."""
    virtual_tokens: int = 0
    """Tokens trained in front of every prompt ('prefix', 'prompt')."""
    peft: Mapping[str, Any] | None = None
    """The PEFT configuration that was passed through."""
    gradient_checkpointing: bool = False
    mix_lengths: bool = False
    processes: int = 1
    """Processes that share each batch: sums are then made in another order."""
    compiled: bool = False
    """Whether torch compiled the layers, which then round elsewhere."""


_LATER = {
    "virtual_tokens": 0,
    "peft": None,
    "gradient_checkpointing": False,
    "mix_lengths": False,
    "processes": 1,
    "compiled": False,
}
"""Settings that came later: left out where they say nothing, so that older results stay valid."""


def written(settings: Settings) -> dict[str, Any]:
    """Return the settings as cards and unfinished runs keep them."""
    fields = files.plain(settings)
    return {
        name: value for name, value in fields.items() if name not in _LATER or value != _LATER[name]
    }


def going_on(start: str | os.PathLike[str], settings: Settings) -> Settings:
    """Return the settings of a run that goes on from an adapter: its shape, and its hash.

    Raises
    ------
    RagftError
        The adapter is damaged, for another base, or of another method.
    """
    card = models.read_card(start)
    models.check_base(start, card, settings.base_hash)
    there = card["settings"]
    if settings.method not in ("lora", "qlora") or there["method"] != settings.method:
        raise RagftError(
            f"{start}: trained with method={there['method']!r}, cannot go on with "
            f"{settings.method!r}; only LoRA and QLoRA adapters are gone on from"
        )
    targets = there["target_modules"]
    return replace(
        settings,
        rank=there["rank"],
        alpha=there["alpha"],
        target_modules=targets if isinstance(targets, str) else tuple(targets),
        start_hash=result(Path(start), card).adapter_hash,
    )


def begin(out: Path, settings: Settings, resume: bool) -> Path:
    """Return the folder to work in, beside `out`; what an interrupted run left stays there.

    It is emptied where `resume` is false or the run that left it had other settings.

    Raises
    ------
    RagftError
        The same run was interrupted with another number of processes.
    """
    part = out.with_name(f".{out.name}.training")
    path = part / "settings.json"
    text = files.to_json(written(settings))
    if resume and path.is_file():
        _check_processes(out, path.read_text("utf-8"), settings)
    if part.exists() and not (resume and path.is_file() and path.read_text("utf-8") == text):
        shutil.rmtree(part)
    files.atomic_write(path, text)
    return part


def _check_processes(out: Path, text: str, settings: Settings) -> None:
    """Refuse checkpoints that other processes share: they hold the random state of each."""
    try:
        left = {"processes": 1, **files.from_json(text)}
    except ValueError:  # cut short: such a folder is emptied
        return
    here = {**json.loads(files.to_json(written(settings))), "processes": settings.processes}
    if left != here and {**left, "processes": settings.processes} == here:
        raise RagftError(
            f"{out}: a run of {left['processes']} processes was interrupted here, and this one has "
            f"{settings.processes}: start as many to go on with it, or pass resume=False "
            "(--no-resume) to start again"
        )


def close(
    out: Path,
    settings: Settings,
    network: Any,
    tokenizer: Any,
    measured: Mapping[str, Any],
    weights: Mapping[str, Any] | None = None,
) -> FinetuneResult:
    """Write weights (of a whole model, its tokenizer too) and card; then drop the checkpoints.

    `weights` are those of `network` where it holds only a part of each (FSDP).
    """
    card = {
        "settings": written(settings),
        "measured": measured,
        "versions": runtime.package_versions(_PACKAGES),
    }

    def build(folder: Path) -> None:
        with models.quiet():
            if hasattr(network, "peft_config"):
                _save_adapter(network, folder, weights)
            else:
                network.save_pretrained(folder, state_dict=weights)
                tokenizer.save_pretrained(folder)
        files.atomic_write(folder / models.ADAPTER_CARD, files.to_json(card))

    files.build_folder(out, build)
    shutil.rmtree(out.with_name(f".{out.name}.training"), ignore_errors=True)
    return result(out, models.read_card(out))


def _save_adapter(network: Any, folder: Path, weights: Mapping[str, Any] | None) -> None:
    name = Path(network.active_peft_config.base_model_name_or_path or "").name
    network.active_peft_config.base_model_name_or_path = name  # not a path of this machine
    # the embeddings are never tuned; asked to find out, PEFT would ask the hub
    network.save_pretrained(folder, save_embedding_layers=False, state_dict=weights)
    (folder / "README.md").unlink(missing_ok=True)  # an empty form of a model card


def finished(out: Path, settings: Settings) -> FinetuneResult:
    """Return what `out` holds if it was made with these settings.

    Raises
    ------
    RagftError
        It is damaged, not an adapter, or made with other settings (which are named).
    """
    card = models.read_card(out)
    there, here = card["settings"], written(settings)
    other = [name for name in {**here, **there} if there.get(name, "") != here.get(name, "")]
    if other:
        told = "; ".join(
            f"{name}: {there.get(name)!r} there, {here.get(name)!r} here" for name in other
        )
        raise RagftError(
            f"{out}: holds a result of other settings ({told}): choose another folder or delete it"
        )
    return result(out, card)


def result(out: Path, card: Mapping[str, Any]) -> FinetuneResult:
    """Read the result back from a card."""
    weights = sorted(out.glob("*.safetensors"))
    settings, measured = card["settings"], card["measured"]
    return FinetuneResult(
        adapter=out,
        base_hash=settings["base_hash"],
        adapter_hash=models.files_hash(weights),
        method=settings["method"],
        seed=settings["seed"],
        adapter_bytes=sum(path.stat().st_size for path in weights),
        processes=settings.get("processes", 1),
        **measured | {name: tuple(measured.get(name, ())) for name in ("losses", "curve")},
    )


def merge(model: Any, adapter: str | os.PathLike[str], *, out: str | os.PathLike[str]) -> Path:
    """Write a model folder with the adapter merged into the base: W + scale · B A.

    The base is loaded in full precision also where the adapter was trained on a 4-bit one:
    merging into quantised weights would round the adapter away.

    Raises
    ------
    RagftError
        The adapter is for another base or not one of weights, or `out` is there already.
    """
    from peft import PeftModel

    folder, out = models.locate(getattr(model, "folder", model)), Path(out)
    if out.exists():
        raise RagftError(f"{out}: is there already; choose another folder")
    card = models.read_card(adapter)
    models.check_base(adapter, card, models.weights_hash(folder))
    method = card["settings"]["method"]
    if method == "full":
        raise RagftError(f"{adapter}: a whole model, not an adapter: there is nothing to merge")
    if models.adapter_config(adapter).is_prompt_learning:
        raise RagftError(f"{adapter}: virtual tokens, not weights: they cannot be merged")
    network = models.open_network(folder, device="cpu", dtype=torch.float32)
    tuned = PeftModel.from_pretrained(network, str(adapter))
    if not hasattr(tuned.base_model, "merge_and_unload"):
        raise RagftError(f"{adapter}: PEFT cannot merge adapters of method {method}")
    merged = tuned.merge_and_unload()
    tokenizer = models.open_tokenizer(folder)

    def build(part: Path) -> None:
        with models.quiet():
            merged.save_pretrained(part)
            tokenizer.save_pretrained(part)

    return files.build_folder(out, build)


def carry_over(adapter: str | os.PathLike[str], model: Any, *, out: str | os.PathLike[str]) -> Path:
    """Write a copy of an adapter that is taken for one of another base of the same shape.

    Only for measuring what such a move loses: everywhere else an adapter on a base that it was
    not trained on is refused, because it loads in silence and answers nonsense.

    Raises
    ------
    RagftError
        The adapter is damaged, or `out` is there already.
    """
    card, out = models.read_card(adapter), Path(out)
    if out.exists():
        raise RagftError(f"{out}: is there already; choose another folder")
    base = models.weights_hash(models.locate(getattr(model, "folder", model)))
    card["settings"]["base_hash"] = base

    def build(part: Path) -> None:
        for path in Path(adapter).iterdir():
            if path.name not in (models.ADAPTER_CARD, files.MANIFEST):
                shutil.copyfile(path, part / path.name)
        files.atomic_write(part / models.ADAPTER_CARD, files.to_json(card))

    return files.build_folder(out, build)
