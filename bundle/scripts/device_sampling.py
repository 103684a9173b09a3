"""Sampling of deformed crops by torch, on the device that holds a participant (`bundle.scripts.RandDeformedCropd`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

__all__ = ["DeformedCrop", "nearest_labels", "sampled_image"]


@dataclass(frozen=True)
class DeformedCrop:
    """Where in an image the voxels of a crop are. The tensors are on the image's device.

    Attributes
    ----------
    matrix, centre : Tensor, shape (3, 3) and (3,)
        Turn and stretch of the crop, and the place of its middle, in voxels of the image.
    field : Tensor, shape (3, x, y, z)
        Displacements in voxels, every ``step`` voxels of the crop.
    step : int
    roi : sequence of int, (x, y, z)
        Voxels of the crop.
    slab : sequence of float
        Lowest and highest z that are kept.
    """

    matrix: torch.Tensor
    centre: torch.Tensor
    field: torch.Tensor
    step: int
    roi: Sequence[int]
    slab: Sequence[float]


def sampled_image(image: torch.Tensor, crop: DeformedCrop) -> torch.Tensor:
    """Linear interpolation of an image at a deformed crop's voxels; 0 outside image and slab.

    Parameters
    ----------
    image : Tensor, shape (channel, x, y, z), float32
    crop : DeformedCrop

    Returns
    -------
    Tensor, shape (channel, *roi), float32
    """
    places = _places(crop, 1)
    sizes = torch.tensor(image.shape[1:], device=image.device)[:, None, None, None]
    inside = ((places >= -0.5) & (places <= sizes - 0.5)).all(dim=0) & _in_slab(places, crop.slab)
    scaled = places * (2 / (sizes - 1).clamp_min(1)) - 1
    grid = scaled.flip(0).permute(1, 2, 3, 0)[None]
    found = torch.nn.functional.grid_sample(image[None], grid, padding_mode="border", align_corners=True)[0]
    return found * inside


def nearest_labels(labels: torch.Tensor, crop: DeformedCrop) -> torch.Tensor:
    """Nearest label of each voxel of a deformed crop, or of each of its eight parts.

    Parameters
    ----------
    labels : Tensor, shape (1 or 8, x, y, z), uint8
    crop : DeformedCrop

    Returns
    -------
    Tensor, shape (1 or 8, *roi), uint8
    """
    factor = 2 if len(labels) == 8 else 1
    places = _places(crop, factor)
    sizes = torch.tensor(labels.shape[1:], device=labels.device)[:, None, None, None] * factor
    index = ((places + 0.5) * factor).floor().long()
    inside = ((index >= 0) & (index < sizes)).all(dim=0) & _in_slab(places, crop.slab)
    x, y, z = index.clamp_min(0).minimum(sizes - 1)
    return _as_parts(_as_map(labels, factor)[x, y, z] * inside, factor)


def _places(crop: DeformedCrop, factor: int) -> torch.Tensor:
    """Where in the image (3, x, y, z) each of ``factor`` parts along each axis of the crop's voxels is."""
    field = crop.field
    steps = [
        (torch.arange(size * factor, device=field.device, dtype=torch.float32) + 0.5) / factor - 0.5
        for size in crop.roi
    ]
    for axis, along in enumerate(steps, start=1):
        at = (along + 0.5) / crop.step
        low = at.long()
        share = (at - low).reshape([-1 if n == axis else 1 for n in range(4)])
        field = torch.lerp(field.index_select(axis, low), field.index_select(axis, low + 1), share)
    from_middle = [along - (size - 1) / 2 for along, size in zip(steps, crop.roi, strict=True)]
    straight = [
        (column[:, None] * along[None]).reshape(3, *(-1 if n == axis else 1 for n in range(3)))
        for axis, (column, along) in enumerate(zip(crop.matrix.T, from_middle, strict=True))
    ]
    return field + straight[0] + straight[1] + straight[2] + crop.centre[:, None, None, None]


def _in_slab(places: torch.Tensor, slab: Sequence[float]) -> torch.Tensor:
    return (places[2] >= float(slab[0])) & (places[2] <= float(slab[1]))


def _as_map(labels: torch.Tensor, factor: int) -> torch.Tensor:
    """Parts of voxels (parts, x, y, z) as one map of smaller voxels."""
    parts = labels.reshape(factor, factor, factor, *labels.shape[1:])
    return parts.permute(3, 0, 4, 1, 5, 2).reshape([size * factor for size in labels.shape[1:]])


def _as_parts(labels: torch.Tensor, factor: int) -> torch.Tensor:
    """The inverse of `_as_map`."""
    x, y, z = (size // factor for size in labels.shape)
    parts = labels.reshape(x, factor, y, factor, z, factor).permute(1, 3, 5, 0, 2, 4)
    return parts.reshape(factor**3, x, y, z)
