"""Studies that arrive in parts or repeatedly: which parts run together, which are equal, which are our own results."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from app.serve.spool import Spool
from tests.serve.made_queue import KEY, events, files_in, image, queued, receive, spool, take


def as_file(item: Dataset, version: str = "ONE") -> bytes:
    item.file_meta.ImplementationVersionName = version
    stream = io.BytesIO()
    item.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def sent(queue: Spool, content: bytes) -> None:
    assert queue.receive("1.2.3", "1", content)
    queue.released({KEY})


def done(queue: Spool) -> None:
    job = queue.begin()
    assert job is not None
    queue.advance(queue.advance(job, "sending"), "done")


def test_a_later_part_of_a_failed_study_is_run_together_with_what_failed(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1", "2")
    take(queue)
    job = queue.begin()
    assert job is not None
    queue.fail(job, "three contrasts are missing")
    receive(queue, "3")
    (again,) = take(queue)
    assert again.name == f"{KEY}.2" and again.record.objects == files_in(again) == 3


def test_a_later_part_of_a_study_that_was_refused_for_size_is_not_joined_to_it(tmp_path: Path) -> None:
    queue = spool(tmp_path, max_objects=2)
    assert [queue.receive("1.2.3", str(n), b"x") for n in range(3)] == [True, True, False]
    take(queue, 101)
    receive(queue, "4")
    (again,) = take(queue)
    assert again.state == "queued" and files_in(again) == 1


def test_objects_that_join_a_waiting_study_are_counted(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1")
    (job,) = take(queue)
    receive(queue, "2", "3")
    take(queue)
    assert (job.record.objects, job.record.bytes) == (3, 3 * len(b"pixels1"))


@pytest.mark.parametrize("limits", [{"max_objects": 2}, {"max_bytes": 20}])
def test_a_waiting_study_that_would_become_too_large_fails_with_the_part(
    tmp_path: Path, limits: dict[str, int]
) -> None:
    queue = spool(tmp_path, **limits)
    receive(queue, "1", "2")
    take(queue)
    receive(queue, "3")
    (refused,) = take(queue)
    assert [job.name for job in queue.jobs("failed")] == [f"{KEY}.1", f"{KEY}.2"] and queue.begin() is None
    assert "raise max_study_objects" in refused.record.error and files_in(refused) == 1


def test_a_part_that_makes_a_done_study_too_large_fails_alone(tmp_path: Path) -> None:
    queue = spool(tmp_path, max_objects=2)
    receive(queue, "1", "2")
    take(queue)
    done(queue)
    receive(queue, "3")
    (refused,) = take(queue)
    assert refused.state == "failed" and queue.counts()["done"] == 1


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_an_object_in_another_encoding_or_by_another_library_is_the_same(tmp_path: Path, syntax: str) -> None:
    queue = spool(tmp_path)
    sent(queue, as_file(image()))
    take(queue)
    done(queue)
    sent(queue, as_file(image(syntax=syntax), version="TWO"))
    assert take(queue) == [] and events(tmp_path)[-1] == "duplicate"


@pytest.mark.parametrize("change", [{"PixelData": b"\2\0" * 8}, {"PatientPosition": "FFS"}])
def test_an_object_whose_data_set_has_changed_is_run_again(tmp_path: Path, change: dict[str, object]) -> None:
    queue = spool(tmp_path)
    sent(queue, as_file(image()))
    take(queue)
    done(queue)
    item = image()
    for keyword, value in change.items():
        setattr(item, keyword, value)
    sent(queue, as_file(item))
    assert [job.name for job in take(queue)] == [f"{KEY}.2"]


def test_a_long_object_is_not_parsed_to_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.serve.objects._PARSED_BYTES", 100)
    queue = spool(tmp_path)
    sent(queue, as_file(image()))
    take(queue)
    done(queue)
    sent(queue, as_file(image(), version="TWO"))
    assert len(take(queue)) == 1


def test_our_own_results_are_accepted_but_not_stored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    queue = spool(tmp_path)
    sent(queue, as_file(image("SarcoMAP")))
    sent(queue, as_file(image("SarcoMAP")))
    assert queue.counts()["incoming"] == 0 and list((tmp_path / "tmp").iterdir()) == []
    assert [line.getMessage() for line in caplog.records] == [
        f"{KEY}: results of SarcoMAP came back; they are not kept"
    ]
    sent(queue, as_file(image("SarcoMAP phantom")))  # not one of our results
    assert queue.counts()["incoming"] == 1


def test_one_study_that_cannot_be_queued_does_not_block_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = spool(tmp_path)
    for uid in ("1.2.3", "4.5.6"):
        queue.receive(uid, "1", b"pixels")
    first, _ = sorted(path.name for path in (tmp_path / "incoming").iterdir())
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name == first:
            raise PermissionError(13, "refused")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    now = time.time()
    past = now - 101
    for folder in (tmp_path / "incoming").iterdir():
        os.utime(folder, (past, past))
    assert len(queue.take_quiet(10, 100, now)) == 1
    monkeypatch.undo()
    assert queue.take_quiet(10, 100, now + 50) == []  # the wait starts again
    assert [job.key for job in queue.take_quiet(10, 100, now + 102)] == [first]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = spool(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        queue.receive("1.2.3", "1", b"pixels")
    assert list((tmp_path / "tmp").iterdir()) == [] == list((tmp_path / "incoming").iterdir())


def test_while_the_disk_is_too_full_no_run_begins(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queued(queue)
    queue.min_free_bytes = 1 << 62
    assert not queue.has_room() and queue.begin() is None
    queue.min_free_bytes = 0
    assert queue.begin() is not None
