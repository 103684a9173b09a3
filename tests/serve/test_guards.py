"""Limits of the listeners: number of associations, free disk space, and access to health and metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from pynetdicom.association import Association

from app.serve.metrics import Metrics, serve_http
from app.serve.receiver import Receiver
from app.serve.settings import DicomSettings, HttpSettings, Settings
from tests.pacs.orthanc import free_port
from tests.serve.made_queue import image, spool


def associate(port: int) -> Association:
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    return entity.associate("127.0.0.1", port, ae_title="SARCOMAP")


def test_while_the_disk_is_too_full_objects_are_refused_as_out_of_resources(tmp_path: Path) -> None:
    queue, port = spool(tmp_path, min_free=1 << 62), free_port()
    receiver = Receiver(DicomSettings(port=port), queue, Metrics(queue))
    try:
        association = associate(port)
        assert association.send_c_store(image()).Status == 0xA700
        association.release()
        assert queue.counts()["incoming"] == 0
        queue.min_free_bytes = 0
        association = associate(port)
        assert association.send_c_store(image()).Status == 0x0000
        association.release()
    finally:
        receiver.stop()


def test_one_association_more_than_allowed_is_rejected(tmp_path: Path) -> None:
    queue, port = spool(tmp_path), free_port()
    receiver = Receiver(DicomSettings(port=port, maximum_associations=2), queue, Metrics(queue))
    try:
        first, second = associate(port), associate(port)
        assert first.is_established and second.is_established
        assert associate(port).is_rejected
        first.release()
        second.release()
    finally:
        receiver.stop()


def test_unless_told_otherwise_both_listeners_are_for_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(tmp_path)
    assert settings.dicom.host == settings.http.host == "127.0.0.1"
    assert settings.min_free_bytes > 0 and settings.dicom.maximum_associations > 0
    queue = spool(tmp_path)
    server = serve_http(HttpSettings(port=free_port()), Metrics(queue), dict)
    try:
        assert server.socket.getsockname()[0] == "127.0.0.1"
    finally:
        server.server_close()
