"""The parts that all DICOM objects that we write share: identifiers, patient and study, planes, dates."""

from operators.core.dicom_objects.dates import settle_dates
from operators.core.dicom_objects.identifiers import MANUFACTURER, derived_uid, software_version
from operators.core.dicom_objects.patient import (
    SYNTHETIC_STATEMENT,
    deidentification_codes,
    is_synthetic,
    patient_and_study,
    patient_of,
)
from operators.core.dicom_objects.planes import orientation, pixel_measures, plane_positions

__all__ = [
    "MANUFACTURER",
    "SYNTHETIC_STATEMENT",
    "deidentification_codes",
    "derived_uid",
    "is_synthetic",
    "orientation",
    "patient_and_study",
    "patient_of",
    "pixel_measures",
    "plane_positions",
    "settle_dates",
    "software_version",
]
