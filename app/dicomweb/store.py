"""Send results to a DICOMweb server (STOW-RS, PS3.18 section 10.5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset

from app.dicomweb.access import (
    Access,
    IncompleteAnswerError,
    open_client,
    open_session,
    status_of,
    translated,
    with_retry,
)
from operators.core.errors import OutputError

__all__ = ["store_files"]

#: Both sides hold several copies of a request in memory.
_BATCH_BYTES = 64 * 1024 * 1024
_VANISHED = -1
#: Statuses of servers that let us store but not list.
_MAY_ONLY_STORE = {401, 403, 404, 405, 501}
#: Failure Reason (0008,1197), PS3.18 table I.2-2 and PS3.4 table B.2-1.
_REASONS = {
    0x0110: "processing failure",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0xA700: "out of resources",
    0xA900: "data set does not match SOP class",
    0xC000: "cannot understand",
    0xC122: "transfer syntax not supported",
}


def store_files(access: Access, files: Sequence[Path], progress: Callable[[int, int], None] | None = None) -> int:
    """Send DICOM files. Sending one again changes nothing on the server.

    Parameters
    ----------
    access : Access
    files : sequence of Path
    progress : callable, optional
        Called with the number of files stored and the number of all.

    Returns
    -------
    int
        Number of files that the server stored: all of them.

    Raises
    ------
    OutputError
        If the server cannot be reached or refuses some or all files. The
        message names the files that it did not store.
    """
    with translated(access, OutputError):
        client = open_client(access, open_session(access))
        stored = 0
        sent: dict[tuple[str, str], dict[str, str]] = {}
        refused: dict[str, int] = {}
        for batch in _batches(files):
            refused |= with_retry(access.retry, partial(_store, client, batch, sent))
            stored += len(batch)
            if progress is not None:
                progress(stored, len(files))
        for (study_uid, series_uid), names in sent.items():
            expected = {uid: name for uid, name in names.items() if name not in refused}
            refused |= _not_there(access, client, study_uid, series_uid, expected)
    if refused:
        named = ", ".join(f"{name} ({_reason(code)})" for name, code in list(refused.items())[:5])
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        raise OutputError(
            access.name,
            f"it refused {len(refused)} of {len(files)} objects: {named}{more}",
            "all of them stored",
            "Allow these SOP classes on the server, or see its log; the others are stored.",
        )
    return len(files)


def _batches(files: Sequence[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for file in files:
        bytes_ = file.stat().st_size
        if batch and size + bytes_ > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += bytes_
    if batch:
        yield batch


def _store(
    client: DICOMwebClient, files: Sequence[Path], sent: dict[tuple[str, str], dict[str, str]]
) -> dict[str, int]:
    """Names of the refused files with the code of the reason (0 if none was given)."""
    items = [dcmread(file) for file in files]
    names = {str(item.SOPInstanceUID): file.name for item, file in zip(items, files, strict=True)}
    for item in items:
        series = sent.setdefault((str(item.StudyInstanceUID), str(item.SeriesInstanceUID)), {})
        series[str(item.SOPInstanceUID)] = names[str(item.SOPInstanceUID)]
    try:
        answer = client.store_instances(items)
    except requests.HTTPError as error:
        # 409 Conflict: none was stored, and the body gives the reason for each.
        if error.response is None or error.response.status_code != 409:
            raise
        try:
            answer = Dataset.from_json(error.response.json())
        except (json.JSONDecodeError, ValueError, TypeError, KeyError):
            raise error from None
    refused = {
        names.get(str(item.get("ReferencedSOPInstanceUID", "")), "an object"): int(item.get("FailureReason") or 0)
        for item in answer.get("FailedSOPSequence") or ()
    }
    taken = {str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence") or ()}
    if taken or refused:  # some servers answer 200 with nothing in it
        refused |= {name: refused.get(name, 0) for uid, name in names.items() if uid not in taken}
    return refused


def _not_there(
    access: Access, client: DICOMwebClient, study_uid: str, series_uid: str, names: dict[str, str]
) -> dict[str, int]:
    """Objects that the server reports as stored but does not have: some filters drop objects silently (Orthanc's)."""

    def listed(uid: str | None) -> set[str]:
        wanted = None if uid is None else {"SOPInstanceUID": uid}
        found = client.search_for_instances(study_uid, series_uid, search_filters=wanted)
        return {str(Dataset.from_json(item).SOPInstanceUID) for item in found}

    def look() -> dict[str, int]:
        # A server may truncate its list, so each object missing from it is queried by UID.
        there = listed(None)
        absent = [uid for uid in names if uid not in there and uid not in listed(uid)]
        if absent:
            raise _AbsentError({names[uid]: _VANISHED for uid in absent})
        return {}

    try:
        return with_retry(access.retry, look)
    except _AbsentError as error:
        return error.names
    except requests.HTTPError as error:
        if status_of(error) in _MAY_ONLY_STORE:
            return {}
        raise


class _AbsentError(IncompleteAnswerError):
    """Some archives list an object only a moment after storing it, so the query is repeated."""

    def __init__(self, names: dict[str, int]) -> None:
        super().__init__("objects are missing")
        self.names = names


def _reason(code: int) -> str:
    if code == _VANISHED:
        return "accepted but missing afterwards"
    if not code:
        return "no reason given"
    for known, text in _REASONS.items():
        if code == known or (known & 0xFF == 0 and code & 0xFF00 == known):  # A9xx and Cxxx are families
            return f"{text}, {code:04X}H"
    return f"failure reason {code:04X}H"
