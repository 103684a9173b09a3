"""The eight corners of a grid, from which extents are taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.volume import Grid

__all__ = ["TO_FACE", "corner_indices", "extent_mm"]

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
