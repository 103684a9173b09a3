"""A running ``python -m app.serve`` for tests."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.app.made_study import ROOT, clean_environment
from tests.pacs.orthanc import free_port

__all__ = ["Served", "serving", "until"]


@dataclass(frozen=True)
class Served:
    """A service in its own process."""

    process: subprocess.Popen[bytes]
    spool: Path
    port: int
    http: str
    log: Path

    def names(self, state: str) -> list[str]:
        return sorted(path.name for path in (self.spool / state).iterdir())

    def record(self, state: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.spool / state / name / "job.json").read_text(encoding="utf-8"))
        return found

    def metric(self, name: str) -> float:
        lines = requests.get(f"{self.http}/metrics", timeout=10).text.splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} ")), 0.0)


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[Served]:
    """Start the service with short waits and the given ``settings``; stop it by SIGTERM, which must succeed."""
    folder.mkdir(parents=True, exist_ok=True)
    port, http_port = free_port(), free_port()
    dicom = {"port": port, **settings.pop("dicom", {})}
    content = {"spool": str(folder / "spool"), "quiet_s": 1.0, "abandoned_s": 60, "min_free_bytes": 0}
    content |= {"dicom": dicom, "http": {"port": http_port}, "send": {"first_wait_s": 0.5}, **settings}
    (folder / "serve.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    log = folder / "serve.log"
    log.touch()
    said_before = len(log.read_text())
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.serve", "-c", str(folder / "serve.yaml")],
            cwd=ROOT,
            env=clean_environment(),
            stdout=stream,
            stderr=stream,
        )
    served = Served(process, folder / "spool", port, f"http://127.0.0.1:{http_port}", log)
    try:
        until(lambda: "ready" in log.read_text()[said_before:] or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        yield served
        if process.poll() is None:
            process.terminate()
            assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def until(true: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition is true; an assertion fails if that takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
