"""A grid as DICOM describes it: positions, orientation and spacing of parallel planes (PS3.3 C.7.6.2)."""

from __future__ import annotations

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence
from numpy.typing import NDArray

from operators.core.errors import GeometryError
from operators.core.volume import Grid

__all__ = ["orientation", "pixel_measures", "plane_positions", "positions_mm"]

_SKEW_TOLERANCE = 1e-3  # cosine between axes that should be at right angles


def pixel_measures(grid: Grid) -> PixelMeasuresSequence:
    """Spacing of rows, columns and slices."""
    x, y, z = grid.spacing_mm
    return PixelMeasuresSequence(pixel_spacing=(y, x), slice_thickness=z, spacing_between_slices=z)


def orientation(grid: Grid) -> PlaneOrientationSequence:
    """Direction cosines of a row and of a column.

    Raises
    ------
    GeometryError
        When the grid's axes are not at right angles: DICOM planes cannot express such a grid.
    """
    axes = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    skew = np.abs(axes.T @ axes - np.eye(3)).max()
    if skew > _SKEW_TOLERANCE:
        raise GeometryError(
            "fused grid",
            f"axes {skew:.4f} (cosine) away from right angles",
            "a rectangular grid",
            "Check ImageOrientationPatient and ImagePositionPatient of the stations.",
        )
    return PlaneOrientationSequence("PATIENT", axes[:, :2].T.ravel().tolist())


def plane_positions(grid: Grid) -> list[PlanePositionSequence]:
    """The position of each plane, in the order of the grid."""
    return [PlanePositionSequence("PATIENT", xyz.tolist()) for xyz in positions_mm(grid)]


def positions_mm(grid: Grid) -> NDArray[np.float64]:
    """LPS centre of the first voxel of each plane, shape (z, 3)."""
    planes = np.zeros((grid.shape[0], 4))
    planes[:, 2], planes[:, 3] = np.arange(grid.shape[0]), 1.0
    positions: NDArray[np.float64] = (planes @ grid.affine.T)[:, :3]
    return positions
