"""Recovery of the queue after a kill, a damaged file or a manual change."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from app.serve.records import UNREADABLE
from app.serve.spool import Job, Spool
from tests.serve.made_queue import KEY, queued, spool


def begun(queue: Spool) -> Job:
    job = queue.begin()
    assert job is not None
    return job


def restarted(queue: Spool, attempts: int = 3) -> Spool:
    queue.close()
    again = spool(queue.root)
    again.recover(attempts)
    return again


def test_a_study_that_kills_the_service_fails_after_its_last_run(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queued(queue)
    for run in (1, 2):
        assert begun(queue).record.runs == run
        queue = restarted(queue, attempts=2)
    assert (
        queue.jobs("queued") == []
        and "run 2, the last that the study may have, ended together" in queue.jobs("failed")[0].record.error
    )


def test_a_finished_run_is_sent_even_if_it_was_the_last(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queued(queue)
    job = begun(queue)
    job.results.mkdir()
    (job.results / "report.json").write_text("{}")
    assert len(restarted(queue, attempts=1).jobs("sending")) == 1


def test_a_failed_study_that_is_put_back_by_hand_starts_again(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queued(queue)
    job = begun(queue)
    job.results.mkdir()
    (job.results / "old.dcm").touch()
    queue.update(job, runs=3, sent={"pacs": "2026"}, tries={"archive": 48}, next_try={"archive": 9e9})
    failed = queue.fail(job, "archive: no association")
    shutil.move(failed.folder, tmp_path / "queued")
    record = begun(queue).record
    assert (record.runs, record.sent, record.tries, record.next_try, record.given_up) == (1, {}, {}, {}, False)


def test_a_repeated_run_is_counted(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queued(queue)
    queue.advance(begun(queue), "queued", error="killed by signal 9")
    assert begun(queue).record.runs == 2


def test_a_run_does_not_begin_before_its_time(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queue.update(queued(queue), next_run=time.time() + 10)
    other = queued(queue, "4.5.6")
    assert begun(queue).name == other.name and queue.begin() is None
    assert queue.begin(time.time() + 11) is not None


@pytest.mark.parametrize("content", ["", '{"received_utc": "2026', "[]", "\x00\x00"])
def test_a_damaged_record_blocks_nothing(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    queue = spool(tmp_path)
    (queued(queue).folder / "job.json").write_text(content)
    other = queued(queue, "4.5.6")
    queue = restarted(queue)
    assert len(queue.jobs("queued")) == 2
    assert f"{KEY}.1: {UNREADABLE}" in caplog.text
    names = {begun(queue).name, begun(queue).name}
    assert names == {f"{KEY}.1", other.name}


def test_records_of_an_earlier_and_a_later_version_are_read(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    job = queued(queue)
    (job.folder / "job.json").write_text(json.dumps({"runs": 2, "next_try": 17.5, "unheard_of": 1}))
    assert job.record.runs == 2 and job.record.next_try == {}


def test_a_kill_while_an_old_study_is_removed_does_not_block_the_next_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = spool(tmp_path)
    queue.fail(queued(queue), "no")
    later = time.time() + 101
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # the kill happens here
        queue.purge(100, later)
    assert queue.counts()["failed"] == 0 and list((tmp_path / "tmp").iterdir())
    queue = restarted(queue)
    assert list((tmp_path / "tmp").iterdir()) == []
    queue.fail(queued(queue), "no")
    assert queue.purge(100, later) == [f"{KEY}.1"]


def test_a_failed_study_without_a_record_is_removed_too(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    (tmp_path / "failed" / f"{KEY}.1").mkdir()
    queue.fail(queued(queue, "4.5.6"), "no")
    assert len(queue.purge(100, time.time() + 101)) == 2
