"""The label map as a DICOM Segmentation (PS3.3 A.51) on the fused grid."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from operators.anatomy import ADIPOSE_INDEX, STRUCTURES
from operators.dicom_seg_writer.concepts import (
    MANUFACTURER,
    algorithm_identification,
    derived_uid,
    scheme_items,
    structure_concept,
    tracking,
)
from operators.dicom_seg_writer.source_images import source_images, source_stations
from operators.errors import GeometryError
from operators.model_card import ModelCard
from operators.output_files import replacing
from operators.volume import Contrast, Fused, Grid, Study, Volume

__all__ = ["make_seg", "software_version", "write_seg"]

_SERIES_NUMBER = 9001
_SKEW_TOLERANCE = 1e-3  # cosine between axes that should be at right angles
_ADIPOSE_RGB = (242, 221, 120)


def write_seg(
    path: Path | str,
    labels: Volume,
    fused: Fused,
    study: Study,
    model: ModelCard,
    contrasts: tuple[Contrast, ...] = (Contrast.WATER,),
) -> Path:
    """Write a label map as a binary DICOM-SEG; see `make_seg`.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    OutputError
        When the file cannot be written, or the study names no source image.
    """
    segmentation = make_seg(labels, fused, study, model, contrasts)
    with replacing(path) as temporary:
        segmentation.save_as(temporary, enforce_file_format=True)
    return Path(path)


def make_seg(
    labels: Volume,
    fused: Fused,
    study: Study,
    model: ModelCard,
    contrasts: tuple[Contrast, ...] = (Contrast.WATER,),
) -> Segmentation:
    """Build the DICOM-SEG of a label map.

    Segment numbers are the values of the label table in every study, so
    structures that are not in the image are described and have no frames.
    Frames without a voxel are left out; positions and orientation are those
    of the fused grid, which is no source series' grid.

    Parameters
    ----------
    labels : Volume, uint8
        On ``fused.grid``; 0 to 28.
    fused : Fused
    study : Study
        Gives patient, study and the source images.
    model : ModelCard
    contrasts : tuple of Contrast
        What the network read; the images of these are named as the source.

    Raises
    ------
    GeometryError
        When the label map is not on the fused grid, or that grid's axes are
        not at right angles, which DICOM frames cannot express.
    OutputError
        When the study names no source image.
    """
    if not labels.grid.same_as(fused.grid):
        raise GeometryError(
            "label map", "a grid of its own", "the grid of the fused volumes", "Report this as a defect."
        )
    voxels = np.ascontiguousarray(labels.voxels, dtype=np.uint8)
    positions = _positions(labels.grid)
    measures = _measures(labels.grid)
    if not voxels.any():
        # Nothing to leave out then, and every empty frame would be written:
        # one plane says as much as all of them.
        voxels, positions = voxels[:1], positions[:1]
    stations = source_stations(fused, contrasts)
    images = [source_images(study, station) for station in stations]
    identity = (study.study_uid, model.sha256, software_version(), _digest(labels))
    synthetic = " (network trained on synthetic anatomy)" if model.synthetic_training else ""
    segmentation = Segmentation(
        source_images=images[0],
        pixel_array=voxels,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=_segments(study, model, bool((voxels == ADIPOSE_INDEX).any())),
        series_instance_uid=derived_uid("seg-series", *identity),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=derived_uid("seg-instance", *identity),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=model.name[:64],
        software_versions=software_version(),
        device_serial_number=model.sha256[:64],
        pixel_measures=measures,
        plane_orientation=_orientation(labels.grid),
        plane_positions=positions,
        omit_empty_frames=True,
        content_label="SARCOMAP",
        content_description=f"Muscles and bones{synthetic}",
        further_source_images=[image for series in images[1:] for image in series] or None,
        series_description=f"SarcoMAP muscles{synthetic}",
        coding_schemes=scheme_items() if any(s.scheme != "SCT" for s in STRUCTURES) else None,
    )
    # highdicom takes the first source series' pixel measures when the in-plane
    # spacing agrees, and with them its slice spacing, which need not be ours.
    segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = measures
    _fix_dimension_uid(segmentation, derived_uid("dimensions", *identity))
    return segmentation


def software_version() -> str:
    """The installed version of SarcoMAP, or ``unknown`` when run from an unpacked tree."""
    try:
        return metadata.version("sarcomap")
    except metadata.PackageNotFoundError:
        return "unknown"


def _segments(study: Study, model: ModelCard, with_adipose: bool) -> list[SegmentDescription]:
    algorithm = algorithm_identification(model)
    segments = []
    for structure in STRUCTURES:
        tracking_id, tracking_uid = tracking(study.study_uid, model, structure)
        segment = SegmentDescription(
            segment_number=structure.index,
            segment_label=structure.display_name,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=structure_concept(structure),
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_id=tracking_id,
            tracking_uid=tracking_uid,
            display_color=CIELabColor.from_rgb(*structure.colour_rgb),
        )
        if structure.paired:
            both_sides = CodedConcept.from_code(codes.SCT.RightAndLeft)
            segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [both_sides]
        segments.append(segment)
    if with_adipose:
        segments.append(
            SegmentDescription(
                segment_number=ADIPOSE_INDEX,
                segment_label="Adipose tissue",
                segmented_property_category=codes.SCT.Tissue,
                segmented_property_type=codes.SCT.AdiposeTissue,
                algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=algorithm,
                tracking_id="adipose tissue",
                tracking_uid=derived_uid("tracking", study.study_uid, model.sha256, "adipose"),
                display_color=CIELabColor.from_rgb(*_ADIPOSE_RGB),
            )
        )
    return segments


def _measures(grid: Grid) -> PixelMeasuresSequence:
    x, y, z = grid.spacing_mm
    return PixelMeasuresSequence(pixel_spacing=(y, x), slice_thickness=z, spacing_between_slices=z)


def _orientation(grid: Grid) -> PlaneOrientationSequence:
    axes = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    skew = np.abs(axes.T @ axes - np.eye(3)).max()
    if skew > _SKEW_TOLERANCE:
        raise GeometryError(
            "fused grid",
            f"axes {skew:.4f} (cosine) away from right angles",
            "a rectangular grid",
            "Check ImageOrientationPatient and ImagePositionPatient of the stations.",
        )
    return PlaneOrientationSequence("PATIENT", axes[:, :2].T.ravel().tolist())


def _positions(grid: Grid) -> list[PlanePositionSequence]:
    planes = np.zeros((grid.shape[0], 4))
    planes[:, 2], planes[:, 3] = np.arange(grid.shape[0]), 1.0
    return [PlanePositionSequence("PATIENT", xyz.tolist()) for xyz in (planes @ grid.affine.T)[:, :3]]


def _digest(labels: Volume) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(labels.voxels, dtype=np.uint8).data)
    digest.update(np.round(labels.grid.affine, 6).tobytes())
    return digest.hexdigest()


def _fix_dimension_uid(segmentation: Segmentation, uid: str) -> None:
    """Give the dimension organisation a UID that is the same in every run (highdicom draws one)."""
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
