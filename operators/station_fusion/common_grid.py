"""The grid onto which all stations are resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from operators.core.errors import GeometryError
from operators.core.grid_geometry import TO_FACE, corner_indices
from operators.core.options import check_spacing
from operators.core.volume import Grid

__all__ = ["LARGEST_GRID_VOXELS", "common_grid"]

LARGEST_GRID_VOXELS = 200_000_000
"""Five float32 volumes of this size take 4 GB; a neck-to-knee study at 1 mm stays below it."""

_ROUNDING_MM = 1e-3


def common_grid(station_grids: Sequence[Grid], spacing_mm: tuple[float, float, float] | None = None) -> Grid:
    """A grid over the union of all stations, aligned with the first one, with the finest spacing along each axis.

    Extents include the voxel faces, so a single station gets its own grid back.
    The number of voxels is rounded. No voxel centre is outside the stations'
    union along an axis, and less than half a voxel of the union is cut off,
    which is less than an end slice.

    Parameters
    ----------
    station_grids : sequence of Grid
        Superior to inferior; the first gives the orientation.
    spacing_mm : tuple of float, (x, y, z), optional
        Spacing to use instead of the finest.

    Returns
    -------
    Grid

    Raises
    ------
    UsageError
        For a spacing that is not positive.
    GeometryError
        When the grid would have more than ``LARGEST_GRID_VOXELS`` voxels.
    """
    check_spacing(spacing_mm)
    reference = station_grids[0]
    directions = reference.affine[:3, :3] / np.linalg.norm(reference.affine[:3, :3], axis=0)
    to_axes = np.linalg.inv(directions)
    finest = np.full(3, np.inf)
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for grid in station_grids:
        axes = to_axes @ grid.affine[:3, :3]
        # The spacing along an axis of a rotated station counts for the grid axis nearest to it.
        nearest = np.abs(axes).argmax(axis=0)
        for station_axis, spacing in enumerate(grid.spacing_mm):
            finest[nearest[station_axis]] = min(finest[nearest[station_axis]], spacing)
        corners = corner_indices(grid, TO_FACE) @ grid.affine[:3].T @ to_axes.T
        low, high = np.minimum(low, corners.min(axis=0)), np.maximum(high, corners.max(axis=0))
    spacing_xyz = finest if spacing_mm is None else np.asarray(spacing_mm, dtype=np.float64)
    counts = np.maximum(np.floor((high - low + _ROUNDING_MM) / spacing_xyz + 0.5), 1)
    if counts.prod() > LARGEST_GRID_VOXELS:
        raise GeometryError(
            "stations",
            f"their union needs {counts.prod():.2g} voxels of {' x '.join(f'{mm:.2f}' for mm in spacing_xyz)} mm",
            f"at most {LARGEST_GRID_VOXELS:.2g}",
            "Check the stations' positions, or ask for a coarser spacing.",
        )
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing_xyz
    affine[:3, 3] = directions @ (low + spacing_xyz / 2)
    x, y, z = (int(count) for count in counts)
    return Grid((z, y, x), affine)
