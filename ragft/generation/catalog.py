"""Loaded models, by name; the last ones stay in memory."""

from __future__ import annotations

import os
from functools import lru_cache

from ragft.generation.local import LocalModel


@lru_cache(maxsize=2)
def load_model(name: str | os.PathLike[str] = "embedded", **options: object) -> LocalModel:
    """Load a model by name.

    Parameters
    ----------
    name : str or path
        'embedded', 'resident', a Hugging Face id, or a folder.
    **options
        As for `LocalModel.load`: device, dtype, quantization.
    """
    return LocalModel.load(name, **options)
