"""In-phase and opposed-phase signal for a study that has only water and fat.

Fusion compares stations by their in-phase signal. Where a study has none anywhere,
water + fat stands in for it, and their difference for the opposed-phase signal. The
stand-ins are used for comparing only: they are neither written nor reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from operators.core.grid_geometry import extent_mm
from operators.core.volume import Contrast, QualityFlag, Station

__all__ = ["absent_contrasts", "absent_flags", "with_stand_ins"]

_CAN_BE_ABSENT: Mapping[Contrast, Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]] = {
    Contrast.IN: lambda water, fat: water + fat,
    Contrast.OPPOSED: lambda water, fat: np.abs(water - fat),
}
_NAMES = {Contrast.IN: "in-phase", Contrast.OPPOSED: "opposed-phase"}
_SAME_PLACE_MM = 1.0


def absent_contrasts(stations: Sequence[Station]) -> frozenset[Contrast]:
    """In-phase and opposed-phase, as far as no station of a study has them."""
    return frozenset(_CAN_BE_ABSENT) - {station.contrast for station in stations}


def with_stand_ins(stations: Sequence[Station]) -> tuple[Station, ...]:
    """The stations of a study, and stand-ins for those of absent contrasts.

    Parameters
    ----------
    stations : sequence of Station
        All contrasts of all positions, in any order.

    Returns
    -------
    tuple of Station
        A stand-in has the place, time and series number of its water station. It is
        `Station.decoded` when water and fat are.
    """
    absent = sorted(absent_contrasts(stations))
    if not absent:
        return tuple(stations)
    fats = [station for station in stations if station.contrast is Contrast.FAT]
    made = []
    for water in stations:
        if water.contrast is not Contrast.WATER:
            continue
        beside = [fat for fat in fats if _same_place(fat, water)]
        if not beside:
            continue
        fat = min(beside, key=lambda other: _apart(other, water))
        fats.remove(fat)
        made += [_stand_in(contrast, water, fat) for contrast in absent]
    return (*stations, *made)


def absent_flags(absent: frozenset[Contrast]) -> tuple[QualityFlag, ...]:
    """A flag that says which contrasts a study lacks, and what cannot be checked without them."""
    if not absent:
        return ()
    names = " and no ".join(_NAMES[contrast] for contrast in sorted(absent))
    unchecked = " That water and fat have one scale could not be checked." if Contrast.IN in absent else ""
    return (QualityFlag("contrast-absent", "warning", f"The study has no {names} images.{unchecked}"),)


def _stand_in(contrast: Contrast, water: Station, fat: Station) -> Station:
    decoded = water.decoded and fat.decoded
    nothing = np.broadcast_to(np.float32(np.nan), water.grid.shape)
    voxels = _CAN_BE_ABSENT[contrast](water.voxels, fat.voxels) if decoded else nothing
    return replace(water, contrast=contrast, voxels=voxels, sop_instance_uids=(), decoded=decoded)


def _same_place(one: Station, other: Station) -> bool:
    if one.grid.shape != other.grid.shape:
        return False
    return bool(np.abs(extent_mm(one.grid) - extent_mm(other.grid)).max() < _SAME_PLACE_MM)


def _apart(one: Station, other: Station) -> tuple[float, int]:
    """How far apart two series were made: in seconds, then by number."""
    known = one.acquired is not None and other.acquired is not None
    seconds = abs((one.acquired - other.acquired).total_seconds()) if known else 0.0  # type: ignore[operator]
    return seconds, abs(one.series_number - other.series_number)
