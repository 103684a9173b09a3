"""The part of a phantom that is scanned, and the tissue that is surely one muscle's own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid
from phantom.anatomy import Tissues, body_grid, build_tissues
from phantom.body import Body
from phantom.participant import Participant
from phantom.station_geometry import StationGeometry

__all__ = ["INTERIOR_MM", "interior", "scanned_tissues"]

INTERIOR_MM = 2.0
"""A muscle's own tissue is farther than this from anything else (docs/fat.md)."""

_COARSE_MM = 10.0
_BEYOND_MM = 15.0
"""The tissues reach this far beyond the stations, whose displacement has a standard deviation of 1.5 mm."""


def scanned_tissues(
    person: Participant,
    body: Body,
    stations: Sequence[StationGeometry],
    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0),
) -> Tissues:
    """The tissues of a person's body where stations show them, without the air around it.

    They fill half of the grid of `body_grid`, and take half of the time.

    Parameters
    ----------
    person : Participant
    body : Body
    stations : sequence of StationGeometry
    spacing_mm : tuple of float, (x, y, z)
    """
    whole = body_grid(person, spacing_mm)
    rough = build_tissues(person, body_grid(person, (_COARSE_MM,) * 3), body)
    where = np.argwhere(rough.water + rough.fat > 0)[:, ::-1]
    low, high = (rough.grid.origin_mm + rough.grid.spacing_mm * f(where, axis=0) for f in (np.min, np.max))
    low, high = low - _BEYOND_MM, high + _BEYOND_MM
    edges = [station.z_edges_mm for station in stations]
    low[2], high[2] = np.min(edges) - _BEYOND_MM, np.max(edges) + _BEYOND_MM
    spacing, size = np.array(spacing_mm), np.array(whole.shape[::-1])
    first = np.clip(np.floor((low - whole.origin_mm) / spacing), 0, size - 2).astype(int)
    end = np.clip(np.ceil((high - whole.origin_mm) / spacing) + 1, first + 2, size).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = whole.origin_mm + first * spacing
    x, y, z = (int(n) for n in end - first)
    return build_tissues(person, Grid((z, y, x), affine), body)


def interior(labels: NDArray[np.uint8], grid: Grid, mm: float = INTERIOR_MM) -> NDArray[np.bool_]:
    """The voxels whose neighbours up to ``mm`` away all have the same label.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x), uint8
    grid : Grid
    mm : float

    Returns
    -------
    ndarray, shape (z, y, x), bool
        False within ``mm`` of the border.
    """
    spacing = np.array(grid.spacing_mm[::-1])
    reach = np.floor(mm / spacing + 1e-9).astype(int)
    inside = np.zeros(labels.shape, dtype=np.bool_)
    inside[tuple(slice(n, size - n) for n, size in zip(reach, labels.shape, strict=True))] = True
    for offset in product(*(range(-n, n + 1) for n in reach)):
        # The opposite offset compares the same pairs of voxels.
        if offset <= (0, 0, 0) or np.linalg.norm(offset * spacing) > mm + 1e-9:
            continue
        here, there = (
            tuple(slice(max(0, s * n), size + min(0, s * n)) for n, size in zip(offset, labels.shape, strict=True))
            for s in (1, -1)
        )
        same = labels[here] == labels[there]
        inside[here] &= same
        inside[there] &= same
    return inside
