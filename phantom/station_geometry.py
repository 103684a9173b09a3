"""Positions of the scan's six stations in the phantom.

Matrices, slice thicknesses and in-plane spacing are those of the archive's
real stations (method, section 2). Heights are relative to the knee joint line
(z = 0 of the phantom, LPS, +z superior).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from operators.core.errors import UsageError
from operators.core.volume import Grid

__all__ = [
    "ARCHIVE_STATIONS",
    "FUSED_STATION_COUNT",
    "IN_PLANE_MM",
    "StationGeometry",
    "archive_stations",
    "coarser",
    "coverage_mm",
]

IN_PLANE_MM = 2.232143
FUSED_STATION_COUNT = 4  # pelvis to knee, the lower four (method, section 3)
_OVERLAP_MM = 36.0
_LOWEST_EDGE_MM = -50.0  # just below the knee joint line


@dataclass(frozen=True)
class StationGeometry:
    """One table position.

    Attributes
    ----------
    name : str
        Body region, in the paper's words.
    columns, rows, slices : int
    in_plane_mm : float
        PixelSpacing, the same along rows and columns.
    slice_mm : float
        Slice thickness and distance between slices (there is no gap).
    lowest_edge_mm : float
        z of the lower face of the lowest slice.
    centre_y_mm : float
        y of the centre of the field of view; it differs between stations.
    breath_hold : bool
        Whether the station is acquired in a breath hold, as trunk stations are.
    """

    name: str
    columns: int
    rows: int
    slices: int
    in_plane_mm: float
    slice_mm: float
    lowest_edge_mm: float
    centre_y_mm: float
    breath_hold: bool

    @property
    def z_edges_mm(self) -> tuple[float, float]:
        """Lower face of the lowest slice and upper face of the highest."""
        return self.lowest_edge_mm, self.lowest_edge_mm + self.slices * self.slice_mm

    @property
    def grid(self) -> Grid:
        """The station's voxels, slices inferior to superior, LPS millimetres."""
        affine = np.diag([self.in_plane_mm, self.in_plane_mm, self.slice_mm, 1.0])
        affine[:3, 3] = (
            -(self.columns - 1) / 2 * self.in_plane_mm,
            self.centre_y_mm - (self.rows - 1) / 2 * self.in_plane_mm,
            self.lowest_edge_mm + self.slice_mm / 2,
        )
        return Grid((self.slices, self.rows, self.columns), affine)


# (name, rows, slices, slice thickness, centre of the field of view along y, breath hold), superior to inferior.
_TABLE = (
    ("chest", 168, 64, 3.0, -4.5, True),
    ("abdomen", 174, 44, 4.5, -6.5, True),
    ("pelvis", 174, 44, 4.5, -6.5, True),
    ("hip", 174, 44, 4.5, -3.0, False),
    ("mid-thigh", 162, 72, 3.5, 1.5, False),
    ("thigh-to-knee", 156, 64, 4.0, 5.0, False),
)


def _stack(table: Sequence[tuple[str, int, int, float, float, bool]]) -> tuple[StationGeometry, ...]:
    edge = _LOWEST_EDGE_MM
    stations = []
    for name, rows, slices, slice_mm, centre_y_mm, breath_hold in reversed(table):
        stations.append(StationGeometry(name, 224, rows, slices, IN_PLANE_MM, slice_mm, edge, centre_y_mm, breath_hold))
        edge += slices * slice_mm - _OVERLAP_MM
    return tuple(reversed(stations))


ARCHIVE_STATIONS: tuple[StationGeometry, ...] = _stack(_TABLE)
"""The six stations, superior to inferior: 1.11 m from chest to knee, neighbours overlapping by 36 mm."""


def archive_stations(count: int = len(ARCHIVE_STATIONS)) -> tuple[StationGeometry, ...]:
    """The lowest ``count`` of the archive's stations, superior to inferior.

    Raises
    ------
    UsageError
        If ``count`` is not between 1 and 6.
    """
    if not 1 <= count <= len(ARCHIVE_STATIONS):
        raise UsageError(
            "--stations", str(count), f"a number from 1 to {len(ARCHIVE_STATIONS)}", "The archive's studies have six."
        )
    return ARCHIVE_STATIONS[-count:]


def coarser(
    stations: Sequence[StationGeometry], in_plane: int = 4, through_plane: int = 2
) -> tuple[StationGeometry, ...]:
    """The same stations with larger voxels: same extent, spacing times ``in_plane`` and ``through_plane``."""
    return tuple(
        replace(
            station,
            columns=station.columns // in_plane,
            rows=station.rows // in_plane,
            slices=station.slices // through_plane,
            in_plane_mm=station.in_plane_mm * in_plane,
            slice_mm=station.slice_mm * through_plane,
        )
        for station in stations
    )


def coverage_mm(stations: Sequence[StationGeometry]) -> tuple[float, float]:
    """Lowest and highest slice face of the stations that are fused (at most the lower four)."""
    fused = sorted(stations, key=lambda station: station.lowest_edge_mm)[:FUSED_STATION_COUNT]
    return min(s.z_edges_mm[0] for s in fused), max(s.z_edges_mm[1] for s in fused)
