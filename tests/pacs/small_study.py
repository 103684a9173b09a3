"""A synthetic study, with other series that real studies contain, written as DICOM files."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterable
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from tests.app.made_study import Scanned, scan

__all__ = ["SECRETS", "few_slices", "other_series", "renamed", "scanned", "study_uid"]

#: A value that is in every header and must be in no log.
SECRETS = ("PHANTOM", "SYNTHETIC^", "9000011")


@functools.cache
def scanned() -> Scanned:
    """Four stations at a quarter of the archive's resolution; made once per test run."""
    return scan()


def few_slices(study: Path, folder: Path, slices: int = 4) -> Path:
    """The first slices of the four series of one station: enough to send and fetch, not enough to fuse."""
    series = sorted(path for path in study.iterdir() if path.is_dir())[:4]
    for one in series:
        (folder / one.name).mkdir(parents=True)
        for file in sorted(one.iterdir())[:slices]:
            shutil.copy(file, folder / one.name)
    return folder


def other_series(study: Path, folder: Path) -> dict[str, str]:
    """A localizer, a composed series and a screenshot of the same study: name to Series Instance UID."""
    template = pydicom.dcmread(_first(study))
    changes = {
        "localizer": {"SeriesDescription": "localizer", "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]},
        "composed": {"SeriesDescription": "Dixon_W_COMP", "ImageType": ["DERIVED", "SECONDARY", "WATER", "COMPOSED"]},
        "screenshot": {"SeriesDescription": "Dixon_W", "Modality": "OT", "ImageType": ["DERIVED", "PRIMARY", "WATER"]},
    }
    folder.mkdir(parents=True)
    uids: dict[str, str] = {}
    for number, (name, values) in enumerate(changes.items(), 900):
        item = template.copy()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        item.ProtocolName = name
        item.SeriesNumber = number
        item.SeriesInstanceUID = uids[name] = generate_uid(entropy_srcs=[name, str(template.StudyInstanceUID)])
        item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name, "object"])
        item.save_as(folder / f"{name}.dcm")
    return uids


def renamed(study: Path, folder: Path, number: int) -> str:
    """Write the same images as another study with its own UIDs; returns the Study Instance UID."""

    def other(uid: UID) -> UID:
        return generate_uid(entropy_srcs=[str(uid), str(number)])

    study_uids: set[str] = set()
    for file in _files(study):
        item: Dataset = pydicom.dcmread(file)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            setattr(item, keyword, other(item[keyword].value))
        item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
        study_uids.add(str(item.StudyInstanceUID))
        target = folder / file.relative_to(study)
        target.parent.mkdir(parents=True, exist_ok=True)
        item.save_as(target)
    (uid,) = study_uids
    return uid


def study_uid(folder: Path) -> str:
    """Study Instance UID of the first file below a folder."""
    return str(pydicom.dcmread(_first(folder), stop_before_pixels=True).StudyInstanceUID)


def _first(folder: Path) -> Path:
    return next(iter(_files(folder)))


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*.dcm"))
