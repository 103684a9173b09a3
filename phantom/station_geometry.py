"""Positions of the scan's stations in the phantom: the archive's six, a few large ones, and both in other planes.

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
from phantom.planes import Plane

__all__ = [
    "ARCHIVE_STATIONS",
    "FUSED_STATION_COUNT",
    "IN_PLANE_MM",
    "StationGeometry",
    "archive_stations",
    "coarser",
    "coverage_mm",
    "in_plane",
    "large_stations",
    "stations_of",
]

IN_PLANE_MM = 2.232143
FUSED_STATION_COUNT = 4  # pelvis to knee, the lower four (method, section 3)
_OVERLAP_MM = 36.0
_LOWEST_EDGE_MM = -50.0  # just below the knee joint line
#: 4 mm slices and a field of view of 500 x 400 mm, as whole-body Dixon protocols outside the archive have them.
_LARGE_SLICE_MM, _LARGE_ROWS = 4.0, 180
_LARGE_MOST = 3


@dataclass(frozen=True)
class StationGeometry:
    """One table position.

    Attributes
    ----------
    name : str
        Body region, in the paper's words.
    columns, rows, slices : int
        Of the images, and how many there are.
    in_plane_mm : float
        PixelSpacing between columns, and between rows unless ``row_mm`` says otherwise.
    slice_mm : float
        Slice thickness and distance between slices (there is no gap).
    lowest_edge_mm : float
        z of the station's lower face.
    centre_y_mm : float
        y of the centre of the field of view; it differs between stations.
    breath_hold : bool
        Whether the station is acquired in a breath hold, as trunk stations are.
    plane : {"axial", "coronal", "sagittal"}
        Of the images. Rows of coronal and sagittal ones run from the head downwards.
    row_mm : float, optional
        PixelSpacing between rows where it differs from ``in_plane_mm``.
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
    plane: Plane = "axial"
    row_mm: float | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (z, y, x)."""
        match self.plane:
            case "axial":
                return self.slices, self.rows, self.columns
            case "coronal":
                return self.rows, self.slices, self.columns
            case "sagittal":
                return self.rows, self.columns, self.slices

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along (x, y, z)."""
        between_rows = self.row_mm or self.in_plane_mm
        match self.plane:
            case "axial":
                return self.in_plane_mm, between_rows, self.slice_mm
            case "coronal":
                return self.in_plane_mm, self.slice_mm, between_rows
            case "sagittal":
                return self.slice_mm, self.in_plane_mm, between_rows

    @property
    def z_edges_mm(self) -> tuple[float, float]:
        """Lower and upper face."""
        return self.lowest_edge_mm, self.lowest_edge_mm + self.shape[0] * self.spacing_mm[2]

    @property
    def grid(self) -> Grid:
        """The station's voxels as (z, y, x), z upwards, LPS millimetres."""
        z, y, x = self.shape
        x_mm, y_mm, z_mm = self.spacing_mm
        affine = np.diag([x_mm, y_mm, z_mm, 1.0])
        affine[:3, 3] = (
            -(x - 1) / 2 * x_mm,
            self.centre_y_mm - (y - 1) / 2 * y_mm,
            self.lowest_edge_mm + z_mm / 2,
        )
        return Grid((z, y, x), affine)


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


def large_stations(count: int) -> tuple[StationGeometry, ...]:
    """One, two or three stations over pelvis to knee, where the archive has four; superior to inferior.

    They cover what the archive's lower four cover. Such protocols are usual outside the archive.

    Raises
    ------
    UsageError
        If ``count`` is not between 1 and 3.
    """
    if not 1 <= count <= _LARGE_MOST:
        raise UsageError(
            "--stations", str(count), f"large stations from 1 to {_LARGE_MOST}", "Four and more are the archive's."
        )
    low, high = coverage_mm(ARCHIVE_STATIONS)
    height = high - low
    slices = int(np.ceil((height + (count - 1) * _OVERLAP_MM) / count / _LARGE_SLICE_MM))
    step = (height - slices * _LARGE_SLICE_MM) / max(1, count - 1)
    return tuple(
        StationGeometry(
            f"{n + 1} of {count} from pelvis to knee",
            224,
            _LARGE_ROWS,
            slices,
            IN_PLANE_MM,
            _LARGE_SLICE_MM,
            low + (count - 1 - n) * step,
            0.0,
            False,
        )
        for n in range(count)
    )


def stations_of(count: int, plane: Plane = "axial") -> tuple[StationGeometry, ...]:
    """What ``--stations`` and ``--orientation`` ask for: 4 to 6 of the archive's, or 3, 2 or 1 large ones."""
    return in_plane(large_stations(count) if 1 <= count <= _LARGE_MOST else archive_stations(count), plane)


def in_plane(
    stations: Sequence[StationGeometry], plane: Plane, slice_mm: float = _LARGE_SLICE_MM
) -> tuple[StationGeometry, ...]:
    """Axial stations acquired in another plane: the same part of the body, in images of ``slice_mm``.

    Each covers the same heights exactly, so that the truth is the same.
    """
    if plane == "axial":
        return tuple(stations)
    turned = []
    for station in stations:
        low, high = station.z_edges_mm
        rows = round((high - low) / station.in_plane_mm)
        across, along = (station.rows, station.columns) if plane == "coronal" else (station.columns, station.rows)
        turned.append(
            replace(
                station,
                plane=plane,
                columns=along,
                rows=rows,
                row_mm=(high - low) / rows,
                slices=int(np.ceil(across * station.in_plane_mm / slice_mm)),
                slice_mm=slice_mm,
            )
        )
    return tuple(turned)


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
            # A height that is no multiple of the larger voxels stays as it is.
            row_mm=None if station.row_mm is None else station.row_mm * station.rows / (station.rows // in_plane),
        )
        for station in stations
    )


def coverage_mm(stations: Sequence[StationGeometry]) -> tuple[float, float]:
    """Lowest and highest slice face of the stations that are fused (at most the lower four)."""
    fused = sorted(stations, key=lambda station: station.lowest_edge_mm)[:FUSED_STATION_COUNT]
    return min(s.z_edges_mm[0] for s in fused), max(s.z_edges_mm[1] for s in fused)
