"""The label map as a DICOM Segmentation (PS3.3 A.51) on the fused grid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from highdicom import ContentQualificationValues, PlanePositionSequence
from highdicom.seg import Segmentation, SegmentationTypeValues
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian

from operators.core import clock
from operators.core.anatomy import ADIPOSE_INDEX, LABELS, STRUCTURES
from operators.core.dicom_objects import (
    MANUFACTURER,
    derived_uid,
    orientation,
    patient_and_study,
    pixel_measures,
    plane_positions,
    settle_dates,
    software_version,
)
from operators.core.dicom_objects.encoding import write_file
from operators.core.errors import InternalError
from operators.core.label_map import label_digest
from operators.core.model_card import ModelCard
from operators.core.options import DicomOptions
from operators.core.output_files import replacing
from operators.core.volume import Study, Volume
from operators.derived_series import SeriesHeaders
from operators.dicom_seg_writer.concepts import scheme_items
from operators.dicom_seg_writer.frames import fill_frames
from operators.dicom_seg_writer.segment_descriptions import segment_descriptions

__all__ = ["make_seg", "write_seg"]

_SERIES_NUMBER = 9001
_TYPES = {"binary": SegmentationTypeValues.BINARY, "labelmap": SegmentationTypeValues.LABELMAP}


def write_seg(
    path: Path | str,
    labels: Volume,
    derived: Sequence[SeriesHeaders],
    study: Study,
    model: ModelCard,
    options: DicomOptions = DicomOptions(),  # noqa: B008 (frozen)
    created: datetime | None = None,
) -> Path:
    """Write a label map as a DICOM SEG; see `make_seg`.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    segmentation = make_seg(labels, derived, study, model, options, created)
    with replacing(path) as temporary:
        write_file(temporary, segmentation, segmentation.file_meta)
    return Path(path)


def make_seg(
    labels: Volume,
    derived: Sequence[SeriesHeaders],
    study: Study,
    model: ModelCard,
    options: DicomOptions = DicomOptions(),  # noqa: B008 (frozen)
    created: datetime | None = None,
) -> Segmentation:
    """Build the DICOM SEG of a label map.

    Segment numbers are the values of the label table in every study. Structures
    that are not in the image are therefore described but have no frames. Frames
    without a voxel are left out. Every frame refers to the derived image that it
    covers voxel for voxel. The derived image itself lists the scanner's images
    that it was made from.

    Parameters
    ----------
    labels : Volume, uint8
        Values of the label table, on the grid of ``derived``.
    derived : sequence of SeriesHeaders
        Derived series of the network's input contrasts. Viewers show the
        segmentation on the first.
    study : Study
    model : ModelCard
    options : DicomOptions
    created : datetime, optional
        Now by default.

    Raises
    ------
    InternalError
        When the label map is not on the derived series' grid.
    """
    if not labels.grid.same_as(derived[0].grid):
        raise InternalError("label map", "a different grid", "the grid of the fused volumes")
    voxels = np.ascontiguousarray(labels.voxels, dtype=np.uint8)
    positions = plane_positions(labels.grid)
    identity = _identity(labels, derived, study, model, options)
    described = (study, model, options, identity, bool((voxels == ADIPOSE_INDEX).any()))
    if options.seg_type == "binary" and options.seg_transfer_syntax == ExplicitVRLittleEndian and voxels.any():
        # highdicom is slow with many frames, so it makes an object of one plane, which is then filled.
        k = int(voxels.any(axis=(1, 2)).argmax())
        images = [SeriesHeaders(one.contrast, one.grid, one.headers[k : k + 1]) for one in derived]
        segmentation = _by_highdicom(voxels[k : k + 1], positions[k : k + 1], images, *described)
        fill_frames(segmentation, voxels, derived)
    else:
        segmentation = _by_highdicom(voxels, positions, derived, *described)
    segmentation.update(patient_and_study(study))
    settle_dates(segmentation, study, created or clock.now())
    _fix_dimension_uid(segmentation, derived_uid("dimensions", *identity))
    return segmentation


def _by_highdicom(
    voxels: NDArray[np.uint8],
    positions: list[PlanePositionSequence],
    derived: Sequence[SeriesHeaders],
    study: Study,
    model: ModelCard,
    options: DicomOptions,
    identity: tuple[str, ...],
    adipose: bool,
) -> Segmentation:
    reference, *further = derived
    if not voxels.any():
        # If all frames are empty, highdicom writes every one of them. One
        # empty plane says as much.
        voxels, positions = voxels[:1], positions[:1]
    return Segmentation(
        source_images=reference.headers,
        pixel_array=voxels,
        segmentation_type=_TYPES[options.seg_type],
        segment_descriptions=segment_descriptions(study, model, LABELS if adipose else STRUCTURES),
        series_instance_uid=derived_uid("seg-series", *identity),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=derived_uid("seg-instance", *identity),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=model.name[:64],
        software_versions=software_version(),
        device_serial_number=model.sha256[:64],
        transfer_syntax_uid=options.seg_transfer_syntax,
        pixel_measures=pixel_measures(reference.grid),
        plane_orientation=orientation(reference.grid),
        plane_positions=positions,
        omit_empty_frames=True,
        content_label="SARCOMAP",
        content_description=f"Muscles and bones{model.remark}",
        further_source_images=[header for series in further for header in series.headers] or None,
        series_description=f"SarcoMAP muscles{model.remark}",
        coding_schemes=scheme_items() if any(s.scheme != "SCT" for s in LABELS) else None,
        content_qualification=ContentQualificationValues.RESEARCH if model.synthetic_training else None,
    )


def _identity(
    labels: Volume, derived: Sequence[SeriesHeaders], study: Study, model: ModelCard, options: DicomOptions
) -> tuple[str, ...]:
    return (
        study.study_uid,
        repr(sorted(model.facts().items())),  # the objects state them, and one weights file may get another card
        software_version(),
        options.seg_type,
        *(series.series_uid for series in derived),
        label_digest(labels),
    )


def _fix_dimension_uid(segmentation: Segmentation, uid: str) -> None:
    """Give the dimension organisation a UID that is the same in every run (highdicom generates a random one)."""
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
