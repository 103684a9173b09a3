"""The parts of the body that two neighbouring stations both show, sampled onto the same voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.grid_geometry import shared_box
from operators.core.volume import Contrast, Grid
from operators.station_fusion.positions import TablePosition
from operators.station_fusion.resample import average_stations

__all__ = ["Overlap", "sample_overlaps"]

_TISSUE_FRACTION = 0.1
"""Fraction of the overlap's bright signal (99th percentile). Darker voxels are air or bone, which do not show gain."""

_SAMPLED = (Contrast.IN, Contrast.WATER, Contrast.FAT)


@dataclass(frozen=True)
class Overlap:
    """The signals of two neighbouring stations in the part of the body that both show.

    Attributes
    ----------
    upper, lower : int
        Numbers of the positions; 0 is the most superior.
    grid : Grid
        The part of the fused grid between the end voxel centres of both.
    overlap_mm : float
        Height of the overlap along z, voxel faces included.
    above, below : mapping of Contrast to ndarray, shape (z, y, x)
        In-phase, water and fat of the upper and of the lower station.
    tissue : ndarray, shape (z, y, x), bool
        Voxels in which both have in-phase signal well above air.
    """

    upper: int
    lower: int
    grid: Grid
    overlap_mm: float
    above: Mapping[Contrast, NDArray[np.float32]]
    below: Mapping[Contrast, NDArray[np.float32]]
    tissue: NDArray[np.bool_]


def sample_overlaps(positions: Sequence[TablePosition], grid: Grid) -> tuple[Overlap, ...]:
    """Sample each pair of neighbours onto the part of the grid that both cover.

    Parameters
    ----------
    positions : sequence of TablePosition
        Superior to inferior.
    grid : Grid
        The fused grid.

    Returns
    -------
    tuple of Overlap
        One for each pair that overlaps by at least one grid slice and shares tissue.
    """
    overlaps = []
    for upper in range(len(positions) - 1):
        overlap = _overlap(upper, positions[upper], positions[upper + 1], grid)
        if overlap is not None:
            overlaps.append(overlap)
    return tuple(overlaps)


def _overlap(number: int, upper: TablePosition, lower: TablePosition, grid: Grid) -> Overlap | None:
    shared = shared_box((upper.grid, lower.grid), grid)
    if shared is None:
        return None
    above, below = (
        average_stations([[position.stations[contrast].voxels for contrast in _SAMPLED]], [position.grid], shared)
        for position in (upper, lower)
    )
    # A threshold for each, because one may be stored on another scale.
    tissue = np.logical_and(*(image > _TISSUE_FRACTION * np.percentile(image, 99) for image in (above[0], below[0])))
    if not tissue.any():
        return None
    overlap_mm = min(upper.extent_mm[1, 2], lower.extent_mm[1, 2]) - max(upper.extent_mm[0, 2], lower.extent_mm[0, 2])
    return Overlap(
        upper=number,
        lower=number + 1,
        grid=shared,
        overlap_mm=float(overlap_mm),
        above=dict(zip(_SAMPLED, above, strict=True)),
        below=dict(zip(_SAMPLED, below, strict=True)),
        tissue=tissue,
    )
