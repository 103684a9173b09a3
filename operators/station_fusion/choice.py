"""Which table positions show pelvis to knee: by anatomy where it can be seen, else the lowest four."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from operators.core.options import StationChoice
from operators.core.volume import QualityFlag, Station
from operators.station_fusion.coverage import MINIMUM_COVERAGE_MM, covered_mm
from operators.station_fusion.landmarks import Landmarks, find_landmarks
from operators.station_fusion.positions import (
    PELVIS_TO_KNEE_POSITIONS,
    TablePosition,
    choose_positions,
    find_positions,
    places_of,
)
from operators.station_fusion.repeats import Acquisition
from operators.station_fusion.stand_ins import with_stand_ins

__all__ = ["ARCHIVE_POSITIONS", "CUT_ABOVE", "Choice", "choose", "stations_to_fuse"]

ARCHIVE_POSITIONS = 6

CUT_ABOVE = frozenset({"no-pelvis-coverage", "short-trunk"})
"""Flags of `choose` about what is missing above, whichever stations are asked for."""

_PELVIS_MM = 220.0
"""From where the legs part to the iliac crest; further positions are taken until this is reached."""

_ARCHIVE_COVERS_MM = 780.0
"""The archive's lower four cover 796 to 830 mm: positions that cover as much, pelvis included, are enough."""

_ARCHIVE_BELOW_KNEE_MM = 200.0
"""Lower ends of the archive's lowest station are above this; what positions show further down does not count."""

_ABOVE_KNEE_MM = 746.0
"""How far the archive's lower four reach above the knees where they end just below them (method, section 2)."""

_SLACK_MM = 50.0
"""A top that is this much higher than the archive's, or this much lower, is as good as the same."""

_BELOW_KNEE_MM = 60.0
"""How far below the knees labels are given; the archive's lowest station ends 50 mm below the joint."""

_CUT_PELVIS_MM = 150.0
"""Less than this above the crotch cuts the gluteus medius and the iliopsoas."""

_TOUCHING_MM = 1.0


@dataclass(frozen=True)
class Choice:
    """Positions of pelvis and thigh, and why.

    Attributes
    ----------
    positions : tuple of TablePosition
        Superior to inferior.
    flags : tuple of QualityFlag
        ``stations-chosen`` (info), ``station-count`` (warning), ``short-trunk`` (warning) or ``no-pelvis-coverage``
        (error).
    z_range_mm : tuple of float
        LPS z, lowest and highest, of pelvis to knee where the positions show more; infinite at an end where they do
        not.
    """

    positions: tuple[TablePosition, ...]
    flags: tuple[QualityFlag, ...] = ()
    z_range_mm: tuple[float, float] = (-np.inf, np.inf)


def choose(positions: Sequence[TablePosition]) -> Choice:
    """The positions from pelvis to knee.

    Where the legs part and knees follow below, these are the position that
    shows the knees and those above it, until they cover as much as the
    archive's four. What lies below the knees is left out. Where the anatomy
    does not tell, they are the lowest four.

    Parameters
    ----------
    positions : sequence of TablePosition
        Superior to inferior.
    """
    count = len(positions)
    first_of_lowest = max(0, count - PELVIS_TO_KNEE_POSITIONS)
    # Undecoded ones are those that `stations_to_fuse` found not to be needed.
    known = 0 if all(position.decoded for position in positions) else first_of_lowest
    landmarks = None
    if all(position.decoded for position in positions[known:]):
        landmarks = find_landmarks(positions[known:])
    if landmarks is None:
        return Choice(tuple(positions[first_of_lowest:]), _unsure(positions))
    first, last = _from_knees_up(positions[known:], landmarks)
    first, last = first + known, last + known
    chosen = tuple(positions[first : last + 1])
    if _has_gap(chosen):  # where the legs part may be hidden in it
        return Choice(tuple(positions[first_of_lowest:]), _unsure(positions))
    flags: list[QualityFlag] = []
    are_lowest = (first, last) == (first_of_lowest, count - 1)
    if not are_lowest or count not in (len(chosen), ARCHIVE_POSITIONS):
        flags.append(_chosen_flag(count, first, last, landmarks))
    above = chosen[0].extent_mm[1, 2] - landmarks.crotch_mm
    if above < _CUT_PELVIS_MM:
        message = (
            f"The highest station ends {above:.0f} mm above where the legs part (z = {landmarks.crotch_mm:.0f} mm): "
            "the muscles of the pelvis are cut off."
        )
        flags.append(QualityFlag("no-pelvis-coverage", "error", message))
    elif not _is_enough(chosen, landmarks):
        reach = chosen[0].extent_mm[1, 2] - landmarks.knee_mm
        message = (
            f"The stations end {reach:.0f} mm above the knees; the archive's reach {_ABOVE_KNEE_MM:.0f} mm above them. "
            "Muscles and bones that go on above are cut, so that phenotypes that need their volume are not given."
        )
        # No number that is given is in doubt, because those of cut structures are not.
        flags.append(QualityFlag("short-trunk", "warning", message, quantities=()))
    return Choice(chosen, tuple(flags), _pelvis_to_knee_mm(chosen, landmarks))


def stations_to_fuse(stations: Sequence[Station], choice: StationChoice) -> tuple[Station, ...]:
    """The stations whose voxels a fusion will need, as far as can be told so far.

    To be asked again when they are decoded, until nothing new is named. First
    the lowest four positions are named, with every acquisition at each. When
    these do not show pelvis to knee, all others are named too.

    Parameters
    ----------
    stations : sequence of Station
        All contrasts of all positions, in any order.
    choice : {"pelvis-to-knee", "all"}

    Returns
    -------
    tuple of Station
        Those of the acquisitions that `find_positions` may keep and `choose` may take.
    """
    stations = with_stand_ins(stations)
    places = places_of(stations)
    needed = choose_positions(places, choice)
    if len(needed) < len(places) and _known(needed) and not _lowest_four_fit(stations):
        needed = tuple(places)
    return tuple(station for place in needed for station in _candidates(place))


def _candidates(place: Sequence[Acquisition]) -> list[Station]:
    """All series of one place: which belong together, and which are the best, is told by the images."""
    return [station for acquisition in place for station in acquisition.values()]


def _known(places: Sequence[Sequence[Acquisition]]) -> bool:
    return all(station.decoded for place in places for station in _candidates(place))


def _lowest_four_fit(stations: Sequence[Station]) -> bool:
    """Whether the lowest four positions show pelvis to knee, so that no other is needed."""
    positions, _ = find_positions(stations)
    lowest = positions[-PELVIS_TO_KNEE_POSITIONS:]
    landmarks = find_landmarks(lowest)
    if landmarks is None:
        return False
    reach = lowest[0].extent_mm[1, 2] - landmarks.crotch_mm
    return landmarks.knee_position == len(lowest) - 1 and bool(reach >= _PELVIS_MM)


def _from_knees_up(positions: Sequence[TablePosition], landmarks: Landmarks) -> tuple[int, int]:
    first = last = landmarks.knee_position
    while first > 0 and not _is_enough(positions[first : last + 1], landmarks):
        first -= 1
    return first, last


def _is_enough(positions: Sequence[TablePosition], landmarks: Landmarks) -> bool:
    """Whether these positions show as much above the knees as the archive's lower four do."""
    top, bottom = positions[0].extent_mm[1, 2], positions[-1].extent_mm[0, 2]
    if top - landmarks.crotch_mm < _PELVIS_MM:
        return False
    covered = top - max(bottom, landmarks.knee_mm - _ARCHIVE_BELOW_KNEE_MM)
    return bool(covered >= _ARCHIVE_COVERS_MM or top - landmarks.knee_mm >= _ABOVE_KNEE_MM - _SLACK_MM)


def _pelvis_to_knee_mm(positions: Sequence[TablePosition], landmarks: Landmarks) -> tuple[float, float]:
    """Where large stations and composed volumes show more than the archive's lower four: the part that these show."""
    top, bottom = positions[0].extent_mm[1, 2], positions[-1].extent_mm[0, 2]
    low, high = landmarks.knee_mm - _BELOW_KNEE_MM, landmarks.knee_mm + _ABOVE_KNEE_MM
    return (
        low if bottom < landmarks.knee_mm - _ARCHIVE_BELOW_KNEE_MM else -np.inf,
        high if top > high + _SLACK_MM else np.inf,
    )


def _has_gap(positions: Sequence[TablePosition]) -> bool:
    return any(
        upper.extent_mm[0, 2] - lower.extent_mm[1, 2] > _TOUCHING_MM for upper, lower in itertools.pairwise(positions)
    )


def _chosen_flag(count: int, first: int, last: int, landmarks: Landmarks) -> QualityFlag:
    message = (
        f"Of {count} table positions, numbers {first + 1} to {last + 1} from above were taken for pelvis to knee: the "
        f"legs part at z = {landmarks.crotch_mm:.0f} mm and the knees are at {landmarks.knee_mm:.0f} mm."
    )
    return QualityFlag("stations-chosen", "info", message)


def _unsure(positions: Sequence[TablePosition]) -> tuple[QualityFlag, ...]:
    """A warning where nothing but the archive's own number of stations could tell that they show pelvis to knee."""
    found = len(positions)
    if found in (PELVIS_TO_KNEE_POSITIONS, ARCHIVE_POSITIONS):
        return ()
    unseen = "the images do not show where the legs part and where the knees are"
    if found > PELVIS_TO_KNEE_POSITIONS:
        message = (
            f"{found} table positions were found; the archive has {ARCHIVE_POSITIONS}. The lowest four are used as "
            f"pelvis to knee, because {unseen}."
        )
    elif covered_mm(positions) >= MINIMUM_COVERAGE_MM:
        shown = "1 station shows" if found == 1 else f"{found} stations show"
        message = f"It is not known whether {shown} pelvis to knee, because {unseen}."
    else:
        return ()
    return (QualityFlag("station-count", "warning", message),)
