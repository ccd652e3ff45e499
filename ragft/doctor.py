"""What this machine and installation can do: hardware, versions, models, caches."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from ragft import models, runtime
from ragft.retrieval.embedding_model import packaged_folder
from ragft.types import RagftError


def examine() -> dict[str, dict[str, Any]]:
    """Return hardware, package versions, and which models can be had without a network.

    torch is loaded, so that GPUs are seen; no model is.
    """
    import torch  # noqa: F401 - hardware() reports GPUs only where torch is loaded

    return {
        "hardware": runtime.hardware(),
        "packages": runtime.package_versions(),
        "models": {
            **{name: _shipped(name) for name in models.SHIPPED},
            "all-MiniLM-L6-v2": str(
                packaged_folder() or "from the hub (pip install ragft[offline])"
            ),
            "QLoRA": "ready" if find_spec("bitsandbytes") else "absent (pip install ragft[qlora])",
        },
        "folders": {"cache": str(runtime.cache_dir())},
    }


def _shipped(name: str) -> str:
    try:
        return str(models.locate(name))
    except RagftError:
        return "not part of this installation"
