"""``sarcomap demo``: from DICOM to report for one synthetic participant and for a cohort of six, and an analysis.

The measurements are compared with the truth. The demo prints its commands; they are the ones that users have.
"""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from app.interrupt import end_with_parent
from operators.core.command_line import new_app
from operators.core.errors import UsageError
from operators.core.options.declaration import WholeNumber

__all__ = ["command"]

_MADE = ("study", "result", "cohort_input", "cohort", "tables", "analysis")
_PARTICIPANTS = 6
_MARK = ".sarcomap-demo"

command = new_app(
    "demo",
    "Make a synthetic participant, process it from DICOM to report, and compare the measurements with the truth. Then "
    f"process a cohort of {_PARTICIPANTS} with images, and analyse the tables of 5,000.",
)


@command.default
def _demo(
    *,
    out: Annotated[
        Path,
        Parameter(
            name=("-o", "--out", "--output"), metavar="DIR", help="Folder for the demo. An earlier demo is replaced."
        ),
    ] = Path("demo"),
    seed: Annotated[int, WholeNumber, Parameter(metavar="N", help="Which participant.")] = 7,
) -> int:
    _make_room(out)
    start = time.perf_counter()

    _say("1. A synthetic participant: six stations x four contrasts, zipped as the archive does")
    if code := _run("phantom", "study", "--out", str(out / "study"), "--seed", str(seed), "--zip"):
        return code
    archive = next((out / "study").glob("*.zip"))
    truth = json.loads((out / "study" / "truth" / "truth.json").read_text(encoding="utf-8"))

    _say("2. The pipeline: load, fuse, segment, write DICOM, report")
    if code := _run("run", str(archive), "-o", str(out / "result")):
        return code
    report = json.loads((out / "result" / "report.json").read_text(encoding="utf-8"))

    _say("3. Measurements compared with the truth (between pelvis and knee)")
    print(_comparison(report, truth))
    print(f"\nModel: {report['model']['training_data']} {report['model']['intended_use']}")
    _say(f"4. A cohort of {_PARTICIPANTS} small studies: one command for all, a table and a page to look at them")
    if code := _cohort(out):
        return code
    _say("5. Analysis of a cohort of 5,000 synthetic participants")
    tables = out / "tables"
    if code := _run("phantom", "table", "--out", str(tables), "--n", "5000"):
        return code
    if code := _run(
        "analysis", "run", "--phenotypes", str(tables / "phenotypes.csv"),
        "--participants", str(tables / "participants.csv"), "--out", str(out / "analysis"),
    ):  # fmt: skip
        return code

    _say("Results")
    for name, what in (
        ("report.html", "the report, for people: open it in a browser"),
        ("report.json", "the same, for machines"),
        ("segmentation.seg.nrrd", "the label map; opens in 3D Slicer over fused/water.nrrd"),
        ("segmentation.dcm", "DICOM-SEG"),
        ("report.sr.dcm", "DICOM SR"),
        ("fused/water.nrrd", "fused volumes: water, fat, in, opp, fat_fraction"),
    ):
        print(f"  {out / 'result' / name!s:40s} {what}")
    print(f"  {out / 'study' / 'truth' / 'labels.seg.nrrd'!s:40s} the true label map")
    print(f"  {out / 'cohort' / 'phenotypes.parquet'!s:40s} phenotypes of {_PARTICIPANTS} studies, one row each")
    print(f"  {out / 'cohort' / 'qc.html'!s:40s} the page to accept or reject them")
    print(f"  {out / 'analysis' / 'report.html'!s:40s} the cohort's tables and figures on one page")
    print(f"\nDone in {time.perf_counter() - start:.0f} s.")
    return 0


def _cohort(out: Path) -> int:
    """Make a small cohort, process it, make its page, and print its measurements beside the truth."""
    made, cohort = out / "cohort_input", out / "cohort"
    for arguments in (
        ("phantom", "cohort", "--out", str(made), "--n", str(_PARTICIPANTS), "--small", "--stations", "4"),
        ("cohort", "run", str(made / "zips"), "-o", str(cohort), "--keep", "minimal"),
        ("cohort", "qc", str(cohort), "--participants", str(made / "participants.csv")),
    ):
        if code := _run(*arguments):
            return code
    with (made / "truth.csv").open(encoding="utf-8", newline="") as opened:
        truth = {row["eid"]: row for row in csv.DictReader(opened)}
    print(f"\n  {'eid':10s}{'TMV, cm3':>12s}{'true':>10s}{'P/A':>10s}{'true':>10s}")
    for path in sorted((cohort / "studies").glob("*/report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        eid, found = report["study"]["pseudonym"], report["phenotypes"]
        volume, ratio = (
            f"{'not given':>{width}s}" if found[key] is None else f"{found[key]:{width}.{decimals}f}"
            for key, width, decimals in (("tmv_cm3", 12, 0), ("pa_ratio", 10, 3))
        )
        true = truth[eid]
        print(f"  {eid:10s}{volume}{float(true['tmv_cm3']):10.0f}{ratio}{float(true['pa_ratio']):10.3f}")
    return 0


def _comparison(report: dict[str, Any], truth: dict[str, Any]) -> str:
    """TMV, P/A and the five compartments: measured, true, and their difference."""
    from operators.core.anatomy import Compartment

    groups = [str(c) for c in Compartment if c is not Compartment.BONE]
    found = report["phenotypes"]
    rows = [("Total muscle volume (cm3)", found["tmv_cm3"], truth["covered_tmv_cm3"], 0)]
    rows += [
        (f"  {group} (cm3)", found[f"{group}_cm3"], truth["covered_compartments_cm3"][group], 0) for group in groups
    ]
    rows.append(("P/A ratio", found["pa_ratio"], truth["covered_pa_ratio"], 3))
    lines = [f"  {'':28s}{'measured':>10s}{'true':>10s}{'difference':>12s}"]
    for name, value, reference, decimals in rows:
        if value is None:
            lines.append(f"  {name:28s}{'not given':>10s}{reference:10.{decimals}f}")
        else:
            lines.append(
                f"  {name:28s}{value:10.{decimals}f}{reference:10.{decimals}f}{100 * (value / reference - 1):+11.1f}%"
            )
    reasons = report["quality"]["not_given"]
    lines += [f"  {name}: {why}" for name, why in reasons.items() if name in ("tmv_cm3", "pa_ratio")]
    return "\n".join(lines)


def _make_room(out: Path) -> None:
    """An empty folder, or the folder of an earlier demo without what that demo made. Nothing else is ever removed."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / _MARK).is_file())):
        raise UsageError("--out", f"{out} exists and is not an earlier demo", "a new folder", "Choose another.")
    out.mkdir(parents=True, exist_ok=True)
    for name in _MADE:
        shutil.rmtree(out / name, ignore_errors=True)
    (out / _MARK).write_text(f"Made by `sarcomap demo`, which replaces {', '.join(_MADE)} in here.\n")


def _run(*arguments: str) -> int:
    print(f"$ sarcomap {shlex.join(arguments)}", flush=True)
    # The child ends with this process, also when that is told to stop: see PR_SET_PDEATHSIG in prctl(2).
    return subprocess.run(
        [sys.executable, "-m", "sarcomap", *arguments], check=False, preexec_fn=end_with_parent
    ).returncode


def _say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)
