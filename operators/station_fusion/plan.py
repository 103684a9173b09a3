"""The position of each grid voxel in each station, computed once for all contrasts, on CPU and GPU alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from operators.core.grid_geometry import TO_FACE, corner_indices
from operators.core.volume import Grid
from operators.station_fusion.arithmetic import EDGE_SLACK, INDEX_SNAP, locate

__all__ = ["SamplingPlan", "plan_sampling"]

#: The axes of an aligned station deviate from the grid's by less than this across the whole grid, in voxels.
ALIGNMENT_TOLERANCE = 1e-3

_locate = numba.njit(cache=True)(locate)


@dataclass(frozen=True)
class SamplingPlan:
    """The geometry of one fusion, in the form that the kernels read.

    Attributes
    ----------
    shape : tuple of int, (z, y, x)
        Shape of the grid to sample onto.
    station_shapes : ndarray, shape (stations, 3), int64
        (z, y, x) of each station.
    aligned : ndarray, shape (stations,), bool
        Whether the station's axes are parallel to the grid's. If so, its tables
        are used; otherwise its matrix is evaluated voxel by voxel.
    matrices : ndarray, shape (stations, 3, 4), float64
        Grid voxel (i = x, j = y, k = z, 1) to station voxel (i, j, k).
    bounds : ndarray, shape (stations, 3, 2), int64
        For (z, y, x): first grid index that the station may reach, and one past the last.
    lower : ndarray, shape (3, stations, longest axis), int32
        For (z, y, x): lower neighbour of each grid index; see `arithmetic.locate`.
    weight, share : ndarray, like ``lower``, float32
        An aligned station's ``share`` along z includes its fade.
    fade : ndarray, shape (stations, most slices), float32
        Weight of each of a station's slices, for stations that are not aligned.
    coincides : ndarray, shape (stations,), bool
        Whether an aligned station's columns coincide with the grid's along x, so that x needs no interpolation.
    column_offset : ndarray, shape (stations,), int64
        The station's column at grid index 0, if they coincide.
    """

    shape: tuple[int, int, int]
    station_shapes: NDArray[np.int64]
    aligned: NDArray[np.bool_]
    matrices: NDArray[np.float64]
    bounds: NDArray[np.int64]
    lower: NDArray[np.int32]
    weight: NDArray[np.float32]
    share: NDArray[np.float32]
    fade: NDArray[np.float32]
    coincides: NDArray[np.bool_]
    column_offset: NDArray[np.int64]

    def __post_init__(self) -> None:
        # The kernels do not check their indices, so the values that they rely on are checked here.
        if (self.station_shapes < 2).any():
            raise ValueError("a station needs at least two voxels along each axis for interpolation")
        if self.fade.shape[1] < self.station_shapes[:, 0].max(initial=0):
            raise ValueError("a station has slices without a weight")
        for axis in range(3):
            last_lower = self.station_shapes[:, axis, None] - 2
            if (self.lower[axis] < 0).any() or (self.lower[axis] > last_lower).any():
                raise ValueError("a table points outside its station")
            if (self.bounds[:, axis] < 0).any() or (self.bounds[:, axis] > self.shape[axis]).any():
                raise ValueError("bounds reach outside the grid")
        columns = self.bounds[:, 2] + self.column_offset[:, None]
        if (self.coincides & ((columns[:, 0] < 0) | (columns[:, 1] > self.station_shapes[:, 2]))).any():
            raise ValueError("a station is read outside its columns")


def plan_sampling(
    station_grids: Sequence[Grid], grid: Grid, fades: Sequence[NDArray[np.float32]] | None = None
) -> SamplingPlan:
    """Compute tables and matrices for sampling stations on ``station_grids`` onto ``grid``.

    Parameters
    ----------
    station_grids : sequence of Grid
        At least two voxels along each axis.
    grid : Grid
    fades : sequence of ndarray, shape (z,), optional
        Positive weight of each of a station's slices; all equal by default.

    Returns
    -------
    SamplingPlan
    """
    count = len(station_grids)
    aligned = np.zeros(count, dtype=np.bool_)
    matrices = np.zeros((count, 3, 4))
    bounds = np.zeros((count, 3, 2), dtype=np.int64)
    tables = (3, count, max(grid.shape))
    lower = np.zeros(tables, dtype=np.int32)
    weight = np.zeros(tables, dtype=np.float32)
    share = np.zeros(tables, dtype=np.float32)
    fade = np.ones((count, max((g.shape[0] for g in station_grids), default=1)), dtype=np.float32)
    for number, weights in enumerate(fades or ()):
        fade[number, : station_grids[number].shape[0]] = weights
    for number, station_grid in enumerate(station_grids):
        matrix = np.linalg.solve(station_grid.affine, grid.affine)[:3].astype(np.float64)
        matrices[number] = matrix
        aligned[number] = _is_aligned(matrix, grid.shape)
        if aligned[number]:
            for axis in range(3):
                ijk = 2 - axis
                size = grid.shape[axis]
                bounds[number, axis] = _fill_table(
                    matrix[ijk, ijk],
                    matrix[ijk, 3],
                    station_grid.shape[axis],
                    lower[axis, number, :size],
                    weight[axis, number, :size],
                    share[axis, number, :size],
                )
            along_z = lower[0, number], lower[0, number] + 1
            upper_part = weight[0, number]
            # With equal weights the sum is exactly 1, so a plain average is not changed by a single bit.
            share[0, number] *= fade[number, along_z[0]] * (1 - upper_part) + fade[number, along_z[1]] * upper_part
        else:
            bounds[number] = _reach(station_grid, grid)
    # Columns coincide if spacing and direction along x are the same and the offset is a whole number of columns, to a
    # millionth of a voxel as in the tables.
    offset = np.rint(matrices[:, 0, 3])
    drift = np.abs(matrices[:, 0, 3] - offset) + np.abs(matrices[:, 0, 0] - 1) * grid.shape[2]
    coincides = aligned & (drift < INDEX_SNAP)
    return SamplingPlan(
        shape=grid.shape,
        station_shapes=np.array([g.shape for g in station_grids], dtype=np.int64).reshape(count, 3),
        aligned=aligned,
        matrices=matrices,
        bounds=bounds,
        lower=lower,
        weight=weight,
        share=share,
        fade=fade,
        coincides=coincides,
        column_offset=np.where(coincides, offset, 0).astype(np.int64),
    )


def _is_aligned(matrix: NDArray[np.float64], shape: tuple[int, int, int]) -> bool:
    off_diagonal = np.abs(matrix[:, :3] - np.diag(np.diag(matrix[:, :3])))
    drift = off_diagonal @ np.array(shape[::-1], dtype=np.float64)
    return bool(drift.max() < ALIGNMENT_TOLERANCE)


@numba.njit(cache=True)
def _fill_table(step, start, size, lower, weight, share):  # type: ignore[no-untyped-def]
    """Evaluate `locate` at every index of one grid axis; return the range [first, end) that the station reaches."""
    first, end = lower.shape[0], 0
    for index in range(lower.shape[0]):
        below, of_upper, part = _locate(step * index + start, size)
        lower[index], weight[index], share[index] = below, of_upper, part
        if part > 0.0:
            first, end = min(first, index), index + 1
    return min(first, end), end


def _reach(station_grid: Grid, grid: Grid) -> NDArray[np.int64]:
    """Grid index ranges, (z, y, x), of the box around an oblique station."""
    corners = corner_indices(station_grid, TO_FACE + EDGE_SLACK)
    reached = (corners @ np.linalg.solve(grid.affine, station_grid.affine).T)[:, 2::-1]
    sizes = np.array(grid.shape)
    first = np.clip(np.floor(reached.min(axis=0)), 0, sizes)
    end = np.clip(np.ceil(reached.max(axis=0)) + 1, first, sizes)
    return np.stack([first, end], axis=1).astype(np.int64)
