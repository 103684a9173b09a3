"""A queue with a study in it, without a service."""

from __future__ import annotations

import json
import time
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from app.serve.spool import Job, Spool
from operators.core.study_key import study_key

__all__ = ["KEY", "events", "files_in", "image", "queued", "receive", "spool", "take"]

KEY = study_key("1.2.3")


def spool(root: Path, max_bytes: int = 10_000, max_objects: int = 100, min_free: int = 0) -> Spool:
    return Spool(root, max_bytes, max_objects, min_free)


def receive(queue: Spool, *sop_uids: str, content: bytes = b"pixels", release: bool = True) -> None:
    for uid in sop_uids:
        assert queue.receive("1.2.3", uid, content + uid.encode())
    if release:
        queue.released({KEY})


def take(queue: Spool, later_s: float = 11) -> list[Job]:
    return queue.take_quiet(10, 100, time.time() + later_s)


def queued(queue: Spool, study_uid: str = "1.2.3") -> Job:
    """Queue a study of one object."""
    assert queue.receive(study_uid, "1", b"pixels")
    queue.released({study_key(study_uid)})
    (job,) = take(queue)
    return job


def files_in(job: Job) -> int:
    return len(list(job.input.glob("*.dcm")))


def events(root: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (root / "ledger.jsonl").read_text().splitlines()]


def image(manufacturer: str = "SCANNERS", syntax: str = ExplicitVRLittleEndian) -> Dataset:
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = UID(syntax)
    item.SOPClassUID = item.file_meta.MediaStorageSOPClassUID = MRImageStorage
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4.1")
    item.StudyInstanceUID, item.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    item.Manufacturer = manufacturer
    item.PixelRepresentation = 0
    item.SmallestImagePixelValue = 1
    item.add_new("PixelData", "OW", b"\1\0" * 8)
    return item
