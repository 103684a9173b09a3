"""A body of slabs with signal that varies along every axis: exact and quick to scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid
from phantom.station_geometry import StationGeometry, archive_stations, coarser

__all__ = ["COARSE_STATIONS", "SlabBody", "slab_body"]

COARSE_STATIONS: tuple[StationGeometry, ...] = coarser(archive_stations(4))


@dataclass(frozen=True)
class SlabBody:
    """Water and fat on a grid, as `phantom.anatomy.Tissues` has them."""

    grid: Grid
    water: NDArray[np.float32]
    fat: NDArray[np.float32]


def slab_body(spacing_mm: float = 8.0) -> SlabBody:
    """Fat, muscle and fat along y, brighter towards the left and the head; linear along z and x."""
    shape = (int(1120 / spacing_mm), int(360 / spacing_mm), int(500 / spacing_mm))
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = (-248.0, -178.0, -80.0)
    z, y, x = (affine[a, 3] + spacing_mm * np.arange(n) for a, n in zip((2, 1, 0), shape, strict=True))
    ramp = 1.0 + z[:, None, None] / 4000 + x[None, None, :] / 2000
    muscle = (np.abs(y) < 80)[None, :, None]
    water = np.where(muscle, 270.0, 15.0) * ramp
    fat = np.where(muscle, 20.0, 380.0) * ramp
    return SlabBody(Grid(shape, affine), water.astype(np.float32), fat.astype(np.float32))
