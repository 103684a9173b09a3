"""Division of the unsided labels into left and right: by the mid-surface, or as the labels state it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid, Volume
from operators.phenotype_report.mid_surface import LABEL_COUNT, MidSurface
from operators.phenotype_report.side_kernels import tally_voxels

__all__ = ["NO_SURFACE", "Tally", "all_stated", "by_stated_side", "side_volume", "tally"]

NO_SURFACE = MidSurface(np.array([0.0, 1.0]), np.full(2, -np.inf), 0.0, 0.0, "bones")
"""Leaves every voxel on one side, the first."""


@dataclass(frozen=True)
class Tally:
    """Voxels of each label on each side.

    Attributes
    ----------
    voxels : ndarray, shape (structures + 1, 2), int64
        Rows are label values; columns are left and right. Without a
        mid-surface, every voxel is in the first column.
    fat_fraction_sum : ndarray, shape (structures + 1, 2), float64
    sided : bool
        Whether left and right were divided.
    """

    voxels: NDArray[np.int64]
    fat_fraction_sum: NDArray[np.float64]
    sided: bool


def tally(
    labels: Volume, fat_fraction: NDArray[np.float32], surface: MidSurface | None, stated: Volume | None = None
) -> Tally:
    """Count the voxels and sum the fat fraction of every label, by side.

    Parameters
    ----------
    labels : Volume, uint8
    fat_fraction : ndarray, shape (z, y, x)
        Non-finite values count as 0.
    surface : MidSurface or None
    stated : Volume, optional
        Sides that the labels state: 1 left, 2 right, 0 where the surface decides.
    """
    fraction = np.ascontiguousarray(fat_fraction, dtype=np.float32)
    voxels, fat = np.zeros((LABEL_COUNT, 2), np.int64), np.zeros((LABEL_COUNT, 2))
    for part, knots, moved in by_stated_side(np.ascontiguousarray(labels.voxels, dtype=np.uint8), surface, stated):
        counted, summed = tally_voxels(
            part,
            fraction,
            labels.grid.affine[:3],
            knots.z_mm[0],
            knots.z_mm[1] - knots.z_mm[0],
            knots.x_mm,
            knots.roll,
            knots.y_ref_mm,
            LABEL_COUNT,
        )
        voxels += counted[:, ::-1] if moved else counted
        fat += summed[:, ::-1] if moved else summed
    return Tally(voxels, fat, sided=surface is not None or all_stated(labels, stated))


def all_stated(labels: Volume, stated: Volume | None) -> bool:
    """Whether every labelled voxel has a stated side."""
    return stated is not None and not bool(((labels.voxels != 0) & (stated.voxels == 0)).any())


def by_stated_side(
    labels: NDArray[np.uint8], surface: MidSurface | None, stated: Volume | None
) -> Iterator[tuple[NDArray[np.uint8], MidSurface, bool]]:
    """Labels in up to three parts, each with the surface that divides it, and whether its first side is the right.

    The parts with a stated side are not divided, so that all their voxels are on the first side.
    """
    if stated is None:
        yield labels, surface or NO_SURFACE, False
        return
    for side in (0, 1, 2):
        part = np.where(stated.voxels == side, labels, 0).astype(np.uint8)
        if side == 0:
            yield part, surface or NO_SURFACE, False
        elif part.any():
            yield part, NO_SURFACE, side == 2


def side_volume(grid: Grid, surface: MidSurface) -> Volume:
    """The side of every voxel of a grid: 1 is left, 2 is right (uint8)."""
    depth, rows, columns = grid.shape
    a = grid.affine
    j, i = np.arange(rows)[:, None], np.arange(columns)[None, :]
    sides = np.empty(grid.shape, dtype=np.uint8)
    for k in range(depth):
        x = a[0, 0] * i + a[0, 1] * j + a[0, 2] * k + a[0, 3]
        y = a[1, 0] * i + a[1, 1] * j + a[1, 2] * k + a[1, 3]
        z = a[2, 0] * i + a[2, 1] * j + a[2, 2] * k + a[2, 3]
        sides[k] = np.where(x > surface.x_at(y, z), 1, 2)
    return Volume(sides, grid)
