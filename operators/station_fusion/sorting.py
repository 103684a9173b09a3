"""The stations of a study sorted into table positions, and those of them that are fused: checked and trimmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from operators.core.errors import DicomError, GeometryError, InputError
from operators.core.options import FusionOptions
from operators.core.volume import Contrast, QualityFlag, Study
from operators.station_fusion.added_constant import added_constant_flags
from operators.station_fusion.choice import Choice, choose
from operators.station_fusion.common_extent import without_end_slices
from operators.station_fusion.positions import TablePosition, find_positions
from operators.station_fusion.stand_ins import (
    absent_contrasts,
    absent_flags,
    partly_absent,
    partly_absent_flags,
    with_stand_ins,
)

__all__ = ["SortedStations", "sort_stations"]


@dataclass(frozen=True)
class SortedStations:
    """What is fused of a study.

    Attributes
    ----------
    positions : tuple of TablePosition
        Those to fuse, superior to inferior, without the end slices that the options trim.
    found : int
        Number of positions in the study.
    pelvis_to_knee : Choice
        The positions of pelvis and thigh, whichever are fused.
    absent : frozenset of Contrast
        Contrasts that the study or one of its positions lacks.
    flags : tuple of QualityFlag
        Those of the study, and what was found so far.
    """

    positions: tuple[TablePosition, ...]
    found: int
    pelvis_to_knee: Choice
    absent: frozenset[Contrast]
    flags: tuple[QualityFlag, ...]


def sort_stations(study: Study, options: FusionOptions) -> SortedStations:
    """Sort a study's stations into table positions, and take those to fuse.

    Parameters
    ----------
    study : Study
    options : FusionOptions
        ``stations`` says which positions are taken, ``trim_slices`` how many slices are left out at either end.

    Returns
    -------
    SortedStations

    Raises
    ------
    InputError
        When there is no station, or a station lacks a contrast, was not decoded, or has NaN or infinite signal.
    GeometryError
        When contrasts of one station share too little, stations have different frames of reference or too few slices
        left after trimming.
    """
    absent = absent_contrasts(study.stations)
    found, found_flags = find_positions(with_stand_ins(study.stations))
    pelvis_to_knee = choose(found)
    chosen = found if options.stations == "all" else pelvis_to_knee.positions
    lacking = partly_absent(chosen, absent)
    _check_voxels(chosen)
    chosen = _trimmed(chosen, options.trim_slices)
    flags = (
        *study.flags,
        *absent_flags(absent),
        *partly_absent_flags(lacking),
        *found_flags,
        *added_constant_flags(chosen),
    )
    return SortedStations(chosen, len(found), pelvis_to_knee, absent | frozenset(lacking), flags)


def _trimmed(positions: Sequence[TablePosition], count: int) -> tuple[TablePosition, ...]:
    for position in positions:
        slices = position.grid.shape[position.stations[Contrast.IN].slice_axis]
        if slices - 2 * count < 2:
            raise GeometryError(
                f"station of {position.name}",
                f"{slices} slices, of which {count} are trimmed at either end",
                "at least 2 slices left",
                "Trim fewer slices.",
            )
    return tuple(
        TablePosition({c: without_end_slices(station, count) for c, station in position.stations.items()})
        for position in positions
    )


def _check_voxels(positions: Sequence[TablePosition]) -> None:
    for position in positions:
        for station in position.stations.values():
            if not station.decoded:
                raise InputError(
                    station.title,
                    "a station whose pixels were not decoded",
                    "the voxels of every station that is fused",
                    "Load the study with the same choice of stations as for fusion.",
                )
            # A sum is fast to compute, and a sum of an image's finite magnitudes never overflows float64.
            if not np.isfinite(station.voxels.sum(dtype=np.float64)):
                raise DicomError(
                    station.title,
                    f"{np.count_nonzero(~np.isfinite(station.voxels))} voxels that are NaN or infinite",
                    "finite signal",
                    "Export the series again.",
                )
            if not station.stand_in and station.voxels.max() <= 0 > station.voxels.min():
                raise DicomError(
                    station.title,
                    "signal that is negative everywhere",
                    "magnitudes",
                    "Correct RescaleSlope and RescaleIntercept, or export the series again.",
                )
