"""Jobs in the queue, from ``queued`` to ``done``, and their recovery after a kill."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import logging
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from app.serve.jobs import JOB_STATES, STATES, Job
from app.serve.records import UNREADABLE, now_utc
from operators.core.errors import OutputError, UsageError

__all__ = ["JobQueue"]

_log = logging.getLogger("sarcomap.serve")


class JobQueue:
    """The folders of the queue, for one process at a time. `app.serve.spool.Spool` adds incoming studies.

    Renames within a file system are atomic, so a study is always in exactly one
    state, whenever the process ends. `recover` resumes what was under way.

    Parameters
    ----------
    root : Path
    max_study_bytes, max_study_objects, min_free_bytes : int
        See `app.serve.settings.Settings`.

    Raises
    ------
    UsageError
        If another service uses the same folder.
    """

    def __init__(self, root: Path, max_study_bytes: int, max_study_objects: int, min_free_bytes: int) -> None:
        self.root = root
        self.max_study_bytes = max_study_bytes
        self.max_study_objects = max_study_objects
        self.min_free_bytes = min_free_bytes
        self._lock = threading.RLock()
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for state in (*STATES, "tmp"):
                (root / state).mkdir(exist_ok=True, mode=0o700)
            self._claim = (root / "lock").open("w")
        except OSError as error:
            raise OutputError(
                f"spool {root}",
                error.strerror or "cannot be used",
                f"a folder that user {os.getuid()} can write",
                "Change its owner or mode, or choose another with --spool.",
            ) from error
        try:
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._claim.close()
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise OutputError(
                    f"spool {root}",
                    f"cannot be locked ({error.strerror})",
                    "a file system with locks, because no two services may share a queue",
                    "Choose a folder on a disk of this machine with --spool.",
                ) from error
            raise UsageError(
                f"spool {root}", "used by another service", "one service per spool", "Stop it, or choose another."
            ) from None

    def close(self) -> None:
        """Unlock the folder for another service."""
        self._claim.close()

    def recover(self, attempts: int | None = None) -> list[Job]:
        """Recover from a killed process: interrupted runs go back to the queue, finished runs go on to sending.

        Parameters
        ----------
        attempts : int, optional
            Runs after which a study fails. Without this limit, a study that kills the service would do so forever.
        """
        shutil.rmtree(self.root / "tmp", ignore_errors=True)
        (self.root / "tmp").mkdir(mode=0o700, exist_ok=True)
        for job in self.jobs("queued"):
            if not job.has_input:
                shutil.rmtree(job.folder)  # killed before the study was moved in
        for job in (job for state in JOB_STATES for job in self.jobs(state)):
            if job.record.error == UNREADABLE:
                _log.error("%s: %s", job.name, UNREADABLE)
                job.record.write(job.folder)
        found = []
        for job in self.jobs("running"):
            if not job.run_ended_well and attempts is not None and job.record.runs >= attempts:
                found.append(self.fail(job, _ended_with_service(job.record.runs)))
                continue
            moved = self.move(job, "sending" if job.run_ended_well else "queued")
            self._note(moved, "recovered")
            found.append(moved)
        return found

    def has_room(self, for_bytes: int = 0) -> bool:
        """Whether enough of the disk stays free if this many more bytes are written."""
        return shutil.disk_usage(self.root).free - for_bytes >= self.min_free_bytes

    def jobs(self, state: str) -> list[Job]:
        """All jobs in one state; the one that has waited longest comes first."""
        folders = [path for path in (self.root / state).iterdir() if path.is_dir()]
        return sorted(map(Job, folders), key=lambda job: (job.record.received_utc, job.name))

    def counts(self) -> dict[str, int]:
        """Number of studies in each state."""
        return {state: sum(1 for path in (self.root / state).iterdir() if path.is_dir()) for state in STATES}

    def begin(self, now: float | None = None) -> Job | None:
        """Take the next study and make it ``running``; None while the disk has too little room for results."""
        now = time.time() if now is None else now
        if not self.has_room():
            return None
        with self._lock:
            for job in self.jobs("queued"):
                record = job.record
                if job.has_input and record.next_run <= now:
                    moved = self.move(job, "running")
                    try:
                        shutil.rmtree(moved.results, ignore_errors=True)
                        # The results are new: no destination has received or refused them.
                        runs = 1 if record.given_up else record.runs + 1
                        self.update(moved, runs=runs, given_up=False, sent={}, tries={}, next_try={})
                        self._note(moved, "started")
                    except Exception:
                        self.put_back(moved)
                        raise
                    return moved
        return None

    def put_back(self, job: Job) -> None:
        """Move a job out of ``running`` whose state could not be recorded: to ``sending`` if its run ended well."""
        with self._lock:
            if job.folder.is_dir():
                self.move(job, "sending" if job.run_ended_well else "queued")

    def move(self, job: Job, state: str) -> Job:
        """Move a job to another state. Nothing else changes the state."""
        with self._lock:
            moved = Job(self.root / state / job.name)
            job.folder.rename(moved.folder)
            return moved

    def update(self, job: Job, **changes: object) -> None:
        """Record changes."""
        with self._lock:
            dataclasses.replace(job.record, **changes).write(job.folder)  # type: ignore[arg-type]

    def advance(self, job: Job, state: str, **changes: object) -> Job:
        """Record changes, move the job, and note it in the ledger."""
        self.update(job, **changes)
        moved = self.move(job, state)
        self._note(moved, state)
        return moved

    def fail(self, job: Job, error: str) -> Job:
        """Move the job to ``failed``, where it stays until somebody looks at it."""
        return self.advance(job, "failed", error=error, given_up=True)

    def purge(self, keep_s: float, now: float | None = None) -> list[str]:
        """Remove jobs that have been done or failed for longer than that."""
        now = time.time() if now is None else now
        removed = []
        for job in (job for state in ("done", "failed") for job in self.jobs(state)):
            try:
                if now - job.changed >= keep_s:
                    # A kill during removal leaves remains in tmp/, which the next start removes, but no half job.
                    aside = Path(tempfile.mkdtemp(dir=self.root / "tmp"))
                    job.folder.rename(aside / job.name)
                    shutil.rmtree(aside, ignore_errors=True)
                    removed.append(job.name)
            except OSError as error:
                _log.error("%s: cannot be removed (%s)", job.name, error.strerror)
        return removed

    # The methods below expect the lock to be held.

    def _new(self, key: str, earlier: Job | None, state: str = "queued") -> Job:
        job = Job(self.root / state / f"{key}.{earlier.generation + 1 if earlier else 1}")
        shutil.rmtree(job.folder, ignore_errors=True)  # left by a failure whose study was never moved in
        job.folder.mkdir()
        return job

    def _latest(self, key: str) -> Job | None:
        found = [Job(path) for state in JOB_STATES for path in (self.root / state).glob(f"{key}.*")]
        return max((job for job in found if job.input.is_dir()), key=lambda job: job.generation, default=None)

    def _note(self, job: Job, event: str) -> None:
        line = json.dumps({"utc": now_utc(), "job": job.name, "event": event})
        with (self.root / "ledger.jsonl").open("a", encoding="utf-8") as ledger:
            ledger.write(line + "\n")


def _ended_with_service(run: int) -> str:
    return (
        f"run {run}, the last that the study may have, ended together with the service. "
        "Check whether memory ran out, and move the study to queued/ to retry it."
    )
