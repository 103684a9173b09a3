"""Ctrl-C and SIGTERM end a run and leave nothing behind."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from operators.core.output_folder import abandon

__all__ = ["clean_up_when_interrupted", "end_with_parent", "handled_by", "let_interruption_finish"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_interrupted = threading.Event()
_handlers: list[Callable[[int], None]] = []


def clean_up_when_interrupted() -> None:
    """Make SIGINT and SIGTERM remove unfinished output and end the process with 128 + the signal's number.

    Call it in the main thread before any other thread is started, so that all
    of them inherit the blocked signals. While a graph runs, Holoscan sets its own
    handlers: no Python handler is called any more, and the process is forced
    to exit three seconds later. A thread that waits for the signal receives it
    before any handler.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    threading.Thread(target=_wait, name="interrupt", daemon=True).start()


def end_with_parent() -> None:
    """For a child process, before it starts: SIGTERM reaches it when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def let_interruption_finish() -> None:
    """Return at once, unless a signal has arrived: then the process ends here with that signal's exit code.

    A stage fails when its folder is being removed; this failure must not be reported as the run's.
    """
    if _interrupted.is_set():
        threading.Event().wait()


@contextmanager
def handled_by(handler: Callable[[int], None]) -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM call a function with the signal's number, in another thread.

    This needs `clean_up_when_interrupted`; without it, signals do what they always do.
    """
    _handlers.append(handler)
    try:
        yield
    finally:
        _handlers.remove(handler)


def _wait() -> None:
    number = signal.sigwait(_SIGNALS)
    while _handlers:
        _handlers[-1](number)
        number = signal.sigwait(_SIGNALS)
    _interrupted.set()
    abandon()
    print("\ninterrupted; unfinished results were removed", file=sys.stderr, flush=True)
    os._exit(128 + number)
