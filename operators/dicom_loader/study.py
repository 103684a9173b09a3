"""`load_study`, the first stage: from files to stations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation

from operators.core.deidentification import deidentify
from operators.core.errors import DicomError, GeometryError, InputError
from operators.core.options import Deidentification
from operators.core.quiet_dicom import dicom_is_quiet
from operators.core.standing_height import height_of
from operators.core.study_key import study_key
from operators.core.volume import QualityFlag, Station, Study
from operators.dicom_loader.frames import UnplacedImageError
from operators.dicom_loader.geometry import z_range_mm
from operators.dicom_loader.headers import ImageFile, OtherFile, header_reader, read_header
from operators.dicom_loader.image_kinds import one_kind
from operators.dicom_loader.one_person import check_one_person
from operators.dicom_loader.pixels import Target, check_transfer_syntaxes, decode_into, same_image
from operators.dicom_loader.repeated_values import Gate
from operators.dicom_loader.source import DEFAULT_LIMITS, ArchiveLimits, Source, open_source
from operators.dicom_loader.stacks import (
    Stack,
    check_all_contrasts,
    check_one_frame_of_reference,
    lacks_a_contrast,
    stacks_of,
    table_positions,
    top_down,
    untold_stacks,
)

if TYPE_CHECKING:
    from operators.dicom_loader.contrast_from_images import Told

__all__ = ["load_study"]

Progress = Callable[[int, int], None]
Select = Callable[[Sequence[Station]], Sequence[Station]]

#: UK Biobank names a bulk file <eid>_<field>_<instance>_<array>; field 20201 is Dixon MRI, and the instance the visit.
_UK_BIOBANK_NAME = re.compile(r"^(\d+)_20201_(?:(\d+)(?![^_.]))?")


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
        tick = _Ticker(progress, len(members))
        headers = _read_headers(source, members, tick)
        images = _one_study(source, headers, len(members), study_uid)
        stacks = _stacks(source, headers, images, allow_missing_slices)
        told = _told_by_images(source, headers, stacks, limits)
        stacks = top_down([*stacks, *(stack for found in told for stack in found.stacks)])
        stacks, kind_flags = one_kind(stacks)
        if not stacks:
            raise _no_dixon(source, headers)
        first = stacks[0].files[0] if not images else images[0]
        check_one_person(source.name, [file for stack in stacks for file in stack.files])
        frames = check_one_frame_of_reference(source.name, stacks, joined=one_frame_of_reference)
        check_all_contrasts(source.name, stacks)
        stations = _decode(source, stacks, limits, tick, select, gate)
        if len(frames) > 1:
            frame = next(s.frame_of_reference_uid for s in stations if s.frame_of_reference_uid)
            stations = tuple(replace(station, frame_of_reference_uid=frame) for station in stations)
    uid = gate.uid("StudyInstanceUID", first.study_uid)
    patient = {**gate.patient(first.patient), "StudyInstanceUID": uid}
    study = Study(
        stations=stations,
        study_uid=uid,
        pseudonym=_pseudonym(path, uid),
        visit=_visit(path),
        height_m=_height_m(image.patient for image in (images or [first])),
        patient=patient,
        flags=(*_flags(stacks, headers, frames), *(found.flag for found in told), *kind_flags, *gate.flags()),
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


@dataclass(frozen=True)
class _Headers:
    """What the header pass found.

    Attributes
    ----------
    images : tuple of ImageFile
    others : tuple of OtherFile
    unplaced : tuple of UnplacedImageError
        Dixon images that do not say where they lie.
    copies : int
        Files that hold an image which another file holds too.
    """

    images: tuple[ImageFile, ...]
    others: tuple[OtherFile, ...]
    unplaced: tuple[UnplacedImageError, ...]
    copies: int


def _read_headers(source: Source, members: Sequence[str], tick: _Ticker) -> _Headers:
    images: dict[str, ImageFile] = {}
    others: list[OtherFile] = []
    unplaced: list[UnplacedImageError] = []
    copies = 0
    reader = header_reader()
    for member in members:
        try:
            header = read_header(source, member, reader)
        except UnplacedImageError as error:
            unplaced.append(error)
            header = None
        if isinstance(header, ImageFile):
            before = images.setdefault(header.sop_instance_uid, header)
            if before is not header:
                if not same_image(source, before, header):
                    raise DicomError(
                        f"{source.name}, file {member}",
                        f"the same SOP Instance UID as {before.file}, but another image",
                        "each image once",
                        "Remove one of the two files.",
                    )
                copies += 1
        elif header is not None:
            others.append(header)
        tick()
    return _Headers(tuple(images.values()), tuple(others), tuple(unplaced), copies)


def _stacks(source: Source, headers: _Headers, images: Sequence[ImageFile], allow_missing_slices: bool) -> list[Stack]:
    """The stacks of the study; an image without a place is passed over where nothing is missing without it."""
    series = {image.series_uid for image in images}
    for error in headers.unplaced:
        if error.series_uid not in series:
            raise error
    try:
        return stacks_of(source.name, images, allow_missing_slices=allow_missing_slices)
    except GeometryError:
        if headers.unplaced:
            raise headers.unplaced[0] from None
        raise


def _one_study(source: Source, headers: _Headers, members: int, study_uid: str | None) -> Sequence[ImageFile]:
    """The images of the study to read."""
    images, others = headers.images, headers.others
    if not images and headers.unplaced:
        raise headers.unplaced[0]
    if not images and not others:
        found = "no file" if members == 0 else f"no DICOM file among {members} file{'s' if members > 1 else ''}"
        raise InputError(
            source.name,
            found,
            "the DICOM files of one Dixon study",
            "Check the path; archives inside it are not opened.",
        )
    studies: dict[str, set[str]] = {}
    for image in images:
        studies.setdefault(image.study_uid, set()).add(image.series_uid)
    listed = ", ".join(f"{study_key(uid)} ({len(series)} series)" for uid, series in sorted(studies.items()))
    if study_uid is not None:
        chosen = [uid for uid in studies if study_uid in (uid, study_key(uid))]
        if not chosen:
            raise DicomError(
                source.name,
                f"no Dixon image of the study that --study-uid names, but of {listed}",
                "a study that is there",
                "Give its Study Instance UID or one of these keys.",
            )
        return [image for image in images if image.study_uid == chosen[0]]
    if len(studies) > 1:
        raise DicomError(
            source.name,
            f"Dixon images of {len(studies)} studies: {listed}",
            "one study",
            "Choose one with --study-uid and its key or UID, or give each study in a folder of its own.",
        )
    return images


def _no_dixon(source: Source, headers: _Headers) -> DicomError:
    series = len({other.series_uid for other in headers.others})
    return DicomError(
        source.name,
        f"{series} series, none of them a Dixon magnitude contrast",
        "in-phase, opposed-phase, water and fat images, told by ImageType, by a description such as Dixon_W or "
        "'WATER: LAVA-Flex', or by images of which in = water + fat",
        "Check that this is the Dixon acquisition.",
    )


def _told_by_images(source: Source, headers: _Headers, stacks: Sequence[Stack], limits: ArchiveLimits) -> list[Told]:
    """Contrasts that no header says, looked for only where the study lacks some."""
    images = {i.sop_instance_uid: i for other in headers.others if (i := other.untold) is not None}
    uids = {stack.files[0].study_uid for stack in stacks} or {image.study_uid for image in images.values()}
    if not images or len(uids) > 1 or not lacks_a_contrast(stacks):
        return []

    from operators.dicom_loader.contrast_from_images import told_by_images  # needs SciPy, and is rarely needed

    def decode(some: Sequence[Stack]) -> list[NDArray[np.float32]]:
        silent = _Ticker(None, sum(len(stack.files) for stack in some))
        return [station.voxels for station in _decode(source, some, limits, silent, None, Gate())]

    untold = untold_stacks([image for image in images.values() if image.study_uid in uids])
    return told_by_images(untold, stacks, decode)


def _decode(
    source: Source, stacks: Sequence[Stack], limits: ArchiveLimits, tick: _Ticker, select: Select | None, gate: Gate
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
    stations = [_undecoded(stack, gate) for stack in stacks]
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


def _undecoded(stack: Stack, gate: Gate) -> Station:
    lowest = stack.files[0]
    return Station(
        contrast=stack.contrast,
        voxels=np.broadcast_to(np.float32(np.nan), stack.grid.shape),
        grid=stack.grid,
        acquired=stack.acquired,
        series_uid=gate.uid("SeriesInstanceUID", lowest.series_uid),
        frame_of_reference_uid=gate.uid("FrameOfReferenceUID", lowest.frame_of_reference_uid),
        series_number=lowest.series_number,
        series_description=gate.description(lowest.series_description),
        sop_instance_uids=tuple(
            dict.fromkeys(gate.uid("SOPInstanceUID", file.sop_instance_uid) for file in stack.files)
        ),
        sop_class_uid=lowest.sop_class_uid,
        acquisition=gate.acquisition(lowest.acquisition),
        contrast_told_by=stack.contrast_told_by,
        decoded=False,
    )


def _flags(stacks: Sequence[Stack], headers: _Headers, frames: Sequence[str]) -> tuple[QualityFlag, ...]:
    flags = [
        QualityFlag(
            "contrast-disagreement",
            "warning",
            f"{stack.title}: ImageType says {stack.contrast}, but its description contradicts it; ImageType was used.",
        )
        for stack in stacks
        if any(frame.disagrees for frame in stack.frames)
    ]
    flags += [
        QualityFlag(
            "several-stacks-in-series",
            "info",
            f"{title}: {count} stacks of images in one series, told apart by {told_by}.",
        )
        for (title, told_by), count in Counter((s.title, s.told_by) for s in stacks if s.told_by).items()
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
    if len(frames) > 1:
        flags.append(
            QualityFlag(
                "frames-of-reference-joined",
                "warning",
                f"{len(frames)} frames of reference were taken as one, as --one-frame-of-reference asks; whether the "
                "stations fit is told by how well they agree where they overlap.",
            )
        )
    if any(stack.regrouped for stack in stacks):
        flags.append(
            QualityFlag(
                "series-uid-per-image",
                "warning",
                "Images name series of their own (SeriesInstanceUID); they were put together by series number, "
                "contrast and place.",
            )
        )
    if headers.copies:
        flags.append(
            QualityFlag("image-twice", "info", f"{headers.copies} files hold an image that another file holds too.")
        )
    if headers.unplaced:
        flags.append(
            QualityFlag(
                "image-without-position",
                "warning",
                f"{len(headers.unplaced)} Dixon images that do not say where they lie were left out.",
            )
        )
    others = headers.others
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


def _visit(path: Path) -> str | None:
    named = _UK_BIOBANK_NAME.match(path.resolve().name)
    return named[2] if named else None


def _height_m(patients: Iterable[Mapping[str, str]]) -> float | None:
    """The first plausible PatientSize (0010,1020): not every image of a study has one."""
    return next((height for patient in patients if (height := height_of(patient)) is not None), None)
