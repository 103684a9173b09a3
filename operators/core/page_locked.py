"""Page-locked memory of the host, which the driver of a GPU copies from and to without a staging buffer of its own.

PyTorch keeps such memory when it is freed, and gives it out again: to lock it anew takes longer than the copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["downloaded", "page_locked"]


def page_locked(shape: tuple[int, ...], kind: torch.dtype, device: torch.device) -> torch.Tensor:
    """Uninitialised memory of the host, page-locked if ``device`` is a GPU and the system allows it."""
    if device.type != "cuda":
        return torch.empty(shape, dtype=kind)
    try:
        return torch.empty(shape, dtype=kind, pin_memory=True)
    except RuntimeError:  # a container may limit page-locked memory; other memory only takes longer
        return torch.empty(shape, dtype=kind)


def downloaded(tensor: torch.Tensor) -> NDArray[Any]:
    """The values of a tensor on the host, when they have arrived."""
    if tensor.device.type != "cuda":
        return np.asarray(tensor.numpy())
    host = page_locked(tuple(tensor.shape), tensor.dtype, tensor.device)
    host.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return np.asarray(host.numpy())
