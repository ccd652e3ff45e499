"""LoRA layers computed in fewer steps: what PEFT computes, its gradients written down.

Small steps spend much of their time between the products of matrices: PEFT turns every input twice
to the precision of the product, scales and adds whole outputs, and lets autograd undo each. Which
trainings take this, and the weights themselves, are the trainer's and PEFT's matter.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.autograd.function import once_differentiable


class _Product(torch.autograd.Function):
    """x Wᵀ + b + s (x Aᵀ) Bᵀ (Hu et al. 2021), in the precision of the frozen W."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        flat = inputs.reshape(-1, inputs.shape[-1]).to(weight.dtype)
        ctx.given, ctx.trained = (inputs.dtype, inputs.shape), (down.dtype, up.dtype)
        down, up = down.to(weight.dtype), (scale * up).to(weight.dtype)
        small = flat @ down.T
        made = flat @ weight.T if bias is None else torch.addmm(bias, flat, weight.T)
        made.addmm_(small, up.T)
        ctx.save_for_backward(flat, weight, down, up, small)
        ctx.scale = scale
        return made.view(*inputs.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        flat, weight, down, up, small = ctx.saved_tensors
        (down_type, up_type), (dtype, shape) = ctx.trained, ctx.given
        gradient = gradient.reshape(-1, gradient.shape[-1])
        back = gradient @ up
        to_down = (back.T @ flat).to(down_type)
        to_up = (gradient.T @ small).to(up_type).mul_(ctx.scale)
        to_inputs = None
        if ctx.needs_input_grad[0]:
            to_inputs = (gradient @ weight).addmm_(back, down).to(dtype).view(shape)
        return to_inputs, None, None, to_down, to_up, None


def quicken(network: Any, dtype: torch.dtype) -> int:
    """Let LoRA layers of a network be computed so, in place; return how many.

    Taken are those of one adapter without dropout, on a frozen linear layer whose weights have the
    precision `dtype` that products have here. For training alone: adapters that are switched off,
    merged or chosen by row are PEFT's matter.
    """
    from peft.tuners.lora import Linear

    # the very classes: what derives from them may compute otherwise
    layers = [part for part in network.modules() if type(part) is Linear and _plain(part, dtype)]
    for layer in layers:
        layer.forward = partial(_forward, layer, *layer.active_adapters)
    return len(layers)


def _plain(layer: Any, dtype: torch.dtype) -> bool:
    base, names = layer.get_base_layer(), layer.active_adapters
    if type(base) is not torch.nn.Linear or len(names) != 1 or list(layer.lora_A) != names:
        return False
    frozen = not any(part.requires_grad for part in base.parameters())
    variant = names[0] in layer.lora_variant or layer.lora_B[names[0]].bias is not None
    drops = type(layer.lora_dropout[names[0]]) is not torch.nn.Identity
    return frozen and base.weight.dtype == dtype and not (variant or drops or layer.merged)


def _forward(layer: Any, name: str, inputs: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    base = layer.get_base_layer()
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    return _Product.apply(inputs, base.weight, base.bias, down, up, layer.scaling[name])
