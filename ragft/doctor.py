"""What this machine and installation can do: hardware, versions, models, caches."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from ragft import models, runtime
from ragft.generation.connection import KEYS
from ragft.generation.fitting import Card, fit
from ragft.generation.shapes import SHAPES, Shape
from ragft.retrieval.embedding_model import packaged_folder
from ragft.types import RagftError

TOKENS = 2048
"""Of a prompt with passages and its answer, for which is told what fits."""


def examine() -> dict[str, dict[str, Any]]:
    """Return hardware, package versions, and which models can be had without a network.

    torch is loaded, so that GPUs are seen; no model is.
    """
    import torch  # noqa: F401 - hardware() reports GPUs only where torch is loaded

    key = next((name for name in KEYS if os.environ.get(name)), "")
    return {
        "hardware": runtime.hardware(),
        "packages": runtime.package_versions(),
        "models": {
            **{name: _shipped(name) for name in models.SHIPPED},
            "all-MiniLM-L6-v2": str(
                packaged_folder() or "from the hub (pip install ragft[offline])"
            ),
            "on a server": f"by URL; key: {key or 'none, RAGFT_API_KEY is not set'}",
            "QLoRA": "ready" if find_spec("bitsandbytes") else "absent (pip install ragft[qlora])",
        },
        **_fits(),
        "folders": {"cache": str(runtime.cache_dir())},
    }


def _fits() -> dict[str, dict[str, str]]:
    """Return what of each published shape fits the GPU; nothing where there is none."""
    import torch

    if not torch.cuda.is_available():
        return {}
    free, capability = torch.cuda.mem_get_info()[0], torch.cuda.get_device_capability()
    card = Card(free, capability, find_spec("flash_attn") is not None)
    return {"fits, by count": {name: _told(shape, card) for name, shape in SHAPES.items()}}


def _told(shape: Shape, card: Card) -> str:
    try:
        found = fit(shape, card, TOKENS)
    except RagftError:
        return "does not fit"
    kind = f"{found.dtype}{', weights in 4 bits' if found.quantization else ''}"
    return f"{kind}, {found.batch_size} prompts of {TOKENS} tokens at once, {found.attention}"


def _shipped(name: str) -> str:
    try:
        return str(models.locate(name))
    except RagftError:
        return "not part of this installation"
