"""Whether all images of a study are of one person, as far as their headers say who it is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from operators.core.errors import DicomError
from operators.core.volume import QualityFlag
from operators.dicom_loader.image_file import ImageFile

__all__ = ["check_one_person"]

_ID, _NAME, _BORN, _SEX = _WHO = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
_TRAITS = (_BORN, _NAME, _SEX)
"""What does not change in a person. A typing error changes one of them, another person differs in several."""

Identity = tuple[str, ...]


def check_one_person(where: str, images: Sequence[ImageFile]) -> tuple[QualityFlag, ...]:
    """Refuse a study in which images name different patients.

    An empty or missing value agrees with every other. Values are compared
    without case and surrounding spaces. The error names series by their
    numbers and no patient.

    Parameters
    ----------
    where : str
        Name of the input.
    images : sequence of ImageFile

    Returns
    -------
    tuple of QualityFlag
        ``patient-id-spellings`` (warning) where one PatientID is spelt in several ways: with and without leading
        zeros, spaces or hyphens. ``patient-details-differ`` (warning) where one of birth date, name and sex differs.

    Raises
    ------
    DicomError
        For two values of PatientID that are no spellings of one, for images that differ in two of birth date,
        name and sex, and for images that differ in one of them when nothing else says whose they are.
    """
    series: dict[Identity, set[int]] = defaultdict(set)
    for image in images:
        get = image.patient.get
        series[get(_ID, ""), get(_NAME, ""), get(_BORN, ""), get(_SEX, "")].add(image.series_number)
    who = {tuple(value.strip().casefold() for value in values): numbers for values, numbers in series.items()}
    spellings = _by(_WHO.index(_ID), who)
    ids = _by(_WHO.index(_ID), who, _bare)
    found = {trait: _by(_WHO.index(trait), who, _words if trait == _NAME else str) for trait in _TRAITS}
    found[_NAME] = _apart(found[_NAME])
    differing = [trait for trait in _TRAITS if len(found[trait]) > 1]
    if len(ids) > 1 or (len(spellings) > 1 and differing):
        _refuse(where, _ID, (spellings if len(ids) == 1 else ids).values())
    named_by = [trait for trait in (_BORN, _NAME) if found[trait] and trait not in differing]
    if len(differing) > 1 or (differing and not ids and not named_by):
        _refuse(where, " and ".join(differing), found[differing[0]].values())
    flags = []
    if len(spellings) > 1:
        message = (
            "PatientID is spelt in several ways (leading zeros, spaces or hyphens); name, birth date and sex do not "
            "contradict each other, so the images were taken for those of one person."
        )
        flags.append(QualityFlag("patient-id-spellings", "warning", message))
    if differing:
        shown = _shown(list(found[differing[0]].values()))
        message = (
            f"{differing[0]} differs between images ({shown}) and nothing else that tells people apart does, so they "
            "were taken for those of one person; check that they are."
        )
        flags.append(QualityFlag("patient-details-differ", "warning", message))
    return tuple(flags)


def _refuse(where: str, keyword: str, series: Iterable[set[int]]) -> None:
    every = list(series)
    raise DicomError(
        where,
        f"images of {len(every)} patients, told by {keyword} ({_shown(every)})",
        "one patient in a study",
        "Take out the series that belong to another person, and tell the archive: one study holds images of several.",
    )


def _shown(every: Sequence[set[int]]) -> str:
    return "; ".join(f"series {', '.join(map(str, sorted(numbers)[:8]))}" for numbers in every[:3])


def _by(number: int, who: Mapping[Identity, set[int]], same: Callable[[str], str] = str) -> dict[str, set[int]]:
    """Series by one value of those who are named, as far as it is given."""
    found: dict[str, set[int]] = {}
    for values, numbers in who.items():
        if values[number]:
            found[same(values[number])] = found.get(same(values[number]), set()) | numbers
    return found


def _bare(identifier: str) -> str:
    """An identifier as systems pass it on: some drop or add leading zeros, spaces and hyphens."""
    return re.sub(r"[\s._/-]", "", identifier).lstrip("0") or identifier


def _words(name: str) -> str:
    """The parts of a name in a fixed order, since systems write them in different orders."""
    return " ".join(sorted(re.findall(r"\w+", name)))


def _apart(names: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Names of which none is a part of another, as a name without its second given name is."""
    parts = {name: set(name.split()) for name in names}
    return {name: numbers for name, numbers in names.items() if not any(parts[name] < parts[other] for other in names)}
