"""Quick work in place of a study's, and a command line that uses it: the run, its workers and its ledger are real.

The content of an input says what happens to it: ``ok``, ``refuse``, ``defect``, ``hang``, ``freeze``, ``memory``,
``grow``, ``die`` or ``network`` (which is too large for its memory), and after a space how long it takes in seconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.cohort.options import CohortOptions
from app.cohort.run import run_cohort
from app.cohort.settings import WorkerSettings
from app.cohort.study_work import Facts, OnStage, Session
from operators.core.command_line import report_error
from operators.core.errors import InputError
from operators.core.options import RunOptions

__all__ = ["WORK", "main", "process", "write_inputs"]

WORK = "tests.cohort.stand_in:process"


def process(source: Path, folder: Path, settings: WorkerSettings, session: Session, on_stage: OnStage) -> Facts:
    """What an input's content asks for; a done study has a report whose numbers follow from its name."""
    kind, _, seconds = source.read_text().partition(" ")
    if kind == "network":
        on_stage("model", None)
        _grow()
    on_stage("load", None)
    time.sleep(float(seconds or 0))
    on_stage("load", float(seconds or 0))
    on_stage("segment", None)
    if kind == "refuse":
        raise InputError(source.name, "no station", "six", "Fetch it again.")
    if kind == "defect":
        raise ZeroDivisionError("Secretname^Anna")
    if kind == "die":
        ctypes.string_at(0)
    if kind == "hang":
        time.sleep(3600)
    if kind == "freeze":
        os.kill(os.getpid(), 19)  # SIGSTOP: not even its heartbeat goes on
    if kind == "memory":
        bytearray(30 << 30)
    if kind == "grow":
        _grow()
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(_report(source)))
    (folder / "segmentation.seg.nrrd").write_bytes(source.name.encode() * 50)
    (folder / "fused").mkdir()
    (folder / "fused" / "water.nrrd").write_bytes(source.name.encode() * 500)
    on_stage("segment", 0.0)
    return Facts({"load": float(seconds or 0)}, source.name.split("_")[0], "20210304", ("seam-step",))


def _grow() -> None:
    held = []
    while True:
        held.append(bytearray(b"1") * (32 << 20))


def _report(source: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((source.parent / ".template.json").read_text())
    eid = source.name.split("_")[0]
    report["study"]["pseudonym"] = eid
    report["phenotypes"]["tmv_cm3"] = float(eid[-4:])
    return report


def write_inputs(folder: Path, contents: Sequence[str]) -> Path:
    """Inputs with these contents, named like UK Biobank's zips."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(contents):
        (folder / f"{1000000 + number}_20201_2_0.zip").write_text(content)
    return folder


def main(arguments: Sequence[str]) -> int:
    """Run a cohort with the stand-in: input, output, and options of `CohortOptions` as JSON."""
    source, out, options = arguments
    try:
        result = run_cohort([source], Path(out), RunOptions(), CohortOptions(**json.loads(options)), work=WORK)
    except Exception as error:
        return report_error(error)
    return result.exit_code
