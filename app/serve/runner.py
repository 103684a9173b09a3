"""Run the application on queued studies, each in its own process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from app.serve.metrics import Metrics
from app.serve.settings import RunSettings
from app.serve.spool import Job, Spool

__all__ = ["Runner"]

#: Exit codes that a second run of the same study would repeat: usage, input, segmentation.
_FINAL = {2, 3, 4}
_POLL_S = 0.2
#: Wait between the runs of one study, doubled each time. The cause (memory, a full disk) may have passed by then.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 300.0
_LOG_TAIL_BYTES = 4000
_ROOT = Path(__file__).resolve().parents[2]

_log = logging.getLogger("sarcomap.serve")


class Runner:
    """Runs one study at a time; several runners share one spool.

    Parameters
    ----------
    settings : RunSettings
    spool : Spool
    metrics : Metrics
    stopping : threading.Event
        When set, the current run is ended, and its study goes back to the queue.
    grace_s : float
        How long the run may still take after that.
    """

    def __init__(
        self, settings: RunSettings, spool: Spool, metrics: Metrics, stopping: threading.Event, grace_s: float
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._metrics = metrics
        self._stopping = stopping
        self._grace_s = grace_s

    def run_next(self) -> bool:
        """Run the study that has waited longest. False if none waits, or if the disk is too full for results."""
        job = self._spool.begin()
        if job is None:
            return False
        _log.info("%s: run %d begins", job.name, job.record.runs)
        begun = time.monotonic()
        try:
            code, ended_by_us = self._run(job)
            self._conclude(job, code, ended_by_us, time.monotonic() - begun)
        except Exception:
            self._spool.put_back(job)  # or it would be running until the next start of the service
            raise
        return True

    def _conclude(self, job: Job, code: int, why: str, seconds: float) -> None:
        if job.run_ended_well:
            self._spool.advance(job, "sending", seconds=round(seconds, 3), error="")
            self._metrics.runs.labels("done").inc()
            self._metrics.run_seconds.observe(seconds)
            _log.info("%s: done in %.1f s", job.name, seconds)
            return
        if why == "stop":
            self._spool.advance(job, "queued", runs=job.record.runs - 1)
            _log.info("%s: interrupted, back in the queue", job.name)
            return
        found = {"timeout": f"cut off after {self._settings.timeout_s:g} s"}.get(why) or _last_error(job, code)
        if code in _FINAL or job.record.runs >= self._settings.attempts:
            self._spool.fail(job, found)
            self._metrics.runs.labels("failed").inc()
            _log.error("%s: failed: %s", job.name, found)
        else:
            wait = min(_FIRST_WAIT_S * 2 ** (job.record.runs - 1), _LONGEST_WAIT_S)
            self._spool.advance(job, "queued", error=found, next_run=time.time() + wait)
            self._metrics.runs.labels("retried").inc()
            _log.warning("%s: next run in %g s: %s", job.name, wait, found)

    def _run(self, job: Job) -> tuple[int, str]:
        # -P: what lies in the working folder is not imported. Relative paths in the arguments begin there, though.
        command = [sys.executable, "-P", "-m", "app.serve.worker", str(os.getpid()), *self._settings.arguments]
        command += ["-q", "-i", str(_input(job)), "-o", str(job.results)]
        # Only sending needs the logins; a process that reads foreign files should not have them.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SARCOMAP_DICOMWEB_")}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), environment.get("PYTHONPATH", ""))))
        with (job.folder / "run.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C goes to the service only, which then ends its runs in an orderly way
            )
            return self._wait(child)

    def _wait(self, child: subprocess.Popen[bytes]) -> tuple[int, str]:
        deadline = time.monotonic() + self._settings.timeout_s
        why = ""
        while child.poll() is None:
            if not why and self._stopping.is_set():
                why, deadline = "stop", min(deadline, time.monotonic() + self._grace_s)
            if time.monotonic() >= deadline:
                why = why or "timeout"
                _end(child)
                break
            time.sleep(_POLL_S)
        return child.wait(), why


def _input(job: Job) -> Path:
    """The zip, or the folder."""
    files = [path for path in job.input.iterdir() if not path.name.startswith(".")]
    return files[0] if len(files) == 1 and files[0].suffix.lower() == ".zip" else job.input


def _end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()


def _last_error(job: Job, code: int) -> str:
    with (job.folder / "run.log").open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
    said = next((line for line in reversed(lines) if line.startswith("error: ")), "")
    if said:
        return said.removeprefix("error: ")
    return f"killed by signal {-code}" if code < 0 else f"ended with exit code {code} and no message; see run.log"
