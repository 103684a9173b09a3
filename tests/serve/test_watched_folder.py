"""The watched folder: a study that cannot be queued stays there complete and does not block others."""

from __future__ import annotations

import errno
import itertools
import shutil
from pathlib import Path

import pytest

from app.serve.service import Service
from app.serve.settings import DicomSettings, HttpSettings, Settings
from app.serve.watched_folder import Watcher
from operators.core.errors import InputError, OutputError
from tests.serve.made_queue import events, files_in, queued, spool


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    (folder / "study").mkdir(parents=True)
    for name in ("1.dcm", "2.dcm"):
        (folder / "study" / name).write_bytes(name.encode())
    (folder / "other.zip").write_bytes(b"PK")
    return folder


@pytest.fixture
def another_disk(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make renames out of the watched folder fail as if to another file system."""
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.parent == inbox and Path(target).parent != inbox:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)


@pytest.mark.usefixtures("another_disk")
@pytest.mark.parametrize("name", ["study", "other.zip"])
def test_a_study_on_another_disk_is_copied_and_removed(tmp_path: Path, inbox: Path, name: str) -> None:
    queue = spool(tmp_path / "spool")
    job = queue.add(inbox / name)
    assert job is not None and any(job.input.iterdir()) and job.record.source == "folder"
    assert not (inbox / name).exists() and list((tmp_path / "spool" / "tmp").iterdir()) == []


@pytest.mark.usefixtures("another_disk")
def test_a_copy_that_fails_leaves_the_study_and_nothing_else_and_can_be_repeated(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = spool(tmp_path / "spool")

    def full(source: Path, target: Path) -> None:
        Path(target).mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copytree", full)
            with pytest.raises(OSError, match="No space"):
                queue.add(inbox / "study")
        assert list((tmp_path / "spool" / "tmp").iterdir()) == [] and sum(queue.counts().values()) == 0
    job = queue.add(inbox / "study")
    assert job is not None and files_in(job) == 2


@pytest.mark.usefixtures("another_disk")
def test_a_study_that_is_too_large_is_not_copied(tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = spool(tmp_path / "spool", max_objects=1)
    monkeypatch.setattr(shutil, "copytree", None)
    with pytest.raises(InputError, match="raise max_study_objects"):
        queue.add(inbox / "study")
    assert (inbox / "study" / "1.dcm").exists() and sum(queue.counts().values()) == 0


@pytest.mark.usefixtures("another_disk")
def test_a_study_for_which_the_disk_has_no_room_is_not_copied(tmp_path: Path, inbox: Path) -> None:
    queue = spool(tmp_path / "spool")
    queue.has_room = lambda for_bytes=0: for_bytes == 0  # type: ignore[method-assign]
    with pytest.raises(OutputError, match="too little room"):
        queue.add(inbox / "study")
    assert sum(queue.counts().values()) == 0


def test_nothing_is_taken_while_the_disk_is_too_full(tmp_path: Path, inbox: Path) -> None:
    with pytest.raises(OutputError, match="too little room"):
        spool(tmp_path / "spool", min_free=1 << 62).add(inbox / "study")
    assert (inbox / "study" / "1.dcm").exists()


def test_a_study_beyond_the_limit_on_this_disk_fails_with_the_reason(tmp_path: Path, inbox: Path) -> None:
    job = spool(tmp_path / "spool", max_objects=1).add(inbox / "study")
    assert job is not None and job.state == "failed" and "raise max_study_objects" in job.record.error
    assert not (inbox / "study").exists()


@pytest.mark.usefixtures("another_disk")
def test_a_study_that_cannot_be_removed_is_queued_once_and_noted_once(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = spool(tmp_path / "spool")

    def refused(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("app.serve.spool.remove", refused)
    for _ in range(3):
        with pytest.raises(PermissionError):
            queue.add(inbox / "study")
    assert events(tmp_path / "spool") == ["queued"] and queue.counts()["queued"] == 1


def test_a_study_that_cannot_be_queued_waits_and_blocks_neither_the_others_nor_the_purge(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        tmp_path / "spool",
        watch=inbox,
        quiet_s=0.01,
        keep_days=0,
        min_free_bytes=0,
        dicom=DicomSettings(port=0),
        http=HttpSettings(port=0),
    )
    monkeypatch.setattr(Service, "_start", lambda _: None)  # this test calls the steps itself
    service = Service(settings)
    add, asked = service.spool.add, []

    def refused(path: Path) -> object:
        asked.append(path.name)
        if path.name == "other.zip":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return add(path)

    monkeypatch.setattr(service.spool, "add", refused)
    service.spool.fail(queued(service.spool), "no")
    monkeypatch.setattr("app.serve.watched_folder.time.monotonic", itertools.count().__next__)
    for _ in range(3):
        service._take()
    assert asked == ["other.zip", "study"]  # the first is not tried again yet
    assert service.spool.counts() | {"queued": 1, "failed": 0} == service.spool.counts()
    assert (
        "cannot queue a study of the watched folder (Permission denied)" in caplog.text
        and "other.zip" not in caplog.text
    )
    service.stop()


def test_a_folder_whose_files_are_still_to_come_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "scanner" / "series").mkdir(parents=True)
    watcher = Watcher(tmp_path, 5.0)
    assert watcher.settled(0.0) == watcher.settled(100.0) == []
    (tmp_path / "scanner" / "series" / "IM1").write_bytes(b"1")
    assert watcher.settled(101.0) == []
    assert watcher.settled(107.0) == [tmp_path / "scanner"]


def test_a_watched_share_that_is_gone_does_not_keep_objects_waiting(
    tmp_path: Path, inbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    off = {"dicom": DicomSettings(port=0), "http": HttpSettings(port=0)}
    service = Service(Settings(spool=tmp_path / "s", watch=inbox, min_free_bytes=0, **off))  # type: ignore[arg-type]
    try:
        inbox.rename(tmp_path / "gone")
        for _ in range(3):
            assert service._settled() == []
        assert service.health()["watched folder"] is False
        assert caplog.text.count("the watched folder cannot be listed (No such file or directory)") == 1
        (tmp_path / "gone").rename(inbox)
        service._settled()
        assert service.health()["watched folder"] is True
    finally:
        service.stop()
