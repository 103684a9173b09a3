"""Series that hold more than one stack: several table positions, or a station that was scanned again.

A series is one stack wherever its images make one. Only where they do not, or
where a 3-D acquisition would be mixed with another, are they told apart: by
series number, matrix and orientation, acquisition number, temporal position,
echo time, the moment of acquisition, the line on which they lie, or a wide gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from operators.core.errors import GeometryError
from operators.core.volume import Grid
from operators.dicom_loader.frames import Frame
from operators.dicom_loader.geometry import stack_slices
from operators.dicom_loader.image_file import ImageFile
from operators.dicom_loader.orientation import plane_axis, plane_of

__all__ = ["Part", "parts_of_series"]

Image = tuple[ImageFile, Frame]
Key = Callable[[Image], Hashable]

#: A group with fewer slices than this share of the largest is a remnant: slices would be lost to a stack in silence.
_LEAST_SHARE = 1 / 3
#: Stations are further apart than any slices of one stack.
_GAP_MM = 30.0
#: Two acquisitions whose heights share more than this part of the lower one show the same part of the body.
_SAME_PLACE = 0.5
_FEWEST_SLICES = 2


@dataclass(frozen=True)
class Part:
    """The images of one stack.

    Attributes
    ----------
    images : tuple of (ImageFile, Frame)
        In the order of `stack_slices`.
    places : tuple of int
        Their slice indices in the grid.
    grid : Grid
    told_by : str
        What sets it apart from other stacks of its series; empty when it is the only one.
    """

    images: tuple[Image, ...]
    places: tuple[int, ...]
    grid: Grid
    told_by: str = ""


def parts_of_series(images: Sequence[Image], where: str, *, allow_missing_slices: bool = False) -> list[Part]:
    """The stacks of one series and contrast.

    Parameters
    ----------
    images : sequence of (ImageFile, Frame)
        In any order.
    where : str
        What messages call the series.
    allow_missing_slices : bool
        As for `stack_slices`.

    Raises
    ------
    GeometryError
        When the images make no regular stack, and no way of telling them apart gives regular stacks.
    """
    if _mixed_acquisitions(images) and (parts := _split(images, where, "AcquisitionNumber", _acquisition_number)):
        return parts
    try:
        return [_part(images, where, allow_missing_slices)]
    except GeometryError:
        for told_by, key in _KEYS.items():
            if parts := _split(images, where, told_by, key):
                return parts
        if parts := _split_at_gaps(images, where):
            return parts
        raise


def _mixed_acquisitions(images: Sequence[Image]) -> bool:
    """Whether 3-D acquisitions share heights; their slices could make one stack by chance, at half the distance."""
    first = images[0][1].acquisition_number
    if all(frame.acquisition_number == first for _, frame in images):
        return False
    if any(file.acquisition.get("MRAcquisitionType") != "3D" for file, _ in images):
        return False
    ranges = []
    axis = _across(images[0])
    for group in _grouped(images, _acquisition_number).values():
        heights = [float(frame.position_mm[axis]) for _, frame in group]
        ranges.append((min(heights), max(heights)))
    ranges.sort()
    return any(
        min(high, other_high) - other_low > _SAME_PLACE * (other_high - other_low) > 0
        for (_, high), (other_low, other_high) in pairwise(ranges)
    )


def _split(images: Sequence[Image], where: str, told_by: str, key: Key) -> list[Part] | None:
    """Stacks by a key; None when it gives one stack or irregular ones."""
    groups = _grouped(images, key).values()
    if len(groups) < 2:
        return None
    if min(map(len, groups)) < max(_FEWEST_SLICES, _LEAST_SHARE * max(map(len, groups))):
        return None
    try:
        return [_part(group, where, False, told_by) for group in groups]
    except GeometryError:
        return None


def _split_at_gaps(images: Sequence[Image], where: str) -> list[Part] | None:
    """Stacks that lie apart along the body."""
    ordered = sorted(images, key=lambda image: float(image[1].position_mm[2]))
    heights = np.array([float(frame.position_mm[2]) for _, frame in ordered])
    cuts = np.flatnonzero(np.diff(heights) > _GAP_MM) + 1
    number = np.searchsorted(cuts, np.arange(len(ordered)), side="right")
    by_frame = {id(frame): int(n) for (_, frame), n in zip(ordered, number, strict=True)}
    return _split(images, where, "gaps between them", lambda image: by_frame[id(image[1])])


def _part(images: Sequence[Image], where: str, allow_missing_slices: bool, told_by: str = "") -> Part:
    order, places, grid = stack_slices([frame for _, frame in images], where, allow_missing_slices=allow_missing_slices)
    return Part(tuple(images[n] for n in order), tuple(places), grid, told_by)


def _grouped(images: Sequence[Image], key: Key) -> dict[Hashable, list[Image]]:
    groups: dict[Hashable, list[Image]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return groups


def _matrix(image: Image) -> Hashable:
    frame = image[1]
    directions = (*frame.row_direction, *frame.column_direction)
    return frame.rows, frame.columns, *(round(mm, 3) for mm in frame.spacing_mm), *(round(c, 2) for c in directions)


def _acquisition_number(image: Image) -> Hashable:
    return image[1].acquisition_number


def _series_number(image: Image) -> Hashable:
    return image[0].series_number


def _temporal_position(image: Image) -> Hashable:
    return image[1].temporal_position


def _echo_time(image: Image) -> Hashable:
    return image[0].acquisition.get("EchoTime")


def _image_type(image: Image) -> Hashable:
    return image[1].image_type


def _moment(image: Image) -> Hashable:
    return image[0].scanned


def _line(image: Image) -> Hashable:
    first, second = np.delete(image[1].position_mm, _across(image))
    return round(float(first)), round(float(second))


def _across(image: Image) -> int:
    """The LPS axis along which slices like this one are stacked."""
    return plane_axis(plane_of(image[1].row_direction, image[1].column_direction))


def _several(*keys: Key) -> Key:
    return lambda image: tuple(key(image) for key in keys)


_KEYS: dict[str, Key] = {
    "SeriesNumber": _series_number,  # series to which an anonymiser gave one SeriesInstanceUID
    "AcquisitionNumber": _acquisition_number,
    "their matrix": _matrix,
    "TemporalPositionIdentifier": _temporal_position,
    "EchoTime": _echo_time,  # both echoes of a scan in one series
    "ImageType": _image_type,
    "AcquisitionTime": _moment,
    "the line on which they lie": _line,
    "AcquisitionNumber and matrix": _several(_acquisition_number, _matrix),
    "AcquisitionNumber and ImageType": _several(_acquisition_number, _image_type),
}
