"""The service as a whole: it starts all parts and stops them in an orderly way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.serve.metrics import Metrics, serve_http
from app.serve.receiver import Receiver
from app.serve.runner import Runner
from app.serve.sender import Sender
from app.serve.settings import Settings
from app.serve.spool import Spool
from app.serve.watched_folder import Watcher
from operators.core.errors import SarcoMapError, UsageError

__all__ = ["Service"]

_PAUSE_S = 0.5
_AFTER_DEFECT_S = 5.0
_DAY_S = 86400.0
#: Wait before something in the watched folder is tried again; it doubles with each failure.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 60.0, 3600.0
#: After the grace period, a run is told to end. It is killed if it does not end within 10 s.
_ENDING_S = 12.0

_log = logging.getLogger("sarcomap.serve")


class Service:
    """Receives, watches, processes and sends until `stop` is called.

    Parameters
    ----------
    settings : Settings
    grace_s : float
        How long a run may take to finish once `stop` is called.

    Raises
    ------
    SarcoMapError
        If a folder or an address cannot be used. Nothing is left running then.
    """

    def __init__(self, settings: Settings, grace_s: float = 20.0) -> None:
        self.settings = settings
        self._grace_s = grace_s
        self.stopping = threading.Event()
        for destination in settings.destinations:
            if destination.dicomweb:
                destination.access()  # report a bad URL or login now, not after the first study
        if settings.watch is not None and not settings.watch.is_dir():
            raise UsageError(f"watch {settings.watch}", "no such folder", "a folder", "Create it, or correct the path.")
        self.spool = Spool(
            settings.spool, settings.max_study_bytes, settings.max_study_objects, settings.min_free_bytes
        )
        self.metrics = Metrics(self.spool)
        self._receiver: Receiver | None = None
        self._threads: list[threading.Thread] = []
        self._failing: set[str] = set()
        self._next_purge = 0.0
        self._watch_lost = False
        self._held: dict[Path, tuple[int, float]] = {}
        try:
            for job in self.spool.recover(settings.run.attempts):
                _log.info("%s: resumed (%s)", job.name, job.state)
            self._watcher = Watcher(settings.watch, settings.quiet_s) if settings.watch is not None else None
            self._sender = Sender(settings.destinations, settings.send, self.spool, self.metrics, self.stopping)
            self._http = serve_http(settings.http, self.metrics, self.health) if settings.http.port else None
            if settings.dicom.port:
                self._receiver = Receiver(settings.dicom, self.spool, self.metrics)
        except BaseException:
            if getattr(self, "_http", None) is not None:
                self._http.server_close()  # type: ignore[union-attr]
            self.spool.close()
            raise
        self._start()

    def health(self) -> dict[str, bool]:
        """Each part, and whether it is healthy."""
        parts = {thread.name: thread.is_alive() and thread.name not in self._failing for thread in self._threads}
        if self._receiver is not None:
            parts["receiver"] = self._receiver.alive
        if self._watcher is not None:
            parts["watched folder"] = not self._watch_lost
        return parts | {"accepting": not self.stopping.is_set(), "room": self.spool.has_room()}

    def stop(self) -> None:
        """Accept nothing more, end current runs or put them back into the queue, and wait for the threads."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        _log.info("stopping")
        if self._receiver is not None:
            self._receiver.stop()
        # A delivery may hang for as long as the other side allows. It is repeated after the next start.
        deadline = time.monotonic() + self._grace_s + _ENDING_S
        for thread in self._threads:
            if thread.name != "http":
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    _log.warning("%s has not ended; its work will be repeated", thread.name)
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
        self.spool.close()
        _log.info("stopped; the queue is on disk")

    def _start(self) -> None:
        run = self.settings.run
        runners = [Runner(run, self.spool, self.metrics, self.stopping, self._grace_s) for _ in range(run.workers)]
        for number, runner in enumerate(runners, 1):
            self._thread(f"runner {number}", runner.run_next)
        self._thread("intake", self._take)
        self._thread("sender", lambda: self._sender.send_due() > 0)
        if self._http is not None:
            server = threading.Thread(target=self._http.serve_forever, name="http", daemon=True)
            server.start()
            self._threads.append(server)

    def _thread(self, name: str, work: Callable[[], bool]) -> None:
        thread = threading.Thread(target=self._repeat, args=(name, work), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _repeat(self, name: str, work: Callable[[], bool]) -> None:
        """Repeat ``work`` until the service stops. A defect in it is logged and does not end the service."""
        while not self.stopping.is_set():
            try:
                pause = 0.0 if work() else _PAUSE_S
                self._failing.discard(name)
            except Exception as error:
                # Log the type only: the text of an unexpected error may hold anything.
                _log.error("%s: unexpected %s", name, type(error).__name__, exc_info=_log.isEnabledFor(logging.DEBUG))
                self.metrics.defects.labels(name).inc()
                self._failing.add(name)
                pause = _AFTER_DEFECT_S
            self.stopping.wait(pause)

    def _take(self) -> bool:
        self._purge()
        for job in self.spool.take_quiet(self.settings.quiet_s, self.settings.abandoned_s):
            _log.info("%s: %s, %d objects", job.name, job.state, job.record.objects)
        settled = self._settled()
        self._held = {path: held for path, held in self._held.items() if path in settled}
        for path in settled:
            if self._held.get(path, (0, 0.0))[1] <= time.monotonic() and not self.stopping.is_set():
                self._add(path)
        return False

    def _settled(self) -> list[Path]:
        """Complete studies of the watched folder. Objects by DICOM do not wait for a share that is gone."""
        if self._watcher is None:
            return []
        try:
            found = self._watcher.settled()
        except OSError as error:
            if not self._watch_lost:
                _log.error("the watched folder cannot be listed (%s); it is looked at again and again", error.strerror)
            self._watch_lost = True
            return []
        self._watch_lost = False
        return found

    def _add(self, path: Path) -> None:
        """Queue a study from the watched folder. If it cannot be queued, it waits without blocking others."""
        try:
            added = self.spool.add(path)
        except Exception as error:
            failures = self._held.get(path, (0, 0.0))[0] + 1
            wait = min(_FIRST_WAIT_S * 2 ** min(failures - 1, 64), _LONGEST_WAIT_S)
            self._held[path] = failures, time.monotonic() + wait
            self.metrics.defects.labels("watched folder").inc()
            # Names in that folder may contain patients' names, so they are not logged.
            found = getattr(error, "strerror", None) or type(error).__name__
            said = f"{error.found}. {error.remedy}" if isinstance(error, SarcoMapError) else found
            _log.error("cannot queue a study of the watched folder (%s); next try in %g s", said, wait)
        else:
            self._held.pop(path, None)
            _log.info("%s: from the watched folder", added.name if added else "a study that was queued before")

    def _purge(self) -> None:
        if time.monotonic() < self._next_purge:
            return
        self._next_purge = time.monotonic() + 60.0
        for name in self.spool.purge(self.settings.keep_days * _DAY_S):
            _log.info("%s: removed after %g days", name, self.settings.keep_days)
