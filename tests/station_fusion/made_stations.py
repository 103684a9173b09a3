"""Stations with known signal for the tests of fusion: small and exact everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Contrast, Grid, Station, Study

Signal = Callable[[NDArray[np.float64]], NDArray[np.float64]]

#: Factor of each contrast's signal; all differ, so that mixed-up contrasts are noticed.
SCALES = {Contrast.IN: 1.0, Contrast.OPPOSED: 0.5, Contrast.WATER: 0.75, Contrast.FAT: 0.25}


def make_grid(
    shape: tuple[int, int, int] = (8, 10, 12),
    spacing: tuple[float, float, float] = (2.0, 2.5, 3.0),
    origin: tuple[float, float, float] = (-11.0, -12.0, 0.0),
    rotation: NDArray[np.float64] | None = None,
) -> Grid:
    """A grid of ``shape`` (z, y, x), ``spacing`` and ``origin`` (x, y, z)."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if rotation is None else rotation) * np.array(spacing)
    affine[:3, 3] = origin
    return Grid(shape, affine)


def rotation_about(axis: tuple[float, float, float], degrees: float) -> NDArray[np.float64]:
    """Rotation matrix (Rodrigues)."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def positions_mm(grid: Grid) -> NDArray[np.float64]:
    """LPS position of every voxel centre, shape (z, y, x, 3)."""
    k, j, i = np.indices(grid.shape)
    return np.asarray(np.stack([i, j, k, np.ones_like(i)], axis=-1) @ grid.affine[:3].T)


def ramp(mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear in all three directions, so trilinear interpolation must reproduce it."""
    return np.asarray(500.0 + mm @ np.array([0.7, -0.9, 1.1]))


def make_position(
    grid: Grid,
    signal: Signal = ramp,
    *,
    first_series: int = 1,
    acquired: datetime | None = datetime(2020, 1, 1, 10),
    contrasts: Iterable[Contrast] = Contrast,
    frame: str = "1.2.3",
) -> list[Station]:
    """The contrasts of one table position, each ``SCALES[contrast] * signal``."""
    shown = signal(positions_mm(grid))
    return [
        Station(
            contrast=contrast,
            voxels=(SCALES[contrast] * shown).astype(np.float32),
            grid=grid,
            acquired=acquired,
            series_uid=f"1.2.3.{number}",
            frame_of_reference_uid=frame,
            series_number=number,
            series_description=f"Dixon_{contrast.value}",
        )
        for number, contrast in enumerate(contrasts, start=first_series)
    ]


def make_study(positions: Iterable[list[Station]]) -> Study:
    """A study of these positions."""
    stations = tuple(station for position in positions for station in position)
    return Study(stations=stations, study_uid="1.2.3", pseudonym="made")
