"""What a derived DICOM object must know of the images it came from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from operators.errors import OutputError
from operators.volume import Contrast, Fused, Station, Study

__all__ = ["source_images", "source_stations"]

_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_SEXES = ("M", "F", "O", "")


def source_stations(fused: Fused, contrasts: tuple[Contrast, ...] = (Contrast.WATER,)) -> tuple[Station, ...]:
    """The fused stations that the labels were read from: those of ``contrasts``, or all when none is there."""
    return tuple(s for s in fused.stations if s.contrast in contrasts) or fused.stations


def source_images(study: Study, station: Station) -> list[Dataset]:
    """Data sets that stand for a station's images, with the attributes that references and copies need.

    They carry no pixels. Positions follow from the station's grid; they come
    from a station whose slices were all found, or else the first position is
    given to all of them, so that no frame claims an exact source it does not have.

    Parameters
    ----------
    study : Study
        Gives the patient and study modules.
    station : Station

    Returns
    -------
    list of Dataset
        One for each SOP instance: single-frame images inferior to superior,
        or the one Enhanced MR image.

    Raises
    ------
    OutputError
        When the station names no SOP instance.
    """
    if not station.sop_instance_uids:
        raise OutputError(
            f"series {station.series_number} ({station.series_description})",
            "no SOP Instance UID",
            "the UIDs of the images that were fused, for the DICOM objects to refer to",
            "Load the study from DICOM.",
        )
    depth, rows, columns = station.grid.shape
    if station.sop_class_uid == EnhancedMRImageStorage:
        return [_enhanced(study, station, depth, rows, columns)]
    images = []
    all_found = len(station.sop_instance_uids) == depth
    for k, uid in enumerate(station.sop_instance_uids):
        image = _image(study, station, uid, rows, columns)
        image.ImagePositionPatient = _position(station, k if all_found else 0)
        image.ImageOrientationPatient = _orientation(station)
        image.PixelSpacing, image.SliceThickness = _measures(station)
        images.append(image)
    return images


def _image(study: Study, station: Station, uid: str, rows: int, columns: int) -> Dataset:
    image = Dataset()
    for keyword in _TYPE_2:
        setattr(image, keyword, _clean(keyword, study.patient))
    for keyword in ("PatientAge", "PatientSize", "PatientWeight", "StudyDescription"):
        if study.patient.get(keyword):
            setattr(image, keyword, study.patient[keyword])
    # Study.patient holds decoded text, so what we write is always UTF-8.
    image.SpecificCharacterSet = "ISO_IR 192"
    image.StudyInstanceUID = study.study_uid
    image.SeriesInstanceUID = station.series_uid
    image.SeriesNumber = station.series_number
    image.SOPClassUID = station.sop_class_uid
    image.SOPInstanceUID = uid
    image.FrameOfReferenceUID = station.frame_of_reference_uid
    image.PositionReferenceIndicator = ""
    image.Modality = "MR"
    image.Rows, image.Columns = rows, columns
    return image


def _clean(keyword: str, patient: Mapping[str, str]) -> str:
    value = str(patient.get(keyword) or "")
    if keyword == "PatientSex" and value not in _SEXES:
        return ""
    return value


def _enhanced(study: Study, station: Station, depth: int, rows: int, columns: int) -> Dataset:
    image = _image(study, station, station.sop_instance_uids[0], rows, columns)
    image.NumberOfFrames = depth
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = _orientation(station)
    measures.PixelSpacing, measures.SliceThickness = _measures(station)
    shared.PlaneOrientationSequence = [orientation]
    shared.PixelMeasuresSequence = [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in range(depth):
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = _position(station, k)
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    image.PerFrameFunctionalGroupsSequence = frames
    return image


def _position(station: Station, k: int) -> list[float]:
    return [float(v) for v in np.round((station.grid.affine @ np.array([0, 0, k, 1.0]))[:3], 6)]


def _orientation(station: Station) -> list[float]:
    axes = station.grid.affine[:3, :2] / np.linalg.norm(station.grid.affine[:3, :2], axis=0)
    return [float(v) for v in np.round(axes.T.ravel(), 9)]


def _measures(station: Station) -> tuple[list[float], float]:
    x, y, z = station.grid.spacing_mm
    return [round(y, 6), round(x, 6)], round(z, 6)
