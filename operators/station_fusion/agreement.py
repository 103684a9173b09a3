"""How well neighbouring stations agree where they overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from operators.station_fusion.arithmetic import INDEX_SNAP
from operators.station_fusion.corners import corner_indices
from operators.station_fusion.positions import TablePosition
from operators.station_fusion.resample import average_stations
from operators.volume import Contrast, Grid

__all__ = ["overlap_agreement"]

_TISSUE_FRACTION = 0.1
"""Of the overlap's bright signal (99th percentile); what is darker is air or bone and says nothing about gain."""


def overlap_agreement(positions: Sequence[TablePosition], grid: Grid) -> tuple[Mapping[str, float], ...]:
    """Compare the in-phase signal of neighbouring stations over the tissue that both show.

    Parameters
    ----------
    positions : sequence of TablePosition
        Superior to inferior.
    grid : Grid
        The fused grid; both stations are sampled onto the part of it that they share.

    Returns
    -------
    tuple of mapping
        One for each pair of neighbours that overlap by a grid slice or more
        and share tissue: ``upper``, ``lower`` (0 is the most superior
        position), ``overlap_mm`` (along z, voxel faces included),
        ``mean_absolute_difference`` (fraction of the mean signal of both),
        ``gain_ratio`` (median of upper over lower).
    """
    agreements = []
    for upper in range(len(positions) - 1):
        agreement = _agreement(positions[upper], positions[upper + 1], grid)
        if agreement is not None:
            agreements.append({"upper": upper, "lower": upper + 1, **agreement})
    return tuple(agreements)


def _agreement(upper: TablePosition, lower: TablePosition, grid: Grid) -> dict[str, float] | None:
    shared = _shared_box(upper.grid, lower.grid, grid)
    if shared is None:
        return None
    above, below = (
        average_stations([[position.stations[Contrast.IN].voxels]], [position.grid], shared)[0]
        for position in (upper, lower)
    )
    mean = (above + below) / 2
    threshold = _TISSUE_FRACTION * np.percentile(mean, 99)
    tissue = (above > threshold) & (below > threshold)
    if not tissue.any():
        return None
    overlap_mm = min(upper.extent_mm[1, 2], lower.extent_mm[1, 2]) - max(upper.extent_mm[0, 2], lower.extent_mm[0, 2])
    difference = np.abs(above - below)[tissue].mean(dtype=np.float64)
    return {
        "overlap_mm": float(overlap_mm),
        "mean_absolute_difference": float(difference / mean[tissue].mean(dtype=np.float64)),
        "gain_ratio": float(np.median(above[tissue] / below[tissue])),
    }


def _shared_box(a: Grid, b: Grid, grid: Grid) -> Grid | None:
    """The part of ``grid`` that lies between the end voxel centres of both stations: there nothing is repeated."""
    low, high = np.zeros(3), np.array(grid.shape[::-1]) - 1.0
    for station in (a, b):
        corners = (corner_indices(station) @ np.linalg.solve(grid.affine, station.affine).T)[:, :3]
        low, high = np.maximum(low, corners.min(axis=0)), np.minimum(high, corners.max(axis=0))
    first, last = np.ceil(low - INDEX_SNAP).astype(int), np.floor(high + INDEX_SNAP).astype(int)
    if (last < first).any():
        return None
    affine = grid.affine.copy()
    affine[:3, 3] += grid.affine[:3, :3] @ first
    x, y, z = (int(size) for size in last - first + 1)
    return Grid((z, y, x), affine)
