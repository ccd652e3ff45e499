"""Models prepared for training, with random weights: LoRA, QLoRA and all weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragft.bench.gpu.device import Device, Unavailable
from ragft.bench.gpu.settings import Load
from ragft.generation.shapes import Shape

if TYPE_CHECKING:
    import torch

METHODS = ("lora", "qlora", "full")


def trainable(device: Device, shape: Shape, method: str) -> Any:
    """Return a model to train.

    LoRA matrices and, for 'full', all weights are float32 and multiplied in bfloat16 (autocast),
    as trainers do it; the frozen base of 'lora' is bfloat16, that of 'qlora' 4-bit NF4.

    Raises
    ------
    Unavailable
        'qlora' without bitsandbytes.
    """
    if method == "qlora" and find_spec("bitsandbytes") is None:
        raise Unavailable("bitsandbytes is not installed: no 4-bit weights")
    dtype = "float32" if method == "full" else device.settings.dtype
    network = device.build(shape.config(), dtype)
    if method == "full":
        return network.train()
    if method == "qlora":
        quantise(network)
    return _with_adapter(network, device.settings.rank, dtype != "float32").train()


def quantise(network: Any) -> None:
    """Turn all linear layers but the output into 4-bit NF4, in place and on their own device.

    As `BitsAndBytesConfig` does it with double quantisation; that one reads a folder of weights.
    """
    import torch
    from bitsandbytes.nn import Linear4bit

    output = network.get_output_embeddings()
    layers = [m for m in network.modules() if type(m) is torch.nn.Linear and m is not output]
    parents = {child: (m, name) for m in network.modules() for name, child in m.named_children()}
    for layer in layers:
        packed = Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=layer.weight.dtype,
            quant_type="nf4",
            device="meta",
        )
        packed.bias, device = layer.bias, layer.weight.device
        packed.weight = type(packed.weight)(
            layer.weight.data, requires_grad=False, quant_type="nf4", module=packed
        )
        parent, name = parents[layer]
        setattr(parent, name, packed.to(device))
    network.is_loaded_in_4bit = True  # peft looks for this


def _with_adapter(network: Any, rank: int, autocast: bool) -> Any:
    from peft import LoraConfig, get_peft_model

    chosen = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    tuned = get_peft_model(network, chosen)
    # The input of every LoRA matrix would be turned to float32, and by autocast back again: two
    # passes over all activations that change nothing.
    for part in tuned.modules():
        if autocast and hasattr(part, "cast_input_dtype_enabled"):
            part.cast_input_dtype_enabled = False
    return tuned


def trained_parameters(network: Any) -> int:
    """Return how many numbers are trained."""
    return sum(part.numel() for part in network.parameters() if part.requires_grad)


def adapter_bytes(network: Any, folder: str | Path | None = None) -> int:
    """Return the bytes of an adapter's file, written as safetensors.

    Parameters
    ----------
    network : PeftModel
    folder : path, optional
        Where `adapter_model.safetensors` is kept; None: in a temporary folder, which goes.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    tensors = get_peft_model_state_dict(network, save_embedding_layers=False)
    with ExitStack() as stack:
        place = folder or stack.enter_context(tempfile.TemporaryDirectory())
        path = Path(place) / "adapter_model.safetensors"
        save_file({name: part.contiguous() for name, part in tensors.items()}, path)
        return path.stat().st_size


def training_step(
    device: Device, network: Any, vocabulary: int, load: Load, rows: int
) -> Callable[[], torch.Tensor]:
    """Return a function that takes one training step and gives its loss.

    The loss is the cross-entropy of the completions, and only their positions are projected onto
    the vocabulary, as in `ragft.training`. No gradient checkpointing; AdamW.
    """
    import torch
    from torch.nn.functional import cross_entropy

    tokens = device.tokens(vocabulary, rows, load.tokens)
    places = torch.arange(load.prompt - 1, load.tokens - 1, device=tokens.device)
    told = tokens[:, load.prompt :].flatten()
    parts = [part for part in network.parameters() if part.requires_grad]
    kind = getattr(torch, device.settings.dtype)
    optimiser = torch.optim.AdamW(parts, lr=1e-5, fused=device.cuda)

    def step() -> torch.Tensor:
        with torch.autocast(tokens.device.type, kind, enabled=kind != torch.float32):
            logits = network(input_ids=tokens, use_cache=False, logits_to_keep=places).logits
        loss = cross_entropy(logits.flatten(0, 1).float(), told)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    return step
