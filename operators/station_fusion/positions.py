"""Table positions: which series belong together, which are duplicates, and which to fuse."""

from __future__ import annotations

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
from operators.station_fusion.common_extent import SAME_GRID_MM, on_common_extent
from operators.station_fusion.repeats import (
    Acquisition,
    is_complete,
    matched_by_images,
    newest_whole,
    scan_to_use,
)

__all__ = [
    "PELVIS_TO_KNEE_POSITIONS",
    "SAME_PLACE_OVERLAP",
    "TablePosition",
    "choose_positions",
    "find_positions",
    "places_of",
    "shared_part",
]

Place = TypeVar("Place")

PELVIS_TO_KNEE_POSITIONS = 4
"""The lower four of the archive's six table positions (method, sections 2 and 3)."""

SAME_PLACE_OVERLAP = 0.5
"""Stations that share half of the smaller one's extent are at the same place. Neighbours share about a tenth."""


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
        When the contrasts are not on the same grid.
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
                    "nearly the same matrix and position in all four contrasts",
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
    def signals_by_contrast(self) -> dict[Contrast, NDArray[np.float32]]:
        """The voxel arrays by contrast."""
        return {contrast: station.voxels for contrast, station in self.stations.items()}

    @property
    def extent_mm(self) -> NDArray[np.float64]:
        """LPS box, shape (2, 3): lowest and highest corner, voxel faces included."""
        return extent_mm(self.grid)

    @property
    def z_range_mm(self) -> tuple[float, float]:
        """LPS z of its lower and upper end, voxel faces included."""
        low, high = self.extent_mm[:, 2]
        return float(low), float(high)

    @property
    def decoded(self) -> bool:
        """Whether the voxels of all contrasts are known."""
        return all(station.decoded for station in self.stations.values())

    @property
    def name(self) -> str:
        """Its name in messages: the series numbers."""
        return _series(self.stations.values())


def find_positions(stations: Sequence[Station]) -> tuple[tuple[TablePosition, ...], tuple[QualityFlag, ...]]:
    """Group series into table positions, superior to inferior, and keep one acquisition at each.

    Where a place was scanned more than once, the images say which contrasts
    belong to one acquisition. The newest is kept, without a contrast agent if
    there is one, unless it covers less, has fewer slices, does not fit
    together or agrees less with its neighbours.

    Parameters
    ----------
    stations : sequence of Station
        All contrasts of all positions, in any order.

    Returns
    -------
    positions : tuple of TablePosition
    flags : tuple of QualityFlag
        ``duplicate-station`` for each acquisition that is left out (warning
        when it is the newer one),
        ``incomplete-duplicate`` (warning) for a newer one that is left out
        because it lacks a contrast, and ``contrast-cropped`` (warning) where
        the matrices of one acquisition differ.

    Raises
    ------
    InputError
        When there is no station, or no acquisition at some place has all four contrasts.
    GeometryError
        When stations have different frames of reference, or contrasts of one acquisition share too little.
    """
    if not stations:
        raise InputError("study", "no Dixon station", "at least one", "Check that the study holds a Dixon acquisition.")
    frames = {station.frame_of_reference_uid for station in stations if station.frame_of_reference_uid}
    if len(frames) > 1:
        raise GeometryError(
            "study",
            f"stations in {len(frames)} frames of reference",
            "one frame of reference, in which positions can be compared",
            "Give only series that were acquired without repositioning the participant.",
        )
    positions = []
    flags: list[QualityFlag] = []
    for acquisitions, kept, reason in _places(stations):
        cropped, crop_flags = _on_one_grid(acquisitions[kept])
        position = TablePosition(cropped)  # raises an error that names a missing contrast
        positions.append(position)
        flags += [*crop_flags, *_left_out_flags(acquisitions, kept, position, reason)]
    return tuple(positions), tuple(flags)


def choose_positions(positions: Sequence[Place], choice: StationChoice) -> tuple[Place, ...]:
    """The positions to fuse: all, or the lowest four of five or more.

    The archive scans six positions from neck to knee, and the paper uses the
    lower four. Of four positions or fewer, all are taken.

    Parameters
    ----------
    positions : sequence
        Superior to inferior.
    choice : {"pelvis-to-knee", "all"}
    """
    if choice == "pelvis-to-knee" and len(positions) > PELVIS_TO_KNEE_POSITIONS:
        return tuple(positions[-PELVIS_TO_KNEE_POSITIONS:])
    return tuple(positions)


def places_of(stations: Sequence[Station]) -> list[list[Acquisition]]:
    """For each place, superior first: its acquisitions, oldest first, as the order of their series has them."""
    places: list[list[Station]] = []
    for station in sorted(stations, key=lambda s: (_rank(s.grid), _recency(s), s.contrast, s.series_uid)):
        # A place holds stations that share most of their extent, whatever their contrast and time. All of them: two
        # stations that a large volume contains are at two places.
        extent = extent_mm(station.grid)
        for place in places:
            if all(shared_part(extent, extent_mm(other.grid)) > SAME_PLACE_OVERLAP for other in place):
                place.append(station)
                break
        else:
            places.append([station])
    return sorted(
        (_acquisitions(place) for place in places), key=lambda place: _rank(_first(place[newest_whole(place)]).grid)
    )


def _places(stations: Sequence[Station]) -> list[tuple[list[Acquisition], int, str]]:
    """For each place, superior first: its acquisitions, oldest first, the index of the one to keep, and what is wrong
    with the newer ones."""
    places = [
        sorted(matched_by_images(place), key=lambda a: min(map(_recency, a.values()))) for place in places_of(stations)
    ]
    whole = [newest_whole(place) for place in places]
    found = []
    for n, place in enumerate(places):
        beside = [places[m][whole[m]] for m in (n - 1, n + 1) if 0 <= m < len(places)]
        found.append((place, *scan_to_use(place, beside)))
    return found


def _acquisitions(place: Sequence[Station]) -> list[Acquisition]:
    acquisitions: list[Acquisition] = []
    # A contrast that occurs a second time begins the next acquisition.
    for station in sorted(place, key=lambda s: (_recency(s), s.series_uid)):
        if not acquisitions or station.contrast in acquisitions[-1]:
            acquisitions.append({})
        acquisitions[-1][station.contrast] = station
    return acquisitions


def _first(acquisition: Acquisition) -> Station:
    """The in-phase station, whose grid the others are brought to; another station if it is missing."""
    return acquisition.get(Contrast.IN) or next(iter(acquisition.values()))


def _on_one_grid(acquisition: Acquisition) -> tuple[Mapping[Contrast, Station], list[QualityFlag]]:
    if len(acquisition) < len(Contrast):
        return acquisition, []
    cropped, flag = on_common_extent(acquisition)
    return cropped, [flag] if flag is not None else []


def _left_out_flags(
    acquisitions: Sequence[Acquisition], kept: int, position: TablePosition, reason: str
) -> list[QualityFlag]:
    flags = []
    for number, acquisition in enumerate(acquisitions):
        left_out = _series(acquisition.values())
        if number < kept:
            message = f"{left_out} and {position.name} are at the same place; the newer, {position.name}, is used."
            flags.append(QualityFlag("duplicate-station", "info", message))
        elif number > kept and is_complete(acquisition):
            message = (
                f"{left_out} and {position.name} are at the same place; the older, {position.name}, is used, because "
                f"the newer {reason}."
            )
            flags.append(QualityFlag("duplicate-station", "warning", message))
        elif number > kept:
            message = f"{left_out} is at the place of {position.name} and is newer but incomplete; it is left out."
            flags.append(QualityFlag("incomplete-duplicate", "warning", message))
    return flags


def _recency(station: Station) -> tuple[bool, datetime, int]:
    """Sort key, oldest first. A series of unknown time counts as older; among such series, the number decides."""
    known = station.acquired is not None
    return known, station.acquired or datetime.min, station.series_number


def _rank(grid: Grid) -> tuple[float, float, float]:
    """Sort key, superior first (then by x and y, for stations side by side)."""
    centre = np.round(extent_mm(grid).mean(axis=0), 3)
    return -float(centre[2]), float(centre[0]), float(centre[1])


def shared_part(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Volume that two boxes share, as a fraction of the smaller one."""
    sides = np.clip(np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]), 0.0, None)
    return float(np.prod(sides) / min(np.prod(a[1] - a[0]), np.prod(b[1] - b[0])))


def _series(stations: Iterable[Station]) -> str:
    numbers = sorted({station.series_number for station in stations})
    return f"series {', '.join(map(str, numbers))}"


def _describe(grid: Grid) -> str:
    z, y, x = grid.shape
    spacing = " x ".join(f"{mm:.3f}" for mm in grid.spacing_mm)
    origin = ", ".join(f"{mm:.1f}" for mm in grid.origin_mm)
    return f"{x} x {y} x {z} voxels of {spacing} mm from ({origin})"
