"""The DICOM listener: C-ECHO and C-STORE (PS3.4 annex A and B)."""

from __future__ import annotations

import logging
import ssl
import threading
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from app.serve.metrics import Metrics
from app.serve.settings import DicomSettings
from app.serve.spool import Spool, study_key
from operators.errors import UsageError

__all__ = ["Receiver"]

#: Lossless ones only: an archive that would have to compress with loss sends uncompressed instead.
_TRANSFER_SYNTAXES: tuple[str, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEG2000,
    RLELossless,
)

_IDENTITY: list[Any] = ["StudyInstanceUID", "SOPInstanceUID"]

# Status codes of C-STORE, PS3.4 table B.2-1.
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000

_log = logging.getLogger("sarcomap.serve")


class Receiver:
    """A running listener; every object is on disk before it is acknowledged.

    Parameters
    ----------
    settings : DicomSettings
    spool : Spool
    metrics : Metrics

    Raises
    ------
    UsageError
        When the address is taken or cannot be listened on, or a TLS file cannot be used.
    """

    def __init__(self, settings: DicomSettings, spool: Spool, metrics: Metrics) -> None:
        self._spool = spool
        self._metrics = metrics
        self._sent_by: dict[int, set[str]] = {}
        self._guard = threading.Lock()
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it logs what it receives
        entity = AE(ae_title=settings.ae_title)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), list(_TRANSFER_SYNTAXES))
        entity.add_supported_context(Verification)
        entity.require_called_aet = True
        entity.require_calling_aet = list(settings.allowed_ae_titles)
        entity.maximum_associations = settings.maximum_associations
        entity.maximum_pdu_size = 262144
        handlers: list[Any] = [
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
                "an address that is free and TLS files that can be used",
                "Choose another port, or check tls_certificate, tls_key and tls_ca.",
            ) from error
        self._entity = entity

    @property
    def alive(self) -> bool:
        """Whether it still listens."""
        server = self._server
        return (
            isinstance(server, ThreadedAssociationServer) and server.socket is not None and server.socket.fileno() >= 0
        )

    @property
    def associations(self) -> int:
        """How many are open."""
        return len(self._entity.active_associations)

    def stop(self) -> None:
        """Accept nothing more, and abort what is open: its senders keep what was not acknowledged."""
        self._entity.shutdown()

    def _store(self, event: Event) -> int:
        try:
            content = event.encoded_dataset()
            header = dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=_IDENTITY)
            study_uid, sop_uid = str(header.StudyInstanceUID), str(header.SOPInstanceUID)
        except (InvalidDicomError, AttributeError, ValueError, EOFError, NotImplementedError, KeyError):
            self._metrics.refused.labels("not understood").inc()
            return _CANNOT_UNDERSTAND
        if not study_uid or not sop_uid:
            self._metrics.refused.labels("not understood").inc()
            return _CANNOT_UNDERSTAND
        try:
            if not self._spool.has_room():
                self._metrics.refused.labels("disk full").inc()
                _log.error("the disk has too little room: objects are refused until there is more")
                return _OUT_OF_RESOURCES
            if not self._spool.receive(study_uid, sop_uid, content):
                self._metrics.refused.labels("study too large").inc()
                return _OUT_OF_RESOURCES
        except OSError as error:
            self._metrics.refused.labels("cannot be written").inc()
            _log.error("an object cannot be written (%s)", error.strerror)
            return _OUT_OF_RESOURCES
        with self._guard:
            self._sent_by.setdefault(id(event.assoc), set()).add(study_key(study_uid))
        self._metrics.received.inc()
        return _SUCCESS

    def _released(self, event: Event) -> None:
        with self._guard:
            keys = self._sent_by.pop(id(event.assoc), set())
        self._spool.released(keys)

    def _closed(self, event: Event) -> None:
        """Also comes after a release, which has then taken the studies out."""
        with self._guard:
            keys = self._sent_by.pop(id(event.assoc), set())
        if keys:
            self._metrics.cut_off.inc()
            _log.warning("a sender was cut off: %s wait for it to come back", ", ".join(sorted(keys)))

    def _rejected(self, event: Event) -> None:
        self._metrics.rejected.inc()
        _log.warning("an association was rejected (AE title not allowed, or too many)")


def _tls(settings: DicomSettings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    if settings.tls_ca is not None:
        context.load_verify_locations(settings.tls_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
