"""Geometry of grids: corners, extents, the box that several grids share, and the two patient coordinate systems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid

__all__ = ["INDEX_SNAP", "LPS_TO_RAS", "TO_FACE", "corner_indices", "extent_mm", "shared_box", "voxels_coincide"]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM's patient coordinates (LPS) to those of NIfTI and MONAI (RAS). It is its own inverse."""

INDEX_SNAP = 1e-6
"""An index this close to a whole number is rounded to it, so that voxels are copied exactly between equal grids."""

TO_FACE = 0.5
"""Voxels from the centre of an end voxel to its outer face."""


def corner_indices(grid: Grid, beyond: float = 0.0) -> NDArray[np.float64]:
    """Homogeneous voxel indices (i, j, k, 1) of the corners, ``beyond`` voxels outside the end centres.

    Returns
    -------
    ndarray, shape (8, 4)
    """
    z, y, x = grid.shape
    ends = [(-beyond, size - 1 + beyond) for size in (x, y, z)]
    return np.array([[i, j, k, 1.0] for i in ends[0] for j in ends[1] for k in ends[2]])


def extent_mm(grid: Grid) -> NDArray[np.float64]:
    """LPS box around a grid, voxel faces included.

    Returns
    -------
    ndarray, shape (2, 3)
        Lowest and highest corner.
    """
    positions = corner_indices(grid, TO_FACE) @ grid.affine[:3].T
    return np.stack([positions.min(axis=0), positions.max(axis=0)])


def voxels_coincide(grid: Grid, target: Grid, tolerance_voxels: float = 0.05) -> bool:
    """Whether the voxels of ``grid`` lie on those of ``target``, or on its continuation beyond its ends.

    The axes may be in another order or run in the opposite direction.
    """
    to_target = np.linalg.solve(target.affine, grid.affine)
    whole = np.rint(to_target)
    if not (np.abs(whole[:3, :3]).sum(axis=0) == 1).all() or abs(np.linalg.det(whole[:3, :3])) < TO_FACE:
        return False
    return bool(np.abs(corner_indices(grid) @ (to_target - whole).T).max() <= tolerance_voxels)


def shared_box(grids: Sequence[Grid], reference: Grid) -> Grid | None:
    """The part of ``reference`` between the end voxel centres of all ``grids``, where no edge voxel is repeated.

    Returns
    -------
    Grid or None
        Aligned with ``reference``, on its voxels; None when there is no such voxel.
    """
    low, high = np.zeros(3), np.array(reference.shape[::-1]) - 1.0
    for grid in grids:
        corners = (corner_indices(grid) @ np.linalg.solve(reference.affine, grid.affine).T)[:, :3]
        low, high = np.maximum(low, corners.min(axis=0)), np.minimum(high, corners.max(axis=0))
    first, last = np.ceil(low - INDEX_SNAP).astype(int), np.floor(high + INDEX_SNAP).astype(int)
    if (last < first).any():
        return None
    affine = reference.affine.copy()
    affine[:3, 3] += reference.affine[:3, :3] @ first
    x, y, z = (int(size) for size in last - first + 1)
    return Grid((z, y, x), affine)
