"""What is trained: all weights, LoRA matrices, virtual tokens, or what a PEFT configuration says.

The base is opened here and the configuration of what is trained beside it made; the loop is in
`trainer`, and where the result is kept is `adapters`' business.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ragft import models
from ragft.runtime import multiplies_bf16, require_compiler
from ragft.training import processes
from ragft.training.adapters import Settings
from ragft.types import RagftError

if TYPE_CHECKING:
    from peft import PeftConfig

METHODS = ("lora", "qlora", "full", "prefix", "prompt")
SOFT = ("prefix", "prompt")
"""Those that train virtual tokens in front of every prompt, and no weights."""
SHORT_ROWS = 256
"""Rows up to this length are quicker on a CPU with plain attention than with the fused kernel."""
_RATES = {"full": 0.1, "prefix": 30.0, "prompt": 30.0}
"""Default learning rates, as multiples of LoRA's."""


def named(method: str | PeftConfig) -> tuple[str, PeftConfig | None]:
    """Return the name of a method, and the configuration where it is given as one.

    Raises
    ------
    RagftError
        It is neither a name of `METHODS` nor a PEFT configuration for causal LMs.
    """
    if isinstance(method, str) and method in METHODS:
        return method, None
    from peft import PeftConfig

    if not isinstance(method, PeftConfig):
        raise RagftError(
            f"method={method!r}: choose one of {', '.join(METHODS)}, or pass a PEFT configuration"
        )
    if method.peft_type is None or method.task_type not in (None, "CAUSAL_LM"):
        raise RagftError(
            f"method: a {type(method).__name__} with task_type={method.task_type!r}; this trains "
            "causal LMs, task_type='CAUSAL_LM'"
        )
    return f"peft:{_word(method.peft_type).lower()}", method


def told(config: PeftConfig) -> dict[str, Any]:
    """Return what a PEFT configuration decides, as JSON can hold it: part of the settings."""
    fields = config.to_dict()
    for name in ("base_model_name_or_path", "inference_mode", "peft_version", "revision"):
        fields.pop(name, None)
    return json.loads(json.dumps(fields, default=_jsonable, sort_keys=True))


def _jsonable(value: Any) -> Any:
    return sorted(value, key=str) if isinstance(value, set | frozenset) else str(value)


def _word(name: Any) -> str:
    return str(getattr(name, "value", name))


def default_learning_rate(width: int, method: str) -> float:
    """Return 2e-4 at a width of 4,096 and in inverse proportion to it.

    A tenth of that for 'full', 30 times that for virtual tokens. The optimum for Adam falls with
    the width (Yang et al. 2022, 'Tensor Programs V').
    """
    return 2e-4 * 4096 / width * _RATES.get(method, 1.0)


def check_numbers(whole: dict[str, int], dropout: float, learning_rate: float | None) -> None:
    """Raise a RagftError that names the first number out of range."""
    for name, value in whole.items():
        if int(value) != value or value < 1:
            raise RagftError(f"{name}={value}: must be a whole number of at least 1")
    if not 0 <= dropout < 1:
        raise RagftError(f"dropout={dropout}: must be at least 0 and below 1")
    if learning_rate is not None and not (0 < learning_rate < math.inf):
        raise RagftError(f"learning_rate={learning_rate}: must be above 0")


def shape(
    method: str, rank: int, alpha: float | None, dropout: float, targets: str | Sequence[str]
) -> dict[str, Any]:
    """Return the settings that are LoRA's alone; nought where a method has no use for them.

    All weights keep them as given: so have they always been written down.
    """
    if method in SOFT or method.startswith("peft:"):
        return {"rank": 0, "alpha": 0.0, "dropout": 0.0, "target_modules": ""}
    if isinstance(targets, str):
        targets = targets if targets == "all-linear" else (targets,)
    return {
        "rank": rank,
        "alpha": float(2 * rank if alpha is None else alpha),
        "dropout": dropout,
        "target_modules": targets if isinstance(targets, str) else tuple(targets),
    }


def open_base(folder: Path, chosen: Settings, longest: int) -> Any:
    """Return the base to train, as the method needs it.

    Parameters
    ----------
    folder : Path
    chosen : Settings
    longest : int
        Tokens of the longest row.

    Raises
    ------
    RagftError
        A target module that it does not have, or a rank larger than one of the layers.
    """
    gpu = torch.cuda.is_available()
    options = {} if gpu or longest > SHORT_ROWS else {"attn_implementation": "eager"}
    # a frozen base needs no more precision than it multiplies with; trained weights do
    half = chosen.method != "full" and gpu and multiplies_bf16()
    network = models.open_network(
        folder,
        # weights that are spread over processes go from memory to the GPUs part by part
        device="cuda" if gpu and not processes.sharded() else "cpu",
        dtype=torch.bfloat16 if half else torch.float32,
        quantization="nf4" if chosen.method == "qlora" else None,
        **options,
    )
    if chosen.method in ("lora", "qlora"):
        _check_layers(network, chosen.target_modules, chosen.rank)
    return network


def _check_layers(network: Any, targets: str | Sequence[str], rank: int) -> None:
    layers = {
        name: part for name, part in network.named_modules() if isinstance(part, torch.nn.Linear)
    }
    if targets == "all-linear":
        head = network.get_output_embeddings()
        tuned = [name for name, part in layers.items() if part is not head]
    else:
        tuned = [name for target in targets for name in _matching(layers, target)]
    for name in tuned:
        width = min(layers[name].in_features, layers[name].out_features)
        if rank > width:
            raise RagftError(
                f"rank={rank} is larger than layer {name.rsplit('.', 1)[-1]} "
                f"({layers[name].out_features} × {layers[name].in_features}); "
                f"choose at most {width}, or other target_modules"
            )


def _matching(layers: Sequence[str] | dict[str, Any], target: str) -> list[str]:
    found = [layer for layer in layers if layer == target or layer.endswith(f".{target}")]
    if not found:
        there = sorted({layer.rsplit(".", 1)[-1] for layer in layers})
        raise RagftError(f"target_modules: no layer {target!r}; choose from {', '.join(there)}")
    return found


def configuration(chosen: Settings, given: PeftConfig | None = None) -> PeftConfig | None:
    """Return PEFT's configuration of what is trained beside the base; None for all weights."""
    import peft

    if given is not None:
        config = deepcopy(given)  # PEFT writes into it
        config.task_type, config.inference_mode = "CAUSAL_LM", False
        return config
    if chosen.method == "full":
        return None
    if chosen.method == "prefix":
        return peft.PrefixTuningConfig(
            num_virtual_tokens=chosen.virtual_tokens, task_type="CAUSAL_LM"
        )
    if chosen.method == "prompt":
        return peft.PromptTuningConfig(
            num_virtual_tokens=chosen.virtual_tokens,
            prompt_tuning_init="SAMPLE_VOCAB",
            task_type="CAUSAL_LM",
        )
    targets = chosen.target_modules
    return peft.LoraConfig(
        r=chosen.rank,
        lora_alpha=chosen.alpha,
        lora_dropout=chosen.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def start_from_words(tuned: Any, seed: int) -> None:
    """Let a prefix begin as the keys and values of words drawn from the vocabulary.

    From noise it learns more slowly (Li and Liang 2021). Models whose layers are of several
    shapes begin from noise all the same.
    """
    network, config = tuned.get_base_model(), tuned.active_peft_config
    weight = tuned.prompt_encoder[tuned.active_adapter].embedding.weight
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(
        network.get_input_embeddings().num_embeddings,
        (1, config.num_virtual_tokens),
        generator=generator,
    )
    with torch.no_grad():
        cache = network(words.to(network.device), use_cache=True).past_key_values
    parts = [part[0] for layer in cache.layers for part in (layer.keys, layer.values)]
    if sum(part.numel() for part in parts) == weight.numel() and len({p.shape for p in parts}) == 1:
        # (layers × 2, heads, tokens, width) to a line for each token, as PEFT keeps them
        lines = torch.stack(parts).permute(2, 0, 1, 3).reshape(weight.shape)
        weight.data.copy_(lines)


def check_compiled(method: str, processes: int, gradient_checkpointing: bool) -> None:
    """Refuse to compile what is not meant to be.

    Raises
    ------
    RagftError
        Another method than 'lora' and 'full', several processes, activations computed twice, or
        no compiler.
    """
    if method not in ("lora", "full") or processes > 1 or gradient_checkpointing:
        raise RagftError(
            "compiled=True: for method 'lora' or 'full', in one process, without "
            "gradient_checkpointing; leave one of them out"
        )
    require_compiler("compiled=True")


def soft_tokens(method: str, virtual_tokens: int, given: PeftConfig | None) -> int:
    """Return how many virtual tokens stand in front of every prompt; 0 where there are none."""
    if given is not None:
        return int(getattr(given, "num_virtual_tokens", 0) or 0) if _soft(given) else 0
    return virtual_tokens if method in SOFT else 0


def _soft(config: PeftConfig) -> bool:
    return bool(getattr(config, "is_prompt_learning", False))
