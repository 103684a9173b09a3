"""Whether all images of a study are of one person, as far as their headers say who it is."""

from __future__ import annotations

from collections.abc import Sequence

from operators.core.errors import DicomError
from operators.dicom_loader.headers import ImageFile

__all__ = ["check_one_person"]

_BORN = ("PatientBirthDate", "PatientSex")
"""What does not change in a person. It decides where an identifier is missing; a typing error does not."""


def check_one_person(where: str, images: Sequence[ImageFile]) -> None:
    """Refuse a study in which images name different patients.

    An empty or missing value agrees with every other. Values are compared
    without case and surrounding spaces. The error names series by their
    numbers and no patient.

    Parameters
    ----------
    where : str
        Name of the input.
    images : sequence of ImageFile

    Raises
    ------
    DicomError
        For two values of PatientID; and, among images of which some have no
        PatientID, for two birth dates together with two sexes.
    """
    by_id = _series_by("PatientID", images)
    anonymous = any(not _value(image, "PatientID") for image in images)
    differing = [keyword for keyword in _BORN if len(_series_by(keyword, images)) > 1]
    if len(by_id) > 1:
        keyword, series = "PatientID", list(by_id.values())
    elif anonymous and len(differing) == len(_BORN):
        keyword, series = " and ".join(_BORN), list(_series_by(_BORN[0], images).values())
    else:
        return
    shown = "; ".join(f"series {', '.join(map(str, sorted(numbers)[:8]))}" for numbers in series[:3])
    raise DicomError(
        where,
        f"images of {len(series)} patients, told by {keyword} ({shown})",
        "one patient in a study",
        "Take out the series that belong to another person, and tell the archive: one study holds images of several.",
    )


def _series_by(keyword: str, images: Sequence[ImageFile]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for image in images:
        if value := _value(image, keyword):
            found.setdefault(value, set()).add(image.series_number)
    return found


def _value(image: ImageFile, keyword: str) -> str:
    return image.patient.get(keyword, "").strip().casefold()
