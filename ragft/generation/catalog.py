"""Loaded models, by name; the last ones stay in memory."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from ragft import models

if TYPE_CHECKING:
    from ragft.generation.local import LocalModel
    from ragft.generation.server import ServerModel


def load_model(
    name: str | os.PathLike[str] = "embedded", **options: object
) -> LocalModel | ServerModel:
    """Load a model by name.

    Parameters
    ----------
    name : str or path
        'embedded', 'resident', a Hugging Face id, a folder, or the URL of a server.
    **options
        As for `LocalModel.load`: device, dtype, quantization. A server decides them itself.
    """
    return _server(str(name)) if models.is_server(name) else _local(name, **options)


@lru_cache(maxsize=2)
def _local(name: str | os.PathLike[str], **options: object) -> LocalModel:
    from ragft.generation.local import LocalModel

    return LocalModel.load(name, **options)


@lru_cache(maxsize=8)
def _server(name: str) -> ServerModel:
    from ragft.generation.server import ServerModel

    return ServerModel.open(name)


def model_hash(name: str | os.PathLike[str]) -> str:
    """Return what answers of a model are cached under: the hash of its weights.

    Of a model on a server, which does not show them, the hash of its `ServerModel.identity`. No
    model is loaded, but a server is asked.
    """
    if models.is_server(name):
        return load_model(name).model_hash
    return models.weights_hash(models.locate(name))
