"""A worker's child process, watched from outside: its time, its memory and its signs of life."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from app.cohort.child import Answer
from app.cohort.settings import Task, WorkerSettings
from app.cohort.threads import child_environment

__all__ = ["BEFORE_THE_STUDY", "Child", "End", "resident_bytes", "time_allowed"]

BEFORE_THE_STUDY = ("start", "model")
"""Stages in which a process imports its packages and loads the network. Their time and memory are not the study's."""

_ROOT = Path(__file__).resolve().parents[2]
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Memory grows by about 2 GiB/s at most, so that a process is at most 0.2 GiB above its limit when it is seen.
_POLL_S = 0.1
_START_S = 300.0
_REAP_S = 10.0
_STARTS = 3
_GROWN = 0.8
_EXIT = "exit code "


@dataclass(frozen=True)
class End:
    """How an attempt ended in the child.

    Attributes
    ----------
    answer : Answer or None
        None if the child did not answer, because it ended or was ended.
    why : {"answered", "killed", "start", "memory", "time", "silence", "stopped"}
        killed: it ended by itself or by a signal from elsewhere. start: it could not be started. silence: no
        heartbeat. stopped: the run ends.
    stage : str
        The stage it was in.
    detail : str
        For ``killed``: the signal or the exit code.
    seconds : float
    peak_bytes : int
        Largest resident memory that was seen.
    """

    answer: Answer | None
    why: str
    stage: str
    detail: str
    seconds: float
    peak_bytes: int


class Child:
    """One process that is started when it is first needed, and again after it has ended.

    `subprocess` starts it, because Dask's workers are daemonic processes, which
    `multiprocessing` does not allow to have children.

    Parameters
    ----------
    settings : WorkerSettings
    log : Path
        File for what the process prints.
    stop : threading.Event
        When set, the study in hand is dropped.
    """

    def __init__(self, settings: WorkerSettings, log: Path, stop: threading.Event) -> None:
        self._settings = settings
        self._log = log
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._process is None else self._process.pid

    def run(self, task: Task, folder: Path) -> End:
        """Process one study; what happens to the process is the result, never an exception."""
        for _ in range(_STARTS):
            began, fresh = time.monotonic(), self._connection is None
            watched = _Watched(began)
            try:
                if self._connection is None:
                    try:
                        self._start()
                    except OSError as error:  # no process, memory or file descriptor is left: no study is to blame
                        self._end()
                        return End(None, "start", "start", error.strerror or type(error).__name__, 0.0, 0)
                assert self._connection is not None
                _forget_earlier(self._connection)
                self._connection.send((task, folder))
                answer, why, detail = self._follow(self._connection, watched)
            except OSError as error:
                answer, why, detail = None, "killed", error.strerror or type(error).__name__
            if answer is None or watched.last_bytes > _GROWN * self._settings.memory_bytes:
                self._end()  # a process that has grown would exceed its limit with a study that is not to blame
            if why != "killed" or fresh or watched.ready_at is not None:
                break
            # It was killed while it was idle, before it took this study, which was not harmed.
        if why == "killed" and watched.ready_at is None and detail.startswith(_EXIT):
            why = "start"  # a package is missing, or a file of ours: every other process would end so
        return End(answer, why, watched.stage, detail, time.monotonic() - began, watched.peak_bytes)

    def _follow(self, connection: Connection, watched: _Watched) -> tuple[Answer | None, str, str]:
        """Watch a study until it ends: the answer if there is one, why it ended, and a detail."""
        limits = self._settings
        while True:
            try:
                answer = watched.listen(connection)
            except (EOFError, OSError):
                return None, "killed", self._how_it_ended()
            now = time.monotonic()
            watched.measure(self.pid)
            if answer is not None:
                return answer, "answered", ""
            if watched.peak_bytes > limits.memory_bytes:
                return None, "memory", ""
            if watched.ready_at is not None and now - watched.ready_at > time_allowed(limits, watched.stage):
                return None, "time", ""
            if now - watched.last_sign > (limits.heartbeat_s if watched.ready_at is not None else _START_S):
                return None, "silence", ""
            if self._stop.is_set():
                return None, "stopped", ""

    def close(self) -> None:
        """End the process."""
        self._end()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as log, theirs:
                self._process = subprocess.Popen(
                    # -P: what lies in the working folder, a file of another's named json.py, is not imported.
                    [sys.executable, "-P", "-m", "app.cohort.child", str(theirs.fileno())],
                    env=child_environment(self._settings.threads) | {"PYTHONPATH": _python_path()},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C in the terminal is for the run, which ends its children in order
                )
            self._connection = Connection(ours.detach())
        except BaseException:
            ours.close()
            raise
        self._connection.send(self._settings)

    def _how_it_ended(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if code < 0:
            try:
                return signal.Signals(-code).name
            except ValueError:
                return f"signal {-code}"
        return f"{_EXIT}{code}"

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            # One that waits for a share that does not answer ends when the share does.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_REAP_S)
            self._process = None


class _Watched:
    """What was seen of a child during one attempt."""

    def __init__(self, began: float) -> None:
        # Our own monotonic clock: neither the child's clock nor a clock that is set matters.
        self.last_sign = began
        self.stage = "start"
        self.ready_at: float | None = None  # the start of a process is not the study's time
        self.peak_bytes = 0
        self.last_bytes = 0

    def listen(self, connection: Connection) -> Answer | None:
        """The answer, if it comes within one turn of the watch."""
        if not connection.poll(_POLL_S):
            return None
        kind, content = connection.recv()
        self.last_sign = time.monotonic()
        self.ready_at = self.ready_at or self.last_sign
        if kind == "stage":
            if self.stage in BEFORE_THE_STUDY:
                self.ready_at = self.last_sign
            self.stage = str(content)
        return content if isinstance(content, Answer) else None

    def measure(self, pid: int | None) -> None:
        if pid is not None:
            self.last_bytes = resident_bytes(pid)
            self.peak_bytes = max(self.peak_bytes, self.last_bytes)


def time_allowed(settings: WorkerSettings, stage: str) -> float:
    """Most seconds of one study, or of the start of a process."""
    return max(settings.time_s, _START_S) if stage in BEFORE_THE_STUDY else settings.time_s


def _forget_earlier(connection: Connection) -> None:
    """Take what the child sent since its last answer; a sign of life from then says nothing about the next study."""
    with suppress(EOFError):
        while connection.poll(0):
            connection.recv()


def _python_path() -> str:
    return os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as opened:
            return int(opened.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
