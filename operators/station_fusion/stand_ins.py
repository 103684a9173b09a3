"""In-phase and opposed-phase signal for stations that have only water and fat.

Fusion compares stations by their in-phase signal. Where a table position has none,
water + fat stands in for it, and their difference for the opposed-phase signal. The
stand-ins are used for comparing only: they are neither written nor reported.
Where a study has water alone, what water lacks to the signal of muscle stands in for fat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from operators.core.grid_geometry import extent_mm
from operators.core.volume import Contrast, QualityFlag, Station
from operators.station_fusion.positions import SAME_PLACE_OVERLAP, TablePosition, shared_part
from operators.station_fusion.water_alone import body_of_water, fat_stand_in

__all__ = ["absent_contrasts", "absent_flags", "partly_absent", "partly_absent_flags", "with_stand_ins"]

_CAN_BE_ABSENT: Mapping[Contrast, Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]] = {
    Contrast.IN: lambda water, fat: water + fat,
    Contrast.OPPOSED: lambda water, fat: np.abs(water - fat),
}
_NAMES = {Contrast.IN: "in-phase", Contrast.OPPOSED: "opposed-phase", Contrast.FAT: "fat"}
_SAME_PLACE_MM = 1.0


def absent_contrasts(stations: Sequence[Station]) -> frozenset[Contrast]:
    """In-phase and opposed-phase, as far as no station of a study has them; all but water where all are of water."""
    there = {station.contrast for station in stations}
    can_be = set(Contrast) - {Contrast.WATER} if there == {Contrast.WATER} else set(_CAN_BE_ABSENT)
    return frozenset(can_be - there)


def with_stand_ins(stations: Sequence[Station]) -> tuple[Station, ...]:
    """The stations of a study, and stand-ins for the contrasts that a table position lacks.

    Parameters
    ----------
    stations : sequence of Station
        All contrasts of all positions, in any order.

    Returns
    -------
    tuple of Station
        A stand-in has the place, time and series number of its water station, and is marked as
        `Station.stand_in`. It is `Station.decoded` when water and fat are.
    """
    if Contrast.FAT in absent_contrasts(stations):
        stations = (*stations, *(_fat_of(station) for station in stations))
    fats = [station for station in stations if station.contrast is Contrast.FAT]
    made = []
    for water in stations:
        if water.contrast is not Contrast.WATER:
            continue
        absent = [c for c in _CAN_BE_ABSENT if not any(s.contrast is c and _at_one_place(s, water) for s in stations)]
        if not absent:
            continue
        beside = [fat for fat in fats if _same_place(fat, water)]
        if not beside:
            continue
        fat = min(beside, key=lambda other: _apart(other, water))
        fats = [other for other in fats if other is not fat]
        made += [_stand_in(contrast, water, fat) for contrast in sorted(absent)]
    return (*stations, *made)


def absent_flags(absent: frozenset[Contrast]) -> tuple[QualityFlag, ...]:
    """A flag that says which contrasts a study lacks, and what cannot be checked without them."""
    if not absent:
        return ()
    if Contrast.FAT in absent:
        message = (
            "The study has water images alone: no fat is measured, and whether water and fat are swapped cannot be "
            "checked."
        )
        return (QualityFlag("contrast-absent", "warning", message),)
    names = " and no ".join(_NAMES[contrast] for contrast in sorted(absent))
    unchecked = " That water and fat have one scale could not be checked." if Contrast.IN in absent else ""
    return (QualityFlag("contrast-absent", "warning", f"The study has no {names} images.{unchecked}"),)


def partly_absent(positions: Sequence[TablePosition], absent: frozenset[Contrast]) -> dict[Contrast, list[str]]:
    """Contrasts that only some of these positions lack, with the names of those positions."""
    lacking: dict[Contrast, list[str]] = {}
    for position in positions:
        for contrast in Contrast:
            if contrast not in absent and position.stations[contrast].stand_in:
                lacking.setdefault(contrast, []).append(position.name)
    return lacking


def partly_absent_flags(lacking: Mapping[Contrast, Sequence[str]]) -> tuple[QualityFlag, ...]:
    """A ``contrast-absent`` warning for each contrast that only some positions lack."""
    return tuple(
        QualityFlag(
            "contrast-absent",
            "warning",
            f"There are no {_NAMES[contrast]} images in the station of {'; of '.join(names)}, so that no volume of "
            "them is given."
            + (" That water and fat have one scale could not be checked there." if contrast is Contrast.IN else ""),
        )
        for contrast, names in lacking.items()
    )


def _fat_of(water: Station) -> Station:
    """What stands in for the fat of a water station; see `fat_stand_in`."""
    if not water.decoded:
        return replace(water, contrast=Contrast.FAT, sop_instance_uids=(), frame_numbers=(), stand_in=True)
    voxels = fat_stand_in(water.voxels, body_of_water(water.voxels, water.grid))
    return replace(water, contrast=Contrast.FAT, voxels=voxels, sop_instance_uids=(), frame_numbers=(), stand_in=True)


def _stand_in(contrast: Contrast, water: Station, fat: Station) -> Station:
    decoded = water.decoded and fat.decoded
    nothing = np.broadcast_to(np.float32(np.nan), water.grid.shape)
    voxels = _CAN_BE_ABSENT[contrast](water.voxels, fat.voxels) if decoded else nothing
    return replace(
        water, contrast=contrast, voxels=voxels, sop_instance_uids=(), frame_numbers=(), decoded=decoded, stand_in=True
    )


def _at_one_place(one: Station, other: Station) -> bool:
    return shared_part(extent_mm(one.grid), extent_mm(other.grid)) > SAME_PLACE_OVERLAP


def _same_place(one: Station, other: Station) -> bool:
    if one.grid.shape != other.grid.shape:
        return False
    return bool(np.abs(extent_mm(one.grid) - extent_mm(other.grid)).max() < _SAME_PLACE_MM)


def _apart(one: Station, other: Station) -> tuple[float, int]:
    """How far apart two series were made: in seconds, then by number."""
    known = one.acquired is not None and other.acquired is not None
    seconds = abs((one.acquired - other.acquired).total_seconds()) if known else 0.0  # type: ignore[operator]
    return seconds, abs(one.series_number - other.series_number)
