"""Model folders: where one lies, what its weights hash to, how it and its adapters are opened.

Shared by `generation` (which answers) and `training` (which tunes), so that both see the same
tokens and the same hashes. Nothing here generates or trains.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragft import files, runtime
from ragft.types import RagftError

ADAPTER_CARD = "ragft_adapter.json"
"""File that makes a folder an adapter of ragft: hash of its base, settings, what it cost."""

_HASH_CACHE_FROM = 64 * 2**20  # smaller weights are hashed in full each time, so a flip is seen
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_HUB_FILES = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the progress bars and the warnings that libraries give about themselves."""
    from transformers.utils import logging as hub

    talker = logging.getLogger("bitsandbytes")
    level, bars = talker.level, hub.is_progress_bar_enabled()
    talker.setLevel(logging.ERROR)
    hub.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        talker.setLevel(level)
        if bars:
            hub.enable_progress_bar()


EMBEDDED = Path(__file__).parent / "generation" / "embedded"
SHIPPED = ("embedded", "resident")
"""Names of the checkpoints that ship with the package."""


def is_server(model: str | os.PathLike[str]) -> bool:
    """Tell whether a model's name is the URL of a server (`generation.address`)."""
    return str(model).lower().startswith(("http://", "https://"))


def no_weights(name: str) -> RagftError:
    """Return the error for what needs the weights of a model that is on a server."""
    return RagftError(
        f"{name}: a model on a server has no weights here, so it can neither be trained nor "
        "measured from within; name a folder or a Hugging Face id"
    )


def locate(model: str | os.PathLike[str]) -> Path:
    """Return the folder that holds a causal LM in safetensors.

    Parameters
    ----------
    model : str or path
        One of `SHIPPED`, a folder, or a Hugging Face model id (downloaded into the hub's own
        cache: weights in safetensors, configuration and tokenizer only; no code).

    Raises
    ------
    RagftError
        The id cannot be had, or the folder lacks a file; the message names it. A model on a
        server has no folder.
    """
    folder = Path(model)
    if is_server(model):
        raise no_weights(str(model))
    if str(model) in SHIPPED:
        folder = EMBEDDED / f"{model}-model"
        if not folder.is_dir():
            raise RagftError(f"model {str(model)!r}: not part of this installation ({folder})")
    elif not folder.is_dir():
        folder = _download(str(model))
    for name in ("config.json", "tokenizer.json|tokenizer.model|vocab.json|tokenizer_config.json"):
        if not any((folder / choice).is_file() for choice in name.split("|")):
            raise RagftError(f"{folder}: no {name.split('|')[0]}: not a whole model folder")
    weight_files(folder)
    _refuse_code(folder)
    return folder


def _refuse_code(folder: Path) -> None:
    """Refuse a model that transformers knows only by code that lies in its folder."""
    path = folder / "config.json"
    try:
        config = files.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RagftError(
            f"{path}: cannot be read ({error}); copy the model folder again"
        ) from error
    if not isinstance(config, dict):
        raise RagftError(f"{path}: cannot be read (no JSON object); copy the model folder again")
    if "auto_map" in config:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

        if config.get("model_type") not in CONFIG_MAPPING_NAMES:
            raise RagftError(
                f"{path}: asks for code of its own (auto_map), and ragft runs none that lies in a "
                "model folder; choose a model of an architecture that transformers has"
            )


def _download(name: str) -> Path:
    if Path(name).is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise RagftError(f"{name}: no such model folder")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except Exception as error:  # the hub raises a dozen kinds; each means 'cannot be had'
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RagftError(
            f"model {name!r} is neither a folder nor to be had from the Hugging Face hub "
            f"({reason}); without it there are {', '.join([*map(repr, SHIPPED), *_in_cache()])}, "
            "any folder, and the URL of a server"
        ) from error


def _in_cache() -> list[str]:
    """Return the ids of models in the hub's cache, a few at most."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = sorted(Path(HF_HUB_CACHE).glob("models--*/snapshots/*/config.json"))
    names = dict.fromkeys(path.parts[-4] for path in found)
    return [repr(name.removeprefix("models--").replace("--", "/")) for name in names][:5]


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder, sorted by name.

    Raises
    ------
    RagftError
        There are none, or the index names one that is not there.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = _named_by(index)
    else:
        names = sorted(path.name for path in folder.glob("*.safetensors")) or ["model.safetensors"]
    for name in names:
        if not (folder / name).is_file():
            left = ", ".join(path.name for path in pickled(folder))
            beside = (
                f" ({left}: pickled, loading it would run code that lies in it)" if left else ""
            )
            raise RagftError(f"{folder}: no {name}{beside}: weights are read from safetensors only")
    return [folder / name for name in names]


def _named_by(index: Path) -> list[str]:
    """Return the files that an index of weights names, sorted."""
    try:
        names = set(files.from_json(index.read_text(encoding="utf-8"))["weight_map"].values())
        fits = all(Path(name).name == name and name.endswith(".safetensors") for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RagftError(
            f"{index}: cannot be read ({type(error).__name__} {error}); copy the model folder again"
        ) from error
    if not names or not fits:
        raise RagftError(f"{index}: names files that are no safetensors of its own folder")
    return sorted(names)


def pickled(folder: Path) -> list[Path]:
    """Return the files of a folder that hold pickled weights, sorted by name."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in _PICKLES)


def weights_hash(folder: Path) -> str:
    """Return the SHA-256 over the names and bytes of a folder's weight files.

    The same weights give the same hash, wherever they lie. Hashes of files over 64 MiB are kept
    in small files in the cache folder, by path, size and modification time.
    """
    return files_hash(weight_files(folder))


def files_hash(paths: Sequence[Path]) -> str:
    """Return the SHA-256 over names and bytes of files, in the order given."""
    return files.sha256_json([[path.name, _file_hash(path)] for path in paths])


def _file_hash(path: Path) -> str:
    stat = path.stat()
    if stat.st_size < _HASH_CACHE_FROM:
        return files.sha256_file(path)
    key = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    cache = runtime.cache_dir() / "weights" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
    if "hash" in (kept := files.find_sealed(cache)):
        return kept["hash"]
    value = files.sha256_file(path)
    files.atomic_write(cache, files.sealed_json({"file": key, "hash": value}))
    return value


def read_card(adapter: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the card of an adapter folder after checking every file against the manifest.

    Raises
    ------
    RagftError
        The folder, the card or a file is missing, or a file's bytes have changed.
    """
    path = Path(adapter) / ADAPTER_CARD
    if path.is_file() or (path.parent / files.MANIFEST).is_file():
        files.check_folder(path.parent)  # an adapter that lost its card is a damaged one
    if not path.is_file():
        raise RagftError(f"{adapter}: no {ADAPTER_CARD}: not an adapter made by ragft")
    for left in pickled(path.parent):
        raise RagftError(f"{left}: pickled weights, which are never loaded: no adapter of ragft's")
    try:
        card = files.from_json(path.read_text(encoding="utf-8"))
        str(card["settings"]["base_hash"] + card["settings"]["method"]), dict(card["measured"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RagftError(f"{path}: no card of an adapter; train it again") from error
    return card


def check_base(adapter: str | os.PathLike[str], card: dict[str, Any], base_hash: str) -> None:
    """Refuse an adapter trained on other weights: it would load in silence and answer nonsense."""
    if card["settings"]["base_hash"] != base_hash:
        made_for = card["settings"]["base_hash"]
        raise RagftError(
            f"{adapter}: made for another base (weights {made_for[:12]}, this model has "
            f"{base_hash[:12]}): load the model that it was trained on"
        )


def adapter_config(adapter: str | os.PathLike[str]) -> Any:
    """Return PEFT's configuration of an adapter: of which kind it is and where it goes."""
    from peft import PeftConfig

    return PeftConfig.from_pretrained(str(adapter))


def open_tokenizer(folder: Path) -> Any:
    """Return the folder's tokenizer, with a padding token (the end token where it has none)."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # anything a broken tokenizer file can raise
        raise RagftError(f"{folder}: the tokenizer cannot be read ({error})") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def open_network(
    folder: Path, *, device: str, dtype: Any, quantization: str | None = None, **options: Any
) -> Any:
    """Return the folder's causal LM in evaluation mode, on `device`.

    Parameters
    ----------
    folder : Path
        As given by `locate`.
    device : str
        'cpu', 'cuda', 'cuda:1', ...
    dtype : torch.dtype
        Of the weights in memory.
    quantization : {None, 'nf4'}
        4-bit NormalFloat through bitsandbytes (Dettmers et al. 2023, QLoRA); also on a CPU.
    **options
        Passed on to `from_pretrained`, such as `attn_implementation`.
    """
    from transformers import AutoModelForCausalLM

    if quantization is not None:
        options |= {"quantization_config": _nf4(quantization), "device_map": {"": device}}
        _check_width(folder, device)
    try:
        with quiet():
            network = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, trust_remote_code=False, use_safetensors=True, **options
            )
    except Exception as error:  # damaged weights, an unknown architecture, no memory, ...
        raise RagftError(f"{folder}: the model cannot be loaded ({error})") from error
    return (network if quantization else network.to(device)).eval()


def _check_width(folder: Path, device: str) -> None:
    width = open_config(folder).hidden_size
    if device == "cpu" and width % 64:  # the blocks in which bitsandbytes packs weights there
        raise RagftError(
            f"{folder}: on a CPU 4-bit weights need a width of a multiple of 64; this has {width}"
        )


def _nf4(quantization: str) -> Any:
    if quantization != "nf4":
        raise RagftError(f"quantization={quantization!r}: choose None or 'nf4'")
    require_bitsandbytes()
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def require_bitsandbytes() -> None:
    """Raise RagftError where bitsandbytes, which holds weights in 4 bits, is not installed."""
    from importlib.util import find_spec

    if find_spec("bitsandbytes") is None:
        raise RagftError("4-bit weights need bitsandbytes: pip install 'ragft[qlora]'")


def open_config(folder: Path) -> Any:
    """Return the configuration of the folder's language model."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
    except Exception as error:  # not JSON, an unknown architecture, one that needs its own code
        raise RagftError(f"{folder / 'config.json'}: cannot be read ({error})") from error


def context_length(config: Any, tokenizer: Any) -> int:
    """Return how many tokens the model can read and write together."""
    named = ("max_position_embeddings", "n_positions", "max_sequence_length")
    limits = [getattr(config, name, None) for name in named] + [tokenizer.model_max_length]
    # a tokenizer without a limit says 10^30
    return min((int(n) for n in limits if n and n < 10**9), default=10**9)


def count_longer(tokenizer: Any, texts: Sequence[str], limit: int) -> int:
    """Return how many texts have more than `limit` tokens, special ones included."""
    special = tokenizer.num_special_tokens_to_add()
    # No token is shorter than a byte, so most texts need no counting.
    long = [text for text in texts if len(text.encode()) + special > limit]
    rows = tokenizer(long, truncation=False, verbose=False)["input_ids"] if long else []
    return sum(len(row) > limit for row in rows)


def prompt_tokens(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Tokenise prompts, the same for training and for answering.

    Special tokens are those the tokenizer adds by itself, less two habits that break a prompt:
    an end token put behind it, and a start token doubled where the text already brings one
    (as a rendered chat template does).
    """
    if not prompts:
        return []
    rows = tokenizer(list(prompts), add_special_tokens=True)["input_ids"]
    return [_trimmed(tokenizer, list(row), text) for row, text in zip(rows, prompts, strict=True)]


def _trimmed(tokenizer: Any, row: list[int], text: str) -> list[int]:
    end, start = tokenizer.eos_token_id, tokenizer.bos_token_id
    if row and row[-1] == end and not text.endswith(tokenizer.eos_token):
        row = row[:-1]
    if start is not None and row[:2] == [start, start]:
        row = row[1:]
    return row


def completion_tokens(tokenizer: Any, completions: Sequence[str]) -> list[list[int]]:
    """Tokenise completions as a model would say them: no start token, one end token.

    They are tokenised apart from the prompt, because that is where the model begins to write: a
    joint tokenisation may merge the last character of the prompt with the first of the answer.

    Raises
    ------
    RagftError
        The tokenizer has no end token, so a tuned model could never stop.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise RagftError(f"{tokenizer.name_or_path}: the tokenizer names no eos_token; add one")
    if not completions:
        return []
    rows = tokenizer(list(completions), add_special_tokens=False)["input_ids"]
    return [list(row) if row and row[-1] == end else [*row, end] for row in rows]
