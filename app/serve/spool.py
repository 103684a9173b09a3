"""The queue on disk: a study's state is the folder it lies in, and a rename is its only transition."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from app.serve.records import Record, now_utc
from operators.errors import OutputError, UsageError

__all__ = ["STATES", "Job", "Spool", "study_key"]

#: In the order in which a study goes through them; ``failed`` is the other end.
STATES = ("incoming", "queued", "running", "sending", "done", "failed")
_JOB_STATES = STATES[1:]
_RELEASED, _REFUSED = ".released", ".refused"


def study_key(study_uid: str) -> str:
    """How a study is called in the queue and in logs: its pseudonym in reports as well."""
    return hashlib.sha256(study_uid.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Job:
    """One run of one study: ``<key>.<generation>``; ``folder`` holds ``input/``, ``results/`` and ``job.json``."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def key(self) -> str:
        return self.name.split(".")[0]

    @property
    def generation(self) -> int:
        return int(self.name.split(".")[1])

    @property
    def state(self) -> str:
        return self.folder.parent.name

    @property
    def input(self) -> Path:
        return self.folder / "input"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def record(self) -> Record:
        return Record.read(self.folder)

    @property
    def has_input(self) -> bool:
        """Whether the study has been moved in: the last step of queueing it."""
        return self.input.is_dir() and any(self.input.iterdir())

    @property
    def run_ended_well(self) -> bool:
        """The report is the last file that a run puts in place."""
        return (self.results / "report.json").is_file()


class Spool:
    """The folders of the queue, for one process at a time.

    Renames within a file system are atomic, so a study is in one state
    whenever the process ends; `recover` takes up what was under way.

    Parameters
    ----------
    root : Path
    max_study_bytes, max_study_objects, min_free_bytes : int
        See `app.serve.settings.Settings`.

    Raises
    ------
    UsageError
        When another service uses the same folder.
    """

    def __init__(self, root: Path, max_study_bytes: int, max_study_objects: int, min_free_bytes: int) -> None:
        self.root = root
        self.max_study_bytes = max_study_bytes
        self.max_study_objects = max_study_objects
        self.min_free_bytes = min_free_bytes
        self._lock = threading.RLock()
        self._sizes: dict[str, tuple[int, int]] = {}
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
        except OSError:
            self._claim.close()
            raise UsageError(
                f"spool {root}", "used by another service", "one service for one spool", "Stop it, or choose another."
            ) from None

    def close(self) -> None:
        """Let another service have it."""
        self._claim.close()

    def recover(self) -> list[Job]:
        """Put right what a killed process left: cut-off runs back to the queue, finished ones on to sending."""
        shutil.rmtree(self.root / "tmp", ignore_errors=True)
        (self.root / "tmp").mkdir(mode=0o700)
        for job in self.jobs("queued"):
            if not job.has_input:
                shutil.rmtree(job.folder)  # killed before the study was moved in
        found = []
        for job in self.jobs("running"):
            moved = self.move(job, "sending" if job.run_ended_well else "queued")
            self._note(moved, "recovered")
            found.append(moved)
        return found

    # Coming in

    def has_room(self) -> bool:
        """Whether the disk has what must stay free."""
        return shutil.disk_usage(self.root).free >= self.min_free_bytes

    def receive(self, study_uid: str, sop_uid: str, content: bytes) -> bool:
        """Keep one object of a study; on disk when this returns.

        Returns
        -------
        bool
            False when the study is beyond the limits: nothing more of it is kept.
        """
        key = study_key(study_uid)
        folder = self.root / "incoming" / key
        target = folder / f"{hashlib.sha256(sop_uid.encode()).hexdigest()[:32]}.dcm"
        temporary = self.root / "tmp" / f"{key}-{target.stem}-{threading.get_ident()}"
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        with self._lock:
            objects, size = self._size(key)
            if target.exists():  # sent again
                objects, size = objects - 1, size - target.stat().st_size
            objects, size = objects + 1, size + len(content)
            folder.mkdir(exist_ok=True)
            if (folder / _REFUSED).exists() or objects > self.max_study_objects or size > self.max_study_bytes:
                (folder / _REFUSED).touch()
                temporary.unlink()
                return False
            temporary.replace(target)
            os.utime(folder)
            (folder / _RELEASED).unlink(missing_ok=True)
            self._sizes[key] = objects, size
            return True

    def released(self, keys: set[str]) -> None:
        """The sender of these studies has ended its association properly."""
        with self._lock:
            for key in keys:
                if (self.root / "incoming" / key).is_dir():
                    (self.root / "incoming" / key / _RELEASED).touch()

    def take_quiet(self, quiet_s: float, abandoned_s: float, now: float | None = None) -> list[Job]:
        """Queue the studies of which nothing has come for a while.

        Returns
        -------
        list of Job
            What was queued, or failed for being too large. A study of which
            nothing is new since it was last taken is dropped.
        """
        now = time.time() if now is None else now
        taken = []
        for folder in sorted((self.root / "incoming").iterdir()):
            with self._lock:
                wait = quiet_s if (folder / _RELEASED).exists() else abandoned_s
                if now - folder.stat().st_mtime >= wait:
                    job = self._take(folder)
                    if job is not None:
                        taken.append(job)
        return taken

    def add(self, path: Path) -> Job | None:
        """Queue a zip or a folder of somebody else's: it is moved here. None when it has been queued before."""
        digest, objects, size = _digest(path)
        with self._lock:
            earlier = self._latest(digest)
            if earlier is not None and earlier.state != "failed":
                self._note(earlier, "duplicate")
                _remove(path)
                return None
            record = Record(source="folder", objects=objects, bytes=size)
            job = self._new(digest, earlier)
            target = job.input / path.name if path.is_file() else job.input
            # Another file system: copied beside the queue first, so that what is in the queue is whole.
            copy = self.root / "tmp" / job.name
            try:
                if path.is_file():
                    job.input.mkdir()
                path.rename(target)
            except OSError:
                shutil.rmtree(job.input, ignore_errors=True)
                copy.mkdir()
                shutil.copytree(path, copy / "in") if path.is_dir() else _copy_into(path, copy / "in")
                (copy / "in").rename(job.input)
                _remove(path)
                copy.rmdir()
            record.write(job.folder)
            if size > self.max_study_bytes or objects > self.max_study_objects:
                return self.fail(job, self._too_large())
            self._note(job, "queued")
            return job

    # Going through

    def jobs(self, state: str) -> list[Job]:
        """All in one state, the longest waiting first."""
        folders = [path for path in (self.root / state).iterdir() if path.is_dir()]
        return sorted(map(Job, folders), key=lambda job: (job.record.received_utc, job.name))

    def counts(self) -> dict[str, int]:
        """Studies by state."""
        return {state: sum(1 for path in (self.root / state).iterdir() if path.is_dir()) for state in STATES}

    def begin(self) -> Job | None:
        """The next study to run, from now on ``running``."""
        with self._lock:
            for job in self.jobs("queued"):
                if job.has_input:
                    moved = self.move(job, "running")
                    shutil.rmtree(moved.results, ignore_errors=True)
                    self.update(moved, runs=moved.record.runs + 1)
                    self._note(moved, "started")
                    return moved
        return None

    def move(self, job: Job, state: str) -> Job:
        """Another state; nothing but this changes it."""
        with self._lock:
            moved = Job(self.root / state / job.name)
            job.folder.rename(moved.folder)
            return moved

    def update(self, job: Job, **changes: object) -> None:
        """Write down what has changed."""
        dataclasses.replace(job.record, **changes).write(job.folder)  # type: ignore[arg-type]

    def advance(self, job: Job, state: str, **changes: object) -> Job:
        """Write down, move, and note it in the ledger."""
        self.update(job, **changes)
        moved = self.move(job, state)
        self._note(moved, state)
        return moved

    def fail(self, job: Job, error: str) -> Job:
        """The other end: it stays there for somebody to look at."""
        return self.advance(job, "failed", error=error)

    def purge(self, keep_s: float, now: float | None = None) -> list[str]:
        """Remove what has been done or has failed for longer than that."""
        now = time.time() if now is None else now
        removed = []
        for state in ("done", "failed"):
            for job in self.jobs(state):
                changed = (job.folder / "job.json").stat().st_mtime
                if now - changed >= keep_s:
                    shutil.rmtree(job.folder)
                    removed.append(job.name)
        return removed

    # Below: with the lock held

    def _size(self, key: str) -> tuple[int, int]:
        if key not in self._sizes:
            folder = self.root / "incoming" / key
            sizes = [file.stat().st_size for file in folder.glob("*.dcm")] if folder.is_dir() else []
            self._sizes[key] = len(sizes), sum(sizes)
        return self._sizes[key]

    def _take(self, folder: Path) -> Job | None:
        objects, size = self._size(folder.name)
        self._sizes.pop(folder.name, None)
        earlier = self._latest(folder.name)
        if (folder / _REFUSED).exists():
            job = self._new(folder.name, earlier, "failed")
            Record(objects=objects, bytes=size, error=self._too_large()).write(job.folder)
            folder.rename(job.input)
            self._note(job, "failed")
            return job
        if earlier is not None and earlier.state != "failed":
            if _holds(earlier.input, folder):
                self._note(earlier, "duplicate")
                shutil.rmtree(folder)
                return None
            if earlier.state == "queued":  # not begun: it simply becomes more
                _merge(folder, earlier.input, replace=True)
                shutil.rmtree(folder)
                self._note(earlier, "completed")
                return None
            _merge(earlier.input, folder, replace=False)
            files = list(folder.glob("*.dcm"))
            objects, size = len(files), sum(file.stat().st_size for file in files)
        job = self._new(folder.name, earlier)
        Record(objects=objects, bytes=size).write(job.folder)
        folder.rename(job.input)
        self._note(job, "queued")
        return job

    def _new(self, key: str, earlier: Job | None, state: str = "queued") -> Job:
        job = Job(self.root / state / f"{key}.{earlier.generation + 1 if earlier else 1}")
        shutil.rmtree(job.folder, ignore_errors=True)  # of a failure whose study never came in
        job.folder.mkdir()
        return job

    def _latest(self, key: str) -> Job | None:
        found = [Job(path) for state in _JOB_STATES for path in (self.root / state).glob(f"{key}.*")]
        return max((job for job in found if job.input.is_dir()), key=lambda job: job.generation, default=None)

    def _too_large(self) -> str:
        return (
            f"the study is beyond {self.max_study_objects} objects or {self.max_study_bytes} bytes. "
            "Send the Dixon series only, or raise max_study_objects and max_study_bytes."
        )

    def _note(self, job: Job, event: str) -> None:
        line = json.dumps({"utc": now_utc(), "job": job.name, "event": event})
        with (self.root / "ledger.jsonl").open("a", encoding="utf-8") as ledger:
            ledger.write(line + "\n")


def _digest(path: Path) -> tuple[str, int, int]:
    """Key, files and bytes of a zip or a folder; names and dates do not count."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    key = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:12]
    return key, len(files), sum(file.stat().st_size for file in files)


def _holds(whole: Path, part: Path) -> bool:
    """Whether every object of ``part`` is in ``whole``, byte for byte."""
    return all(
        (whole / file.name).is_file() and (whole / file.name).read_bytes() == file.read_bytes()
        for file in part.glob("*.dcm")
    )


def _merge(source: Path, target: Path, replace: bool) -> None:
    for file in source.glob("*.dcm"):
        if replace:
            file.replace(target / file.name)
        elif not (target / file.name).exists():
            os.link(file, target / file.name)


def _copy_into(file: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copy2(file, folder / file.name)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
