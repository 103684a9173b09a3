"""The network's input image: a fused study in the network's orientation, spacing and intensities, cut to the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from operators.core.errors import SegmentationError
from operators.core.grid_geometry import LPS_TO_RAS
from operators.core.volume import Contrast, Fused, Grid
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.monai_parts import MetaTensor
from operators.segmentation.windows import Triple

__all__ = [
    "Prepared",
    "body_box",
    "check_contrasts",
    "check_not_constant",
    "cut_to_body",
    "not_finite",
    "prepare",
    "signal_of",
    "transformed",
]

_MARGIN_VOXELS = 4
_CONSTANT = 1e-4  # relative; blending of stations leaves rounding errors in a constant image


@dataclass(frozen=True)
class Prepared:
    """The network's input image and its position.

    Attributes
    ----------
    image : Tensor, shape (channels, x, y, z), float32
        Cropped to the body, in the network's orientation, spacing and intensities.
    affine : ndarray, shape (4, 4)
        Voxels of the image to LPS millimetres.
    box : tuple of slice, (z, y, x)
        The part of the fused grid that the image was made from.
    grid : Grid
        The grid of that part.
    """

    image: torch.Tensor
    affine: NDArray[np.float64]
    box: tuple[slice, slice, slice]
    grid: Grid

    @property
    def shape(self) -> Triple:
        """Size of the image along its axes."""
        _, x, y, z = self.image.shape
        return x, y, z

    @property
    def left_right_axis(self) -> int:
        """The axis of the image that runs from left to right."""
        return int(np.abs(self.affine[0, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)).argmax())


def prepare(fused: Fused, model: SegmentationModel, factor: float = 1.0) -> Prepared:
    """Apply the bundle's transforms to a fused study and crop the result to the body, on the CPU.

    The order matters, because transforms see the whole image, as in training.
    For example, percentiles of intensity depend on the amount of air.
    `operators.segmentation.device_image.prepare_on` does the same on a GPU.

    Parameters
    ----------
    fused : Fused
    model : SegmentationModel
    factor : float
        The signal is multiplied by it first; see `matching_scale`.

    Raises
    ------
    SegmentationError
        For an image without a body, with a constant value, or with values that
        are not finite.
    """
    check_contrasts(fused, model)
    box = body_box([np.asarray(fused.body.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))])
    signals = {contrast: signal_of(fused, contrast) for contrast in model.contrasts}
    if not all(np.isfinite(signal).all() for signal in signals.values()):
        raise not_finite()
    for contrast, signal in signals.items():
        low, high = signal.min(where=fused.body, initial=np.inf), signal.max(where=fused.body, initial=-np.inf)
        check_not_constant(contrast, float(low), float(high))
    # MONAI's arrays are (channel, x, y, z), and its affines map to RAS.
    image = np.empty((len(model.contrasts), *reversed(fused.grid.shape)), dtype=np.float32)
    for channel, contrast in zip(image, model.contrasts, strict=True):
        np.multiply(signals[contrast].T, np.float32(factor), out=channel)
    return cut_to_body(transformed(torch.from_numpy(image), fused.grid, model), fused.grid, box)


def check_contrasts(fused: Fused, model: SegmentationModel) -> None:
    """Raise `SegmentationError` if the study lacks a contrast that the network cannot do without."""
    if lacking := [c.value for c in model.contrasts if c in fused.absent and c not in model.can_lack]:
        raise SegmentationError(
            f"model {model.card.name}",
            f"a study without {' and '.join(lacking)} images",
            f"the images that it was trained on: {', '.join(contrast.value for contrast in model.contrasts)}",
            "Use a model that needs what the study has, or give labels made elsewhere with --segmentation.",
        )


def not_finite() -> SegmentationError:
    """The error for a volume with values that are not finite."""
    return SegmentationError(
        "fused volume", "values that are not finite", "a signal in every voxel", "Look at the fused NRRD files."
    )


def check_not_constant(contrast: Contrast, low: float, high: float) -> None:
    """Raise `SegmentationError` if the signal in the body, from ``low`` to ``high``, is one value."""
    if high - low <= _CONSTANT * abs(high):  # a network would find structures even in this
        raise SegmentationError(
            f"fused {contrast.value} volume",
            f"one value ({high:g}) in the whole body",
            "an image of a body",
            f"Look at fused/{contrast.value}.nrrd: is it empty or constant?",
        )


def transformed(image: torch.Tensor, grid: Grid, model: SegmentationModel) -> MetaTensor:
    """Apply the bundle's transforms to an image (channels, x, y, z) of the voxels of ``grid``, on its device."""
    tensor = MetaTensor(image, affine=torch.from_numpy(LPS_TO_RAS @ grid.affine))
    return model.preprocessing({"image": tensor})["image"]


def cut_to_body(whole: MetaTensor, grid: Grid, box: tuple[slice, slice, slice]) -> Prepared:
    """Cut a transformed image to the part that shows the box (z, y, x) of ``grid``."""
    affine = LPS_TO_RAS @ np.asarray(whole.affine, dtype=np.float64)
    part = _part_of(grid, box)
    around = _voxels_around(part, affine, tuple(whole.shape[1:]))
    affine[:3, 3] = (affine @ [*(along.start for along in around), 1.0])[:3]
    image = torch.as_tensor(whole.as_tensor()[(slice(None), *around)], dtype=torch.float32).clone()
    return Prepared(image, affine, box, part)


def _part_of(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 3] = (affine @ [box[2].start, box[1].start, box[0].start, 1.0])[:3]
    z, y, x = (part.stop - part.start for part in box)
    return Grid((z, y, x), affine)


def _voxels_around(grid: Grid, affine: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[slice, slice, slice]:
    """The part of an image (x, y, z) that encloses all voxel centres of ``grid``."""
    z, y, x = (size - 1 for size in grid.shape)
    corners = np.array([[i, j, k, 1.0] for i in (0, x) for j in (0, y) for k in (0, z)]).T
    places = (np.linalg.inv(affine) @ grid.affine @ corners)[:3]
    low = np.clip(np.floor(places.min(axis=1) + 1e-6), 0, None).astype(int)
    high = np.clip(np.ceil(places.max(axis=1) - 1e-6), 0, np.array(shape) - 1).astype(int)
    first, second, third = (slice(a, b + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    return first, second, third


def signal_of(fused: Fused, contrast: Contrast) -> NDArray[np.float32]:
    """The fused volume of a contrast."""
    return {
        Contrast.WATER: fused.water,
        Contrast.FAT: fused.fat,
        Contrast.IN: fused.in_phase,
        Contrast.OPPOSED: fused.opposed,
    }[contrast]


def body_box(shown: Sequence[NDArray[np.bool_]]) -> tuple[slice, slice, slice]:
    """The smallest box around the body, with a margin.

    Parameters
    ----------
    shown : sequence of ndarray, bool
        For each axis (z, y, x): whether a voxel of the body has that index.

    Raises
    ------
    SegmentationError
        When there is no body.
    """
    if not shown[0].any():
        raise SegmentationError(
            "fused volume", "no body", "signal of a body", "Look at fused/water.nrrd: is it empty or constant?"
        )
    box = []
    for along in shown:
        where = np.flatnonzero(along)
        start = max(int(where[0]) - _MARGIN_VOXELS, 0)
        box.append(slice(start, min(int(where[-1]) + 1 + _MARGIN_VOXELS, along.size)))
    return box[0], box[1], box[2]
