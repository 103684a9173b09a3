"""Sending results: what blocks what, and when sending is given up."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event

from app.serve import sender as sending
from app.serve.metrics import Metrics
from app.serve.sender import Sender, store_by_dimse
from app.serve.service import Service
from app.serve.settings import Destination, DicomSettings, HttpSettings, SendSettings, Settings
from app.serve.spool import Job, Spool
from operators.core.errors import OutputError
from operators.core.volume import Volume
from operators.dicom_seg_writer import write_dicom
from tests import box_body
from tests.serve.made_queue import queued, spool


class Fake:
    """Destinations that accept everything unless told to refuse; ``asked`` lists all deliveries in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.refuse: dict[str, Exception] = {}

    def __call__(self, job: Job, destination: Destination) -> None:
        self.asked.append((job.key, destination.name))
        for name in (job.key, destination.name):
            if name in self.refuse:
                raise self.refuse[name]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    monkeypatch.setattr(sending, "deliver", fake)
    return fake


@pytest.fixture
def queue(tmp_path: Path) -> Spool:
    return spool(tmp_path / "spool")


def sender(queue: Spool, *names: str, attempts: int = 3, stopping: threading.Event | None = None) -> Sender:
    destinations = [Destination(name, folder=Path("/nowhere")) for name in names]
    return Sender(destinations, SendSettings(10, 100, attempts), queue, Metrics(queue), stopping or threading.Event())


def processed(queue: Spool, *study_uids: str) -> list[Job]:
    return [queue.move(queued(queue, uid), "sending") for uid in study_uids]


DOWN = OutputError("storage SCP", "no association", "an association", "Check it.")


def test_a_dead_destination_is_tried_last_and_once_and_the_healthy_one_gets_everything(
    queue: Spool, world: Fake
) -> None:
    jobs = processed(queue, "1", "2", "3")
    world.refuse["dead"] = DOWN
    out = sender(queue, "dead", "alive")
    out.send_due()
    out.send_due()
    assert [name for _, name in world.asked] == ["dead", "alive", "alive", "alive"]
    world.asked.clear()
    processed(queue, "4")
    out.send_due(time.time() + 11)
    assert [name for _, name in world.asked] == ["alive", "dead"]  # it is tried last, and with one study only
    assert all(set(job.record.sent) == {"alive"} for job in jobs)


def test_a_recovered_destination_gets_what_waited(queue: Spool, world: Fake) -> None:
    processed(queue, "1", "2")
    world.refuse["pacs"] = DOWN
    out = sender(queue, "pacs")
    out.send_due()
    world.refuse.clear()
    assert out.send_due() == 0
    assert out.send_due(time.time() + 11) == 2


def test_a_study_that_no_destination_takes_does_not_keep_the_others_for_long(queue: Spool, world: Fake) -> None:
    bad, good = processed(queue, "1", "2")
    world.refuse[bad.key] = RuntimeError("patient's name")
    out = sender(queue, "pacs", attempts=2)
    out.send_due()
    assert bad.record.tries == {"pacs": 1} and bad.record.error == "pacs: RuntimeError"
    out.send_due(time.time() + 11)
    assert [job.name for job in queue.jobs("failed")] == [bad.name]
    assert [job.name for job in queue.jobs("done")] == [] and good.record.tries == {}
    assert out.send_due(time.time() + 61) == 1


def test_a_study_is_given_up_when_no_destination_is_left_to_try(queue: Spool, world: Fake) -> None:
    (job,) = processed(queue, "1")
    world.refuse |= {"first": DOWN, "second": DOWN}
    out = sender(queue, "first", "second", "third", attempts=2)
    out.send_due()
    out.send_due(time.time() + 101)
    (failed,) = queue.jobs("failed")
    assert failed.record.tries == {"first": 2, "second": 2} and set(failed.record.sent) == {"third"}
    shutil.move(failed.folder, queue.root / "sending")  # by hand, to send only the results again
    world.refuse.clear()
    assert sender(queue, "first", "second", "third").send_due() == 1
    assert world.asked[-2:] == [(job.key, "first"), (job.key, "second")]


def test_results_without_a_dicom_file_are_counted_as_a_failure(queue: Spool) -> None:
    (job,) = processed(queue, "1")
    job.results.mkdir()
    out = Sender([Destination("pacs", dimse="127.0.0.1:1")], SendSettings(), queue, Metrics(queue), threading.Event())
    out.send_due()
    assert job.record.tries == {"pacs": 1} and "no DICOM file" in job.record.error


def test_a_record_that_cannot_be_written_blocks_no_other_study(
    queue: Spool, world: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = processed(queue, "1", "2")
    update = queue.update

    def full(job: Job, **changes: object) -> None:
        if job.name == first.name:
            raise OutputError("job.json", "No space left on device", "a place that can be written", "Free some.")
        update(job, **changes)

    monkeypatch.setattr(queue, "update", full)
    out = sender(queue, "pacs")
    assert [out.send_due(), out.send_due()] == [1, 0]
    assert len(world.asked) == 2  # the other study was sent, and not repeatedly


def test_after_a_stop_request_no_delivery_begins(queue: Spool, world: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    processed(queue, "1", "2", "3")
    stopping = threading.Event()

    def deliver(job: Job, destination: Destination) -> None:
        world(job, destination)
        stopping.set()

    monkeypatch.setattr(sending, "deliver", deliver)
    assert sender(queue, "a", "b", stopping=stopping).send_due() == 0
    assert len(world.asked) == 1 and queue.counts()["sending"] == 3


def test_a_delivery_that_hangs_does_not_keep_the_service_from_stopping(
    tmp_path: Path, queue: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    processed(queue, "1")
    queue.close()
    hangs, goes_on = threading.Event(), threading.Event()

    def deliver(job: Job, destination: Destination) -> None:
        hangs.set()
        goes_on.wait(30)

    monkeypatch.setattr(sending, "deliver", deliver)
    monkeypatch.setattr("app.serve.service._ENDING_S", 0.1)
    settings = Settings(
        queue.root,
        min_free_bytes=0,
        dicom=DicomSettings(port=0),
        http=HttpSettings(port=0),
        destinations=(Destination("pacs", folder=tmp_path),),
    )
    service = Service(settings, grace_s=0.1)
    assert hangs.wait(20)
    stop = threading.Thread(target=service.stop)
    stop.start()
    stop.join(10)
    goes_on.set()
    assert not stop.is_alive()


@pytest.mark.parametrize(
    ("accepted", "used"),
    [
        ([ImplicitVRLittleEndian], ImplicitVRLittleEndian),
        ([ExplicitVRLittleEndian], ExplicitVRLittleEndian),
        ([ImplicitVRLittleEndian, ExplicitVRLittleEndian], ExplicitVRLittleEndian),
    ],
    ids=["default-only", "explicit-only", "both"],
)
def test_an_archive_gets_results_in_a_transfer_syntax_that_it_accepts(
    tmp_path: Path, accepted: list[UID], used: UID
) -> None:
    fused = box_body.fused_of(box_body.grid())
    labels, _ = box_body.box_labels()
    files = write_dicom(tmp_path, Volume(labels, fused.grid), fused, box_body.study_of(fused), box_body.MODEL)
    sent = [tmp_path / "derived" / "water" / "0001.dcm", box_body.present(files.segmentation)]
    received: list[tuple[UID, Dataset]] = []

    def keep(event: Event) -> int:
        received.append((event.context.transfer_syntax, event.dataset))
        return 0

    archive = AE(ae_title="ARCHIVE")
    for sop_class in (MRImageStorage, SegmentationStorage):
        archive.add_supported_context(sop_class, accepted)
    server = archive.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    assert server is not None
    try:
        store_by_dimse(sent, "127.0.0.1", server.server_address[1], "ARCHIVE")
    finally:
        server.shutdown()
    assert [syntax for syntax, _ in received] == [used, used]
    for path, (_, dataset) in zip(sent, received, strict=True):
        written = dcmread(path)
        assert dataset.PixelData == written.PixelData
        for one in (dataset, written):
            del one.PixelData  # whose representation the default transfer syntax does not state
        assert dataset.to_json_dict() == written.to_json_dict()
