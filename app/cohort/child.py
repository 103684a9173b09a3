"""The process in which studies are processed, one after another, below a worker that watches it.

It is a fresh interpreter and not a fork, because OpenVINO, PyTorch and Numba start threads that a fork would not have.
It is kept for the next study, so that packages, kernels and the network are loaded once. It ends when its worker ends.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import resource
import shutil
import signal
import sys
import threading
import time
import warnings
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from app.cohort.digests import content_digest
from app.cohort.settings import Task, WorkerSettings
from app.cohort.studies import is_url
from app.cohort.study_work import Facts, Session
from app.cohort.verdict import Verdict, verdict_on
from operators.core.errors import InputError

__all__ = ["Answer", "run"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_BEAT_S = 1.0
# A run whose client was killed leaves idle children below the workers of its cluster.
_IDLE_S = 900.0


@dataclass(frozen=True)
class Answer:
    """What became of a study in the child.

    Attributes
    ----------
    verdict : Verdict or None
        None if it is done.
    facts : Facts or None
    sha256 : str or None
        Digest of the input's content; None for a folder, or if it was not read.
    same : bool
        The content is that of earlier results, which are still valid.
    seconds : dict of str to float
        Of the stages that ended.
    input_bytes : int
    """

    verdict: Verdict | None
    facts: Facts | None = None
    sha256: str | None = None
    same: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    input_bytes: int = 0


def run(descriptor: int) -> None:
    """Process studies until the worker closes the connection.

    Parameters
    ----------
    descriptor : int
        One end of a socket pair. The worker sends `WorkerSettings`, then pairs of `Task` and a folder, and receives
        ``("beat", None)``, ``("stage", name)`` and ``("answer", Answer)``.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The worker decides when a study ends: Ctrl-C and SIGTERM reach the child through it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    faulthandler.enable()
    warnings.filterwarnings("ignore")  # of packages about themselves; the log is for what ends a process
    link = _Link(Connection(descriptor))
    settings: WorkerSettings = link.connection.recv()
    _limit_memory(settings.memory_bytes)
    threading.Thread(target=link.beat, name="heartbeat", daemon=True).start()
    module, _, name = settings.work.partition(":")
    work = getattr(import_module(module), name)
    session = Session()
    warm = False
    link.send("ready", None)
    while True:
        try:
            if not link.connection.poll(_IDLE_S):
                return
            task, folder = link.connection.recv()
        except (EOFError, OSError):
            return
        link.busy.set()
        answer = _answer(task, folder, settings, session, work, link)
        link.busy.clear()
        link.send("answer", answer)
        if answer.facts is not None and not warm:
            # What the packages have made stays until the process ends. Python would look through all of it for garbage
            # in the middle of each study's report, which takes 0.4 s.
            gc.collect()
            gc.freeze()
            warm = True


def _answer(task: Task, folder: Path, settings: WorkerSettings, session: Session, work: Any, link: _Link) -> Answer:
    fetched = folder.with_name(f"{folder.name}.input")
    sha256: str | None = None
    facts: Facts | None = None
    verdict: Verdict | None = None
    same = False
    size = 0
    try:
        link.stage("fetch", None)
        source = Path(task.study.path)
        if is_url(task.study.path):
            from app.cohort.remote import fetch

            source = fetch(task.study.path, fetched)
        link.stage("digest", None)
        if source.is_file():
            sha256, size = _digest(source)
            same = task.still_valid and task.earlier is not None and task.earlier.input.sha256 == sha256
        if not same:
            link.stage("start", None)
            facts = work(source, folder, settings, session, link.stage)
    except Exception as error:
        verdict = verdict_on(error, link.now)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    seconds = link.take_seconds() | (facts.seconds if facts else {})
    return Answer(verdict, facts, sha256, same, seconds, size)


def _digest(source: Path) -> tuple[str, int]:
    """Digest and size of an input that is a file."""
    try:
        return content_digest(source), source.stat().st_size
    except OSError as error:  # the same error from the results' folder would stop the run
        raise InputError(
            source.name, f"cannot be read ({error.strerror})", "a readable file", "Check its permissions and its disk."
        ) from error


class _Link:
    """The connection to the worker. Two threads send."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.now = "start"
        self.busy = threading.Event()
        self._began = time.monotonic()
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def send(self, kind: str, content: object) -> None:
        with self._lock:
            self.connection.send((kind, content))

    def beat(self) -> None:
        while True:
            time.sleep(_BEAT_S)
            if not self.busy.is_set():  # nobody listens, and the connection would fill
                continue
            try:
                self.send("beat", None)
            except OSError:
                return

    def stage(self, name: str, seconds: float | None) -> None:
        """A stage begins (None) or ended."""
        if seconds is not None:
            self._seconds[name] = seconds
            return
        now = time.monotonic()
        if self.now in ("fetch", "digest", "model"):  # stages without a clock of their own
            self._seconds[self.now] = now - self._began
        self.now, self._began = name, now
        self.send("stage", name)

    def take_seconds(self) -> dict[str, float]:
        taken, self._seconds = self._seconds, {}
        return taken


def _limit_memory(limit: int) -> None:
    """Make a request for far too much memory fail at once, before the worker would see it used.

    The worker measures resident memory. This limit counts what was asked for, and
    libraries ask for more than they use.
    """
    allowed = 2 * limit + (4 << 30)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or allowed < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


if __name__ == "__main__":
    # Pickles name the module of a class: this one must not be `__main__`.
    from app.cohort.child import run as run_as_module

    run_as_module(int(sys.argv[1]))
