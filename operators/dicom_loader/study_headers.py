"""The header pass: what a source holds, and the images of the one study to read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from operators.core.errors import DicomError, InputError, SarcoMapError
from operators.core.study_key import study_key
from operators.core.volume import Contrast
from operators.dicom_loader.frames import UnplacedImageError
from operators.dicom_loader.headers import header_reader, read_header
from operators.dicom_loader.image_file import ImageFile, OtherFile
from operators.dicom_loader.pixels import same_image
from operators.dicom_loader.progress import Ticker
from operators.dicom_loader.source import Source

__all__ = ["StudyHeaders", "check_whole_objects", "images_of_study", "no_dixon", "read_headers"]

_PACKED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".tar", ".7z", ".rar")
"""Compressed files other than zip archives."""


_WATER_AND_FAT = frozenset({Contrast.WATER, Contrast.FAT})


@dataclass(frozen=True)
class StudyHeaders:
    """What the header pass found.

    Attributes
    ----------
    images : tuple of ImageFile
    others : tuple of OtherFile
    unplaced : tuple of UnplacedImageError
        Dixon images that do not say where they lie.
    copies : int
        Files that hold an image which another file holds too.
    broken_links : int
        Links to files that do not exist.
    shared_uids : int
        Images that had the SOP Instance UID of another one, and were given derived UIDs.
    assumed_texts : tuple of str
        Attributes, in order of name, whose character set no file says.
    """

    images: tuple[ImageFile, ...]
    others: tuple[OtherFile, ...]
    unplaced: tuple[UnplacedImageError, ...]
    copies: int
    broken_links: int
    shared_uids: int = 0
    assumed_texts: tuple[str, ...] = ()


def read_headers(source: Source, members: Sequence[str], tick: Ticker) -> StudyHeaders:
    """Read the headers of all members, and keep each image once.

    Parameters
    ----------
    source : Source
    members : sequence of str
        Names of the files in the source.
    tick : Ticker
        Called once for each member.

    Raises
    ------
    DicomError
        If two images of one place have the same SOP Instance UID and differ, or a file cannot be used.
    """
    images: dict[str, list[ImageFile]] = {}
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
            alike = images.setdefault(header.sop_instance_uid, [])
            if any(_shows(before) == _shows(header) and same_image(source, before, header) for before in alike):
                copies += 1
            elif twin := next((before for before in alike if _series(before) == _series(header)), None):
                raise DicomError(
                    f"{source.name}, file {member}",
                    f"the same SOP Instance UID as {twin.file}, but another image of the same place",
                    "each image once",
                    "Remove one of the two files.",
                )
            else:
                alike.append(header)
        elif header is not None:
            others.append(header)
        tick()
    every = [image for alike in images.values() for image in _with_uids_of_their_own(alike)]
    once = _without_copied_series(source, _each_once(source, every))
    copies += len(every) - len(once)
    shared = sum(len(alike) for alike in images.values() if len(alike) > 1)
    links, assumed = len(source.broken_links()), tuple(sorted(reader.assumed))
    return StudyHeaders(tuple(once), tuple(others), tuple(unplaced), copies, links, shared, assumed)


def _shows(image: ImageFile) -> Hashable:
    """What an image shows, and where."""
    return image.study_uid, *((frame.contrast, frame.position_mm.tobytes()) for frame in image.frames)


def _series(image: ImageFile) -> Hashable:
    return image.series_uid, image.series_number, _shows(image)


def _with_uids_of_their_own(alike: Sequence[ImageFile]) -> Sequence[ImageFile]:
    """Images of one SOP Instance UID, as some anonymisers leave them: UIDs are derived from content if they differ."""
    if len(alike) == 1:
        return alike
    from operators.core.dicom_objects import derived_uid  # needs highdicom, which takes its time

    return [
        replace(image, sop_instance_uid=derived_uid("replaced", image.sop_instance_uid, repr(_series(image))))
        for image in alike
    ]


def _each_once(source: Source, images: Sequence[ImageFile]) -> list[ImageFile]:
    """The images without those that a series holds a second time under another SOP Instance UID, as exporters and
    anonymisers leave them. Two scans of one place never have the same noise."""
    there: dict[Hashable, list[ImageFile]] = defaultdict(list)
    once = []
    for image in images:
        frame = image.frames[0]
        told_apart_by = frame.acquisition_number, frame.temporal_position, frame.image_type, image.scanned
        alike = there[image.series_uid, frame.contrast, frame.position_mm.tobytes(), told_apart_by]
        if not any(same_image(source, other, image) for other in alike):
            alike.append(image)
            once.append(image)
    return once


def _without_copied_series(source: Source, images: Sequence[ImageFile]) -> list[ImageFile]:
    """The images without series whose images another series of the study holds too, as an archive that is sent a study
    again under new UIDs has them."""
    series: dict[str, dict[Hashable, ImageFile]] = defaultdict(dict)
    several: set[str] = set()  # series in which nothing tells two images apart yet
    for image in images:
        same = _shows(image), image.frames[0].image_type, image.acquired, image.scanned
        if same in series[image.series_uid]:
            several.add(image.series_uid)
        series[image.series_uid][same] = image
    kept: list[dict[Hashable, ImageFile]] = []
    copied = set()
    for uid, shown in sorted(series.items(), key=lambda one: (-len(one[1]), _first_number(one[1].values()), one[0])):
        if uid not in several and any(
            shown.keys() <= other.keys() and all(same_image(source, other[key], shown[key]) for key in shown)
            for other in kept
        ):
            copied.add(uid)
        else:
            kept.append(shown)
    return [image for image in images if image.series_uid not in copied]


def _first_number(images: Iterable[ImageFile]) -> int:
    return min(image.series_number for image in images)


def images_of_study(
    source: Source, headers: StudyHeaders, members: Sequence[str], study_uid: str | None
) -> Sequence[ImageFile]:
    """The images of the study to read: scans as acquired, then those composed or reformatted."""
    others = headers.others
    composed = [other.composed for other in others if other.composed is not None]
    images = headers.images or tuple(composed)
    if not images and headers.unplaced:
        raise headers.unplaced[0]
    if not images and not others:
        raise _nothing(source, members)
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
        return _of_study(chosen[:1], headers.images, composed)
    if len(studies) > 1 and _is_one_scan(images):
        return _of_study(studies, headers.images, composed)
    if len(studies) > 1:
        raise DicomError(
            source.name,
            f"Dixon images of {len(studies)} studies: {listed}",
            "one study",
            "Choose one with --study-uid and its key or UID, or give each study in a folder of its own.",
        )
    return _of_study(studies, headers.images, composed)


def check_whole_objects(where: str, headers: StudyHeaders, series: Collection[str]) -> None:
    """Refuse a multi-frame object of the given series that was divided into several files, some of which are missing.

    A station would be shorter than it was scanned, and nothing else tells it.

    Raises
    ------
    DicomError
        With how many parts there are and should be.
    """
    parts: dict[str, set[int]] = defaultdict(set)
    totals: dict[str, int] = {}
    named: dict[str, str] = {}
    files: tuple[ImageFile | OtherFile, ...] = (*headers.images, *headers.others)
    for file in files:
        if file.part is not None and file.part.number > 0 and file.series_uid in series:
            parts[file.part.whole_uid].add(file.part.number)
            totals[file.part.whole_uid] = max(file.part.total, totals.get(file.part.whole_uid, 0))
            if isinstance(file, ImageFile):
                named[file.part.whole_uid] = f"series {file.series_number}"
    for uid, there in parts.items():
        total = max(totals[uid], *there)  # the total may be absent, but the last part's number is not
        if len(there) < total:
            raise DicomError(
                f"{where}, {named.get(uid, 'a series')}",
                f"{len(there)} of the {total} parts of an object that was divided into several files",
                "all of its parts",
                "Fetch the series again.",
            )


def _is_one_scan(images: Sequence[ImageFile]) -> bool:
    """Whether studies are parts of one that an anonymiser has taken apart: all in one frame of reference, which every
    scan has of its own, and none with both water and fat."""
    frames = {image.frame_of_reference_uid for image in images}
    contrasts: dict[str, set[Contrast]] = defaultdict(set)
    for image in images:
        contrasts[image.study_uid] |= {frame.contrast for frame in image.frames}
    return len(frames) == 1 and "" not in frames and not any(some >= _WATER_AND_FAT for some in contrasts.values())


def _of_study(uids: Collection[str], images: Sequence[ImageFile], composed: Sequence[ImageFile]) -> list[ImageFile]:
    once = {image.sop_instance_uid: image for image in (*composed, *images) if image.study_uid in uids}
    return sorted(once.values(), key=lambda image: all(frame.made_of != "scan" for frame in image.frames))


def _nothing(source: Source, members: Sequence[str]) -> InputError:
    """The error for an input without a DICOM file."""
    archives = [member for member in members if member.lower().endswith(".zip")]
    many = "s" if len(members) != 1 else ""
    found = "no file" if not members else f"no DICOM file among {len(members)} file{many}"
    remedy = "Check the path."
    if broken := source.broken_links():
        found += f"; {len(broken)} link{'s' if len(broken) > 1 else ''} to files that do not exist, such as {broken[0]}"
        remedy = "Fetch the files that the links stand for (with git-annex: datalad get), or give their own folder."
    if archives:
        several = f"s, the first {archives[0]}" if len(archives) > 1 else f", {archives[0]}"
        found += f"; {len(archives)} zip archive{several}"
        remedy = (
            "Archives inside it are not opened. Give one archive by itself, or all of them as studies of a cohort: "
            "sarcomap cohort run FOLDER -o OUT."
        )
    packed = [member for member in members if member.lower().endswith(_PACKED)]
    if packed:
        found += f"; {len(packed)} compressed, such as {packed[0]}"
        remedy = "Unpack them first, or give a zip archive."
    return InputError(source.name, found, "the DICOM files of one Dixon study", remedy)


def no_dixon(source: Source, headers: StudyHeaders) -> SarcoMapError:
    """The error of a source without a Dixon image: that of a damaged file if there is one, else what was found."""
    if error := next((other.error for other in headers.others if other.error is not None), None):
        return error
    series = len({other.series_uid for other in headers.others})
    if all(other.storage for other in headers.others):
        kinds = ", ".join(sorted({other.storage for other in headers.others}))
        return DicomError(
            source.name,
            f"{series} series, none of them MR images ({kinds})",
            "MR Image Storage or Enhanced MR Image Storage",
            "Export the images as the scanner made them. Captures and conversions have lost what the signal means.",
        )
    return DicomError(
        source.name,
        f"{series} series, none of them a Dixon magnitude contrast",
        "in-phase, opposed-phase, water and fat images, told by ImageType, by a description such as Dixon_W or "
        "'WATER: LAVA-Flex', or by images of which in = water + fat",
        "Check that this is the Dixon acquisition.",
    )
