"""What all DICOM objects that we write have in common: identifiers, patient and study, planes, dates."""

from operators.core.dicom_objects.dates import settle_dates
from operators.core.dicom_objects.identifiers import MANUFACTURER, derived_uid, software_version
from operators.core.dicom_objects.patient import SYNTHETIC_STATEMENT, is_synthetic, patient_and_study
from operators.core.dicom_objects.planes import orientation, pixel_measures, plane_positions

__all__ = [
    "MANUFACTURER",
    "SYNTHETIC_STATEMENT",
    "derived_uid",
    "is_synthetic",
    "orientation",
    "patient_and_study",
    "pixel_measures",
    "plane_positions",
    "settle_dates",
    "software_version",
]
