"""One run of ``python -m app`` in its own process, which does not outlive the service."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from app.__main__ import main
from app.interrupt import clean_up_when_interrupted

__all__ = ["run"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def run(arguments: list[str]) -> int:
    """Process a study as ``python -m app`` does.

    A killed service cannot end its children. The kernel does it, so that a
    restarted service never runs a study beside an earlier run of the same study.

    Parameters
    ----------
    arguments : list of str
        The service's process number, then those of ``python -m app``.
    """
    parent, *rest = arguments
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # the service ended before the request to the kernel
        return 1
    clean_up_when_interrupted()
    return main(rest)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
