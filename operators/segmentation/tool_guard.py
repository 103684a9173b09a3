"""Runs a tool of another maker and, when it ends, ends everything that it has started.

It is a process of its own, ``python tool_guard.py PARENT FOLDER WORD...``. Orphans of the
tool become its children, so it finds them also in the background and in sessions of their
own. When PARENT ends in whatever way, or sends SIGTERM, the guard ends the tool and removes
FOLDER, which holds the images. Otherwise it ends as the tool did.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_LIBC = ctypes.CDLL(None)
_SECONDS = 20.0
"""How long processes may take to vanish; one that waits for a file server does not."""
CANNOT_START = 126  # as a shell has it


def main(parent: int, folder: str, words: list[str]) -> None:
    """Run the tool; this process then ends as the tool did."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda *_: _stop(folder))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A tool whose SIGTERM is blocked, as ours is, cannot end its own workers by it.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the line above
        _stop(folder)
    try:
        tool = subprocess.Popen(words, start_new_session=True, preexec_fn=_end_with_us)
    except OSError as error:
        print(f"cannot be started: {error.strerror}", file=sys.stderr)
        sys.exit(CANNOT_START)
    code = tool.wait()
    _end_all()
    if code < 0:  # by a signal
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def descendants(of: int) -> list[int]:
    """The numbers of all processes below one, from /proc; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [of]
    for one in found:
        found += children.get(one, [])
    return found[1:]


def _stop(folder: str) -> None:
    _end_all()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(128 + signal.SIGTERM)


def _end_all() -> None:
    """Kill until none is left: what is killed last may have started another before."""
    until = time.monotonic() + _SECONDS
    while (left := descendants(os.getpid())) and time.monotonic() < until:
        for one in left:
            with suppress(OSError):
                os.kill(one, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _end_with_us() -> None:
    """In the tool's process: the kernel kills it even when the guard is killed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
