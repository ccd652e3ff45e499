"""Linear layers in float32 by the library that multiplies quicker on this processor.

torch leaves them to MKL, which keeps its quickest kernels for processors of its own maker. On
others oneDNN, which torch brings too, multiplies two to four times as quickly; it rounds elsewhere.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.nn.functional import linear

from ragft.runtime import cpu_maker

ROWS = 8
"""With fewer rows at once calling oneDNN takes longer than it saves."""
_PLAIN = ("none", [], "")
"""Nothing is done to the products before they are written."""


class OneDnnLinear(torch.nn.Linear):
    """A linear layer that oneDNN multiplies where that can be: in float32, on a CPU, no gradient.

    In all else, its weights and its name in a state dict among them, it is the layer it was.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x W^T + b, shape (..., out_features)."""
        if (
            x.dtype is self.weight.dtype is torch.float32
            and x.numel() >= ROWS * self.in_features
            and x.device.type == "cpu"
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
        ):
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, *_PLAIN)
        return super().forward(x)


def quick(network: Any) -> Any:
    """Let a network multiply by the quicker library, where there is one, and return it.

    Its layers are changed in place, their weights are not; copies and networks with adapters
    stay quick. Does nothing on a processor for which MKL is as good as any.
    """
    if onednn_is_quicker():
        for module in network.modules():
            if type(module) is torch.nn.Linear:
                module.__class__ = OneDnnLinear
    return network


@cache
def onednn_is_quicker() -> bool:
    """Tell whether torch would use MKL on another maker's processor, and oneDNN works."""
    if cpu_maker() in ("", "GenuineIntel") or not torch.backends.mkl.is_available():
        return False
    x, weight, bias = torch.randn(40, 24), torch.randn(16, 24), torch.randn(16)
    try:  # a kernel that torch does not promise: tried once before it is taken
        with torch.inference_mode():
            found = torch.ops.mkldnn._linear_pointwise(x, weight, bias, *_PLAIN)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return found.shape == (40, 16) and torch.allclose(found, linear(x, weight, bias), atol=1e-4)
