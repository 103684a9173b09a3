"""Ctrl-C and SIGTERM end a run and leave nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import threading

from operators.core.output_folder import abandon

__all__ = ["clean_up_when_interrupted", "let_interruption_finish"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_interrupted = threading.Event()


def clean_up_when_interrupted() -> None:
    """From now on SIGINT and SIGTERM remove unfinished output and end the process with 128 + the signal's number.

    Call it in the main thread before any other thread is started, so that all
    of them inherit the blocked signals. Holoscan sets handlers of its own while
    a graph runs, after which no Python handler is called, and forces the
    process to exit three seconds later; a thread that waits for the signal
    is served before any handler.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    threading.Thread(target=_wait, name="interrupt", daemon=True).start()


def let_interruption_finish() -> None:
    """Return at once, unless a signal has come: then the process ends here, with that signal's code.

    A stage whose folder is being removed fails, and its failure must not be taken for the run's.
    """
    if _interrupted.is_set():
        threading.Event().wait()


def _wait() -> None:
    number = signal.sigwait(_SIGNALS)
    _interrupted.set()
    abandon()
    print("\ninterrupted; unfinished results were removed", file=sys.stderr, flush=True)
    os._exit(128 + number)
