"""The queue on disk. A study's state is the folder that it is in, and only a rename changes the state."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from app.serve.job_queue import JobQueue
from app.serve.jobs import STATES, Job
from app.serve.objects import made_by_us, merge, same_objects, united
from app.serve.records import Record
from app.serve.study_files import copied, digest, remove
from operators.core.errors import InputError, OutputError, SarcoMapError
from operators.core.study_key import study_key

__all__ = ["STATES", "Job", "Spool"]

_RELEASED, _REFUSED = ".released", ".refused"

_log = logging.getLogger("sarcomap.serve")


class Spool(JobQueue):
    """The queue and its input: objects of studies by DICOM, and zips and folders from the watched folder.

    Parameters and errors are those of `JobQueue`.
    """

    def __init__(self, root: Path, max_study_bytes: int, max_study_objects: int, min_free_bytes: int) -> None:
        super().__init__(root, max_study_bytes, max_study_objects, min_free_bytes)
        self._sizes: dict[str, tuple[int, int]] = {}
        self._own_of = ""

    def receive(self, study_uid: str, sop_uid: str, content: bytes) -> bool:
        """Store one object of a study. It is on disk when this returns.

        SarcoMAP's own results are accepted but not stored: an archive that
        forwards everything would otherwise make us process them.

        Returns
        -------
        bool
            False if the study exceeds the limits. Nothing more of it is stored then.
        """
        key = study_key(study_uid)
        if made_by_us(content):
            if self._own_of != key:
                self._own_of = key  # one line per study, not per object
                _log.warning("%s: results of SarcoMAP came back; they are not kept", key)
            return True
        folder = self.root / "incoming" / key
        target = folder / f"{hashlib.sha256(sop_uid.encode()).hexdigest()[:32]}.dcm"
        temporary = self.root / "tmp" / f"{key}-{target.stem}-{threading.get_ident()}"
        try:
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            with self._lock:
                return self._keep(key, temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def released(self, keys: set[str]) -> None:
        """Note that the sender of these studies has released its association."""
        with self._lock:
            for key in keys:
                if (self.root / "incoming" / key).is_dir():
                    (self.root / "incoming" / key / _RELEASED).touch()

    def take_quiet(self, quiet_s: float, abandoned_s: float, now: float | None = None) -> list[Job]:
        """Queue the studies of which nothing has arrived for a while.

        Returns
        -------
        list of Job
            Studies that were queued, or that failed because they are too large. A
            study with nothing new since it was last queued is dropped.
        """
        now = time.time() if now is None else now
        taken = []
        for folder in sorted((self.root / "incoming").iterdir()):
            try:
                with self._lock:
                    wait = quiet_s if (folder / _RELEASED).exists() else abandoned_s
                    job = self._take(folder) if now - folder.stat().st_mtime >= wait else None
            except (SarcoMapError, OSError) as error:  # the other studies are not affected
                _log.error("%s: cannot be queued (%s)", folder.name, type(error).__name__)
                with contextlib.suppress(OSError):
                    os.utime(folder)  # the wait starts again
            else:
                taken += [job] if job is not None else []
        return taken

    def add(self, path: Path) -> Job | None:
        """Move a zip or folder into the queue. None if the same study has been queued before.

        Raises
        ------
        InputError
            If it is on another file system and too large to be copied. On the same file system it becomes a failed job.
        OutputError
            If the disk has too little room.
        OSError
            If it cannot be read, copied or removed.
        """
        if not self.has_room():
            raise self._no_room()
        key, objects, size = digest(path)
        with self._lock:
            earlier = self._latest(key)
            if earlier is not None and earlier.state != "failed":
                remove(path)  # first, so that nothing is noted if it fails
                self._note(earlier, "duplicate")
                return None
        record = Record(source="folder", objects=objects, bytes=size)
        beyond = self._beyond(objects, size)
        if beyond:
            record = dataclasses.replace(record, error=self._too_large(), given_up=True)
        try:
            return self._put(path, key, record)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        if beyond:
            raise InputError(path.name, "too large", "a smaller study", f"It is left in place: {self._too_large()}")
        if not self.has_room(size):
            raise self._no_room()
        # Copied to tmp/ first, so that the queue holds complete studies only.
        with tempfile.TemporaryDirectory(dir=self.root / "tmp", ignore_cleanup_errors=True) as beside:
            job = self._put(copied(path, Path(beside)), key, record)
        remove(path)
        return job

    # The methods below expect the lock to be held.

    def _size(self, key: str) -> tuple[int, int]:
        if key not in self._sizes:
            folder = self.root / "incoming" / key
            sizes = [file.stat().st_size for file in folder.glob("*.dcm")] if folder.is_dir() else []
            self._sizes[key] = len(sizes), sum(sizes)
        return self._sizes[key]

    def _keep(self, key: str, temporary: Path, target: Path) -> bool:
        folder, length = target.parent, temporary.stat().st_size
        objects, size = self._size(key)
        if target.exists():  # sent again
            objects, size = objects - 1, size - target.stat().st_size
        objects, size = objects + 1, size + length
        folder.mkdir(exist_ok=True)
        if (folder / _REFUSED).exists() or self._beyond(objects, size):
            (folder / _REFUSED).touch()
            return False
        temporary.replace(target)
        os.utime(folder)
        (folder / _RELEASED).unlink(missing_ok=True)
        self._sizes[key] = objects, size
        return True

    def _take(self, folder: Path) -> Job | None:
        self._sizes.pop(folder.name, None)
        earlier = self._latest(folder.name)
        objects, size = united(folder, folder)
        if (folder / _REFUSED).exists():
            return self._refuse(folder, earlier, objects, size)
        if earlier is not None and not (earlier.input / _REFUSED).exists():
            if earlier.state != "failed" and same_objects(earlier.input, folder):
                self._note(earlier, "duplicate")
                shutil.rmtree(folder)
                return None
            objects, size = united(folder, earlier.input)
            if self._beyond(objects, size):
                (folder / _REFUSED).touch()
                if earlier.state == "queued":  # the queued part belongs to a refused study
                    (earlier.input / _REFUSED).touch()
                    self.fail(earlier, self._too_large())
                return self._refuse(folder, earlier, objects, size)
            if earlier.state == "queued":  # its run has not begun: add the new objects
                merge(folder, earlier.input, replace=True)
                self.update(earlier, objects=objects, bytes=size)
                shutil.rmtree(folder)
                self._note(earlier, "completed")
                return None
            merge(earlier.input, folder, replace=False)
        job = self._new(folder.name, earlier)
        Record(objects=objects, bytes=size).write(job.folder)
        folder.rename(job.input)
        self._note(job, "queued")
        return job

    def _refuse(self, folder: Path, earlier: Job | None, objects: int, size: int) -> Job:
        job = self._new(folder.name, earlier, "failed")
        Record(objects=objects, bytes=size, error=self._too_large(), given_up=True).write(job.folder)
        folder.rename(job.input)
        self._note(job, "failed")
        return job

    def _put(self, path: Path, key: str, record: Record) -> Job:
        """Move a study into the queue, or into ``failed`` if it was given up before its first run."""
        with self._lock:
            job = self._new(key, self._latest(key), "failed" if record.given_up else "queued")
            try:
                record.write(job.folder)
                if path.is_file():
                    job.input.mkdir()
                path.rename(job.input / path.name if path.is_file() else job.input)
            except BaseException:
                shutil.rmtree(job.folder, ignore_errors=True)
                raise
            self._note(job, job.state)
            return job

    def _beyond(self, objects: int, size: int) -> bool:
        return objects > self.max_study_objects or size > self.max_study_bytes

    def _too_large(self) -> str:
        return (
            f"the study has more than {self.max_study_objects} objects or {self.max_study_bytes} bytes. "
            "Send the Dixon series only, or raise max_study_objects and max_study_bytes."
        )

    def _no_room(self) -> OutputError:
        return OutputError(
            f"spool {self.root}", "too little room", f"at least {self.min_free_bytes} bytes free", "Free some space."
        )
