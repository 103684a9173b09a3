"""The queue on disk: its content after a kill, what is queued, and what counts as the same study."""

from __future__ import annotations

import errno
import fcntl
import time
from pathlib import Path

import pytest

from app.serve.spool import Job
from app.serve.watched_folder import Watcher
from operators.core.errors import OutputError, UsageError
from operators.core.study_key import study_key
from tests.serve.made_queue import KEY, events, receive, spool, take


def test_a_study_is_taken_when_it_is_quiet_and_not_before(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1", "2")
    assert take(queue, 9) == []
    (job,) = take(queue)
    assert job.name == f"{KEY}.1" and job.record.objects == 2
    assert queue.counts() == {"incoming": 0, "queued": 1, "running": 0, "sending": 0, "done": 0, "failed": 0}


def test_a_study_whose_sender_was_cut_off_waits_for_it(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1", release=False)
    assert take(queue, 50) == []
    receive(queue, "1", "2", "3")
    (job,) = take(queue)
    assert job.record.objects == 3


def test_a_cut_off_study_is_queued_in_the_end(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1", release=False)
    assert len(take(queue, 101)) == 1


def test_the_same_study_again_is_not_done_twice(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1", "2")
    take(queue)
    job = queue.begin()
    assert job is not None
    queue.advance(queue.advance(job, "sending"), "done")
    receive(queue, "2", "1")
    assert take(queue) == []
    assert queue.counts()["done"] == 1 and sum(queue.counts().values()) == 1
    assert events(tmp_path)[-1] == "duplicate"


def test_late_objects_run_together_with_the_earlier_ones(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1", "2")
    take(queue)
    job = queue.begin()
    assert job is not None
    queue.advance(queue.advance(job, "sending"), "done")
    receive(queue, "3")
    (again,) = take(queue)
    assert again.name == f"{KEY}.2" and again.record.objects == 3


def test_late_objects_join_a_study_that_has_not_begun(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1")
    take(queue)
    receive(queue, "2")
    assert take(queue) == []
    job = queue.begin()
    assert job is not None and len(list(job.input.glob("*.dcm"))) == 2
    assert queue.begin() is None


def test_a_failed_study_that_is_sent_again_is_tried_again(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1")
    take(queue)
    job = queue.begin()
    assert job is not None
    queue.fail(job, "no")
    receive(queue, "1")
    assert [again.name for again in take(queue)] == [f"{KEY}.2"]


def test_after_a_kill_a_cut_off_run_is_queued_and_a_finished_one_is_sent(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1")
    queue.receive("4.5.6", "1", b"other")
    queue.released({study_key("4.5.6")})
    take(queue)
    finished, cut_off = queue.begin(), queue.begin()
    assert finished is not None and cut_off is not None
    finished.results.mkdir()
    (finished.results / "report.json").write_text("{}")
    (tmp_path / "queued" / "aaaabbbbcccc.1").mkdir()  # killed before its study was moved in
    (tmp_path / "tmp" / "half").write_bytes(b"half an object")
    queue.close()
    again = spool(tmp_path)
    again.recover()
    assert [job.name for job in again.jobs("sending")] == [finished.name]
    assert [job.name for job in again.jobs("queued")] == [cut_off.name]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("limits", [{"max_bytes": 20}, {"max_objects": 2}])
def test_a_study_that_is_too_large_is_refused_and_fails_with_a_reason(tmp_path: Path, limits: dict[str, int]) -> None:
    queue = spool(tmp_path, **limits)
    kept = [queue.receive("1.2.3", str(n), b"0123456789") for n in range(4)]
    assert kept == [True, True, False, False]
    assert queue.receive("7.8.9", "1", b"0123456789")  # other studies are not affected
    (job, *_) = take(queue, 101)
    assert {j.key for j in queue.jobs("failed")} == {KEY}
    assert "raise max_study_objects" in Job(tmp_path / "failed" / f"{KEY}.1").record.error
    assert job is not None


def test_two_services_do_not_share_a_queue(tmp_path: Path) -> None:
    first = spool(tmp_path)
    with pytest.raises(UsageError, match="used by another service"):
        spool(tmp_path)
    first.close()
    spool(tmp_path).close()


def test_a_queue_on_a_file_system_without_locks_is_refused_for_this_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(file: object, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(OutputError, match=r"cannot be locked \(No locks available\)"):
        spool(tmp_path)


def test_done_studies_are_removed_after_keep_days(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    receive(queue, "1")
    take(queue)
    job = queue.begin()
    assert job is not None
    queue.advance(queue.advance(job, "sending"), "done")
    assert queue.purge(100) == []
    assert queue.purge(100, time.time() + 101) == [f"{KEY}.1"]
    assert sum(queue.counts().values()) == 0


def test_a_folder_and_a_zip_are_moved_in_and_the_same_content_only_once(tmp_path: Path) -> None:
    queue, inbox = spool(tmp_path / "spool"), tmp_path / "inbox"
    for name in ("study", "copy"):
        (inbox / name).mkdir(parents=True)
        (inbox / name / f"{name}.dcm").write_bytes(b"the same")
    (inbox / "1000123_20201_2_0.zip").write_bytes(b"PK zip")
    jobs = [queue.add(path) for path in sorted(inbox.iterdir())]
    assert [job is None for job in jobs] == [False, False, True]
    assert jobs[0] is not None and [p.name for p in jobs[0].input.iterdir()] == ["1000123_20201_2_0.zip"]
    assert list(inbox.iterdir()) == []


def test_growing_studies_in_the_watched_folder_are_left_alone(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path, quiet_s=10)
    (tmp_path / "one.zip").write_bytes(b"1")
    (tmp_path / "two.zip.part").write_bytes(b"2")
    (tmp_path / "note.txt").write_text("not a study")
    (tmp_path / "study").mkdir()
    assert watcher.settled(0) == []
    (tmp_path / "study" / "1.dcm").write_bytes(b"x")
    assert watcher.settled(9) == []
    assert [path.name for path in watcher.settled(11)] == ["one.zip"]
    assert [path.name for path in watcher.settled(19)] == ["one.zip", "study"]
