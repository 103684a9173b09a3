"""The frames of a binary segmentation, written into one that highdicom made of a single plane.

highdicom makes eight objects for each frame and compares every plane with every
source image. A study has about 2,000 frames, which differ in four values.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from highdicom import PlanePositionSequence
from highdicom.seg import Segmentation
from highdicom.spatial import VOLUME_INDEX_CONVENTION, get_normal_vector
from numpy.typing import NDArray
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from operators.core.dicom_objects.encoding import encoded_element
from operators.derived_series import SeriesHeaders

__all__ = ["fill_frames"]

_ITEM = struct.Struct("<HHL")
_INDICES = struct.Struct("<LL")
_GROUPS = Tag("PerFrameFunctionalGroupsSequence")


def fill_frames(segmentation: Segmentation, voxels: NDArray[np.uint8], derived: Sequence[SeriesHeaders]) -> None:
    """Replace the frames of a segmentation, its references and its pixels by those of a whole label map.

    There is one frame for each segment and each plane that shows it, in the order
    of the segments and, within a segment, of the planes along their normal.

    Parameters
    ----------
    segmentation : Segmentation
        Binary and not compressed; of any one plane, with one image of each series as its sources. Changed in place.
    voxels : ndarray, shape (z, y, x), uint8
        Values are segment numbers; 0 is background. Not empty.
    derived : sequence of SeriesHeaders
        The series that the segmentation refers to, on the grid of ``voxels``.
    """
    _refer_to(segmentation, derived)
    template = segmentation.PerFrameFunctionalGroupsSequence[0]
    shown = np.flatnonzero(voxels.any(axis=(1, 2)))
    shown = shown[np.argsort(_heights(derived[0].headers)[shown])]
    places = [_place(template, derived, int(k)) for k in shown]
    content = encoded_element(template["FrameContentSequence"], template)[: -_INDICES.size]
    groups, pixels, count = [], _Bits(), 0
    for number, segment in enumerate(segmentation.SegmentSequence, start=1):
        value = int(segment.SegmentNumber)
        identification = _segment_identification(value)
        here = voxels == value
        occupied = here.any(axis=(1, 2))
        for index, (k, (sources, position)) in enumerate(zip(shown, places, strict=True), start=1):
            if occupied[k]:
                item = b"".join((sources, content, _INDICES.pack(number, index), position, identification))
                groups += [_ITEM.pack(0xFFFE, 0xE000, len(item)), item]
                pixels.add(here[k])
                count += 1
    encoded = b"".join(groups)
    segmentation[_GROUPS] = RawDataElement(_GROUPS, "SQ", len(encoded), encoded, 0, False, True)
    segmentation.NumberOfFrames = count
    segmentation.PixelData = pixels.packed()


def _refer_to(segmentation: Segmentation, derived: Sequence[SeriesHeaders]) -> None:
    """The Source Image and Referenced Series Sequences, with every image of the derived series."""
    images, series = [], []
    for one in derived:
        references = [_reference(header) for header in one.headers]
        images += references
        entry = Dataset()
        entry.SeriesInstanceUID = one.series_uid
        entry.ReferencedInstanceSequence = references
        series.append(entry)
    segmentation.SourceImageSequence = images
    segmentation.ReferencedSeriesSequence = series


def _reference(header: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return reference


def _heights(images: Sequence[Dataset]) -> NDArray[np.float64]:
    """The planes' positions along their normal, which gives the order of the frames."""
    normal = get_normal_vector(images[0].ImageOrientationPatient, index_convention=VOLUME_INDEX_CONVENTION)
    return np.array([image.ImagePositionPatient for image in images], dtype=np.float64) @ normal


def _place(template: Dataset, derived: Sequence[SeriesHeaders], k: int) -> tuple[bytes, bytes]:
    """The elements of a frame that depend on its plane only: the images that it was made from, and its position."""
    sources = template.DerivationImageSequence[0].SourceImageSequence
    for source, series in zip(sources, derived, strict=False):
        source.ReferencedSOPInstanceUID = series.headers[k].SOPInstanceUID
    place = PlanePositionSequence("PATIENT", derived[0].headers[k].ImagePositionPatient)
    position = DataElement(Tag("PlanePositionSequence"), "SQ", place)
    return encoded_element(template["DerivationImageSequence"], template), encoded_element(position, template)


def _segment_identification(number: int) -> bytes:
    item, identification = Dataset(), Dataset()
    identification.ReferencedSegmentNumber = number
    item.SegmentIdentificationSequence = [identification]
    return encoded_element(item["SegmentIdentificationSequence"], item)


class _Bits:
    """Frames of one bit a pixel, one after the other without a gap (PS3.5 8.1.1)."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._rest: NDArray[np.bool_] = np.empty(0, dtype=bool)

    def add(self, frame: NDArray[np.bool_]) -> None:
        bits = np.concatenate([self._rest, frame.ravel()]) if self._rest.size else frame.ravel()
        whole = bits.size - bits.size % 8
        self._packed.append(np.packbits(bits[:whole], bitorder="little").tobytes())
        self._rest = bits[whole:]

    def packed(self) -> bytes:
        together = b"".join([*self._packed, np.packbits(self._rest, bitorder="little").tobytes()])
        return together + b"\0" if len(together) % 2 else together
