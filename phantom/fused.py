"""Fuse scanned stations as in the paper (method, section 3), for training images without DICOM.

The application's fusion (`operators.station_fusion`) does the same and much more;
tests compare the two. Here every station has the same columns and none is
rotated, so interpolation is one small matrix per axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Contrast, Grid
from phantom.acquisition import StationImages, axes, linear_weights

__all__ = ["fused_grid", "fused_images", "resampled"]


def fused_grid(grids: Sequence[Grid]) -> Grid:
    """Grid of fused stations along the patient axes: the finest spacing of each axis and the union of extents."""
    spacing = np.min([grid.spacing_mm for grid in grids], axis=0)
    low = np.min([grid.origin_mm - np.array(grid.spacing_mm) / 2 for grid in grids], axis=0)
    high = np.max(
        [grid.origin_mm + np.array(grid.spacing_mm) * (np.array(grid.shape[::-1]) - 0.5) for grid in grids], axis=0
    )
    x, y, z = np.floor((high - low) / spacing + 0.5 + 1e-6).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low + spacing / 2
    return Grid((int(z), int(y), int(x)), affine)


def fused_images(
    scans: Sequence[StationImages], contrasts: Sequence[Contrast]
) -> tuple[list[NDArray[np.float32]], Grid]:
    """Interpolate stations linearly onto their common grid and average them where they overlap.

    In the outer half of a station's end slice nothing can be interpolated. There the
    slice is used only if no other station covers the place.

    Parameters
    ----------
    scans : sequence of StationImages
        Axis-aligned, with the same columns.
    contrasts : sequence of Contrast

    Returns
    -------
    list of ndarray, shape (z, y, x), float32
        One per contrast; 0 outside all stations.
    Grid
    """
    grid = fused_grid([scan.geometry.grid for scan in scans])
    z, y, x = axes(grid)
    sums = np.zeros((len(contrasts), *grid.shape), np.float32)
    counts = np.zeros(grid.shape[:2], np.float32)
    waiting = []
    for scan in scans:
        own_z, own_y, own_x = axes(scan.geometry.grid)
        weights_x = linear_weights(own_x, np.clip(x, own_x[0], own_x[-1])).T
        inside_y = _within(own_y, y)
        weights_y = linear_weights(own_y, np.clip(y, own_y[0], own_y[-1])) * inside_y[:, None]
        weights_z = linear_weights(own_z, np.clip(z, own_z[0], own_z[-1]))
        between = (z >= own_z[0] - 1e-6) & (z <= own_z[-1] + 1e-6)
        planes = [np.matmul(weights_y @ scan.images[contrast].astype(np.float32), weights_x) for contrast in contrasts]
        waiting.append((weights_z, _within(own_z, z) & ~between, planes, inside_y))
        _add(sums, counts, weights_z, between, planes, inside_y)
    empty = counts.any(axis=1) == 0
    for weights_z, outer, planes, inside_y in waiting:
        _add(sums, counts, weights_z, outer & empty, planes, inside_y)
    sums /= np.maximum(counts, 1.0)[:, :, None]
    return list(sums), grid


def resampled(image: NDArray[np.float32], source: Grid, target: Grid) -> NDArray[np.float32]:
    """Resample an image to another axis-aligned grid by trilinear interpolation; border values continue outside."""
    for axis, (from_mm, to_mm) in enumerate(zip(axes(source), axes(target), strict=True)):
        weights = linear_weights(from_mm, np.clip(to_mm, from_mm[0], from_mm[-1]))
        image = np.moveaxis(np.tensordot(weights, image, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(image)


def _within(centres: NDArray[np.float64], mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points are within the outer faces of voxels."""
    half = (centres[1] - centres[0]) / 2
    return (mm >= centres[0] - half - 1e-6) & (mm <= centres[-1] + half + 1e-6)


def _add(
    sums: NDArray[np.float32],
    counts: NDArray[np.float32],
    weights_z: NDArray[np.float32],
    chosen: NDArray[np.bool_],
    planes: Sequence[NDArray[np.float32]],
    inside_y: NDArray[np.bool_],
) -> None:
    for into, stack in zip(sums, planes, strict=True):
        into[chosen] += np.tensordot(weights_z[chosen], stack, axes=1)
    counts[chosen] += inside_y
