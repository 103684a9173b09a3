"""A tool of another maker as a process: with limits, and with what it printed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from operators.core.options.deidentification import KEY_VARIABLE
from operators.segmentation import tool_guard
from operators.segmentation.tool_guard import descendants

__all__ = ["Ended", "environment", "run_tool"]

_ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 0.2
_KEPT_BYTES = 64 * 1024
_KILOBYTES_PER_GB = 1e6
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # ECMA-48, 5.4: colours and moves of the cursor


@dataclass(frozen=True)
class Ended:
    """How a tool ended.

    Attributes
    ----------
    code : int
        Its exit code, or minus the signal that ended it.
    exceeded : str
        The limit that it was ended for, in words; empty if it ended by itself.
    printed : str
        The first and the last 64 KiB of what it printed.
    """

    code: int
    exceeded: str
    printed: str

    @property
    def how(self) -> str:
        """The code or the signal, in words."""
        if self.code >= 0:
            return f"it ended with code {self.code}"
        name = signal.Signals(-self.code).name if -self.code in signal.valid_signals() else f"signal {-self.code}"
        return f"it was ended by {name}{', as for want of memory' if name == 'SIGKILL' else ''}"

    def lines(self) -> list[str]:
        """The lines that hold something, without colours and what cannot be shown."""
        shown = ("".join(filter(str.isprintable, _ESCAPES.sub("", line))).strip() for line in self.printed.splitlines())
        return [line for line in shown if line]


def run_tool(
    words: list[str],
    folder: Path,
    *,
    temporary: Path,
    seconds: float,
    memory_gb: float = float("inf"),
    errors: bool = True,
) -> Ended:
    """Run a tool in a folder until it ends or exceeds a limit; then nothing that it has started is left.

    Parameters
    ----------
    words : list of str
    folder : Path
        Where it runs.
    temporary : Path
        Removed with all that it holds if our process is killed.
    seconds, memory_gb : float
        The memory is that of the tool and all processes below it.
    errors : bool
        Whether ``printed`` has what it writes to its standard error, too.
    """
    guard = [sys.executable, "-I", tool_guard.__file__, str(os.getpid()), str(temporary)]
    start = time.monotonic()
    process = subprocess.Popen(
        guard + words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
        cwd=folder,
        env=environment(words[0]),
        start_new_session=True,
    )
    printed = _Printed(process.stdout)
    exceeded = ""
    try:
        while process.poll() is None and not exceeded:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
            if time.monotonic() - start > seconds:
                exceeded = f"not done after {seconds / 60:g} minutes"
            elif _memory_gb(process.pid) > memory_gb:
                exceeded = f"more than {memory_gb:g} GB of memory"
    finally:
        process.terminate()  # the guard ends all others first
        process.wait()
    return Ended(process.returncode, exceeded, printed.text())


def environment(program: str) -> dict[str, str]:
    """The variables of its process, without our secrets. Our own programs find our packages from any folder."""
    secret = ("SARCOMAP_DICOMWEB_", KEY_VARIABLE)
    own = {name: value for name, value in os.environ.items() if not name.startswith(secret)}
    if program == sys.executable:
        own["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *filter(None, [own.get("PYTHONPATH")])])
    return own


class _Printed:
    """Reads what a process prints, and keeps its beginning and its end: a tool may print gigabytes."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._stream, self._first, self._last = stream, b"", b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> str:
        self._thread.join(5)  # at once, unless a process that could not be ended holds the other end
        left_out = b"\n[...]\n" if len(self._first) + len(self._last) >= 2 * _KEPT_BYTES else b""
        return (self._first + left_out + self._last).decode(errors="replace")

    def _read(self) -> None:
        while some := os.read(self._stream.fileno(), _KEPT_BYTES):
            room = _KEPT_BYTES - len(self._first)
            self._first += some[:room]
            self._last = (self._last + some[room:])[-_KEPT_BYTES:]
        self._stream.close()


def _memory_gb(guard: int) -> float:
    """Memory that the processes below the guard hold together, from /proc; 0 where there is none."""
    total_kb = 0
    for one in descendants(guard):
        with suppress(OSError):
            resident = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{one}/status").read_text(errors="replace"))
            total_kb += int(resident[1]) if resident else 0
    return total_kb / _KILOBYTES_PER_GB
