"""Which zips and folders below a folder are studies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from operators.core.errors import InputError

__all__ = ["files_below", "is_document", "studies_below"]

# Endings of files that are no images: lists, checksums, notes, programs, results. They make no folder a study, unless
# there is nothing else in it and they begin like DICOM.
_ENDINGS = """
bat bmp bulk csv db dll doc docx err exe gif htm html inf ini jpeg jpg json list log lst md md5 mha npy npz nrrd ods out
parquet part pdf png pt py r rtf sh sha1 sha256 tab tmp tsv txt xls xlsx xml yaml yml
"""
_DOCUMENTS = frozenset(f".{ending}" for ending in _ENDINGS.split())
_NAMES_OF_DOCUMENTS = frozenset(("readme", "license", "md5sums", "sha1sums", "sha256sums", "checksums"))
_LOOKED_AT = 8  # files that are opened to see whether a folder beside zips, or one of documents, holds DICOM
_Place = tuple[int, int]


@dataclass
class _Found:
    """What is in a folder.

    Attributes
    ----------
    folder : Path
    zips, folders : list
        Zips directly in it, and what is in the folders directly in it.
    files : list of Path
        Other files directly in it that may be images; the first few.
    """

    folder: Path
    zips: list[Path] = field(default_factory=list)
    folders: list[_Found] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    @property
    def has_zips(self) -> bool:
        """Whether there is a zip at any depth."""
        return bool(self.zips) or any(one.has_zips for one in self.folders)

    @property
    def image(self) -> Path | None:
        """A file that may be an image, at any depth."""
        if self.files:
            return self.files[0]
        return next((image for one in self.folders if (image := one.image) is not None), None)

    def studies(self) -> Iterator[Path]:
        """Every zip, and every folder with images and without zips."""
        if not self.has_zips:
            if self.image is not None:
                yield self.folder
            return
        if any(map(_is_dicom, self.files)):  # a disc of a hospital with a zipped viewer on it
            yield self.folder
        yield from self.zips
        for one in self.folders:
            yield from one.studies()


def studies_below(folder: Path, leave_out: Path | None = None) -> Iterator[Path]:
    """The studies in a folder, each a zip or a folder.

    Every zip at any depth is a study. Beside them, and where there is none, every folder directly in this one that has
    images is a study; this folder itself is one if it has images of its own, or if its folders hold the series of one
    study. Documents, names that begin with a dot, and results of SarcoMAP do not count; where a folder has nothing but
    documents, the first few are opened, because they may be DICOM by another name. Links are followed, and a folder
    that is reached twice is taken once.

    Parameters
    ----------
    folder : Path
    leave_out : Path, optional
        A folder that is not entered.

    Raises
    ------
    InputError
        If a folder cannot be listed: its studies would be missed.
    """
    seen: set[_Place] = set()
    if leave_out is not None and leave_out.exists():
        seen.add(_place(leave_out))
    found = _look(folder, seen)
    if found is None:
        return
    if found.has_zips or found.files:
        yield from found.studies()
    elif len(found.folders) > 1 and _of_one_study(found.folders):
        yield folder
    else:
        for one in found.folders:
            yield from one.studies()


def files_below(folder: Path) -> Iterator[str]:
    """Every regular file below a folder, as the loader reads them: links are followed, circles are not."""
    seen: set[_Place] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        here = _place(Path(place))
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        for name in names:
            file = os.path.join(place, name)
            if os.path.isfile(file):
                yield file


def is_document(name: str) -> bool:
    """Whether a file of this name is no image.

    Examples
    --------
    >>> is_document("README"), is_document("list.CSV"), is_document("IM0001"), is_document("1.3.12")
    (True, True, False, False)
    """
    stem, ending = os.path.splitext(name.lower())
    return ending in _DOCUMENTS or (not ending and stem in _NAMES_OF_DOCUMENTS)


def _look(folder: Path, seen: set[_Place]) -> _Found | None:
    """What is in a folder; None if it was seen before, or holds results of ours."""
    try:
        if (here := _place(folder)) in seen:
            return None
        seen.add(here)
        with os.scandir(folder) as entries:
            visible = sorted((one for one in entries if not one.name.startswith(".")), key=lambda one: one.name)
    except OSError as error:
        raise InputError(
            str(folder), f"cannot be listed ({error.strerror})", "a readable folder", "Check its permissions."
        ) from error
    names = {one.name for one in visible}
    if {"run.json", "ledger"} <= names or ("report.json" in names and names & {"segmentation.seg.nrrd", "fused"}):
        return None
    found = _Found(folder)
    documents = []
    for one in visible:
        if one.is_dir():
            inner = _look(Path(one.path), seen)
            if inner is not None:
                found.folders.append(inner)
        elif one.name.lower().endswith(".zip"):
            # A link to nothing and a pipe are listed too, if they are named like a study: they get an outcome.
            found.zips.append(Path(one.path))
        elif is_document(one.name):
            documents.append(Path(one.path))
        elif len(found.files) < _LOOKED_AT and one.is_file():
            found.files.append(Path(one.path))
    if not found.files and not found.zips:  # of the folders with zips, nothing is opened
        found.files = [file for file in documents[:_LOOKED_AT] if file.is_file() and _is_dicom(file)]
    return found


def _of_one_study(folders: list[_Found]) -> bool:
    """Whether the first two folders with images have one Study Instance UID: they are series, and not studies."""
    images = [image for one in folders if (image := one.image) is not None][:2]
    uids = [_study_uid(image) for image in images]
    return len(uids) > 1 and uids[0] is not None and uids[0] == uids[1]


def _study_uid(file: Path) -> str | None:
    if not _is_dicom(file):
        return None
    from pydicom import dcmread

    try:
        return str(dcmread(file, stop_before_pixels=True, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    except Exception:  # what cannot be read here is refused when it is processed
        return None


def _is_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _place(folder: Path) -> _Place:
    about = os.stat(folder)
    return about.st_dev, about.st_ino
