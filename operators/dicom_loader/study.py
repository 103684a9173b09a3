"""`load_study`, the first stage: from files to stations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation

from operators.core.deidentification import deidentify
from operators.core.errors import DicomError, InputError
from operators.core.options import Deidentification
from operators.core.standing_height import height_of
from operators.core.study_key import study_key
from operators.core.volume import QualityFlag, Station, Study
from operators.dicom_loader.geometry import z_range_mm
from operators.dicom_loader.headers import ImageFile, OtherFile, header_reader, read_header
from operators.dicom_loader.one_person import check_one_person
from operators.dicom_loader.pixels import Target, check_transfer_syntaxes, decode_into
from operators.dicom_loader.source import DEFAULT_LIMITS, ArchiveLimits, Source, open_source
from operators.dicom_loader.stacks import (
    Stack,
    check_all_contrasts,
    check_one_frame_of_reference,
    stacks_of,
    table_positions,
)

__all__ = ["load_study"]

Progress = Callable[[int, int], None]
Select = Callable[[Sequence[Station]], Sequence[Station]]

#: UK Biobank names a bulk file <eid>_<field>_<instance>_<array>; field 20201 is Dixon MRI.
_UK_BIOBANK_NAME = re.compile(r"^(\d+)_20201_")


def load_study(
    path: Path,
    *,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    allow_missing_slices: bool = False,
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
    # We check the values that we use. pydicom's own warnings would quote values, including names of patients.
    with open_source(path, limits) as source, disable_value_validation():
        members = source.members()
        tick = _Ticker(progress, len(members))
        images, others = _read_headers(source, members, tick)
        _check_one_study(source, images, others, len(members))
        stacks = stacks_of(source.name, images, allow_missing_slices=allow_missing_slices)
        check_one_person(source.name, images)
        check_one_frame_of_reference(source.name, stacks)
        check_all_contrasts(source.name, stacks)
        stations = _decode(source, stacks, limits, tick, select)
    first = images[0]
    study = Study(
        stations=stations,
        study_uid=first.study_uid,
        pseudonym=_pseudonym(path, first.study_uid),
        height_m=_height_m(image.patient for image in images),
        patient=dict(first.patient),
        flags=_flags(stacks, others),
    )
    return study if deidentification is None else deidentify(study, deidentification)


class _Ticker:
    """Counts every file in both passes. A file that the second pass does not need is counted as done."""

    def __init__(self, progress: Progress | None, files: int) -> None:
        self.files = files
        self._progress, self._done, self._total = progress, 0, 2 * files

    def finish(self) -> None:
        """Count what no pass needed as done."""
        self(self._total - self._done)

    def __call__(self, count: int = 1) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)


def _read_headers(source: Source, members: Sequence[str], tick: _Ticker) -> tuple[list[ImageFile], list[OtherFile]]:
    images: list[ImageFile] = []
    others: list[OtherFile] = []
    holders: dict[str, str] = {}
    reader = header_reader()
    for member in members:
        header = read_header(source, member, reader)
        if isinstance(header, ImageFile):
            if header.sop_instance_uid in holders:
                raise DicomError(
                    f"{source.name}, file {member}",
                    f"the same SOP Instance UID as {holders[header.sop_instance_uid]}",
                    "each image once",
                    "Remove one of the two files.",
                )
            holders[header.sop_instance_uid] = member
            images.append(header)
        elif header is not None:
            others.append(header)
        tick()
    return images, others


def _check_one_study(source: Source, images: list[ImageFile], others: list[OtherFile], members: int) -> None:
    if not images and not others:
        found = "no file" if members == 0 else f"no DICOM file among {members} file{'s' if members > 1 else ''}"
        raise InputError(
            source.name,
            found,
            "the DICOM files of one Dixon study",
            "Check the path; archives inside it are not opened.",
        )
    if not images:
        series = len({other.series_uid for other in others})
        raise DicomError(
            source.name,
            f"{series} series, none of them a Dixon magnitude contrast",
            "in-phase, opposed-phase, water and fat images, identified by ImageType or by a description ending in "
            "_in, _opp, _W or _F",
            "Check that this is the Dixon acquisition.",
        )
    studies = len({image.study_uid for image in images})
    if studies > 1:
        raise DicomError(
            source.name, f"Dixon images of {studies} studies", "one study", "Put each study in its own folder."
        )


def _decode(
    source: Source, stacks: Sequence[Stack], limits: ArchiveLimits, tick: _Ticker, select: Select | None
) -> tuple[Station, ...]:
    needed = sum(4 * int(np.prod(stack.grid.shape, dtype=np.int64)) for stack in stacks)
    if needed > limits.max_total_bytes:
        raise DicomError(
            source.name,
            f"headers that state {needed} bytes of voxels",
            f"at most {limits.max_total_bytes} bytes",
            "Check where the study comes from; if it is right, raise the limit.",
        )
    check_transfer_syntaxes([file for stack in stacks for file in stack.files], source.name)
    stations = [_undecoded(stack) for stack in stacks]
    files: set[str] = set()
    # What is needed may show only once some stations are decoded, so it is asked until nothing new is named.
    while True:
        named = {id(station) for station in (stations if select is None else select(stations))}
        wanted = [n for n, station in enumerate(stations) if id(station) in named and not station.decoded]
        if not wanted:
            break
        work: dict[str, tuple[ImageFile, list[Target]]] = {}
        volumes = {n: np.empty(stacks[n].grid.shape, dtype=np.float32) for n in wanted}
        for n, voxels in volumes.items():
            stack = stacks[n]
            for file, frame, place in zip(stack.files, stack.frames, stack.places, strict=True):
                work.setdefault(file.file, (file, []))[1].append(Target(frame, voxels, place))
        again = len(work.keys() & files)
        files |= work.keys()
        decode_into(source, list(work.values()), tick if not again else _silent)
        for n, voxels in volumes.items():
            _interpolate_missing(stacks[n], voxels)
            stations[n] = replace(stations[n], voxels=voxels, decoded=True)
    tick.finish()
    return tuple(stations)


def _silent() -> None:
    """No progress, for files that were counted before."""


def _interpolate_missing(stack: Stack, voxels: NDArray[np.float32]) -> None:
    """Interpolate missing slices linearly between their neighbours. The first and last slice are never missing."""
    for k in stack.missing:
        below = max(place for place in stack.places if place < k)
        above = min(place for place in stack.places if place > k)
        weight = np.float32((k - below) / (above - below))
        voxels[k] = (1 - weight) * voxels[below] + weight * voxels[above]


def _undecoded(stack: Stack) -> Station:
    lowest = stack.files[0]
    return Station(
        contrast=stack.contrast,
        voxels=np.broadcast_to(np.float32(np.nan), stack.grid.shape),
        grid=stack.grid,
        acquired=lowest.acquired,
        series_uid=lowest.series_uid,
        frame_of_reference_uid=lowest.frame_of_reference_uid,
        series_number=lowest.series_number,
        series_description=lowest.series_description,
        sop_instance_uids=tuple(dict.fromkeys(file.sop_instance_uid for file in stack.files)),
        sop_class_uid=lowest.sop_class_uid,
        acquisition=dict(lowest.acquisition),
        decoded=False,
    )


def _flags(stacks: Sequence[Stack], others: Sequence[OtherFile]) -> tuple[QualityFlag, ...]:
    flags = [
        QualityFlag(
            "contrast-disagreement",
            "warning",
            f"{stack.title}: ImageType says {stack.contrast}, but its description contradicts it; ImageType was used.",
        )
        for stack in stacks
        if any(frame.disagrees for frame in stack.frames)
    ]
    for stack in stacks:
        if stack.missing:
            heights = ", ".join(f"{(stack.grid.affine @ [0, 0, k, 1])[2]:.1f}" for k in stack.missing)
            flags.append(
                QualityFlag(
                    "missing-slice",
                    "warning",
                    f"{stack.title}: no slice at z = {heights} mm; interpolated between its neighbours.",
                )
            )
    for position in table_positions(stacks):
        if not all(stack.grid.same_as(position[0].grid, tolerance_mm=0.1) for stack in position):
            low, high = z_range_mm(position[0].grid)
            flags.append(
                QualityFlag(
                    "contrast-grid-mismatch",
                    "warning",
                    f"The series at z = {low:.0f} to {high:.0f} mm do not all cover the same voxels.",
                )
            )
    if any(not stack.files[0].frame_of_reference_uid for stack in stacks):
        flags.append(
            QualityFlag(
                "no-frame-of-reference",
                "warning",
                "Some series have no frame of reference; they were assumed to share that of the others.",
            )
        )
    phase = {other.series_uid for other in others if other.kind == "phase"}
    rest = {other.series_uid for other in others if other.kind != "phase"} - phase
    if phase or rest:
        flags.append(
            QualityFlag(
                "ignored-series",
                "info",
                f"{len(phase) + len(rest)} series without a Dixon magnitude contrast were left out, "
                f"{len(phase)} of them phase images.",
            )
        )
    return tuple(flags)


def _pseudonym(path: Path, study_uid: str) -> str:
    named = _UK_BIOBANK_NAME.match(path.resolve().name)
    return named[1] if named else study_key(study_uid)


def _height_m(patients: Iterable[Mapping[str, str]]) -> float | None:
    """The first plausible PatientSize (0010,1020): not every image of a study has one."""
    return next((height for patient in patients if (height := height_of(patient)) is not None), None)
