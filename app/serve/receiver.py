"""The DICOM listener: C-ECHO and C-STORE (PS3.4 annex A and B)."""

from __future__ import annotations

import logging
import mmap
import ssl
import tempfile
import threading
from pathlib import Path
from typing import Any, cast

from pydicom.uid import (
    JPEG2000,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from app.object_uids import UNREADABLE, identity
from app.serve.association import Arriving, bound_pdus, unfinished
from app.serve.metrics import Metrics
from app.serve.settings import DicomSettings
from app.serve.spool import Spool
from operators.core.errors import UsageError
from operators.core.study_key import study_key
from operators.dicom_loader.source import DEFAULT_LIMITS

__all__ = ["Receiver"]

#: No lossy-only syntax is offered, so an archive sends uncompressed instead. JPEG 2000 (1.2.840.10008.1.2.4.91) is
#: offered because some archives use it for lossless data. Deflated datasets are not accepted: they may inflate without
#: limit.
_TRANSFER_SYNTAXES: tuple[str, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    RLELossless,
)

#: While the disk is too full, a longer object ends its association; a shorter one is received and refused.
_SMALL_BYTES = 16 * 1024 * 1024

# Status codes of C-STORE, PS3.4 table B.2-1.
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000

_log = logging.getLogger("sarcomap.serve")


class Receiver:
    """A running listener. An object is received into a file, and it is on disk before it is acknowledged.

    Parameters
    ----------
    settings : DicomSettings
    spool : Spool
    metrics : Metrics

    Raises
    ------
    UsageError
        If the address is in use or cannot be bound, or a TLS file cannot be used.
    """

    def __init__(self, settings: DicomSettings, spool: Spool, metrics: Metrics) -> None:
        self._spool = spool
        self._metrics = metrics
        self._max_object_bytes = min(spool.max_study_bytes, DEFAULT_LIMITS.max_member_bytes)
        self._arriving: dict[int, Arriving] = {}
        self._guard = threading.Lock()
        _config.STORE_RECV_CHUNKED_DATASET = True
        # Folder of those files. The next start removes what a killed service leaves there.
        tempfile.tempdir = str(spool.root / "tmp")
        entity = AE(ae_title=settings.ae_title)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), list(_TRANSFER_SYNTAXES))
        entity.add_supported_context(Verification)
        entity.require_called_aet = True
        entity.require_calling_aet = list(settings.allowed_ae_titles)
        entity.maximum_associations = settings.maximum_associations
        entity.maximum_pdu_size = 262144
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_DATA_RECV, self._count),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_RELEASED, self._released),
            (evt.EVT_CONN_CLOSE, self._closed),
            (evt.EVT_REJECTED, self._rejected),
        ]
        try:
            self._server = entity.start_server(
                (settings.host, settings.port), block=False, evt_handlers=handlers, ssl_context=_tls(settings)
            )
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"DICOM listener on {settings.host}, port {settings.port}",
                error.strerror or type(error).__name__,
                "a free address and usable TLS files",
                "Choose another port, or check tls_certificate, tls_key and tls_ca.",
            ) from error
        self._entity = entity

    @property
    def alive(self) -> bool:
        """Whether the listener is still running."""
        server = self._server
        return (
            isinstance(server, ThreadedAssociationServer) and server.socket is not None and server.socket.fileno() >= 0
        )

    @property
    def associations(self) -> int:
        """Number of open associations."""
        return len(self._entity.active_associations)

    def stop(self) -> None:
        """Accept nothing more and abort open associations. Their senders keep what was not acknowledged."""
        self._entity.shutdown()
        tempfile.tempdir = None

    def _opened(self, event: Event) -> None:
        bound_pdus(event.assoc)
        with self._guard:
            self._arriving[id(event.assoc)] = Arriving()

    def _count(self, event: Event) -> None:
        """End an association that has received more unfinished data than one object may have."""
        with self._guard:
            arriving = self._from(event)
            arriving.waiting_bytes += len(event.data)
            if arriving.cut_off:
                return
            if arriving.waiting_bytes > self._max_object_bytes:
                why = "object too large"
            elif arriving.waiting_bytes > _SMALL_BYTES and not self._spool.has_room():
                why = "disk full"
            else:
                return
            arriving.cut_off = True
        self._metrics.refused.labels(why).inc()
        _log.error("association aborted (%s)", why)
        event.assoc.abort()

    def _store(self, event: Event) -> int:
        file = event.dataset_path
        size = file.stat().st_size
        try:
            with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return self._keep(event, file, cast(bytes, content))  # written from the mapped file
        finally:
            file.unlink(missing_ok=True)
            with self._guard:
                arriving = self._from(event)
                arriving.waiting_bytes = max(0, arriving.waiting_bytes - size)

    def _keep(self, event: Event, file: Path, content: bytes) -> int:
        try:
            found = identity(file)
        except UNREADABLE:
            self._metrics.refused.labels("not understood").inc()
            return _CANNOT_UNDERSTAND
        try:
            if not self._spool.has_room():
                self._metrics.refused.labels("disk full").inc()
                _log.error("the disk has too little room: objects are refused until space is freed")
                return _OUT_OF_RESOURCES
            if not self._spool.receive(found.study_uid, found.sop_uid, content):
                self._metrics.refused.labels("study too large").inc()
                return _OUT_OF_RESOURCES
        except OSError as error:
            self._metrics.refused.labels("cannot be written").inc()
            _log.error("cannot write an object (%s)", error.strerror)
            return _OUT_OF_RESOURCES
        with self._guard:
            self._from(event).studies.add(study_key(found.study_uid))
        self._metrics.received.inc()
        return _SUCCESS

    def _released(self, event: Event) -> None:
        with self._guard:
            arriving = self._from(event)
            keys, arriving.studies = arriving.studies, set()
        self._spool.released(keys)

    def _closed(self, event: Event) -> None:
        """Handle a closed connection. This event also follows a release, which has already removed the studies."""
        for file in unfinished(event.assoc):
            file.unlink(missing_ok=True)
        with self._guard:
            keys = self._arriving.pop(id(event.assoc), Arriving()).studies
        if keys:
            self._metrics.cut_off.inc()
            _log.warning("a sender was cut off: %s wait for it to reconnect", ", ".join(sorted(keys)))

    def _from(self, event: Event) -> Arriving:
        """Record of the association; the caller holds the guard. After its end: a record that is discarded."""
        return self._arriving.get(id(event.assoc), Arriving())

    def _rejected(self, event: Event) -> None:
        self._metrics.rejected.inc()
        _log.warning("association rejected (AE title not allowed, or too many associations)")


def _tls(settings: DicomSettings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    if settings.tls_ca is not None:
        context.load_verify_locations(settings.tls_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
