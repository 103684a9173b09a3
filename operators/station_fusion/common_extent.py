"""Cropping of a station's contrasts to the voxels that all of them cover, when their matrices differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from operators.core.grid_geometry import shared_box
from operators.core.volume import Contrast, Grid, QualityFlag, Station
from operators.station_fusion.resample import average_stations

__all__ = ["SAME_GRID_MM", "on_common_extent", "without_end_slices"]

SAME_GRID_MM = 0.05

_LEAST_SHARED = 0.75
"""Fraction of the largest contrast's volume. Contrasts that share less were acquired elsewhere, not cropped."""

_SAME_DIRECTION = 1e-3


def on_common_extent(stations: Mapping[Contrast, Station]) -> tuple[Mapping[Contrast, Station], QualityFlag | None]:
    """Crop the contrasts of one acquisition to the extent that all share, when their matrices differ.

    A contrast whose voxels coincide with the in-phase voxels is copied. Any
    other is interpolated onto them.

    Parameters
    ----------
    stations : mapping of Contrast to Station
        All four contrasts.

    Returns
    -------
    stations : mapping of Contrast to Station
        On one grid; unchanged when they are already on one grid, share too
        little, or are rotated against each other.
    flag : QualityFlag or None
        ``contrast-cropped`` (warning) when a contrast was cropped or interpolated.
    """
    reference = stations[Contrast.IN].grid
    grids = [station.grid for station in stations.values()]
    if all(grid.same_as(reference, SAME_GRID_MM) for grid in grids):
        return stations, None
    if not all(np.allclose(_directions(grid), _directions(reference), atol=_SAME_DIRECTION) for grid in grids):
        return stations, None
    shared = shared_box(grids, reference)
    largest = max(grid.voxel_volume_mm3 * np.prod(grid.shape) for grid in grids)
    if shared is None or min(shared.shape) < 2:
        return stations, None
    if shared.voxel_volume_mm3 * np.prod(shared.shape) < _LEAST_SHARED * largest:
        return stations, None
    cropped = {contrast: _sampled(station, shared) for contrast, station in stations.items()}
    numbers = ", ".join(str(number) for number in sorted({s.series_number for s in stations.values()}))
    z, y, x = shared.shape
    flag = QualityFlag(
        "contrast-cropped",
        "warning",
        f"Series {numbers} of one station have different matrices; all were cropped to the {x} x {y} x {z} voxels "
        "that they share.",
    )
    return cropped, flag


def without_end_slices(station: Station, count: int) -> Station:
    """A station without its first and last ``count`` images, where the slab profile wraps around or darkens."""
    if count == 0:
        return station
    axis = station.slice_axis
    affine = station.grid.affine.copy()
    affine[:3, 3] += affine[:3, 2 - axis] * count
    depth = station.grid.shape[axis]
    kept = [slice(None)] * 3
    kept[axis] = slice(count, depth - count)
    voxels = station.voxels[tuple(kept)]
    uids, frames = station.sop_instance_uids, station.frame_numbers
    z, y, x = voxels.shape
    return replace(
        station,
        voxels=voxels,
        grid=Grid((z, y, x), affine),
        sop_instance_uids=uids[count:-count] if len(uids) == depth else uids,
        frame_numbers=frames[count:-count] if len(frames) == depth else frames,
    )


def _sampled(station: Station, shared: Grid) -> Station:
    voxels = average_stations([[station.voxels]], [station.grid], shared)[0]
    uids, frames = station.sop_instance_uids, station.frame_numbers
    axis = station.slice_axis
    depth = station.grid.shape[axis]
    offset = np.linalg.solve(station.grid.affine, shared.affine)[2 - axis, 3]
    first = round(float(offset))
    slices_coincide = abs(offset - first) < _SAME_DIRECTION and np.isclose(
        station.grid.spacing_mm[2 - axis], shared.spacing_mm[2 - axis]
    )
    kept = slice(first, first + shared.shape[axis])
    return replace(
        station,
        voxels=voxels,
        grid=shared,
        sop_instance_uids=uids[kept] if slices_coincide and len(uids) == depth else uids,
        frame_numbers=frames[kept] if slices_coincide and len(frames) == depth else frames,
    )


def _directions(grid: Grid) -> np.ndarray:
    return np.asarray(grid.affine[:3, :3] / np.array(grid.spacing_mm))
