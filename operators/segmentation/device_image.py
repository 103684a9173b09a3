"""A fused study on a device: uploaded once, then transformed and cut to the body there.

`operators.segmentation.preparation` does the same on the CPU. Every function here takes the device as a parameter, so
the tests run them on the CPU too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from operators.core.device_copies import copy_of
from operators.core.errors import SarcoMapError
from operators.core.volume import Fused
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.preparation import (
    Prepared,
    body_box,
    check_contrasts,
    check_not_constant,
    cut_to_body,
    not_finite,
    signal_of,
    transformed,
)

__all__ = ["DevicePrepared", "on_device", "prepare_on"]


@dataclass(frozen=True)
class DevicePrepared:
    """The network's input image and the body mask, both on a device.

    Attributes
    ----------
    prepared : Prepared
    body : Tensor, shape (z, y, x), bool
        On ``prepared.grid``.
    """

    prepared: Prepared
    body: torch.Tensor


def on_device(voxels: NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """A volume as a tensor on a device: the copy that the fusion left there, or else an upload."""
    there = copy_of(voxels)
    if there is not None:
        tensor = torch.as_tensor(there)
        if tensor.device.type == device.type:
            return tensor
    return torch.from_numpy(np.ascontiguousarray(voxels)).to(device)


def prepare_on(device: torch.device, fused: Fused, model: SegmentationModel, factor: float = 1.0) -> DevicePrepared:
    """Like `operators.segmentation.preparation.prepare`, on a device.

    The numbers are those of the CPU up to the rounding of the resampling, which MONAI computes in float64.

    Parameters
    ----------
    device : torch.device
    fused : Fused
    model : SegmentationModel
    factor : float

    Raises
    ------
    SegmentationError
        See `operators.segmentation.preparation.prepare`.
    """
    check_contrasts(fused, model)
    body = on_device(fused.body, device)
    box = body_box([body.any(dim=a).any(dim=b).cpu().numpy() for a, b in ((2, 1), (2, 0), (1, 0))])
    image = torch.empty((len(model.contrasts), *reversed(fused.grid.shape)), dtype=torch.float32, device=device)
    facts = []
    for channel, contrast in zip(image, model.contrasts, strict=True):
        signal = on_device(signal_of(fused, contrast), device)
        facts.append(_facts(signal, body))
        torch.mul(signal.permute(2, 1, 0), np.float32(factor).item(), out=channel)
    # One download for all checks, because each one waits for the device.
    for contrast, (finite, low, high) in zip(model.contrasts, torch.stack(facts).tolist(), strict=True):
        if not finite:
            raise not_finite()
        check_not_constant(contrast, low, high)
    return DevicePrepared(_cut(image, fused, model, box), body[box].contiguous())


def _cut(image: torch.Tensor, fused: Fused, model: SegmentationModel, box: tuple[slice, slice, slice]) -> Prepared:
    """Transform and cut on the image's device, or on the CPU if a bundle's transform does not work on the device."""
    device = image.device
    try:
        return cut_to_body(transformed(image, fused.grid, model), fused.grid, box)
    except (SarcoMapError, torch.OutOfMemoryError):
        raise
    except Exception:
        if device.type == "cpu":
            raise
        prepared = cut_to_body(transformed(image.cpu(), fused.grid, model), fused.grid, box)
        return Prepared(prepared.image.to(device), prepared.affine, prepared.box, prepared.grid)


def _facts(signal: torch.Tensor, body: torch.Tensor) -> torch.Tensor:
    """Whether all values are finite, and the smallest and the largest of them in the body."""
    limits: Sequence[torch.Tensor] = (
        signal.masked_fill(~body, np.inf).amin(),
        signal.masked_fill(~body, -np.inf).amax(),
    )
    return torch.stack([torch.isfinite(signal).all().to(signal.dtype), *limits])
