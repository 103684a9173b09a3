"""A cohort's run on a Dask cluster of real processes, in which one after another is killed with SIGKILL.

The studies are stand-ins of a fraction of a second, so that hundreds of them can be disturbed. The command, its
client, scheduler, nannies, workers, children and ledger are those of a real run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from app.cohort import Ledger
from app.cohort.ledger import latest
from tests.cohort.stand_in import write_inputs

__all__ = ["KINDS", "Disturbed", "Scene", "disturbed", "interrupted_by", "tables", "twice"]

ROOT = Path(__file__).parents[2]
KINDS = ("child", "worker", "nanny", "scheduler", "client")
_END_S = 900.0


@dataclass
class Disturbed:
    """What happened in a disturbed run.

    Attributes
    ----------
    killed : Counter of str
        Kills by kind of process.
    starts : int
        How often the command was started until it ended well.
    seconds : float
    attempts : int
        Lines of the ledger.
    """

    killed: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    seconds: float = 0.0
    attempts: int = 0


class Scene:
    """A scheduler and two workers with nannies, each started again when it has ended, as a cluster manager does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "cluster.log").open("ab")
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.nannies: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.nannies, *([self.scheduler] if self.scheduler else [])):
            for one in (*_below(process.pid), process):
                one.kill()
            process.wait()
        self._log.close()

    def mend(self) -> None:
        """Start what is not running."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            for nanny in self.nannies:  # they would wait for the old scheduler
                nanny.kill()
                nanny.wait()
            self.nannies = []
            self.file.unlink(missing_ok=True)
            self.scheduler = self._start(
                "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1"
            )
            deadline = time.monotonic() + 120
            while not self.file.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
        self.nannies = [nanny for nanny in self.nannies if nanny.poll() is None]
        while len(self.nannies) < 2:
            self.nannies.append(
                self._start("distributed.cli.dask_worker", "--nthreads", "1", "--nworkers", "1", "--no-dashboard")
            )

    def victims(self, kind: str, client: subprocess.Popen[bytes]) -> list[int]:
        """Process numbers of a kind."""
        if kind == "client":
            return [client.pid] if client.poll() is None else []
        if kind == "scheduler":
            return [self.scheduler.pid] if self.scheduler else []
        if kind == "nanny":
            return [nanny.pid for nanny in self.nannies]
        below = [process for nanny in self.nannies for process in _below(nanny.pid)]
        wanted = "app.cohort.child" if kind == "child" else "spawn_main"
        return [process.pid for process in below if wanted in _command_line(process)]

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "10"}
        return subprocess.Popen(
            [sys.executable, "-m", module, "--scheduler-file", str(self.file), *arguments],
            cwd=self.folder,
            env=environment,
            stdout=self._log,
            stderr=self._log,
        )


def disturbed(inputs: Path, out: Path, scene: Scene, kills: int, draw: random.Random, pause_s: float) -> Disturbed:
    """Run the cohort on the cluster to its end, and kill processes of every kind at random moments."""
    found = Disturbed()
    began = time.monotonic()
    kinds = [KINDS[n % len(KINDS)] for n in range(kills)]
    draw.shuffle(kinds)
    scene.mend()
    while time.monotonic() - began < _END_S:
        client = start(inputs, out, scheduler=str(scene.file))
        found.starts += 1
        while client.poll() is None:
            time.sleep(pause_s * draw.uniform(0.3, 1.0))
            if kinds and _is_busy(out, scene):
                victims = scene.victims(kinds[-1], client)
                if victims:
                    os.kill(draw.choice(victims), signal.SIGKILL)
                    found.killed[kinds.pop()] += 1
                    time.sleep(0.2)
            scene.mend()
        if client.wait() == 0:
            break
    found.seconds = time.monotonic() - began
    found.attempts = len(Ledger(out).attempts()[0])
    return found


def start(inputs: Path, out: Path, **options: object) -> subprocess.Popen[bytes]:
    """Start the command with the stand-in's work."""
    with (out.parent / "client.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.cohort.stand_in_command", str(inputs), str(out), json.dumps(options)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )


def interrupted_by(
    inputs: Path, out: Path, harm: Callable[[], object], mend: Callable[[], object], studies: int
) -> int:
    """Start a local run, do harm after some studies, wait for its end, mend, and run to the end.

    Returns
    -------
    int
        Exit code of the harmed run.
    """
    process = start(inputs, out, workers=2)
    while process.poll() is None and len(list(out.glob("studies/*"))) < studies:
        time.sleep(0.05)
    harm()
    code = process.wait(300)
    mend()
    assert start(inputs, out, workers=2).wait(600) == 0
    return code


def tables(out: Path) -> bytes:
    """The tables of a cohort, but for the paths of its inputs."""
    return (out / "phenotypes.parquet").read_bytes() + (out / "failures.csv").read_bytes()


def twice(out: Path) -> dict[str, int]:
    """Studies that were done by more than one attempt, and those without an outcome."""
    attempts = Ledger(out).attempts()[0]
    by_attempt = {(one.study, one.attempt, one.worker) for one in attempts if one.outcome == "done"}
    done = Counter(study for study, _, _ in by_attempt)
    return {
        "studies": len(latest(attempts)),
        "without_outcome": sum(one.again for one in latest(attempts).values()),
        "folders": len(Ledger(out).published()),
        "processed_more_than_once": sum(number > 1 for number in done.values()),
    }


def _is_busy(out: Path, scene: Scene) -> bool:
    """Whether studies are in hand, so that a kill disturbs something."""
    return bool(list(out.glob("ledger/*"))) and bool(scene.nannies)


def _below(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def contents(number: int) -> list[str]:
    """Inputs of a cohort with an outcome of each deterministic kind among them."""
    return ["refuse" if n % 25 == 7 else "defect" if n % 25 == 19 else "ok 0.15" for n in range(number)]


def made(folder: Path, number: int) -> Path:
    """Their files."""
    return write_inputs(folder, contents(number))


def as_json(found: Disturbed) -> dict[str, Any]:
    """For the results of a benchmark."""
    return {
        "killed": dict(sorted(found.killed.items())),
        "starts_of_the_command": found.starts,
        "seconds": round(found.seconds, 1),
        "attempts_recorded": found.attempts,
    }
