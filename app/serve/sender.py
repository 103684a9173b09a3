"""Send results to their destinations, and retry until they arrive."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE

from app.dicomweb.store import store_files
from app.from_server import dicom_results
from app.serve.metrics import Metrics
from app.serve.records import now_utc
from app.serve.result_names import results_name
from app.serve.settings import Destination, SendSettings
from app.serve.spool import Job, Spool
from operators.core.errors import OutputError, SarcoMapError

__all__ = ["Sender", "store_by_dimse"]

_AE_TITLE = "SARCOMAP"
#: C-STORE statuses of objects that were stored, some with a warning (PS3.4 table B.2-1).
_STORED = {0x0000, 0xB000, 0xB006, 0xB007}
#: After a failure, other studies wait for that destination too. They wait no longer than this, because the cause may
#: be the one study.
_LONGEST_PAUSE_S = 60.0

_log = logging.getLogger("sarcomap.serve")


class Sender:
    """Sends the results of processed studies.

    Parameters
    ----------
    destinations : sequence of Destination
        A study is done when all of them have its results.
    settings : SendSettings
    spool : Spool
    metrics : Metrics
    stopping : threading.Event
        When set, no further delivery begins.
    """

    def __init__(
        self,
        destinations: Sequence[Destination],
        settings: SendSettings,
        spool: Spool,
        metrics: Metrics,
        stopping: threading.Event,
    ) -> None:
        self._destinations = destinations
        self._settings = settings
        self._spool = spool
        self._metrics = metrics
        self._stopping = stopping
        # By destination: failures since the last success, and the time before which nothing is sent there.
        self._failures: Counter[str] = Counter()
        self._paused_until: dict[str, float] = {}
        # By study: if a delivery cannot be recorded, the study would otherwise be sent over and over.
        self._held_until: dict[str, float] = {}

    def send_due(self, now: float | None = None) -> int:
        """Send what is due, and return how many studies are done.

        Destinations with the fewest failures come first, so that none waits for the timeouts of a dead one.
        """
        done = sum(self._conclude(job) for job in self._spool.jobs("sending"))
        for destination in sorted(self._destinations, key=lambda one: self._failures[one.name]):
            for job in self._spool.jobs("sending"):
                if self._stopping.is_set():
                    return done
                if self._is_due(job, destination, time.time() if now is None else now):
                    self._deliver(job, destination)
                    done += self._conclude(job)
        return done

    def _is_due(self, job: Job, destination: Destination, now: float) -> bool:
        record, name = job.record, destination.name
        return (
            name not in record.sent
            and record.tries.get(name, 0) < self._settings.attempts
            and record.next_try.get(name, 0.0) <= now
            and self._paused_until.get(name, 0.0) <= now
            and self._held_until.get(job.name, 0.0) <= now
        )

    def _deliver(self, job: Job, destination: Destination) -> None:
        name, error = destination.name, ""
        try:
            deliver(job, destination)
        except Exception as problem:  # one study's defect must not hold up the others
            error = f"{name}: {_said(problem)}"
        try:
            self._write_down(job, name, error)
        except (SarcoMapError, OSError) as problem:
            self._held_until[job.name] = time.time() + self._settings.longest_wait_s
            _log.error("%s: cannot record the outcome of sending to %s: %s", job.name, name, _said(problem))
        self._failures[name] = self._failures[name] + 1 if error else 0
        pause = min(self._wait(self._failures[name]), _LONGEST_PAUSE_S) if error else 0.0
        self._paused_until[name] = time.time() + pause

    def _write_down(self, job: Job, name: str, error: str) -> None:
        record = job.record
        self._metrics.sends.labels(name, "failed" if error else "sent").inc()
        if not error:
            self._spool.update(job, sent={**record.sent, name: now_utc()})
            return
        tries = record.tries.get(name, 0) + 1
        _log.warning("%s: not sent (try %d): %s", job.name, tries, error)
        self._spool.update(
            job,
            tries={**record.tries, name: tries},
            next_try={**record.next_try, name: time.time() + self._wait(tries)},
            error=error,
        )

    def _wait(self, failures: int) -> float:
        # 2 ** 1024 overflows a float; 64 doublings are more than any wait needs.
        return min(self._settings.first_wait_s * 2 ** min(failures - 1, 64), self._settings.longest_wait_s)

    def _conclude(self, job: Job) -> bool:
        """Whether the job is done. When no destination is left to try, its success or failure is recorded."""
        try:
            if job.record.given_up:  # moved by hand from failed/ to sending/
                self._spool.update(job, given_up=False, tries={}, next_try={})
            record = job.record
            missing = [one.name for one in self._destinations if one.name not in record.sent]
            if any(record.tries.get(name, 0) < self._settings.attempts for name in missing):
                return False
            if missing:
                self._spool.fail(job, record.error)
                _log.error("%s: given up: %s", job.name, record.error)
                return False
            self._spool.advance(job, "done", error="")
            _log.info("%s: all results sent", job.name)
            return True
        except (SarcoMapError, OSError) as problem:
            _log.error("%s: cannot record its state: %s", job.name, _said(problem))
            return False


def _said(problem: Exception) -> str:
    """Text of an error for the log. Our own errors name no patient; the text of others may hold anything."""
    if isinstance(problem, SarcoMapError):
        return str(problem)
    return (problem.strerror if isinstance(problem, OSError) else None) or type(problem).__name__


def deliver(job: Job, destination: Destination) -> None:
    """Send all of a study's results to one destination.

    Raises
    ------
    OutputError
        If not all of them arrive, or there are none.
    """
    if destination.folder is not None:
        _copy(job.results, destination.folder / results_name(job.name, job.results))
        return
    files = dicom_results(job.results)
    if not files:
        raise OutputError("results", "no DICOM files", "series, segmentation and SR", "Move the study to queued/.")
    if destination.dicomweb:
        store_files(destination.access(), files)
    else:
        host, _, port = destination.dimse.rpartition(":")
        store_by_dimse(files, host, int(port), destination.ae_title, destination.calling_ae_title)


def store_by_dimse(files: Sequence[Path], host: str, port: int, called: str, calling: str = _AE_TITLE) -> None:
    """Send DICOM files by C-STORE, each in its own transfer syntax, or in the default one where only that is accepted.

    Raises
    ------
    OutputError
        If the other side cannot be reached, does not accept an object's SOP
        class, or refuses an object.
    """
    where = f"storage SCP {host}:{port}"
    entity = AE(ae_title=calling)
    entity.acse_timeout, entity.dimse_timeout, entity.network_timeout = 15, 120, 120
    entity.connection_timeout = 10
    kinds = {(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) for meta in map(read_file_meta_info, files)}
    # Older archives accept nothing else than DICOM's default transfer syntax (PS3.5 10.1).
    default = {(sop_class, ImplicitVRLittleEndian) for sop_class, syntax in kinds if syntax == ExplicitVRLittleEndian}
    for sop_class, transfer_syntax in sorted(kinds | default):
        entity.add_requested_context(sop_class, transfer_syntax)
    association = entity.associate(host, port, ae_title=called)
    if not association.is_established:
        said = "it rejected the association" if association.is_rejected else "no association"
        raise OutputError(
            where, said, "an association", f"Check address and AE titles ({calling} calls {called}), and that it is up."
        )
    try:
        for file in files:
            try:
                status = association.send_c_store(dcmread(file)).get("Status")
            except ValueError as error:  # no accepted context
                raise OutputError(
                    where,
                    f"it does not accept the SOP class or transfer syntax of {file.name}",
                    "Segmentation, SR and MR Image Storage",
                    "Allow them there, or write a binary segmentation.",
                ) from error
            except RuntimeError as error:  # the association broke
                raise OutputError(where, "the association broke", "a whole transfer", "It is tried again.") from error
            if status is None or status not in _STORED:
                code = "no answer" if status is None else f"status {status:04X}H"
                raise OutputError(where, f"{file.name} was refused ({code})", "success", "See its log.")
    finally:
        association.release() if association.is_established else association.abort()


def _copy(results: Path, target: Path) -> None:
    """Copy a folder, whole or not at all, and replace what an earlier try left.

    `operators.core.output_files` is not used because its temporary names hold
    the process number, and the remains of a killed service must be found again.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(results, temporary)
    if target.exists():
        shutil.rmtree(target)
    temporary.rename(target)
