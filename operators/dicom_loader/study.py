"""`load_study`, the first stage: from files to stations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation

from operators.core.deidentification import deidentify
from operators.core.errors import GeometryError
from operators.core.options import Deidentification
from operators.core.quiet_dicom import dicom_is_quiet
from operators.core.standing_height import height_of
from operators.core.study_key import study_key
from operators.core.volume import QualityFlag, Study
from operators.dicom_loader.decoding import Select, decode_stacks
from operators.dicom_loader.families import Family, chosen_family, families_of, family_flags, regrouped
from operators.dicom_loader.image_file import ImageFile
from operators.dicom_loader.image_kinds import one_kind
from operators.dicom_loader.one_person import check_one_person
from operators.dicom_loader.progress import Progress, Ticker
from operators.dicom_loader.repeated_values import Gate
from operators.dicom_loader.source import DEFAULT_LIMITS, ArchiveLimits, Source, open_source
from operators.dicom_loader.stacks import (
    Stack,
    check_all_contrasts,
    check_one_frame_of_reference,
    lacks_a_contrast,
    top_down,
    untold_stacks,
)
from operators.dicom_loader.study_flags import study_flags
from operators.dicom_loader.study_headers import (
    StudyHeaders,
    check_whole_objects,
    images_of_study,
    no_dixon,
    read_headers,
)

if TYPE_CHECKING:
    from operators.dicom_loader.contrast_from_images import Told

__all__ = ["load_study"]

#: UK Biobank names a bulk file <eid>_<field>_<instance>_<array>; field 20201 is Dixon MRI, and the instance the visit.
_UK_BIOBANK_NAME = re.compile(r"^(\d+)_20201_(?:(\d+)(?![^_.]))?")
_REMOVED = "PatientIdentityRemoved"
_SAME_HEIGHT_M = 0.0101  # heights are rounded to a centimetre


def load_study(
    path: Path,
    *,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    allow_missing_slices: bool = False,
    one_frame_of_reference: bool = False,
    study_uid: str | None = None,
    select: Select | None = None,
    deidentification: Deidentification | None = None,
) -> Study:
    """Read one Dixon study: every station of every contrast, with its position in the patient.

    Headers are read first, without pixels. Then geometry and completeness are
    checked, and only then are pixels decoded. A zip is read without unpacking it.

    Parameters
    ----------
    path : Path
        A zip archive (UK Biobank field 20201) or a folder, searched recursively.
    limits : ArchiveLimits
        Limits on the size of an archive.
    progress : callable, optional
        Called as ``progress(done, total)``; at the end ``done == total``.
    allow_missing_slices : bool
        Interpolate one or two missing slices in a row linearly between their
        neighbours and flag the station ``missing-slice`` (warning), instead of
        refusing the study.
    one_frame_of_reference : bool
        Take series that name different frames of reference for series of one, and
        flag the study ``frames-of-reference-joined`` (warning).
    study_uid : str, optional
        Of several studies, the one to read: its UID, or its `study_key`.
    select : callable, optional
        Takes all stations before their pixels are decoded and returns those
        that will be needed, for example with `station_fusion.stations_to_fuse`.
        The others remain in the study with only their headers, and are not
        `Station.decoded`. By default all stations are decoded.
    deidentification : Deidentification, optional
        De-identify the study, so that no later stage sees the patient's identity; see `deidentify`.

    Returns
    -------
    Study

    Raises
    ------
    ArchiveError
        For a zip that is damaged, encrypted, unsafe or beyond the limits.
    DicomError
        For a damaged DICOM file, no Dixon series, a contrast missing at a table
        position, or several studies.
    GeometryError
        For images that do not form a volume, or stations in different frames of reference.
    InputError
        For a path that cannot be read or holds no DICOM file.
    """
    path = Path(path)
    gate = Gate()
    # Values are checked here, where they matter; pydicom's own warnings would quote them, names of patients included.
    with dicom_is_quiet(), open_source(path, limits) as source, disable_value_validation():
        members = source.members()
        tick = Ticker(progress, len(members))
        headers = read_headers(source, members, tick)
        images = images_of_study(source, headers, members, study_uid)
        family, families = _families(source, headers, images, allow_missing_slices)
        told = _told_by_images(source, headers, family.stacks if family else (), limits)
        if told:
            named = family.stacks if family else ()
            others = [one for one in families if one is not family]
            families = [*regrouped([*named, *(stack for found in told for stack in found.stacks)]), *others]
            family = chosen_family(families)
        if family is None:
            raise no_dixon(source, headers)
        stacks, kind_flags = one_kind(top_down(family.stacks))
        _check_others(headers, family)
        check_whole_objects(source.name, headers, family.series)
        stating = sorted(images, key=lambda image: image.study_uid) or [stacks[0].files[0]]
        # Also of the families that are left out: whose they are tells whose study it is.
        spellings = check_one_person(source.name, [*images, *(file for stack in stacks for file in stack.files)])
        frames = check_one_frame_of_reference(source.name, stacks, joined=one_frame_of_reference)
        check_all_contrasts(source.name, stacks)
        stations, encoding = decode_stacks(source, stacks, limits, tick, select, gate)
        if len(frames) > 1:
            frame = next(s.frame_of_reference_uid for s in stations if s.frame_of_reference_uid)
            stations = tuple(replace(station, frame_of_reference_uid=frame) for station in stations)
    uid = gate.uid("StudyInstanceUID", stating[0].study_uid)
    patient = {**gate.patient(_said_together([image.patient for image in stating])), "StudyInstanceUID": uid}
    heights = _heights_m([*(image.patient for image in stating), patient])
    if unsure := _heights_differ(heights):
        patient.pop("PatientSize", None)
    study = Study(
        stations=stations,
        study_uid=uid,
        pseudonym=_pseudonym(path, uid),
        visit=_visit(path),
        height_m=None if unsure else next(iter(heights), None),
        patient=patient,
        flags=(
            *study_flags(stacks, headers, frames),
            *family_flags(family, families),
            *(found.flag for found in told),
            *kind_flags,
            *spellings,
            *unsure,
            *encoding,
            *gate.flags(),
        ),
    )
    return study if deidentification is None else deidentify(study, deidentification)


def _families(
    source: Source, headers: StudyHeaders, images: Sequence[ImageFile], allow_missing_slices: bool
) -> tuple[Family | None, list[Family]]:
    """The family to use and all of them; images without a place are passed over where nothing is missing without
    them."""
    families = families_of(source.name, images, allow_missing_slices=allow_missing_slices)
    try:
        chosen = chosen_family(families)
    except GeometryError:
        if headers.unplaced:
            raise headers.unplaced[0] from None
        raise
    series = {image.series_uid for image in images}
    lost = Counter(error.series_uid for error in headers.unplaced)
    slices = min((len(stack.files) for stack in chosen.stacks), default=0) if chosen is not None else 0
    for error in headers.unplaced:
        # A screenshot or two are no station. Whole series that do not say where they lie may be one.
        if error.series_uid not in series and 2 * lost[error.series_uid] > slices:
            raise error
    return chosen, families


def _check_others(headers: StudyHeaders, family: Family) -> None:
    """Raise the error of a composed or colour image that cannot be read, if its series is used."""
    for other in headers.others:
        matters = other.kind != "composed" or family.made_of != "scan"
        if other.error is not None and matters and other.series_uid in family.series:
            raise other.error


def _told_by_images(
    source: Source, headers: StudyHeaders, stacks: Sequence[Stack], limits: ArchiveLimits
) -> list[Told]:
    """Contrasts that no header says, looked for only where the study lacks some."""
    images = {i.sop_instance_uid: i for other in headers.others if (i := other.untold) is not None}
    uids = {stack.files[0].study_uid for stack in stacks} or {image.study_uid for image in images.values()}
    if not images or len(uids) > 1 or not lacks_a_contrast(stacks):
        return []

    from operators.dicom_loader.contrast_from_images import told_by_images  # needs SciPy, and is rarely needed

    def decode(some: Sequence[Stack]) -> list[NDArray[np.float32]]:
        silent = Ticker(None, sum(len(stack.files) for stack in some))
        return [station.voxels for station in decode_stacks(source, some, limits, silent, None, Gate())[0]]

    untold = untold_stacks([image for image in images.values() if image.study_uid in uids])
    return told_by_images(untold, stacks, decode)


def _pseudonym(path: Path, study_uid: str) -> str:
    named = _UK_BIOBANK_NAME.match(path.resolve().name)
    return named[1] if named else study_key(study_uid)


def _visit(path: Path) -> str | None:
    named = _UK_BIOBANK_NAME.match(path.resolve().name)
    return named[2] if named else None


def _said_together(patients: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Of each attribute the first value: gateways and anonymisers leave some empty in some images of a study.

    Images whose identity was removed are not completed from others, nor others from them.
    """
    said = dict(patients[0])
    for patient in patients[1:]:
        if patient.get(_REMOVED) == patients[0].get(_REMOVED):
            said = {**patient, **said} if patient.keys() - said.keys() else said
    return said


def _heights_m(patients: Iterable[Mapping[str, str]]) -> list[float]:
    """The plausible heights (PatientSize, 0010,1020) that are stated: not every image of a study has one."""
    stated = {patient.get("PatientSize", ""): patient for patient in patients}
    return [height for patient in stated.values() if (height := height_of(patient)) is not None]


def _heights_differ(heights: Sequence[float]) -> tuple[QualityFlag, ...]:
    if not heights or max(heights) - min(heights) <= _SAME_HEIGHT_M:
        return ()
    message = (
        f"PatientSize differs between images by {100 * (max(heights) - min(heights)):.0f} cm. None of the heights was "
        "used; give the right one with --height-cm."
    )
    return (QualityFlag("heights-differ", "warning", message),)
