"""Convert series to DICOM files: MR Image Storage, one object per slice (PS3.3 A.4)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.config import IGNORE, disable_value_validation
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, MRImageStorage
from pydicom.valuerep import DSfloat

from operators.core.volume import Contrast
from phantom.composing import composed_image_type
from phantom.dicom_series import Damage, Patient, Series, deterministic_uid
from phantom.dixon_signal import ECHO_TIME_IN_MS, ECHO_TIME_OPPOSED_MS
from phantom.planes import image_orientation

__all__ = ["SYNTHETIC_STATEMENT", "DicomFile", "Dress", "decimal", "dicom_files", "series_header"]

Dress = Callable[[Dataset, Series, int], None]
"""Changes the header of one slice as a vendor writes it: header, its series, number of the slice from below."""

SYNTHETIC_STATEMENT = "Synthetic SarcoMAP phantom; not a patient"
_IMPLEMENTATION_UID = deterministic_uid("implementation")
_LOSSLESS = JPEGLosslessSV1  # JPEG lossless, process 14, selection value 1, as in the archive

_IMAGE_TYPE = {
    Contrast.OPPOSED: ["ORIGINAL", "PRIMARY", "DIXON", "OPP_PHASE"],
    Contrast.IN: ["ORIGINAL", "PRIMARY", "DIXON", "IN_PHASE"],
    Contrast.FAT: ["DERIVED", "PRIMARY", "DIXON", "FAT"],
    Contrast.WATER: ["DERIVED", "PRIMARY", "DIXON", "WATER"],
}
_PREAMBLE_BYTES = 132
_DISPLAY_WINDOW = (250, 500)  # centre and width


@dataclass(frozen=True)
class DicomFile:
    """One file of the study.

    Attributes
    ----------
    folder : str
        Folder of the series, for a study written as folders.
    name : str
        File name inside it.
    series : Series
    sop_instance_uid : str
    contents : bytes
    """

    folder: str
    name: str
    series: Series
    sop_instance_uid: str
    contents: bytes


def dicom_files(
    series: Series, patient: Patient, *, compress: bool = False, dress: Dress | None = None
) -> Iterator[DicomFile]:
    """Make the files of one series, in the order of their names.

    Parameters
    ----------
    series : Series
    patient : Patient
    compress : bool
        JPEG lossless (1.2.840.10008.1.2.4.70), as in the archive. Otherwise Explicit VR Little Endian.
    dress : callable, optional
        Changes each header before it is written.

    Yields
    ------
    DicomFile
    """
    header = series_header(series, patient)
    syntax, encode = _STREAMS[series.stream or ("jpeg" if compress else "")]
    header.file_meta.TransferSyntaxUID = syntax
    acquisition_seconds = 17.0
    for place, k in enumerate(np.argsort(series.file_numbers), start=1 + series.files_before):
        before = (series.files_before,) if series.files_before else ()
        uid = deterministic_uid(series.uid, series.slice_z_mm[k], *before)
        header.file_meta.MediaStorageSOPInstanceUID = uid
        header.SOPInstanceUID = uid
        header.InstanceNumber = series.instance_numbers[k]
        header.ImagePositionPatient = [decimal(mm) for mm in series.position_mm(k)]
        header.SliceLocation = decimal(series.slice_z_mm[k])
        written = series.acquired + timedelta(seconds=acquisition_seconds, milliseconds=10 * int(k))
        header.ContentTime = written.strftime("%H%M%S.%f")
        pixels = np.ascontiguousarray(series.voxels[k])
        header.SmallestImagePixelValue, header.LargestImagePixelValue = int(pixels.min()), int(pixels.max())
        if dress is not None:
            dress(header, series, int(k))
        _change(header, series.header)
        if encode is not None:
            header.PixelData = encapsulate([encode(pixels)])
            header["PixelData"].is_undefined_length = True
        else:
            header.PixelData = pixels.astype("<u2").tobytes()
        buffer = io.BytesIO()
        with disable_value_validation():  # a fault may write what no header should hold
            dcmwrite(buffer, header, enforce_file_format=True)
        contents = buffer.getvalue()[0 if series.preamble else _PREAMBLE_BYTES :]
        yield DicomFile(
            folder=f"{series.number:03d}_{series.description}",
            name=f"{place:04d}.dcm",
            series=series,
            sop_instance_uid=uid,
            contents=_damaged(contents, series.damage.get(int(k))),
        )


def _change(header: Dataset, attributes: Mapping[str, object]) -> None:
    """Write attributes as they are, right or wrong for their value representation."""
    for keyword, value in attributes.items():
        tag = Tag(keyword)
        if not isinstance(value, str):
            setattr(header, keyword, value)
            continue
        text = value.encode() + b" " * (len(value) % 2)
        header[tag] = RawDataElement(tag, dictionary_VR(tag), len(text), text, 0, False, True)


def series_header(series: Series, patient: Patient) -> Dataset:
    """Attributes that the slices of a series share, with modules in the order of PS3.3 table A.4-1."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = MRImageStorage
    header.file_meta.ImplementationClassUID = _IMPLEMENTATION_UID
    header.file_meta.ImplementationVersionName = "SARCOMAP_PHANTOM"
    _patient_and_study(header, series, patient)
    _series_and_equipment(header, series)
    _mr_image(header, series)
    return header


def _patient_and_study(header: Dataset, series: Series, patient: Patient) -> None:
    header.PatientName = "SYNTHETIC^PHANTOM"
    header.PatientID = patient.eid
    header.PatientBirthDate = ""
    header.PatientSex = patient.sex
    header.PatientAge = f"{int(patient.age_years):03d}Y"
    header.PatientSize = decimal(round(patient.height_cm / 100, 4))
    header.PatientWeight = decimal(round(patient.weight_kg, 2))
    header.QualityControlSubject = "YES"
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = "Never identified: computed, no person was scanned"
    header.PatientComments = SYNTHETIC_STATEMENT
    with disable_value_validation():
        header.StudyInstanceUID = series.study_uid
    header.StudyDate = f"{series.acquired:%Y%m%d}"
    header.StudyTime = "090000"
    header.StudyID = "1"
    header.StudyDescription = "Synthetic neck-to-knee Dixon"
    header.AccessionNumber = ""
    header.ReferringPhysicianName = ""


def _series_and_equipment(header: Dataset, series: Series) -> None:
    header.Modality = "MR"
    header.SeriesInstanceUID = series.uid
    header.SeriesNumber = series.number
    header.SeriesDescription = series.description
    header.ProtocolName = series.stem
    header.SeriesDate = f"{series.acquired:%Y%m%d}"
    header.SeriesTime = series.acquired.strftime("%H%M%S.%f")
    header.PatientPosition = "HFS"
    header.FrameOfReferenceUID = series.frame_of_reference_uid
    header.PositionReferenceIndicator = ""
    header.Manufacturer = "SarcoMAP phantom"
    header.ManufacturerModelName = "Synthetic two-point Dixon"
    header.SoftwareVersions = "phantom 1"


def _mr_image(header: Dataset, series: Series) -> None:
    rows, columns = series.voxels.shape[1:]
    header.SOPClassUID = MRImageStorage
    header.SpecificCharacterSet = "ISO_IR 100"
    header.SyntheticData = "YES"
    header.ImageType = composed_image_type(_IMAGE_TYPE[series.contrast], series.made_of)
    header.ImageComments = SYNTHETIC_STATEMENT
    header.AcquisitionNumber = 1
    header.AcquisitionDate = header.ContentDate = f"{series.acquired:%Y%m%d}"
    header.AcquisitionTime = series.acquired.strftime("%H%M%S.%f")
    header.BurnedInAnnotation = "NO"
    header.LossyImageCompression = "00"
    # Not validated: a fault may put an invalid decimal string here.
    header.PixelSpacing = [DSfloat(text, validation_mode=IGNORE) for text in series.pixel_spacing]
    header.ImageOrientationPatient = image_orientation(series.plane)
    header.SliceThickness = decimal(series.slice_mm)
    header.SpacingBetweenSlices = decimal(series.slice_mm)
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.Rows, header.Columns = rows, columns
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.WindowCenter, header.WindowWidth = _DISPLAY_WINDOW
    header.ScanningSequence = "GR"
    header.SequenceVariant = ["SP", "OSP"]
    header.ScanOptions = ""
    header.SequenceName = "*fl3d2"
    header.MRAcquisitionType = "3D"
    header.AngioFlag = "N"
    header.RepetitionTime = "6.53"
    # Water and fat images have the echo time of the in-phase image, because they sum to it.
    opposed = series.contrast is Contrast.OPPOSED
    header.EchoTime = decimal(ECHO_TIME_OPPOSED_MS if opposed else ECHO_TIME_IN_MS)
    header.EchoNumbers = 1 if opposed else 2
    header.EchoTrainLength = 2
    header.FlipAngle = "10"
    header.MagneticFieldStrength = "1.5"
    header.ImagingFrequency = "63.68"
    header.ImagedNucleus = "1H"
    header.NumberOfAverages = "1"
    header.PixelBandwidth = "1110"
    header.InPlanePhaseEncodingDirection = "COL"
    header.AcquisitionMatrix = [0, columns, rows, 0]
    header.BodyPartExamined = "WHOLEBODY"


def decimal(value: float) -> DSfloat:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    return DSfloat(round(value, 6), auto_format=True)


def _jpeg_lossless(pixels: NDArray[np.uint16]) -> bytes:
    """One slice as a JPEG lossless stream (process 14, selection value 1)."""
    return bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=12))


def _jpeg_lossless_padded(pixels: NDArray[np.uint16]) -> bytes:
    """The same with fill bytes after the end of the image, as some archives write it."""
    return _jpeg_lossless(pixels) + b"\xff\xff\x00\x00"


def _jp2(pixels: NDArray[np.uint16]) -> bytes:
    """One slice as JPEG 2000 in a JP2 file, of which DICOM allows the codestream alone (PS3.5 A.4.4)."""
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="JP2", reversible=True, bitspersample=12))


_STREAMS: Mapping[str, tuple[UID, Callable[[NDArray[np.uint16]], bytes] | None]] = {
    "": (ExplicitVRLittleEndian, None),
    "jpeg": (_LOSSLESS, _jpeg_lossless),
    "padded-jpeg": (_LOSSLESS, _jpeg_lossless_padded),
    "jp2": (JPEG2000Lossless, _jp2),
}
"""Transfer syntax and encoder of a slice."""


def _damaged(contents: bytes, damage: Damage | None) -> bytes:
    match damage:
        case Damage.TRUNCATED:
            return contents[: len(contents) // 2]
        case Damage.EMPTY:
            return b""
        case None:
            return contents
