"""The series of a study as plain data, before files are written. Faults act on this data."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from operators.core.volume import Contrast
from phantom.acquisition import StationImages
from phantom.planes import Plane, as_images, image_places, image_position

__all__ = ["Damage", "Patient", "Series", "deterministic_uid", "series_of_study"]

# The order in which the scanner reconstructs and numbers the four images of a station.
CONTRAST_ORDER = (Contrast.OPPOSED, Contrast.IN, Contrast.FAT, Contrast.WATER)
DESCRIPTION_SUFFIX: Mapping[Contrast, str] = {
    Contrast.OPPOSED: "_opp",
    Contrast.IN: "_in",
    Contrast.FAT: "_F",
    Contrast.WATER: "_W",
}
_FIRST_SERIES_NUMBER = 2  # 1 is the localiser
_STATION_SECONDS = 31  # one breath hold, table move, next


MadeOf = Literal["scan", "composed", "mpr"]
Stream = Literal["", "jp2", "padded-jpeg"]


class Damage(StrEnum):
    """Damage to a file between scanner and disk."""

    TRUNCATED = "truncated"
    EMPTY = "empty"


@dataclass(frozen=True)
class Patient:
    """Attributes of the participant in the header.

    Attributes
    ----------
    eid : str
        Seven digits beginning with 9, a range that the archive does not use.
    sex : {"M", "F"}
    age_years, height_cm, weight_kg : float
    """

    eid: str
    sex: str
    age_years: float
    height_cm: float
    weight_kg: float


@dataclass(frozen=True)
class Series:
    """One contrast of one station.

    Attributes
    ----------
    station : int
        1 is the most superior of the study.
    contrast : Contrast
        Contrast that the header states (ImageType).
    description : str
    number : int
        SeriesNumber.
    acquired : datetime
    voxels : ndarray, shape (slice, row, column), uint16
    first_xy_mm : tuple of float
        The coordinates of ImagePositionPatient that all slices share: x and y of axial ones, x and z of coronal ones,
        y and z of sagittal ones.
    slice_z_mm : tuple of float
        The other one, of each slice: z of axial slices, inferior to superior.
    slice_mm : float
    pixel_spacing : tuple of str
        As written, so that a fault can make it wrong.
    instance_numbers : tuple of int
        Per slice.
    file_numbers : tuple of int
        Per slice: its position in the order of file names.
    uid, frame_of_reference_uid, study_uid : str
    damage : mapping of int to Damage
        By slice.
    header : mapping of str to object
        Attributes by keyword that are written in place of the usual ones, so that a fault can make them wrong.
    files_before : int
        Files of other acquisitions in the same series, before its own.
    preamble : bool
        Whether the files begin with the preamble and ``DICM``.
    stream : {"", "jp2", "padded-jpeg"}
        How pixels are compressed where a fault says so: JPEG 2000 in a JP2 file, or JPEG lossless with bytes after its
        end.
    plane : {"axial", "coronal", "sagittal"}
    made_of : {"scan", "composed", "mpr"}
        Whether it was scanned, composed of several stations, or reformatted.
    """

    station: int
    contrast: Contrast
    description: str
    number: int
    acquired: datetime
    voxels: NDArray[np.uint16]
    first_xy_mm: tuple[float, float]
    slice_z_mm: tuple[float, ...]
    slice_mm: float
    pixel_spacing: tuple[str, str]
    instance_numbers: tuple[int, ...]
    file_numbers: tuple[int, ...]
    uid: str
    frame_of_reference_uid: str
    study_uid: str
    damage: Mapping[int, Damage] = field(default_factory=dict)
    header: Mapping[str, object] = field(default_factory=dict)
    files_before: int = 0
    preamble: bool = True
    stream: Stream = ""
    plane: Plane = "axial"
    made_of: MadeOf = "scan"

    def __post_init__(self) -> None:
        slices = len(self.voxels)
        if not slices == len(self.slice_z_mm) == len(self.instance_numbers) == len(self.file_numbers):
            raise ValueError(f"series {self.number}: {slices} slices, but a different number of positions or numbers")

    def position_mm(self, k: int) -> tuple[float, float, float]:
        """ImagePositionPatient of a slice."""
        return image_position(self.first_xy_mm, self.slice_z_mm[k], self.plane)

    @property
    def axis(self) -> str:
        """The LPS axis along which the slices lie."""
        return {"axial": "z", "coronal": "y", "sagittal": "x"}[self.plane]

    @property
    def stem(self) -> str:
        """The description without the contrast's suffix, e.g. ``Dixon_BH_17s``."""
        return self.description.rpartition("_")[0]


def deterministic_uid(*parts: object) -> UID:
    """A UID under 2.25 (a name-based UUID, PS3.5 B.2) that depends only on its parts."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, 'sarcomap-phantom/' + '/'.join(map(str, parts))).int}")


def series_of_study(stations: Sequence[StationImages], seed: int) -> list[Series]:
    """Make the series that the scanner would send, in the order of their numbers.

    Parameters
    ----------
    stations : sequence of StationImages, superior to inferior
    seed : int
        Determines the study date and all UIDs.
    """
    # Imaging visits began in 2014. The date depends on the seed, not on the clock, so that files are reproducible.
    first = datetime(2015, 1, 5, 9, 0) + timedelta(days=seed % 2500, minutes=seed % 420)
    study_uid = deterministic_uid(seed, "study")
    frame_uid = deterministic_uid(seed, "frame of reference")
    series: list[Series] = []
    for index, station in enumerate(stations):
        geometry = station.geometry
        shared, by_slice = image_places(geometry.grid, geometry.plane)
        stem = "Dixon_BH_17s" if geometry.breath_hold else "Dixon_noBH"
        for contrast in CONTRAST_ORDER:
            number = _FIRST_SERIES_NUMBER + len(series)
            series.append(
                Series(
                    station=index + 1,
                    contrast=contrast,
                    description=stem + DESCRIPTION_SUFFIX[contrast],
                    number=number,
                    acquired=first + timedelta(seconds=_STATION_SECONDS * index),
                    voxels=as_images(station.images[contrast], geometry.plane),
                    first_xy_mm=shared,
                    slice_z_mm=by_slice,
                    slice_mm=geometry.slice_mm,
                    pixel_spacing=(f"{geometry.row_mm or geometry.in_plane_mm:.9g}", f"{geometry.in_plane_mm:.9g}"),
                    plane=geometry.plane,
                    # In this protocol, the scanner numbers slices from the head downwards.
                    instance_numbers=tuple(range(geometry.slices, 0, -1)),
                    file_numbers=tuple(range(geometry.slices, 0, -1)),
                    uid=deterministic_uid(seed, "series", number),
                    frame_of_reference_uid=frame_uid,
                    study_uid=study_uid,
                )
            )
    return series
