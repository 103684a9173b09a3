"""The source images from which each plane of the fused volume was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from operators.core.volume import Grid, Station

__all__ = ["referenced_series", "source_image_items", "source_slices"]

T = TypeVar("T")

_WHOLE_SLICE = 1e-3  # a plane this near to a slice counts as lying in it


def source_slices(grid: Grid, station: Station) -> list[range]:
    """For each plane of ``grid``, the images of a station that trilinear interpolation reads.

    Parameters
    ----------
    grid : Grid
        The grid of the fused volume.
    station : Station

    Returns
    -------
    list of range
        Indices along the station's ``slice_axis``; empty if the plane does not intersect it.
    """
    planes, rows, columns = grid.shape
    depth = station.grid.shape[0]
    to_station = np.linalg.inv(station.grid.affine) @ grid.affine  # voxel (i, j, k) of the grid to the station's
    to_slice = to_station[2]
    corners = np.array([[i, j, 0.0, 1.0] for i in (0, columns - 1) for j in (0, rows - 1)])
    heights = (corners @ to_slice)[None, :] + np.arange(planes)[:, None] * to_slice[2]
    whole = None if station.slice_axis == 0 else range(station.grid.shape[station.slice_axis])
    ranges = []
    for low, high in zip(heights.min(axis=1), heights.max(axis=1), strict=True):
        if high < -0.5 - _WHOLE_SLICE or low > depth - 0.5 + _WHOLE_SLICE:
            ranges.append(range(0))
            continue
        if whole is not None:  # an axial plane crosses every coronal or sagittal image at that height
            ranges.append(whole)
            continue
        first = int(np.clip(np.floor(low + _WHOLE_SLICE), 0, depth - 1))
        last = int(np.clip(np.ceil(high - _WHOLE_SLICE), 0, depth - 1))
        ranges.append(range(first, last + 1))
    return ranges


def source_image_items(station: Station, slices: range) -> list[Dataset]:
    """Items of a Source Image Sequence for some slices of a station.

    An Enhanced MR has one item, because it holds all slices; it names their
    frames. If some slices of a station were interpolated, all its images or
    frames are listed, because indices then do not identify them.
    """
    if len(slices) == 0:
        return []
    items = [_item(station.sop_class_uid, uid) for uid in _of_slices(station.sop_instance_uids, station, slices)]
    if station.frame_numbers:
        items[0].ReferencedFrameNumber = list(_of_slices(station.frame_numbers, station, slices))
    return items


def _of_slices(images: Sequence[T], station: Station, slices: range) -> Sequence[T]:
    whole = len(images) == station.grid.shape[station.slice_axis]
    return [images[k] for k in slices] if whole else images


def _item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = code.value, "DCM", code.meaning
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def referenced_series(items_by_series: Sequence[tuple[str, Sequence[Dataset]]]) -> list[Dataset]:
    """Items of a Referenced Series Sequence (PS3.3 C.12.2): the same references, each series and each image once.

    Several stations may be of one series, and of one Enhanced MR.
    """
    by_series: dict[str, dict[str, Dataset]] = {}
    for uid, items in items_by_series:
        for item in items:
            instance = Dataset()
            instance.ReferencedSOPClassUID = item.ReferencedSOPClassUID
            instance.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
            by_series.setdefault(uid, {})[str(item.ReferencedSOPInstanceUID)] = instance
    series = []
    for uid, instances in by_series.items():
        entry = Dataset()
        entry.SeriesInstanceUID = uid
        entry.ReferencedInstanceSequence = list(instances.values())
        series.append(entry)
    return series
