"""The one gate for header values that our outputs repeat: right, repaired, or left out with a flag.

What has passed it can be written into any DICOM object. Messages name
attributes, never their values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from operators.core.volume import QualityFlag
from operators.dicom_loader import header_values as values
from operators.dicom_loader.header_values import Repair

__all__ = ["ACQUISITION_KEYWORDS", "PATIENT_KEYWORDS", "Gate"]

#: Patient and General Study module attributes (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2) that derived objects repeat.
_PATIENT: Mapping[str, Repair] = {
    "PatientName": values.person_name,
    "PatientID": values.identifier,
    "IssuerOfPatientID": values.identifier,
    "PatientBirthDate": values.dicom_date,
    "PatientSex": values.sex,
    "PatientAge": values.age,
    "PatientSize": values.height,
    "PatientWeight": values.weight,
    "StudyDate": values.dicom_date,
    "StudyTime": values.dicom_time,
    "TimezoneOffsetFromUTC": values.utc_offset,
    "StudyID": values.short_identifier,
    "StudyDescription": values.text,
    "AccessionNumber": values.short_identifier,
    "ReferringPhysicianName": values.person_name,
    "QualityControlSubject": values.yes_or_no,
    "PatientIdentityRemoved": values.yes_or_no,
    "DeidentificationMethod": values.text,
    "LongitudinalTemporalInformationModified": values.dates_modified,
}

#: How a station was scanned, as far as an image derived from it must or may say so (PS3.3 C.7.3.1, C.7.5.1, C.8.3.1,
#: C.12.1). Enhanced MR keeps most of it in functional groups, which are not searched.
_ACQUISITION: Mapping[str, Repair] = {
    "ScanningSequence": values.code,
    "SequenceVariant": values.code,
    "ScanOptions": values.code,
    "MRAcquisitionType": values.code,
    "RepetitionTime": values.decimal,
    "EchoTime": values.decimal,
    "EchoTrainLength": values.integer,
    "FlipAngle": values.decimal,
    "MagneticFieldStrength": values.decimal,
    "BodyPartExamined": values.code,
    "PatientPosition": values.code,
    "Manufacturer": values.text,
    "ManufacturerModelName": values.text,
    "SyntheticData": values.yes_or_no,
    "LossyImageCompression": values.code,
}

PATIENT_KEYWORDS = (*_PATIENT, "StudyInstanceUID")
ACQUISITION_KEYWORDS = tuple(_ACQUISITION)
_ONE_VALUE = frozenset({
    "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID",
    "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
})  # fmt: skip
"""Of several different ones, none is used: each may be that of another person or another order."""
_SEVERAL_VALUES = frozenset({"ScanningSequence", "SequenceVariant", "ScanOptions", "DeidentificationMethod"})


class Gate:
    """Lets through what can be repeated, and remembers what it repaired, left out or replaced."""

    def __init__(self) -> None:
        self._repaired: dict[str, None] = {}
        self._left_out: dict[str, None] = {}
        self._replaced: dict[str, None] = {}

    def patient(self, said: Mapping[str, str]) -> dict[str, str]:
        """Attributes of patient and study in DICOM's form; what cannot be given so is absent."""
        return self._all(said, _PATIENT)

    def acquisition(self, said: Mapping[str, str]) -> dict[str, str]:
        """Attributes of an acquisition in DICOM's form; what cannot be given so is absent."""
        return self._all(said, _ACQUISITION)

    def description(self, said: str) -> str:
        """A series description of at most 64 characters."""
        return self._one("SeriesDescription", said, values.text) if said else ""

    def uid(self, keyword: str, said: str) -> str:
        """A UID as it is, or one derived from it; empty when there is none."""
        if not said or values.is_uid(said):
            return said
        from operators.core.dicom_objects import derived_uid  # needs highdicom, which takes its time

        self._replaced[keyword] = None
        return derived_uid("replaced", said)

    def flags(self) -> tuple[QualityFlag, ...]:
        """What became of values so far.

        ``header-value-repaired`` (info): attributes whose value was not
        written as DICOM asks, but can be read. ``header-value-left-out``
        (info): those whose value cannot, or may mean two things.
        ``identifier-replaced`` (warning): UIDs that are none; the outputs
        have derived ones, the same in every run.
        """
        found = []
        if self._repaired:
            found.append(
                QualityFlag(
                    "header-value-repaired",
                    "info",
                    f"{_listed(self._repaired)}: not written as DICOM asks; the outputs give it in DICOM's form.",
                )
            )
        if self._left_out:
            found.append(
                QualityFlag(
                    "header-value-left-out",
                    "info",
                    f"{_listed(self._left_out)}: a value that is no valid one and cannot be read in one way only; "
                    "the outputs leave it out.",
                )
            )
        if self._replaced:
            found.append(
                QualityFlag(
                    "identifier-replaced",
                    "warning",
                    f"{_listed(self._replaced)}: no valid UID; the outputs have a UID that is derived from it, "
                    "so they do not lie in the study of their source images.",
                )
            )
        return tuple(found)

    def _all(self, said: Mapping[str, str], repairs: Mapping[str, Repair]) -> dict[str, str]:
        passed = {}
        for keyword, repair in repairs.items():
            if (value := said.get(keyword, "")) and (right := self._one(keyword, value, repair)):
                passed[keyword] = right
        return passed

    def _one(self, keyword: str, said: str, repair: Callable[[str], str | None]) -> str:
        parts = said.split("\\")
        right = [one for part in parts if part.strip() and (one := repair(part))]
        if keyword in _ONE_VALUE and len(set(right)) > 1:
            right = []
        if keyword not in _SEVERAL_VALUES:
            right = right[:1]
        joined = "\\".join(right)
        if joined != said:
            (self._repaired if right else self._left_out)[keyword] = None
        return joined


def _listed(keywords: Mapping[str, None]) -> str:
    return ", ".join(keywords)
