"""Bodies that reach the lateral edge of the field of view, so that a part of them is not in the images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.grid_geometry import TO_FACE, corner_indices
from operators.core.volume import Grid, QualityFlag

__all__ = ["edge_columns", "labels_at_edges", "lateral_edge_flags"]

_JOINED_MM = 30.0
"""Stretches along z that are closer than this are one."""

_NO_AIR = 0.5
_NO_OUTLINE = 0.9
"""Of the slices. Images are cut to a part of the body on purpose where more than the first share show no air on either
side, and more than the second none on one of them. A body that is far too wide for the field of view has knees."""

_NECK_MM = 30.0
"""Half of the width of a bridge between body and arm that does not make the arm a part of the body."""

_LEAST_PART = 0.25
"""Of the area of a slice's largest part. The other leg is hardly ever smaller, an arm is."""


def edge_columns(grid: Grid, station_grids: Sequence[Grid], along: int = 0) -> NDArray[np.int64]:
    """First and last column that a station covers, for each slice: shape (z, 2); with ``along`` = 1, the rows.

    Where stations overlap, the wider one counts. Slices without a station have
    the columns of the whole grid.
    """
    size = grid.shape[2 - along]
    columns = np.empty((grid.shape[0], 2), dtype=np.int64)
    columns[:] = size, -1
    to_grid = np.linalg.inv(grid.affine)
    for station in station_grids:
        corners = corner_indices(station, TO_FACE) @ (to_grid @ station.affine).T
        (x_low, x_high), (z_low, z_high) = ((corners[:, axis].min(), corners[:, axis].max()) for axis in (along, 2))
        covered = slice(max(0, round(z_low + TO_FACE)), min(grid.shape[0], round(z_high + TO_FACE)))
        columns[covered, 0] = np.minimum(columns[covered, 0], max(0, int(np.ceil(x_low + TO_FACE - 1e-3))))
        columns[covered, 1] = np.maximum(columns[covered, 1], min(size - 1, int(np.floor(x_high - TO_FACE + 1e-3))))
    columns[columns[:, 1] < 0] = 0, size - 1
    return columns


def labels_at_edges(labels: NDArray[np.uint8], grid: Grid, station_grids: Sequence[Grid]) -> frozenset[int]:
    """Label values that touch an edge of the field of view within slices, of the stations that show these slices.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x), uint8
    grid : Grid
    station_grids : sequence of Grid
        Of the fused stations; without any, the edges are those of ``grid``.
    """
    index = np.arange(grid.shape[0])
    columns, rows = (edge_columns(grid, station_grids, along) for along in (0, 1))
    found = [labels[index, :, columns[:, edge]] for edge in (0, 1)] + [labels[index, rows[:, edge]] for edge in (0, 1)]
    return frozenset(int(value) for values in found for value in np.unique(values))


def lateral_edge_flags(
    body: NDArray[np.bool_], grid: Grid, station_grids: Sequence[Grid], slices: tuple[int, int] | None = None
) -> tuple[QualityFlag, ...]:
    """One ``cut-at-side`` warning for each stretch of slices in which the body touches a lateral edge.

    Parameters
    ----------
    body : ndarray, shape (z, y, x), bool
    grid : Grid
    station_grids : sequence of Grid
        Of the fused stations.
    slices : tuple of int, optional
        First slice, and one past the last, that are looked at.
    """
    first, end = slices or (0, grid.shape[0])
    columns = edge_columns(grid, station_grids)
    touching = np.zeros((2, grid.shape[0]), np.bool_)
    for k in range(first, end):
        if body[k][:, columns[k]].any():
            touching[:, k] = _without_arms(body[k], grid.spacing_mm[1::-1])[:, columns[k]].any(axis=0)
    shown = np.count_nonzero(body[first:end].any(axis=(1, 2)))
    one, both = (np.count_nonzero(way(touching, axis=0)) for way in (np.any, np.all))
    if both > _NO_AIR * shown and one > _NO_OUTLINE * shown:
        return ()
    flags = []
    for edge, side in ((1, "left"), (0, "right")) if grid.affine[0, 0] > 0 else ((0, "left"), (1, "right")):
        for low, high in _stretches(np.flatnonzero(touching[edge]), _JOINED_MM / grid.spacing_mm[2]):
            z = sorted(float((grid.affine @ [0, (grid.shape[1] - 1) / 2, k, 1.0])[2]) for k in (low - 0.5, high + 0.5))
            flags.append(
                QualityFlag(
                    "cut-at-side",
                    "warning",
                    f"The body reaches the edge of the field of view on the patient's {side}, from z = {z[0]:.0f} to "
                    f"{z[1]:.0f} mm; what lies beyond is not measured.",
                    z_mm=(z[0], z[1]),
                )
            )
    return tuple(flags)


def _without_arms(body: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """Trunk or legs of one slice (y, x). Arms at the sides are cut in most people, and none of them is measured."""
    inner = ndimage.distance_transform_edt(body, sampling=spacing_mm) > _NECK_MM
    parts, count = ndimage.label(inner)
    if count == 0:
        return body
    near = [ndimage.distance_transform_edt(parts != 1 + n, sampling=spacing_mm) for n in range(count)]
    areas = np.array([np.count_nonzero(body & (distance <= _NECK_MM)) for distance in near])
    large = [distance for distance, area in zip(near, areas, strict=True) if area >= _LEAST_PART * areas.max()]
    # The corner of a leg is farther from its inside than a straight border is.
    return np.asarray(body & (np.minimum.reduce(large) <= 1.5 * _NECK_MM))


def _stretches(slices: NDArray[np.int64], gap: float) -> list[tuple[int, int]]:
    if not slices.size:
        return []
    parts = np.split(slices, np.flatnonzero(np.diff(slices) > max(1.0, gap)) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts]
