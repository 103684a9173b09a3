"""``make demo``: a synthetic participant's DICOM through the application, and what was measured beside the truth;
then a synthetic cohort's table through the epidemiology.

    python benchmarks/demo.py --out demo --seed 7

Everything is made by the command lines that a user has; they are printed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from operators.core.anatomy import Compartment

_GROUPS = tuple(str(c) for c in Compartment if c is not Compartment.BONE)


def main() -> int:
    """Command line; returns the exit code of the first step that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="replaced when it is there (default: demo)")
    parser.add_argument("--seed", type=int, default=7, help="which participant (default: 7)")
    arguments = parser.parse_args()
    out: Path = arguments.out
    if out.exists() and not (out / "study").is_dir() and any(out.iterdir()):
        print(f"error: {out} exists and is not an earlier demo; expected a new folder. Choose another with --out.")
        return 2
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()

    _say("1. A synthetic participant: six stations x four contrasts, zipped as the archive does")
    if code := _run("phantom", "study", "--out", str(out / "study"), "--seed", str(arguments.seed), "--zip"):
        return code
    archive = next((out / "study").glob("*.zip"))
    truth = json.loads((out / "study" / "truth" / "truth.json").read_text(encoding="utf-8"))

    _say("2. The application: load, fuse, segment, write, report")
    if code := _run("app", "-i", str(archive), "-o", str(out / "result")):
        return code
    report = json.loads((out / "result" / "report.json").read_text(encoding="utf-8"))

    _say("3. Measured against the truth (what lies between pelvis and knee)")
    print(_comparison(report, truth))
    print(f"\nModel: {report['model']['training_data']} {report['model']['intended_use']}")
    _say("4. A cohort of 5,000 synthetic participants through the epidemiology")
    cohort = out / "cohort"
    if code := _run("phantom", "table", "--out", str(cohort), "--n", "5000"):
        return code
    if code := _run(
        "analysis", "run", "--phenotypes", str(cohort / "phenotypes.csv"),
        "--participants", str(cohort / "participants.csv"), "--out", str(out / "analysis"),
    ):  # fmt: skip
        return code

    _say("What was made")
    for name, what in (
        ("report.html", "the report, for people: open it in a browser"),
        ("report.json", "the same, for machines"),
        ("segmentation.seg.nrrd", "muscles and bones; opens in 3D Slicer over fused/water.nrrd"),
        ("segmentation.dcm", "DICOM-SEG"),
        ("report.sr.dcm", "DICOM SR"),
        ("fused/water.nrrd", "fused volumes: water, fat, in, opp, fat_fraction"),
    ):
        print(f"  {out / 'result' / name!s:40s} {what}")
    print(f"  {out / 'study' / 'truth' / 'labels.seg.nrrd'!s:40s} the true label map")
    print(f"  {out / 'analysis' / 'report.html'!s:40s} the cohort's tables and figures on one page")
    print(f"\nDone in {time.perf_counter() - start:.0f} s.")
    return 0


def _comparison(report: dict[str, Any], truth: dict[str, Any]) -> str:
    """TMV, P/A and the five compartments: measured, true, and by how much they differ."""
    found = report["phenotypes"]
    rows = [("Total muscle volume (cm3)", found["tmv_cm3"], truth["covered_tmv_cm3"], 0)]
    rows += [
        (f"  {group} (cm3)", found[f"{group}_cm3"], truth["covered_compartments_cm3"][group], 0) for group in _GROUPS
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


def _run(module: str, *arguments: str) -> int:
    print(f"$ python -m {module} {shlex.join(arguments)}", flush=True)
    return subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode


def _say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
