"""Runs in separate processes: what they know, and when they are repeated."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from app.serve.metrics import Metrics
from app.serve.records import Record
from app.serve.runner import Runner
from app.serve.settings import RunSettings
from app.serve.spool import Spool
from tests.serve.made_queue import queued, spool


def runner(queue: Spool, attempts: int = 3) -> Runner:
    return Runner(RunSettings(attempts=attempts), queue, Metrics(queue), threading.Event(), 1.0)


@pytest.fixture
def queue(tmp_path: Path) -> Spool:
    return spool(tmp_path / "spool")


def instead_of_python(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Replace runs by this shell script."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_a_run_has_no_login_in_its_environment(tmp_path: Path, queue: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "USER", "PASSWORD", "PLAIN_HTTP"):
        monkeypatch.setenv(f"SARCOMAP_DICOMWEB_{name}", "secret")
    monkeypatch.setenv("SARCOMAP_CACHE", "/some/cache")
    instead_of_python(tmp_path, monkeypatch, f"env > {tmp_path}/environment; exit 2")
    queued(queue)
    assert runner(queue).run_next()
    environment = (tmp_path / "environment").read_text()
    assert "SARCOMAP_CACHE=/some/cache" in environment
    assert "SARCOMAP_DICOMWEB" not in environment and "secret" not in environment


def test_a_run_that_crashed_is_repeated_after_a_wait_that_grows_and_then_given_up(
    tmp_path: Path, queue: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead_of_python(tmp_path, monkeypatch, "kill -9 $$")
    queued(queue)
    waits = []
    for _ in range(2):
        assert runner(queue).run_next()
        (job,) = queue.jobs("queued")
        waits.append(job.record.next_run - time.time())
        assert not runner(queue).run_next()  # not at once
        queue.update(job, next_run=0.0)
    assert 0 < waits[0] <= 5 < waits[1] <= 10
    assert runner(queue).run_next()
    (failed,) = queue.jobs("failed")
    assert failed.record.runs == 3 and failed.record.error == "killed by signal 9"


def test_a_run_sees_the_folder_of_the_service_and_imports_nothing_from_it(
    tmp_path: Path, queue: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A relative path among the arguments, as of a key, is that which the user sees.
    instead_of_python(tmp_path, monkeypatch, f'pwd > {tmp_path}/place; echo "$@" > {tmp_path}/words; exit 2')
    monkeypatch.chdir(tmp_path)
    queued(queue)
    assert runner(queue).run_next()
    assert (tmp_path / "place").read_text().strip() == str(tmp_path)
    assert (tmp_path / "words").read_text().startswith("-P -m app.serve.worker ")


def test_a_study_whose_state_cannot_be_recorded_does_not_stay_in_running(
    tmp_path: Path, queue: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    instead_of_python(tmp_path, monkeypatch, "exit 2")
    queued(queue)
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(Record, "write", lambda self, folder: full(folder))
            with pytest.raises(OSError, match="No space"):
                runner(queue).run_next()  # before the run
        assert queue.counts()["running"] == 0 and queue.counts()["queued"] == 1
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "fail", lambda self, job, error: full(job.folder))
        with pytest.raises(OSError, match="No space"):
            runner(queue).run_next()  # after it
    assert queue.counts()["running"] == 0 and queue.counts()["queued"] == 1
    assert runner(queue).run_next() and queue.counts()["failed"] == 1
