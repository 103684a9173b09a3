"""Patient and study modules, which every object of a study repeats."""

from __future__ import annotations

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes

from operators.core.volume import Study

__all__ = ["SYNTHETIC_STATEMENT", "deidentification_codes", "is_synthetic", "patient_and_study", "patient_of"]

SYNTHETIC_STATEMENT = "Made from synthetic images; not a patient"

#: Type 2: present even when empty.
_ALWAYS = (
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
_WHEN_KNOWN = (
    "IssuerOfPatientID",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyDescription",
    "QualityControlSubject",
    "TimezoneOffsetFromUTC",
    "LongitudinalTemporalInformationModified",
)
_SEXES = ("M", "F", "O", "")
#: The codes of PS3.16 CID 7050 that `operators.core.deidentification` applies.
_CONFIDENTIALITY = {
    code.value: code
    for code in (codes.DCM.BasicApplicationConfidentialityProfile, codes.DCM.RetainPatientCharacteristicsOption)
}


def patient_and_study(study: Study) -> Dataset:
    """The Patient, General Study and Patient Study modules (PS3.3 C.7.1.1, C.7.2) of a study.

    They also say whether and how the identity was removed, and that the images
    are synthetic if their source says so.

    Parameters
    ----------
    study : Study

    Returns
    -------
    Dataset
        Its text is UTF-8, because `Study.patient` holds decoded text.
    """
    known = study.patient
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _ALWAYS:
        setattr(dataset, keyword, str(known.get(keyword) or ""))
    if dataset.PatientSex not in _SEXES:
        dataset.PatientSex = ""
    for keyword in _WHEN_KNOWN:
        if known.get(keyword):
            setattr(dataset, keyword, known[keyword])
    dataset.StudyInstanceUID = study.study_uid
    if known.get("PatientIdentityRemoved") in ("YES", "NO"):
        dataset.PatientIdentityRemoved = known["PatientIdentityRemoved"]
    if known.get("PatientIdentityRemoved") == "YES":
        # Required once the identity was removed. The source may have given codes only, which are not read.
        method = known.get("DeidentificationMethod") or "Before SarcoMAP"
        dataset.DeidentificationMethod = method.split("\\")
    if study.deidentified:
        dataset.DeidentificationMethodCodeSequence = [
            CodedConcept.from_code(_CONFIDENTIALITY[value]) for value in study.deidentified
        ]
        dataset.LongitudinalTemporalInformationModified = "REMOVED"
    if is_synthetic(study):
        dataset.SyntheticData = "YES"
        dataset.PatientComments = SYNTHETIC_STATEMENT
    return dataset


def patient_of(header: Dataset) -> dict[str, str]:
    """Read back what `patient_and_study` wrote, in the form of `Study.patient`.

    Parameters
    ----------
    header : Dataset
        The header of an object that we wrote.

    Returns
    -------
    dict of str to str
        Attributes that have a value, by DICOM keyword; several values are joined by a backslash.
    """
    found = {}
    for keyword in (*_ALWAYS, *_WHEN_KNOWN, "PatientIdentityRemoved", "DeidentificationMethod", "SyntheticData"):
        value = header.get(keyword)
        text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "")
        if text:
            found[keyword] = text
    return found


def deidentification_codes(header: Dataset) -> tuple[str, ...]:
    """The de-identification codes of an object that we wrote, in the form of `Study.deidentified`."""
    return tuple(str(item.CodeValue) for item in header.get("DeidentificationMethodCodeSequence", ()))


def is_synthetic(study: Study) -> bool:
    """Whether the images are synthetic (Synthetic Data (0008,001C), PS3.3 C.12.1).

    One station that says so is enough, or a derived image whose header was read back.
    """
    said = (study.patient, *(station.acquisition for station in study.stations))
    return any(attributes.get("SyntheticData") == "YES" for attributes in said)
