"""What a checkpoint of a pretraining run holds: weights, optimiser state and position, sealed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch

from ragft.types import RagftError


def _state_tensors(model, optimisers: list[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """Flatten weights and optimiser state into named tensors (safetensors, no pickle)."""
    found = {f"model.{n}": p.detach() for n, p in model.named_parameters()}
    for k, optimiser in enumerate(optimisers):
        for index, state in optimiser.state_dict()["state"].items():
            for name, value in state.items():
                found[f"optimiser.{k}.{index}.{name}"] = torch.as_tensor(value)
    return {name: value.contiguous().cpu() for name, value in found.items()}


def save(out: Path, model, optimisers: list, position: tuple[int, int]) -> None:
    """Write the state of a run in one piece; `position` is (step, tokens seen)."""
    from safetensors.torch import save_file

    meta = {"step": str(position[0]), "tokens": str(position[1])}
    tensors = _state_tensors(model, optimisers)
    meta["sha256"] = _seal(tensors, meta)
    save_file(tensors, out / "state.part", metadata=meta)
    os.replace(out / "state.part", out / "state.safetensors")


def _seal(tensors: dict[str, torch.Tensor], meta: dict[str, str]) -> str:
    """Return the hash of a checkpoint: safetensors itself does not notice a turned bit."""
    total = hashlib.sha256(f"{meta['step']} {meta['tokens']}".encode())
    for name in sorted(tensors):
        total.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}".encode())
        total.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()


def restore(out: Path, model, optimisers: list) -> tuple[int, int]:
    """Load the last checkpoint into model and optimisers; return (step, tokens seen)."""
    path = out / "state.safetensors"
    if not path.exists():
        return 0, 0
    position, tensors = _read_state(path)
    parameters = dict(model.named_parameters())
    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimisers]
    for name, tensor in tensors.items():
        kind, rest = name.split(".", 1)
        if kind == "model":
            parameters[rest].data.copy_(tensor)
        else:
            k, index, field = rest.split(".", 2)
            states[int(k)].setdefault(int(index), {})[field] = tensor
    for optimiser, state in zip(optimisers, states, strict=True):
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return position


def _read_state(path: Path) -> tuple[tuple[int, int], dict[str, torch.Tensor]]:
    """Read a checkpoint; refuse one that is not what was written."""
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as stored:
            meta = stored.metadata()
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}
        position, whole = (int(meta["step"]), int(meta["tokens"])), meta["sha256"]
    except Exception as error:  # whatever a damaged file leads safetensors to
        raise RagftError(f"{path}: cannot be read ({error}); delete it to begin again") from error
    if _seal(tensors, meta) != whole:
        raise RagftError(f"{path}: is not the file that was written; delete it to begin again")
    return position, tensors
