"""The attributes of a derived MR image (PS3.3 A.4), with modules in the order of table A.4-1."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.sr.codedict import Code, codes
from pydicom.uid import MRImageStorage
from pydicom.valuerep import format_number_as_ds

from operators.core.contrast import FUSED_SERIES
from operators.core.dicom_objects import (
    MANUFACTURER,
    SYNTHETIC_STATEMENT,
    derived_uid,
    is_synthetic,
    orientation,
    patient_and_study,
    pixel_measures,
    software_version,
)
from operators.core.volume import Contrast, Grid, Station, Study
from operators.derived_series.stored_values import StoredValues

__all__ = ["series_header"]

_SERIES_NUMBER = {Contrast.WATER: 9011, Contrast.FAT: 9012, Contrast.IN: 9013, Contrast.OPPOSED: 9014}
_NAME = {Contrast.WATER: "water", Contrast.FAT: "fat", Contrast.IN: "in-phase", Contrast.OPPOSED: "opposed-phase"}
#: The third value says that it is not one of the special kinds of MR image. ``COMPOSED`` is Siemens's term for an image
#: of several stations, and tells the loader that it is not a station.
_IMAGE_TYPE = {
    Contrast.WATER: ["DERIVED", "SECONDARY", "OTHER", "WATER", "COMPOSED"],
    Contrast.FAT: ["DERIVED", "SECONDARY", "OTHER", "FAT", "COMPOSED"],
    Contrast.IN: ["DERIVED", "SECONDARY", "OTHER", "IN_PHASE", "COMPOSED"],
    Contrast.OPPOSED: ["DERIVED", "SECONDARY", "OTHER", "OPP_PHASE", "COMPOSED"],
}
#: Values of type 1 attributes that the source does not give: research mode, no variant (PS3.3 C.8.3.1).
_SEQUENCE_WHEN_UNKNOWN = {"ScanningSequence": "RM", "SequenceVariant": "NONE"}
_TYPE_2 = ("ScanOptions", "MRAcquisitionType", "EchoTime", "EchoTrainLength", "PatientPosition")
_NARROW_WINDOW = 10
_OPTIONAL = ("RepetitionTime", "FlipAngle", "MagneticFieldStrength")
#: Body parts (PS3.16 annex L) without left and right. Any other would need a value for Laterality.
_UNPAIRED = ("WHOLEBODY", "ABDOMEN", "ABDOMENPELVIS", "PELVIS")


def series_header(
    study: Study, stations: Sequence[Station], contrast: Contrast, grid: Grid, values: StoredValues, series_uid: str
) -> Dataset:
    """All attributes that the images of a derived series share.

    Acquisition attributes with the same value in all stations of the contrast
    are repeated. Those with different values are left out or empty.

    Parameters
    ----------
    study : Study
    stations : sequence of Station
        The stations of this contrast that were fused.
    contrast : Contrast
    grid : Grid
    values : StoredValues
    series_uid : str

    Raises
    ------
    GeometryError
        When the grid's axes are not at right angles.
    """
    header = patient_and_study(study)
    header.SOPClassUID = MRImageStorage
    _series_and_equipment(header, study, stations, contrast, series_uid)
    _image(header, contrast, grid, values)
    # What was lost once stays lost (PS3.3 C.7.6.1.1.5).
    lossy = any(station.acquisition.get("LossyImageCompression") == "01" for station in stations)
    header.LossyImageCompression = "01" if lossy else "00"
    _acquisition(header, stations)
    if is_synthetic(study):
        header.ImageComments = SYNTHETIC_STATEMENT
    return header


def _series_and_equipment(
    header: Dataset, study: Study, stations: Sequence[Station], contrast: Contrast, series_uid: str
) -> None:
    header.Modality = "MR"
    header.SeriesInstanceUID = series_uid
    header.SeriesNumber = _SERIES_NUMBER[contrast]
    header.SeriesDescription = f"{FUSED_SERIES} {_NAME[contrast]}"
    # `settle_dates` fills these.
    header.SeriesDate = header.SeriesTime = header.ContentDate = header.ContentTime = ""
    header.InstanceCreationDate = header.InstanceCreationTime = ""
    frames = sorted({station.frame_of_reference_uid for station in study.stations} - {""})
    header.FrameOfReferenceUID = frames[0] if frames else derived_uid("frame-of-reference", study.study_uid)
    header.PositionReferenceIndicator = ""
    header.Manufacturer = MANUFACTURER
    header.ManufacturerModelName = "SarcoMAP station fusion"
    header.SoftwareVersions = software_version()
    if maker := _agreed(stations, "Manufacturer"):
        scanner = Dataset()
        scanner.PurposeOfReferenceCodeSequence = [_coded(codes.DCM.AcquisitionEquipment)]
        scanner.Manufacturer = maker
        if model := _agreed(stations, "ManufacturerModelName"):
            scanner.ManufacturerModelName = model
        header.ContributingEquipmentSequence = [scanner]


def _image(header: Dataset, contrast: Contrast, grid: Grid, values: StoredValues) -> None:
    header.ImageType = _IMAGE_TYPE[contrast]
    header.AcquisitionNumber = None
    header.DerivationDescription = f"Stations fused onto one grid, {_NAME[contrast]}"
    header.DerivationCodeSequence = [_coded(codes.DCM.ImageStitching), _coded(codes.DCM.SpatialResampling)]
    header.ImageOrientationPatient = orientation(grid)[0].ImageOrientationPatient
    measures = pixel_measures(grid)[0]
    header.PixelSpacing = measures.PixelSpacing
    header.SliceThickness = measures.SliceThickness
    header.SpacingBetweenSlices = measures.SpacingBetweenSlices
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    _, header.Rows, header.Columns = grid.shape
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit = 15
    header.PixelRepresentation = 0
    header.WindowCenter, header.WindowWidth = (f"{value:g}" for value in values.window)
    if values.window[1] < _NARROW_WINDOW:
        header.VOILUTFunction = "LINEAR_EXACT"  # the usual function is one off, and has no window narrower than 1
    # The classic MR image has no Modality LUT module, but every reader looks for the scale in these attributes.
    header.RescaleIntercept, header.RescaleSlope = (
        format_number_as_ds(value) for value in (values.intercept, values.slope)
    )
    header.RescaleType = "US"


def _acquisition(header: Dataset, stations: Sequence[Station]) -> None:
    for keyword, unknown in _SEQUENCE_WHEN_UNKNOWN.items():
        setattr(header, keyword, _values(_agreed(stations, keyword)) or unknown)
    for keyword in _TYPE_2:
        setattr(header, keyword, _values(_agreed(stations, keyword)) or None)
    for keyword in _OPTIONAL:
        if value := _agreed(stations, keyword):
            setattr(header, keyword, value)
    if (body_part := _agreed(stations, "BodyPartExamined")) in _UNPAIRED:
        header.BodyPartExamined = body_part
    else:
        header.Laterality = ""  # both sides are in the image
    if "RepetitionTime" not in header:
        header.RepetitionTime = None


def _agreed(stations: Sequence[Station], keyword: str) -> str:
    said = {station.acquisition.get(keyword, "") for station in stations}
    return said.pop() if len(said) == 1 else ""


def _values(text: str) -> str | list[str]:
    return text.split("\\") if "\\" in text else text


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
