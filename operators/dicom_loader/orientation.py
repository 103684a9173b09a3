"""The plane in which a stack was acquired, and its array turned so that z runs to the head.

A coronal or sagittal stack keeps its voxels; only the order of its axes
changes. So every later stage sees an array (z, y, x), whatever was acquired.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid

__all__ = [
    "AXIS_NAMES",
    "PLANES",
    "UNTURNED",
    "Plane",
    "Turn",
    "orthonormal",
    "plane_axis",
    "plane_of",
    "plane_of_cosines",
    "upright",
]

Plane = Literal["axial", "coronal", "sagittal"]

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
"""In the order in which they are preferred: the paper's acquisition is axial."""

AXIS_NAMES = "xyz"

_ACROSS: dict[Plane, int] = {"axial": 2, "coronal": 1, "sagittal": 0}
#: How far direction cosines may deviate from unit length and from a right angle.
_COSINE_TOLERANCE = 1e-2
#: A slice normal within 45 degrees of the body's axis is axial.
_LEAST_AXIAL_COSINE = np.cos(np.pi / 4) - 1e-6


@dataclass(frozen=True)
class Turn:
    """How the axes of a stack become (x, y, z) of the patient, as nearly as they can without interpolation.

    Attributes
    ----------
    order : tuple of int
        The stack's voxel axis (0 = column, 1 = row, 2 = slice) that becomes x, y and z.
    reverse : tuple of bool
        Whether x, y and z run against that axis.
    """

    order: tuple[int, int, int] = (0, 1, 2)
    reverse: tuple[bool, bool, bool] = (False, False, False)

    @property
    def slice_axis(self) -> int:
        """The axis of the turned array (0 = z, 1 = y, 2 = x) along which the images were stacked."""
        return 2 - self.order.index(2)

    def stacked(self, turned: NDArray[np.float32]) -> NDArray[np.float32]:
        """A view of an array (z, y, x) as the stack has it: (slice, row, column)."""
        places = [self.order.index(axis) for axis in (2, 1, 0)]
        view = turned.transpose([2 - place for place in places])
        return view[tuple(slice(None, None, -1 if self.reverse[place] else 1) for place in places)]


UNTURNED = Turn()


def plane_of(row_direction: NDArray[np.float64], column_direction: NDArray[np.float64]) -> Plane:
    """The plane nearest to an image.

    Parameters
    ----------
    row_direction, column_direction : ndarray, shape (3,)
        Unit LPS directions.
    """
    x, y, z = np.abs(np.cross(row_direction, column_direction))
    if z >= _LEAST_AXIAL_COSINE or z >= max(x, y):
        return "axial"
    return "coronal" if y >= x else "sagittal"


# Cached, because all images of a series have the same orientation.
@lru_cache(maxsize=256)
def plane_of_cosines(cosines: tuple[float, ...]) -> Plane:
    """`plane_of` for the six numbers of ImageOrientationPatient."""
    return plane_of(np.array(cosines[:3]), np.array(cosines[3:]))


@lru_cache(maxsize=256)
def orthonormal(cosines: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Row and column direction of ImageOrientationPatient, its rounding undone; None when they are no right angle."""
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1).max() > _COSINE_TOLERANCE or abs(row @ column) > _COSINE_TOLERANCE:
        return None
    row = row / lengths[0]
    column = column - (column @ row) * row
    column /= np.linalg.norm(column)
    row.flags.writeable = column.flags.writeable = False  # frames share them
    return row, column


def plane_axis(plane: Plane) -> int:
    """The LPS axis (0 = x, 1 = y, 2 = z) along which images of this plane are stacked."""
    return _ACROSS[plane]


def upright(grid: Grid) -> tuple[Grid, Turn]:
    """Turn a stack's grid so that its axes are nearest to x, y and z.

    Where they are in this order already, the grid stays as it is, directions
    included. Otherwise x runs to the left, y to the back and z to the head.

    Parameters
    ----------
    grid : Grid
        Voxel (column, row, slice) to LPS millimetres.

    Returns
    -------
    grid : Grid
        The same voxels.
    turn : Turn
    """
    cosines = grid.affine[:3, :3] / np.array(grid.spacing_mm)
    across = plane_axis(plane_of(cosines[:, 0], cosines[:, 1]))
    orders = [order for order in permutations(range(3)) if order[across] == 2]
    order = max(orders, key=lambda axes: sum(abs(cosines[axis, voxel]) for axis, voxel in enumerate(axes)))
    if order == (0, 1, 2):
        return grid, UNTURNED
    affine = grid.affine.copy()
    reverse = []
    for axis, voxel in enumerate(order):
        step = grid.affine[:3, voxel]
        backwards = bool(step[axis] < 0)
        affine[:3, axis] = -step if backwards else step
        if backwards:
            affine[:3, 3] += step * (grid.shape[2 - voxel] - 1)
        reverse.append(backwards)
    x, y, z = (grid.shape[2 - voxel] for voxel in order)
    a, b, c = order
    return Grid((z, y, x), affine), Turn((a, b, c), (reverse[0], reverse[1], reverse[2]))
