"""How a run ends before its last study: by a signal, or at its wall time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType

from app.cohort.records import Attempt
from app.cohort.settings import Task
from app.interrupt import handled_by

__all__ = ["Stopping"]

# Slurm sends SIGKILL 30 s after SIGTERM, Kubernetes too.
_GRACE_S = 20.0
_RESERVE = 1.5


class Stopping:
    """Decides whether another study is begun, and whether those in hand are dropped.

    The first SIGTERM or Ctrl-C lets the studies in hand end, if they do so soon; the
    second drops them; the third ends the process at once. Nothing that was recorded
    is lost in any case.

    Parameters
    ----------
    say : callable
        Takes a line for the user.
    walltime_s : float, optional
        Seconds from now after which the run should have ended.
    grace_s : float
        How long the studies in hand may take after the first signal.
    """

    def __init__(self, say: Callable[[str], None], walltime_s: float | None = None, grace_s: float = _GRACE_S) -> None:
        self.drop = threading.Event()
        self.signal: int | None = None
        self._say = say
        self._grace_s = grace_s
        self._winding_down = threading.Event()
        self._deadline = None if walltime_s is None else time.monotonic() + walltime_s
        self._longest_s = 0.0
        self._timer: threading.Timer | None = None
        self._received = 0
        self._stack = ExitStack()

    def __enter__(self) -> Stopping:
        self._stack.enter_context(handled_by(self.receive))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()
        if self._timer is not None:
            self._timer.cancel()

    def receive(self, number: int) -> None:
        """A signal has arrived."""
        self._received += 1
        self.signal = number
        self._winding_down.set()
        if self._received == 1:
            self._say(f"stopping: studies in hand have {self._grace_s:g} s to end; once more drops them")
            self._timer = threading.Timer(self._grace_s, self.drop.set)
            self._timer.daemon = True
            self._timer.start()
        elif self._received == 2:
            self._say("dropping the studies in hand; what is done is kept")
            self.drop.set()
        else:
            os._exit(128 + number)

    def saw(self, attempt: Attempt) -> None:
        """Learn how long a study takes."""
        self._longest_s = max(self._longest_s, attempt.seconds.get("total", 0.0))

    def begin_another(self) -> bool:
        """Whether a study that begins now may be begun, and would end in time."""
        if self._winding_down.is_set():
            return False
        if self._deadline is not None and time.monotonic() + _RESERVE * self._longest_s > self._deadline:
            self._winding_down.set()
            self._say("no time for another study before the wall time")
            return False
        return True

    def offered(self, tasks: Iterator[Task]) -> Iterator[Task]:
        """The tasks, as long as another may be begun."""
        while self.begin_another():
            task = next(tasks, None)
            if task is None:
                return
            yield task
