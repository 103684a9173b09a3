"""One 2-D image of a classic or an Enhanced MR object: its contrast and its position."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.multival import MultiValue
from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage

from operators.core.errors import DicomError, GeometryError, SarcoMapError
from operators.core.volume import Contrast
from operators.dicom_loader.contrast import MadeOf
from operators.dicom_loader.contrast_evidence import Evidence, Kind, kind_of
from operators.dicom_loader.elements import Values
from operators.dicom_loader.frame_views import View, classic_view, frame_views, listed, word
from operators.dicom_loader.header_texts import number_of
from operators.dicom_loader.orientation import Plane, orthonormal, plane_of_cosines

__all__ = ["MULTI_FRAME", "Frame", "UnplacedImageError", "frames_of"]

_AGAIN = "Export the series again."
_LEAST_FIELD_MM = 10.0
"""Of the larger side of an image. A smaller one has its spacing in another unit, and so has a voxel above the next."""
_LARGEST_SPACING_MM = 100.0
MULTI_FRAME = (EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)
"""Storage classes whose images are frames with functional groups."""


class UnplacedImageError(GeometryError):
    """A Dixon image that does not say where it lies.

    Attributes
    ----------
    series_uid : str
        Filled in by who knows it.
    """

    series_uid: str = ""


@dataclass(frozen=True)
class Frame:
    """One Dixon magnitude image.

    Attributes
    ----------
    index : int
        Number of the frame in its file, from 0.
    contrast : Contrast
    disagrees : bool
        Whether ImageType and SeriesDescription name different contrasts.
    stack : str
        StackID of an Enhanced MR; frames of different stacks are different stations.
    position_mm : ndarray, shape (3,)
        ImagePositionPatient: LPS centre of the first voxel.
    row_direction, column_direction : ndarray, shape (3,)
        Unit LPS directions of increasing column index and increasing row index.
    spacing_mm : tuple of float
        Between columns (along x) and between rows (along y).
    rows, columns : int
    slope, intercept : float
        Signal = slope x stored value + intercept.
    told_by : {"ImageType", "private tag", "description"}
        What names the contrast.
    evidence : tuple of (str, Contrast or None)
        What each source says.
    private_slope : float or None
        Philips' scale slope.
    acquisition_number, temporal_position : str
        Which of several scans in one series it belongs to, as far as the header says.
    image_type : tuple of str
    thickness_mm, distance_mm : float or None
        SliceThickness, and the distance of slices that the header states (SpacingBetweenSlices).
    plane : {"axial", "coronal", "sagittal"}
    made_of : {"scan", "composed", "reformatted"}
    """

    index: int
    contrast: Contrast
    disagrees: bool
    stack: str
    position_mm: NDArray[np.float64]
    row_direction: NDArray[np.float64]
    column_direction: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    rows: int
    columns: int
    slope: float
    intercept: float
    told_by: str = "ImageType"
    acquisition_number: str = ""
    temporal_position: str = ""
    image_type: tuple[str, ...] = ()
    evidence: Evidence = ()
    private_slope: float | None = None
    thickness_mm: float | None = None
    distance_mm: float | None = None
    plane: Plane = "axial"
    made_of: MadeOf = "scan"


def frames_of(header: Values, where: str) -> tuple[tuple[Frame, ...], str]:
    """The Dixon magnitude frames of an MR object.

    Returns
    -------
    frames : tuple of Frame
        Empty when the object has none.
    kind : {"dixon", "composed", "phase", "untold", "other"}
        What the object is. Of ``untold`` no header says which contrast it
        shows, if any: that of its frames means nothing. ``composed`` has only
        frames that were composed of several stations, or reformatted.

    Raises
    ------
    DicomError, GeometryError
        When a Dixon frame lacks an attribute that is needed to place or scale it.
    """
    enhanced = header.get("SOPClassUID") in MULTI_FRAME
    views = frame_views(header, where) if enhanced else [classic_view(header)]
    frames = []
    phase, untold = False, True
    for index, view in enumerate(views):
        kind = kind_of(view.words)
        phase |= kind.phase
        untold &= kind.untold
        if kind.contrast is None or kind.phase:
            continue
        if kind.made_of == "scan":
            frames.append(_frame(index, kind, kind.contrast, view, where))
        else:
            with suppress(SarcoMapError):  # only whole ones can stand in for a scan; no other stops the study
                frames.append(_frame(index, kind, kind.contrast, view, where))
    if untold and not enhanced:
        with suppress(SarcoMapError):  # an image that cannot be placed is none of a Dixon study
            return (_frame(0, kind, Contrast.WATER, views[0], where),), "untold"
    if frames and all(frame.made_of != "scan" for frame in frames):
        return tuple(frames), "composed"
    return tuple(frames), "dixon" if frames else "phase" if phase else "other"


def _frame(index: int, kind: Kind, contrast: Contrast, view: View, where: str) -> Frame:
    if view.stack or index:
        where = f"{where}, frame {index + 1}"
    position = _numbers(view.position, 3)
    if position is None:
        raise UnplacedImageError(where, "no usable ImagePositionPatient", "three finite millimetres", _AGAIN)
    row, column = _directions(view.orientation, where)
    spacing = _numbers(view.spacing, 2)
    if spacing is None or min(spacing) <= 0:
        found = "no PixelSpacing" if view.spacing is None else f"PixelSpacing {_shown(view.spacing)}"
        raise GeometryError(where, found, "two positive millimetres", _AGAIN)
    rows, columns = int(view.rows or 0), int(view.columns or 0)
    if min(rows, columns) < 2:
        raise GeometryError(where, f"{rows} rows and {columns} columns", "at least 2 of each", _AGAIN)
    field = max(rows * spacing[0], columns * spacing[1])
    if field < _LEAST_FIELD_MM or max(spacing) > _LARGEST_SPACING_MM:
        found = f"PixelSpacing {_shown(view.spacing)}, so that the larger side is {field:.4g} mm"
        expected = f"millimetres: at least {_LEAST_FIELD_MM:.0f} mm of a body, in voxels of a few millimetres"
        raise GeometryError(where, found, expected, _AGAIN)
    slope, intercept = _one_number(view.slope, 1.0), _one_number(view.intercept, 0.0)
    if slope is None or intercept is None or slope == 0:
        raise DicomError(
            where,
            f"RescaleSlope {_shown(view.slope) or 'none'} and RescaleIntercept {_shown(view.intercept) or 'none'}",
            "finite numbers and a slope that is not zero",
            _AGAIN,
        )
    # PixelSpacing gives the distance between rows first (PS3.3 10.7.1.3), which is the step along y.
    return Frame(
        index=index,
        contrast=contrast,
        disagrees=kind.disagrees,
        told_by=kind.told_by,
        stack=view.stack,
        position_mm=np.array(position),
        row_direction=row,
        column_direction=column,
        spacing_mm=(spacing[1], spacing[0]),
        rows=rows,
        columns=columns,
        slope=slope,
        intercept=intercept,
        acquisition_number=word(view.acquisition_number),
        temporal_position=word(view.temporal_position),
        image_type=_interned(view.words.image_type + view.words.private_image_type),
        evidence=kind.evidence,
        private_slope=view.private_slope,
        thickness_mm=_millimetres(view.thickness),
        distance_mm=_millimetres(view.distance),
        plane=plane_of_cosines((*row, *column)),
        made_of=kind.made_of,
    )


def _directions(orientation: Any, where: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column directions, made orthonormal again after the rounding of decimal strings."""
    cosines = _numbers(orientation, 6)
    if cosines is None:
        raise UnplacedImageError(where, "no usable ImageOrientationPatient", "six finite direction cosines", _AGAIN)
    directions = orthonormal(cosines)
    if directions is None:
        raise GeometryError(
            where,
            f"ImageOrientationPatient {_shown(orientation)}",
            "two unit vectors at a right angle",
            _AGAIN,
        )
    return directions


def _numbers(value: Any, length: int) -> tuple[float, ...] | None:
    """``length`` finite numbers, or None."""
    try:
        numbers = tuple(map(number_of, value))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == length and all(map(math.isfinite, numbers)) else None


def _one_number(value: Any, absent: float) -> float | None:
    """A finite number, also where an exporter repeats it (``1\\1``); ``absent`` for no value, None for any other."""
    if value is None or value == "":
        return absent
    several = tuple(value) if isinstance(value, list | tuple | MultiValue) else (value,)
    numbers = _numbers(several, len(several))
    return numbers[0] if numbers and len(set(numbers)) == 1 else None


@lru_cache(maxsize=256)
def _millimetres(text: str) -> float | None:
    """A positive length; None where there is none. It is only evidence, so that a wrong one stops no study."""
    number = _one_number(text, 0.0)
    return number if number is not None and number > 0 else None


@lru_cache(maxsize=256)
def _interned(image_type: tuple[str, ...]) -> tuple[str, ...]:
    return image_type  # one tuple for the many frames that share it


def _shown(value: Any) -> str:
    return "\\".join(listed(value)) if not isinstance(value, float | int) else str(value)
