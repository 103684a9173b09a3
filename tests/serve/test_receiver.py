"""The listener holds no object in memory, none beyond the limit, and none that is deflated."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from pynetdicom.association import Association

from app.serve.metrics import Metrics
from app.serve.receiver import Receiver
from app.serve.settings import DicomSettings
from app.serve.spool import Spool
from operators.core.study_key import study_key
from tests.pacs.orthanc import free_port
from tests.serve.service import until

LIMIT = 1024 * 1024


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    queue = Spool(tmp_path / "spool", LIMIT, 100, 0)
    yield queue
    queue.close()


@pytest.fixture
def port(spool: Spool) -> Iterator[int]:
    number = free_port()
    receiver = Receiver(DicomSettings(port=number), spool, Metrics(spool))
    yield number
    receiver.stop()


def image(size: int, number: int = 1) -> Dataset:
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.SOPClassUID = item.file_meta.MediaStorageSOPClassUID = MRImageStorage
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{number}")
    item.StudyInstanceUID, item.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    item.add_new("PixelData", "OW", b"\1" * size)
    return item


def associate(port: int, syntax: str = ExplicitVRLittleEndian) -> Association:
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(MRImageStorage, syntax)
    return entity.associate("127.0.0.1", port, ae_title="SARCOMAP")


def temporary(spool: Spool) -> list[Path]:
    return list((spool.root / "tmp").iterdir())


def test_a_deflated_dataset_is_not_taken_over_an_association(port: int) -> None:
    association = associate(port, DeflatedExplicitVRLittleEndian)
    assert not association.accepted_contexts
    association.abort()


def test_an_object_is_in_the_queue_as_it_was_sent_and_nowhere_else(port: int, spool: Spool) -> None:
    association = associate(port)
    assert association.send_c_store(image(300_000)).Status == 0x0000
    association.release()
    folder = spool.root / "incoming" / study_key("1.2.3")
    until((folder / ".released").exists, 10)
    (file,) = folder.glob("*.dcm")
    assert file.stat().st_size > 300_000 and b"\1" * 300_000 in file.read_bytes()
    assert not temporary(spool)


def test_an_object_beyond_the_limit_is_stopped_on_its_way_and_none_of_it_stays(port: int, spool: Spool) -> None:
    association = associate(port)
    assert association.send_c_store(image(100_000)).Status == 0x0000
    assert "Status" not in association.send_c_store(image(30 * LIMIT, number=2))
    until(lambda: not temporary(spool), 10)
    assert len(list((spool.root / "incoming" / study_key("1.2.3")).glob("*.dcm"))) == 1


def test_objects_within_the_limit_may_follow_one_another_beyond_it(port: int, spool: Spool) -> None:
    spool.max_study_bytes = 10 * LIMIT
    association = associate(port)
    assert [association.send_c_store(image(400_000, number)).Status for number in range(5)] == [0] * 5
    association.release()


def test_who_announces_a_pdu_of_gigabytes_is_cut_off_at_once(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(struct.pack(">BBL", 1, 0, 2**32 - 1))
        stranger.settimeout(10)
        begun = time.monotonic()
        assert stranger.recv(100) == b""
        assert time.monotonic() - begun < 5
