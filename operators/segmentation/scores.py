"""Class scores on the network's coarse grid become labels on a fine one."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from operators.errors import GeometryError
from operators.volume import Grid

__all__ = ["labels_from_scores"]

_SLAB_SLICES = 16


def labels_from_scores(scores: torch.Tensor, affine: NDArray[np.float64], grid: Grid) -> NDArray[np.uint8]:
    """Interpolate scores linearly onto ``grid`` and take the largest, slab by slab.

    Interpolating scores places a border between voxels of the coarse grid,
    where interpolating labels could only follow their edges.

    Parameters
    ----------
    scores : Tensor, shape (channels, x, y, z), float32
    affine : ndarray, shape (4, 4)
        Score voxel (i, j, k) to LPS millimetres; axes parallel to those of
        ``grid`` in any order and direction.
    grid : Grid

    Returns
    -------
    ndarray, shape (z, y, x), uint8

    Raises
    ------
    GeometryError
        When the axes are not parallel.
    """
    to_scores = np.linalg.inv(affine) @ grid.affine
    order = np.abs(to_scores[:3, :3]).argmax(axis=0)  # score axis of each grid axis (x, y, z)
    off_axis = to_scores[:3, :3].copy()
    off_axis[order, range(3)] = 0
    sizes = np.array(grid.shape)[::-1]
    if len(set(order)) != 3 or np.abs(off_axis * sizes).max() > 0.5:
        raise GeometryError(
            "class scores", "axes that are turned against the fused grid", "parallel axes", "Report this as a defect."
        )
    scores = scores.permute(0, *(int(axis) + 1 for axis in order))  # now (channels, x, y, z) of the grid
    weights = [
        _interpolation_matrix(
            to_scores[order[axis], axis], to_scores[order[axis], 3], int(sizes[axis]), int(scores.shape[axis + 1])
        ).to(scores.device)
        for axis in range(3)
    ]
    labels = np.empty(grid.shape, dtype=np.uint8)
    for start in range(0, grid.shape[0], _SLAB_SLICES):
        z_weights = weights[2][start : start + _SLAB_SLICES]
        slab = torch.einsum("cxyk,zk->czyx", scores, z_weights)
        slab = torch.matmul(weights[1], slab)  # y
        slab = torch.matmul(slab, weights[0].T)  # x
        labels[start : start + _SLAB_SLICES] = slab.argmax(dim=0).to(torch.uint8).cpu().numpy()
    return labels


def _interpolation_matrix(step: float, offset: float, size: int, source_size: int) -> torch.Tensor:
    """Row n holds the linear weights of the source samples at ``step * n + offset``, clamped to the ends."""
    position = np.clip(step * np.arange(size) + offset, 0, source_size - 1)
    lower = np.minimum(position.astype(int), max(source_size - 2, 0))
    matrix = np.zeros((size, source_size), dtype=np.float32)
    rows = np.arange(size)
    matrix[rows, lower] = 1 - (position - lower)
    if source_size > 1:
        matrix[rows, lower + 1] = position - lower
    return torch.from_numpy(matrix)
