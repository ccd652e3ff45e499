"""How large and how fast: one frozen dataclass of sizes, and the three named ones.

A profile says which model, how many questions and how much training; what is done with them is
the experiments' matter. Of the machine one thing alone is asked, whether it multiplies bfloat16;
`gpu` on a machine without one fails later.
"""

from __future__ import annotations

import types
import typing
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from ragft.runtime import multiplies_bf16
from ragft.types import RagftError

CHOICES: dict[str, tuple[str, ...]] = {
    "device": ("cpu", "cuda", "mps", "auto"),
    "dtype": ("float32", "bfloat16", "float16", "auto"),
    "quantization": ("", "nf4"),
    "retriever": ("bm25", "dense", "hybrid"),
}
"""Fields that take one of a few words."""


@dataclass(frozen=True)
class Profile:
    """Every size that an experiment needs; whatever changes a result is here or in the grid."""

    name: str = "cpu"
    """'smoke', 'cpu', 'gpu', or a name of your own."""
    model: str = "embedded"
    """'embedded', 'resident', a Hugging Face id, a folder, or the URL of an OpenAI-compatible
    server, such as http://host:8000/v1#model-id (`generation.address`)."""
    device: str = "cpu"
    """'cpu', 'cuda', 'mps' or 'auto'."""
    dtype: str = "auto"
    """Precision of weights and arithmetic: 'float32', 'bfloat16' or 'float16'; 'auto' becomes
    'bfloat16' where the machine multiplies it in hardware, otherwise 'float32'."""
    quantization: str = ""
    """'' or 'nf4' (QLoRA through bitsandbytes)."""
    facts: int = 300
    """Facts that are trained and asked about."""
    questions: int = 300
    """Questions asked of each arm and condition, at most."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds; headline rows need five or more."""
    world_seeds: tuple[int, ...] = (0,)
    """Seeds of the made-up world: replicates, shown apart."""
    world_subjects: int = 500
    """Subjects in the made-up world."""
    batch_size: int = 32
    """Questions answered at once."""
    max_new_tokens: int = 48
    """Longest completion, in tokens."""
    retriever: str = "hybrid"
    """'bm25', 'dense' or 'hybrid' (both, fused)."""
    embedding_model: str = "auto"
    """'auto' (all-MiniLM-L6-v2, hub or offline package), a Hugging Face id, or a folder."""
    top_k: int = 4
    """Passages put into the prompt."""
    chunk_size: int = 128
    """Tokens in a passage, at most."""
    chunk_overlap: int = 0
    """Tokens that neighbouring passages share."""
    shots: int = 3
    """Demonstrations in the few-shot prompt."""
    rank: int = 32
    """Rank of the LoRA matrices."""
    lora_alpha: int = 64
    """Scale of the LoRA update; the update is multiplied by lora_alpha / rank."""
    epochs: int = 8
    """Passes over the training examples."""
    min_steps: int = 200
    """Steps of training on facts, at least: few facts get more passes, or they are not learnt."""
    learning_rate: float = 2e-3
    """Peak learning rate of fine-tuning. At twice the rate a world's facts are learnt as well, the
    longer ones of real releases worse, and passages are no longer read."""
    wordings: int = 4
    """Training examples made from each fact."""
    reading_examples: int = 160
    """Contexts from which a reading adapter learns (raft)."""
    reading_epochs: int = 2
    """Passes over them."""
    reading_learning_rate: float = 5e-4
    """Peak learning rate for reading; at 4e-3 two of three seeds unlearned it."""
    train_tokens: int = 1024
    """Tokens in one training batch (rows are grouped by length to fill it)."""
    n_boot: int = 2000
    """Bootstrap resamples."""
    level: float = 0.95
    """Confidence level of all intervals."""

    def __post_init__(self) -> None:
        for field, kind in _kinds().items():
            object.__setattr__(self, field, _checked(field, getattr(self, field), kind))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them (tuples as lists)."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


@cache
def _kinds() -> dict[str, Any]:
    """Return the type of every field."""
    return typing.get_type_hints(Profile)


def _checked(field: str, value: Any, kind: Any) -> Any:
    """Return the value as the field's type, or raise an error that names the field."""
    if isinstance(kind, types.GenericAlias):
        good = isinstance(value, list | tuple) and len(value) > 0
        if not good or any(type(v) is not int or v < 0 for v in value):
            raise RagftError(f"profile: {field} must be whole numbers from 0, not {value!r}.")
        if len(set(value)) < len(value):
            raise RagftError(f"profile: {field} holds a number twice: {value!r}.")
        return tuple(value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise RagftError(f"profile: {field} must be {kind.__name__}, not {value!r}.")
    if field in CHOICES and value not in CHOICES[field]:
        choices = ", ".join(repr(c) for c in CHOICES[field])
        raise RagftError(f"profile: {field} must be one of {choices}, not {value!r}.")
    if field == "model":
        without_credentials(value)
    return _in_range(field, value)


def without_credentials(url: str) -> None:
    """Refuse a URL that holds a name, a password or a key: it would stand in every record.

    Raises
    ------
    RagftError
        What the URL holds is not repeated.
    """
    scheme, found, rest = url.partition("://")
    place = rest.partition("#")[0]
    if not found or scheme.lower() not in ("http", "https"):
        return
    if "@" in place.partition("/")[0] or "?" in place:
        raise RagftError(
            "model: the URL of a server holds no name, password or '?...', because it is recorded; "
            "put the key into the environment as RAGFT_API_KEY"
        )


def _in_range(field: str, value: Any) -> Any:
    """Return the value, or raise an error that says which numbers the field takes."""
    least = 0 if field in ("chunk_overlap", "shots") else 1
    if type(value) is int and value < least:
        raise RagftError(f"profile: {field} must be at least {least}, not {value}.")
    if type(value) is float and not 0 < value < 1:
        raise RagftError(f"profile: {field} must lie between 0 and 1, not {value}.")
    return value


SMOKE = Profile(
    name="smoke",
    dtype="float32",
    facts=12,
    questions=12,
    seeds=(0,),
    world_subjects=30,
    retriever="bm25",
    epochs=2,
    min_steps=1,
    reading_examples=8,
    rank=8,
    lora_alpha=16,
    n_boot=200,
)
CPU = Profile()
GPU = Profile(
    name="gpu",
    model="Qwen/Qwen2.5-1.5B-Instruct",
    device="cuda",
    dtype="bfloat16",
    quantization="nf4",
    facts=1000,
    questions=1000,
    seeds=(0, 1, 2, 3, 4),
    world_subjects=2000,
    batch_size=64,
    max_new_tokens=64,
    epochs=10,
    min_steps=1,
    learning_rate=2e-4,
    wordings=4,
    train_tokens=16384,
)
PROFILES: dict[str, Profile] = {p.name: p for p in (SMOKE, CPU, GPU)}


def profile(base: str | Profile = "cpu", **overrides: Any) -> Profile:
    """Return a named profile with some fields replaced.

    Parameters
    ----------
    base : str or Profile
        'smoke' (seconds, for tests), 'cpu' (minutes on 2 cores, the embedded model), 'gpu'
        (any Hugging Face id, bf16, QLoRA, real sizes), or a profile.
    **overrides
        Fields of `Profile` with their new values; a list stands for a tuple, a whole number
        for a float.

    Returns
    -------
    Profile
        Its `dtype` is never 'auto': what is kept of an answer depends on the precision.

    Raises
    ------
    RagftError
        If the name, a field, a type or a value is none there is; the message lists those.

    >>> profile("smoke", top_k=3).top_k
    3
    """
    if isinstance(base, str):
        if base not in PROFILES:
            raise RagftError(f"profile: no {base!r}; there are {', '.join(PROFILES)}.")
        base = PROFILES[base]
    if not isinstance(base, Profile):
        raise RagftError(f"profile: needs a name or a Profile, not {type(base).__name__}.")
    unknown = [name for name in overrides if name not in _kinds()]
    if unknown:
        raise RagftError(f"profile: no field {unknown[0]!r}; the fields are {', '.join(_kinds())}.")
    made = replace(base, **overrides)
    if made.dtype == "auto":
        half = multiplies_bf16("cpu" if made.device == "cpu" else "auto")
        made = replace(made, dtype="bfloat16" if half else "float32")
    return made
