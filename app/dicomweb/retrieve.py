"""Retrieve a study by its UID: the series that look like Dixon MR are written to a folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.uid import UID

from app.dicomweb.access import Access, IncompleteAnswerError, open_client, open_session, translated, with_retry
from app.dicomweb.multipart import parts_into
from app.object_uids import identity
from operators.core.contrast import FUSED_SERIES, Contrast
from operators.core.errors import InputError, UsageError
from operators.dicom_loader.contrast import (
    MadeOf,
    contrast_of_description,
    contrast_of_image_type,
    is_magnitude,
    made_of,
)
from operators.dicom_loader.frames import MULTI_FRAME
from operators.dicom_loader.source import DEFAULT_LIMITS, ArchiveLimits

__all__ = ["fetch_study"]

_FIELDS = ("SeriesDescription", "ProtocolName", "NumberOfSeriesRelatedInstances", "Modality")
#: Objects as they are stored. A server that is asked for another encoding has to convert, and some lose elements.
_AS_STORED = {
    "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*',
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True)
class _Listed:
    """A series as QIDO-RS lists it; ``instances`` is None if the server does not give the number."""

    uid: str
    number: int
    modality: str
    description: str
    protocol: str
    instances: int | None


def fetch_study(
    access: Access,
    study_uid: str,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    limits: ArchiveLimits = DEFAULT_LIMITS,
) -> int:
    """Retrieve a study's Dixon series in their stored encoding, one object at a time.

    A series is retrieved if its modality is MR and its description, its
    protocol name or the ImageType of its first object names a Dixon contrast.
    Enhanced MR is retrieved too, because its frames name their contrasts. Where
    no series is named so, four or more MR series of magnitude images are
    retrieved, because the images may tell their contrasts.
    Volumes that the scanner composed or reformatted are retrieved only where
    the other series lack a contrast. Series computed afterwards are skipped
    (ImageType ``DERIVED\\SECONDARY``), and so are our own results.

    Parameters
    ----------
    access : Access
    study_uid : str
    folder : Path
        Must exist. Each series gets a subfolder.
    progress : callable, optional
        Called with the number of objects received and the number expected.
    limits : ArchiveLimits
        Limits as for an archive: number of objects, bytes of one and of all.
        Bytes are counted while they arrive, so that an endless object is stopped.

    Returns
    -------
    int
        Objects in ``folder``.

    Raises
    ------
    UsageError
        If ``study_uid`` is not a UID.
    InputError
        If the server cannot be reached, refuses, does not have the study or has
        no Dixon series in it; if the study exceeds the limits; or if an object
        is deflated.
    """
    if not UID(study_uid).is_valid:
        raise UsageError(
            "--study-uid", "not a DICOM UID", "digits and dots, 64 characters at most", "Copy the Study Instance UID."
        )
    with translated(access, InputError):
        session = open_session(access)
        client = open_client(access, session)
        listed = with_retry(access.retry, lambda: _list(client, study_uid))
        if not listed:
            raise _nothing_listed(access, client, study_uid)
        wanted = _wanted([(one, with_retry(access.retry, partial(_kind_of, client, study_uid, one))) for one in listed])
        if not wanted:
            raise InputError(
                access.name,
                f"no Dixon MR among the study's {len(listed)} series",
                "series whose ImageType or description names in phase, opposed phase, water or fat",
                "Check the Study Instance UID; a study of other series can be given as a folder.",
            )
        taken = _Taken(folder, limits, sum(one.instances or 0 for one in wanted), progress)
        for one in wanted:
            with_retry(access.retry, partial(_fetch, access, session, study_uid, one, taken))
    return taken.objects


class _Taken:
    """Count what has arrived, and enforce the limits."""

    def __init__(
        self, folder: Path, limits: ArchiveLimits, expected: int, progress: Callable[[int, int], None] | None
    ) -> None:
        self.folder = folder
        self.limits = limits
        self.expected = expected
        self.progress = progress
        self.objects = 0
        self.bytes = 0

    def coming(self, size: int) -> None:
        """Count bytes of an object that is not complete yet."""
        most = self.limits
        if self.objects >= most.max_members or size > most.max_member_bytes or self.bytes + size > most.max_total_bytes:
            raise InputError(
                "study on the server",
                "more than a neck-to-knee study holds",
                f"at most {most.max_members} objects, {most.max_member_bytes} bytes in one and "
                f"{most.max_total_bytes} in all",
                "Check the Study Instance UID.",
            )

    def add(self, size: int) -> None:
        """Count a complete object."""
        self.objects += 1
        self.bytes += size
        if self.progress is not None:
            self.progress(self.objects, max(self.expected, self.objects))


def _list(client: DICOMwebClient, study_uid: str) -> list[_Listed]:
    found = client.search_for_series(study_uid, fields=_FIELDS)
    series = [_listed(Dataset.from_json(item)) for item in found]
    return sorted(series, key=lambda one: (one.number, one.uid))


def _listed(item: Dataset) -> _Listed:
    instances = item.get("NumberOfSeriesRelatedInstances")
    return _Listed(
        uid=str(item.SeriesInstanceUID),
        number=int(item.get("SeriesNumber") or 0),
        modality=str(item.get("Modality", "")),
        description=str(item.get("SeriesDescription", "")),
        protocol=str(item.get("ProtocolName", "")),
        instances=None if instances in (None, "") else int(instances),
    )


@dataclass(frozen=True)
class _Kind:
    """What a magnitude series may show; neither contrast nor ``frames_say`` where nothing names its contrast."""

    contrast: Contrast | None
    made_of: MadeOf
    frames_say: bool


def _wanted(series: Sequence[tuple[_Listed, _Kind | None]]) -> list[_Listed]:
    """Scans that name their contrast, or else those that do not; and composed volumes where scans lack a contrast."""
    scans = [(one, kind) for one, kind in series if kind is not None and kind.made_of == "scan"]
    named = [(one, kind) for one, kind in scans if kind.contrast is not None or kind.frames_say]
    contrasts = {kind.contrast for _, kind in named}
    wanted = [one for one, _ in named]
    if not named and len(scans) >= len(Contrast):  # images may tell four
        wanted = [one for one, _ in scans]
    if None not in contrasts and not contrasts.issuperset(Contrast):
        wanted += [
            one for one, kind in series if kind is not None and kind.made_of != "scan" and kind.contrast is not None
        ]
    return wanted


def _kind_of(client: DICOMwebClient, study_uid: str, series: _Listed) -> _Kind | None:
    if series.modality != "MR" or series.instances == 0:
        return None
    image_type, sop_class, protocol = _first_object(client, study_uid, series)
    source = made_of(image_type, series.description)
    computed = image_type[1:2] == ["SECONDARY"] and source == "scan"
    if source == "projection" or computed or series.description.startswith(FUSED_SERIES):
        return None
    hints = (series.protocol, protocol, *image_type)
    contrast = contrast_of_image_type(image_type) or contrast_of_description(series.description, *hints)
    frames_say = sop_class in MULTI_FRAME
    if contrast is None and not frames_say and not is_magnitude(image_type, ""):
        return None
    return _Kind(contrast, source, frames_say)


def _first_object(client: DICOMwebClient, study_uid: str, series: _Listed) -> tuple[list[str], str, str]:
    """ImageType, SOP class and protocol name of one object of the series; not every server lists them by QIDO."""
    found: Sequence[Mapping[str, Any]] = client.search_for_instances(
        study_uid, series.uid, limit=1, fields=("ImageType", "ProtocolName")
    )
    item = Dataset.from_json(dict(found[0])) if found else Dataset()
    if "ImageType" not in item and "SOPInstanceUID" in item:
        metadata = client.retrieve_instance_metadata(study_uid, series.uid, str(item.SOPInstanceUID))
        item = Dataset.from_json(metadata)
    values = item.get("ImageType") or []
    image_type = [values] if isinstance(values, str) else [str(value) for value in values]
    return image_type, str(item.get("SOPClassUID", "")), str(item.get("ProtocolName", ""))


def _fetch(access: Access, session: requests.Session, study_uid: str, series: _Listed, taken: _Taken) -> None:
    if not UID(series.uid).is_valid:  # it becomes part of the address
        raise ValueError("a Series Instance UID that is not a UID")
    url = f"{access.url.rstrip('/')}/studies/{study_uid}/series/{series.uid}"
    folder = taken.folder / f"{series.number:04d}_{hashlib.sha256(series.uid.encode()).hexdigest()[:8]}"
    objects, size = taken.objects, taken.bytes
    try:
        folder.mkdir()
        uids: set[str] = set()
        with session.get(url, headers=_AS_STORED, stream=True, timeout=access.timeout) as answer:
            answer.raise_for_status()
            for path in parts_into(folder, answer, taken.coming):
                found = identity(path)
                if (found.study_uid, found.series_uid) != (study_uid, series.uid):
                    raise IncompleteAnswerError("the answer contains an object of another series")
                if found.sop_uid in uids:
                    path.unlink()
                    continue
                uids.add(found.sop_uid)
                taken.add(path.stat().st_size)
        if len(uids) < (series.instances or 1):
            raise IncompleteAnswerError(
                f"{len(uids)} of {series.instances or 'some'} objects of series {series.number} came"
            )
    except BaseException:  # the next try starts this series again
        shutil.rmtree(folder, ignore_errors=True)
        taken.objects, taken.bytes = objects, size
        raise


def _nothing_listed(access: Access, client: DICOMwebClient, study_uid: str) -> InputError:
    found = with_retry(
        access.retry, lambda: client.search_for_studies(limit=1, search_filters={"StudyInstanceUID": study_uid})
    )
    if found:
        return InputError(access.name, "the study exists but has no series", "its series", "Send the study again.")
    return InputError(
        access.name,
        "no study with this Study Instance UID",
        "the requested study",
        "Check the UID and that the study has been sent to this server.",
    )
