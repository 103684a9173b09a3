"""Reduced precision on any device that supports it; MONAI's engines support it on CUDA only."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import SimpleInferer

from operators.core.bfloat16 import has_bf16

__all__ = ["AutocastInferer"]


class AutocastInferer(SimpleInferer):
    """Runs the network under bfloat16 autocast on the input's device, if that is faster than float32.

    The network is given plain tensors. With MONAI's `MetaTensor`, which carries the image's affine through every
    layer, the gradients of a training step on a CPU take a third longer.
    """

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> Any:
        inputs = inputs.as_subclass(torch.Tensor)
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=has_bf16(inputs.is_cuda)):
            return super().__call__(inputs, network, *args, **kwargs).float()
