"""The planes in which a station can be acquired: how its voxels become images."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid

__all__ = ["Plane", "as_images", "image_orientation", "image_places", "image_position"]

Plane = Literal["axial", "coronal", "sagittal"]

_ACROSS: dict[Plane, int] = {"axial": 2, "coronal": 1, "sagittal": 0}  # LPS axis
#: ImageOrientationPatient. Images are shown with the head or the front up (PS3.3 C.7.6.2.1.1).
_ORIENTATION: dict[Plane, tuple[int, ...]] = {
    "axial": (1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
}


def image_orientation(plane: Plane) -> list[int]:
    """ImageOrientationPatient: LPS directions of a row and of a column."""
    return list(_ORIENTATION[plane])


def as_images(voxels: NDArray[np.uint16], plane: Plane) -> NDArray[np.uint16]:
    """Voxels (z, y, x), z upwards, as images (slice, row, column).

    Slices run inferior to superior, anterior to posterior, or right to left.
    """
    match plane:
        case "axial":
            return voxels
        case "coronal":
            return np.ascontiguousarray(voxels[::-1].transpose(1, 0, 2))
        case "sagittal":
            return np.ascontiguousarray(voxels[::-1].transpose(2, 0, 1))


def image_places(grid: Grid, plane: Plane) -> tuple[tuple[float, float], tuple[float, ...]]:
    """ImagePositionPatient of the images of a grid (z, y, x) along LPS.

    Returns
    -------
    shared : tuple of float
        Its two coordinates that all slices share, in the order of x, y and z.
    by_slice : tuple of float
        The third one, for each slice.
    """
    corner = grid.origin_mm
    if plane != "axial":
        corner[2] += (grid.shape[0] - 1) * grid.affine[2, 2]
    across = _ACROSS[plane]
    first, second = (float(mm) for axis, mm in enumerate(corner) if axis != across)
    step = grid.affine[across, across]
    return (first, second), tuple(float(corner[across] + k * step) for k in range(grid.shape[2 - across]))


def image_position(shared: tuple[float, float], mm: float, plane: Plane) -> tuple[float, float, float]:
    """ImagePositionPatient of one slice, from what `image_places` gives."""
    x, y, z = np.insert(np.array(shared, dtype=float), _ACROSS[plane], mm)
    return float(x), float(y), float(z)
