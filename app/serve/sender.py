"""Results to their destinations, again and again until they are there."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE

from app.dicomweb.store import store_files
from app.from_server import dicom_results
from app.serve.metrics import Metrics
from app.serve.records import now_utc
from app.serve.settings import Destination, SendSettings
from app.serve.spool import Job, Spool
from operators.errors import OutputError, SarcoMapError

__all__ = ["Sender", "store_by_dimse"]

_AE_TITLE = "SARCOMAP"
#: C-STORE statuses of objects that were stored, some with a warning (PS3.4 table B.2-1).
_STORED = {0x0000, 0xB000, 0xB006, 0xB007}

_log = logging.getLogger("sarcomap.serve")


class Sender:
    """Sends what has been processed.

    Parameters
    ----------
    destinations : sequence of Destination
        A study is done when all have it.
    settings : SendSettings
    spool : Spool
    metrics : Metrics
    """

    def __init__(
        self, destinations: Sequence[Destination], settings: SendSettings, spool: Spool, metrics: Metrics
    ) -> None:
        self._destinations = destinations
        self._settings = settings
        self._spool = spool
        self._metrics = metrics

    def send_due(self, now: float | None = None) -> int:
        """Send what is due; returns how many studies are done."""
        now = time.time() if now is None else now
        return sum(self._send(job) for job in self._spool.jobs("sending") if job.record.next_try <= now)

    def _send(self, job: Job) -> bool:
        worst = 0
        error = ""
        for destination in self._destinations:
            record = job.record
            if destination.name in record.sent:
                continue
            try:
                deliver(job, destination)
            except (SarcoMapError, OSError) as problem:
                tries = record.tries.get(destination.name, 0) + 1
                worst = max(worst, tries)
                error = (
                    f"{destination.name}: {problem}"
                    if isinstance(problem, SarcoMapError)
                    else f"{destination.name}: {problem.strerror}"
                )
                self._spool.update(job, tries={**record.tries, destination.name: tries})
                self._metrics.sends.labels(destination.name, "failed").inc()
                _log.warning("%s: not sent to %s (try %d): %s", job.name, destination.name, tries, error)
            else:
                self._spool.update(job, sent={**record.sent, destination.name: now_utc()})
                self._metrics.sends.labels(destination.name, "sent").inc()
        if not worst:
            self._spool.advance(job, "done", error="")
            _log.info("%s: everything is where it should be", job.name)
            return True
        if worst >= self._settings.attempts:
            self._spool.fail(job, error)
            _log.error("%s: given up: %s", job.name, error)
        else:
            wait = min(self._settings.first_wait_s * 2 ** (worst - 1), self._settings.longest_wait_s)
            self._spool.update(job, next_try=time.time() + wait, error=error)
        return False


def deliver(job: Job, destination: Destination) -> None:
    """All of a study's results to one destination.

    Raises
    ------
    OutputError
        When they did not all arrive.
    """
    if destination.folder is not None:
        _copy(job.results, destination.folder / job.name)
        return
    files = dicom_results(job.results)
    if destination.dicomweb:
        store_files(destination.access(), files)
    else:
        host, _, port = destination.dimse.rpartition(":")
        store_by_dimse(files, host, int(port), destination.ae_title)


def store_by_dimse(files: Sequence[Path], host: str, port: int, called: str, calling: str = _AE_TITLE) -> None:
    """Send DICOM files by C-STORE, each in its own transfer syntax.

    Raises
    ------
    OutputError
        When the other side cannot be reached, does not take an object's SOP
        class or refuses an object.
    """
    where = f"storage SCP {host}:{port}"
    entity = AE(ae_title=calling)
    entity.acse_timeout, entity.dimse_timeout, entity.network_timeout = 15, 120, 120
    entity.connection_timeout = 10
    kinds = {(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) for meta in map(read_file_meta_info, files)}
    for sop_class, transfer_syntax in sorted(kinds):
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
                    f"{file.name} is of a SOP class or transfer syntax that it does not take",
                    "Segmentation, SR and MR Image Storage",
                    "Allow them there, or write a binary segmentation.",
                ) from error
            except RuntimeError as error:  # the association broke
                raise OutputError(where, "the association broke", "one that lasts", "It is tried again.") from error
            if status is None or status not in _STORED:
                code = "no answer" if status is None else f"status {status:04X}H"
                raise OutputError(where, f"{file.name} was refused ({code})", "success", "Look into its log.")
    finally:
        association.release() if association.is_established else association.abort()


def _copy(results: Path, target: Path) -> None:
    """Whole or not at all; what an earlier try left is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(results, temporary)
    if target.exists():
        shutil.rmtree(target)
    temporary.rename(target)
