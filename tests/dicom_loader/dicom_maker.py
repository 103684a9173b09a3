"""Small Dixon studies as DICOM files for the loader's tests, made with pydicom only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from operators.core.volume import Contrast

ROOT = "1.2.826.0.1.3680043.10.1512"
STUDY_UID = f"{ROOT}.1"
FRAME_OF_REFERENCE_UID = f"{ROOT}.9"
PATIENT_NAME = "Secret^Somebody"
START = datetime(2026, 3, 1, 23, 50, 0)

SLICES, ROWS, COLUMNS = 6, 7, 9
SPACING = (2.25, 2.5, 4.0)  # x, y, z
STATION_STEP_MM = 20.0  # 24 mm of slices each: one slice shared
ORDER = (Contrast.OPPOSED, Contrast.IN, Contrast.FAT, Contrast.WATER)
IMAGE_TYPE = {Contrast.OPPOSED: "OPP_PHASE", Contrast.IN: "IN_PHASE", Contrast.FAT: "FAT", Contrast.WATER: "WATER"}
SUFFIX = {Contrast.OPPOSED: "opp", Contrast.IN: "in", Contrast.FAT: "F", Contrast.WATER: "W"}

#: Changes a header in place. Returning False leaves the image out.
Change = Callable[[Dataset], bool | None]


def stored_pixels(contrast: Contrast, station: int, k: int) -> NDArray[np.uint16]:
    """Voxels of slice ``k``. All differ, so that a swap of any two voxels or slices is noticed."""
    base = 1000 * ORDER.index(contrast) + 400 * station + 64 * k
    return (base + np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)).astype(np.uint16)


def origin_mm(station: int) -> NDArray[np.float64]:
    """Centre of the first voxel of the lowest slice; station 0 is the highest."""
    return np.array([-30.0, -20.0 - station, 100.0 - STATION_STEP_MM * station])


def slice_position_mm(station: int, k: int) -> NDArray[np.float64]:
    """ImagePositionPatient of slice ``k``, counted from below."""
    return origin_mm(station) + np.array([0.0, 0.0, SPACING[2] * k])


def series_number(contrast: Contrast, station: int) -> int:
    return 2 + 4 * station + ORDER.index(contrast)


def classic_header(contrast: Contrast, station: int, k: int) -> Dataset:
    """One MR Image Storage object, slice ``k`` counted from below."""
    number = series_number(contrast, station)
    header = _common(contrast, number, MRImageStorage, f"{ROOT}.3.{number}.{k + 1}")
    moment = START + timedelta(minutes=5 * station)
    header.SeriesDate, header.SeriesTime = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")
    header.InstanceNumber = k + 1
    header.ImagePositionPatient = list(slice_position_mm(station, k))
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    header.PixelSpacing = [SPACING[1], SPACING[0]]
    header.PixelData = stored_pixels(contrast, station, k).tobytes()
    return header


def write_study(folder: Path, *, stations: int = 2, change: Change | None = None) -> list[Path]:
    """Every slice of four contrasts of ``stations`` table positions, in files named in no useful order."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for station in range(stations):
        for contrast in ORDER:
            for k in range(SLICES):
                header = classic_header(contrast, station, k)
                if change is None or change(header) is not False:
                    # Names whose order is opposite to that of the slices.
                    name = f"{99 - header.InstanceNumber:02d}.{header.SeriesNumber}.dcm"
                    written.append(write(header, folder / name))
    return written


def enhanced_header(contrasts: tuple[Contrast, ...] = ORDER, station: int = 0, number: int = 50) -> Dataset:
    """One Enhanced MR object with all slices of ``contrasts``, contrasts told by FrameType, slices top down."""
    header = _common(contrasts[0], number, EnhancedMRImageStorage, f"{ROOT}.4.{number}")
    header.ImageType = ["DERIVED", "PRIMARY", "DIXON", "MIXED"]
    header.SeriesDescription = "dixon_2echo"
    header.AcquisitionDateTime = START.strftime("%Y%m%d%H%M%S.%f") + "+0100"
    header.ComplexImageComponent = "MAGNITUDE"
    shared = Dataset()
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = Sequence([orientation])
    measures = Dataset()
    measures.PixelSpacing = [SPACING[1], SPACING[0]]
    shared.PixelMeasuresSequence = Sequence([measures])
    header.SharedFunctionalGroupsSequence = Sequence([shared])
    frames, pixels = [], []
    for k in reversed(range(SLICES)):
        for contrast in contrasts:
            groups, frame_type, position, transformation = Dataset(), Dataset(), Dataset(), Dataset()
            frame_type.FrameType = ["DERIVED", "PRIMARY", "DIXON", IMAGE_TYPE[contrast]]
            frame_type.ComplexImageComponent = "MAGNITUDE"
            groups.MRImageFrameTypeSequence = Sequence([frame_type])
            position.ImagePositionPatient = list(slice_position_mm(station, k))
            groups.PlanePositionSequence = Sequence([position])
            transformation.RescaleSlope, transformation.RescaleIntercept = 2, -ORDER.index(contrast)
            groups.PixelValueTransformationSequence = Sequence([transformation])
            frames.append(groups)
            pixels.append(stored_pixels(contrast, station, k))
    header.PerFrameFunctionalGroupsSequence = Sequence(frames)
    header.NumberOfFrames = len(frames)
    header.PixelData = np.stack(pixels).tobytes()
    return header


def raw_decimal(keyword: str, text: str) -> RawDataElement:
    """A decimal string with arbitrary text, as a faulty exporter would write it."""
    value = text.encode()
    value += b" " * (len(value) % 2)
    return RawDataElement(Tag(keyword), "DS", len(value), value, 0, False, True)


def write(header: Dataset, path: Path) -> Path:
    header.save_as(path, enforce_file_format=True)
    return path


def _common(contrast: Contrast, number: int, sop_class: str, sop_uid: str) -> Dataset:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = sop_class, sop_uid
    header.ImageType = ["DERIVED", "PRIMARY", "M", "DIXON", IMAGE_TYPE[contrast]]
    header.Modality = "MR"
    header.PatientName, header.PatientID, header.PatientBirthDate = PATIENT_NAME, "ID-4711", "19600101"
    header.PatientSex, header.PatientSize, header.PatientWeight = "F", "1.63", "69"
    header.StudyInstanceUID, header.StudyDate, header.StudyTime = STUDY_UID, "20260301", "234000"
    header.StudyID, header.AccessionNumber, header.ReferringPhysicianName = "S1", "", "Doctor^Who"
    header.SeriesInstanceUID, header.SeriesNumber = f"{ROOT}.2.{number}", number
    header.SeriesDescription = f"Dixon_noBH_{SUFFIX[contrast]}"
    header.FrameOfReferenceUID = FRAME_OF_REFERENCE_UID
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.Rows, header.Columns = ROWS, COLUMNS
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    return header
