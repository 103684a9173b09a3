"""From series to table positions: which belong together, which are duplicates, which to fuse."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import GeometryError, InputError
from operators.core.grid_geometry import extent_mm
from operators.core.options import StationChoice
from operators.core.volume import Contrast, Grid, QualityFlag, Station
from operators.station_fusion.arithmetic import EDGE_SLACK
from operators.station_fusion.common_extent import SAME_GRID_MM, on_common_extent

__all__ = [
    "MINIMUM_COVERAGE_MM",
    "PELVIS_TO_KNEE_POSITIONS",
    "TablePosition",
    "choose_positions",
    "coverage_flags",
    "find_positions",
    "stations_to_fuse",
]

Acquisition = dict[Contrast, Station]
"""What was scanned at one place in one go; complete with four contrasts."""

Place = TypeVar("Place")

PELVIS_TO_KNEE_POSITIONS = 4
"""The lower four of the archive's six table positions (method, sections 2 and 3)."""

MINIMUM_COVERAGE_MM = 600.0
"""Iliac crest to knee is longer than this in any adult; the archive's lower four stations cover about 830 mm."""

_SAME_PLACE_OVERLAP = 0.5
"""Stations that share half of the smaller one's extent were taken at the same place; neighbours share about a tenth."""


@dataclass(frozen=True)
class TablePosition:
    """The four contrasts of one acquisition at one table position, on one grid.

    Attributes
    ----------
    stations : mapping of Contrast to Station
        All four contrasts.

    Raises
    ------
    InputError
        When a contrast is missing.
    GeometryError
        When the contrasts do not lie on the same grid.
    """

    stations: Mapping[Contrast, Station]

    def __post_init__(self) -> None:
        missing = [contrast.value for contrast in Contrast if contrast not in self.stations]
        if missing:
            raise InputError(
                f"station of {_series(self.stations.values())}",
                f"no {' and no '.join(missing)} series",
                "in, opp, water and fat of every table position",
                "Fetch the study again; a Dixon acquisition gives all four.",
            )
        first = self.stations[Contrast.IN]
        for station in self.stations.values():
            if not station.grid.same_as(first.grid, SAME_GRID_MM):
                raise GeometryError(
                    f"station of {_series(self.stations.values())}",
                    f"{station.contrast.value} has {_describe(station.grid)} where {first.contrast.value} has "
                    f"{_describe(first.grid)}",
                    "matrices and positions in all four contrasts that differ by little",
                    "Fetch the study again; series that were cut or moved after scanning cannot be combined.",
                )

    @property
    def grid(self) -> Grid:
        """The grid of all four contrasts."""
        return self.stations[Contrast.IN].grid

    @property
    def signals(self) -> tuple[NDArray[np.float32], ...]:
        """The four voxel arrays, in the order of `Contrast`."""
        return tuple(self.stations[contrast].voxels for contrast in Contrast)

    @property
    def extent_mm(self) -> NDArray[np.float64]:
        """LPS box, shape (2, 3): lowest and highest corner, voxel faces included."""
        return extent_mm(self.grid)

    @property
    def name(self) -> str:
        """How messages call it: by series numbers."""
        return _series(self.stations.values())


def find_positions(stations: Sequence[Station]) -> tuple[tuple[TablePosition, ...], tuple[QualityFlag, ...]]:
    """Group series into table positions, superior to inferior; of acquisitions at the same place the newest stays.

    Parameters
    ----------
    stations : sequence of Station
        All contrasts of all positions, in any order.

    Returns
    -------
    positions : tuple of TablePosition
    flags : tuple of QualityFlag
        ``duplicate-station`` for each acquisition left out, ``incomplete-duplicate``
        (warning) when that is the newer one because a contrast of it is missing,
        ``contrast-cropped`` (warning) where matrices of one acquisition differ.

    Raises
    ------
    InputError
        When there is no station, or no acquisition at a place has all four contrasts.
    GeometryError
        When stations lie in different frames of reference, or contrasts of one acquisition share too little.
    """
    if not stations:
        raise InputError("study", "no Dixon station", "at least one", "Check that the study holds a Dixon acquisition.")
    frames = {station.frame_of_reference_uid for station in stations if station.frame_of_reference_uid}
    if len(frames) > 1:
        raise GeometryError(
            "study",
            f"stations in {len(frames)} frames of reference",
            "one frame of reference, in which positions can be compared",
            "Give the series of one session without a repeated localisation.",
        )
    positions = []
    flags: list[QualityFlag] = []
    for acquisitions, kept in _places(stations):
        cropped, crop_flags = _on_one_grid(acquisitions[kept])
        position = TablePosition(cropped)  # which says what is missing
        positions.append(position)
        flags += [*crop_flags, *_left_out_flags(acquisitions, kept, position)]
    return tuple(positions), tuple(flags)


def choose_positions(positions: Sequence[Place], choice: StationChoice) -> tuple[Place, ...]:
    """The positions to fuse: all, or of five and more the lowest four.

    The archive scans six positions from neck to knee, of which the paper uses
    the lower four. What has four positions or fewer is taken whole.

    Parameters
    ----------
    positions : sequence
        Superior to inferior.
    choice : {"pelvis-to-knee", "all"}
    """
    if choice == "pelvis-to-knee" and len(positions) > PELVIS_TO_KNEE_POSITIONS:
        return tuple(positions[-PELVIS_TO_KNEE_POSITIONS:])
    return tuple(positions)


def stations_to_fuse(stations: Sequence[Station], choice: StationChoice) -> tuple[Station, ...]:
    """The stations whose voxels a fusion will read, told without reading any.

    Parameters
    ----------
    stations : sequence of Station
        All contrasts of all positions, in any order.
    choice : {"pelvis-to-knee", "all"}

    Returns
    -------
    tuple of Station
        Those of the acquisitions that `find_positions` keeps and `choose_positions` takes.
    """
    kept = [acquisitions[number] for acquisitions, number in _places(stations)]
    return tuple(station for acquisition in choose_positions(kept, choice) for station in acquisition.values())


def coverage_flags(positions: Sequence[TablePosition]) -> tuple[QualityFlag, ...]:
    """What the fused positions, superior to inferior, leave uncovered: gaps, and too short a reach."""
    flags = []
    ranges = [position.extent_mm[:, 2] for position in positions]
    for upper, lower in itertools.pairwise(positions):
        bottom, top = upper.extent_mm[0, 2], lower.extent_mm[1, 2]
        # Each station reaches this much further when it is sampled, so that nothing is left open.
        rounding = EDGE_SLACK * (upper.grid.spacing_mm[2] + lower.grid.spacing_mm[2])
        if bottom - top > rounding:
            message = f"No station between z = {top:.1f} and {bottom:.1f} mm, between {upper.name} and {lower.name}."
            flags.append(QualityFlag("station-gap", "error", message))
    covered = _union_length(ranges)
    if len(positions) < PELVIS_TO_KNEE_POSITIONS or covered < MINIMUM_COVERAGE_MM:
        message = (
            f"{len(positions)} station(s) cover {covered:.0f} mm; pelvis to knee takes "
            f"{PELVIS_TO_KNEE_POSITIONS} stations and at least {MINIMUM_COVERAGE_MM:.0f} mm."
        )
        flags.append(QualityFlag("no-pelvis-to-knee-coverage", "error", message))
    return tuple(flags)


def _places(stations: Sequence[Station]) -> list[tuple[list[Acquisition], int]]:
    """At each place, superior first: its acquisitions, oldest first, and the number of the one to keep."""
    places: list[list[Station]] = []
    for station in sorted(stations, key=lambda s: (_rank(s.grid), _recency(s), s.contrast, s.series_uid)):
        # Stations that share most of their extent, whatever their contrast and time.
        extent = extent_mm(station.grid)
        for place in places:
            if _shared_part(extent, extent_mm(place[0].grid)) > _SAME_PLACE_OVERLAP:
                place.append(station)
                break
        else:
            places.append([station])
    found = [_acquisitions(place) for place in places]
    return sorted(found, key=lambda place: _rank(_first(place[0][place[1]]).grid))


def _acquisitions(place: Sequence[Station]) -> tuple[list[Acquisition], int]:
    """The acquisitions at one place, oldest first, and the number of the newest that has all four contrasts."""
    acquisitions: list[Acquisition] = []
    # A contrast that comes a second time begins the next acquisition.
    for station in sorted(place, key=lambda s: (_recency(s), s.series_uid)):
        if not acquisitions or station.contrast in acquisitions[-1]:
            acquisitions.append({})
        acquisitions[-1][station.contrast] = station
    complete = [number for number, acquisition in enumerate(acquisitions) if len(acquisition) == len(Contrast)]
    return acquisitions, complete[-1] if complete else len(acquisitions) - 1


def _first(acquisition: Acquisition) -> Station:
    """The in-phase station, on whose grid the others are brought; another one when it is missing."""
    return acquisition.get(Contrast.IN) or next(iter(acquisition.values()))


def _on_one_grid(acquisition: Acquisition) -> tuple[Mapping[Contrast, Station], list[QualityFlag]]:
    if len(acquisition) < len(Contrast):
        return acquisition, []
    cropped, flag = on_common_extent(acquisition)
    return cropped, [flag] if flag is not None else []


def _left_out_flags(acquisitions: Sequence[Acquisition], kept: int, position: TablePosition) -> list[QualityFlag]:
    flags = []
    for number, acquisition in enumerate(acquisitions):
        left_out = _series(acquisition.values())
        if number < kept:
            message = f"{left_out} and {position.name} lie at the same place; the newer, {position.name}, is used."
            flags.append(QualityFlag("duplicate-station", "info", message))
        elif number > kept:
            message = f"{left_out} lies at the place of {position.name} and is newer but incomplete; it is left out."
            flags.append(QualityFlag("incomplete-duplicate", "warning", message))
    return flags


def _recency(station: Station) -> tuple[bool, datetime, int]:
    """Sort key, oldest first; a series of unknown time counts as older, and then its number decides."""
    known = station.acquired is not None
    return known, station.acquired or datetime.min, station.series_number


def _rank(grid: Grid) -> tuple[float, float, float]:
    """Sort key, superior first (then by x and y, for stations side by side)."""
    centre = np.round(extent_mm(grid).mean(axis=0), 3)
    return -float(centre[2]), float(centre[0]), float(centre[1])


def _shared_part(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Volume that two boxes share, as a part of the smaller one."""
    sides = np.clip(np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]), 0.0, None)
    return float(np.prod(sides) / min(np.prod(a[1] - a[0]), np.prod(b[1] - b[0])))


def _union_length(ranges: Sequence[NDArray[np.float64]]) -> float:
    length, reached = 0.0, -np.inf
    for low, high in sorted((float(low), float(high)) for low, high in ranges):
        length += max(0.0, high - max(low, reached))
        reached = max(reached, high)
    return length


def _series(stations: Iterable[Station]) -> str:
    numbers = sorted({station.series_number for station in stations})
    return f"series {', '.join(map(str, numbers))}"


def _describe(grid: Grid) -> str:
    z, y, x = grid.shape
    spacing = " x ".join(f"{mm:.3f}" for mm in grid.spacing_mm)
    origin = ", ".join(f"{mm:.1f}" for mm in grid.origin_mm)
    return f"{x} x {y} x {z} voxels of {spacing} mm from ({origin})"
