"""Start-up times: help, refusals, and the imports of a run.

    python -m benchmarks.startup --repeats 5 --out benchmarks/results/startup.json
    python -m benchmarks.startup --code EARLIER_CHECKOUT     # measure another version, with this environment

Each figure is the median time of whole processes in seconds. Run it on idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HELP = {
    "sarcomap --help": ("sarcomap", "--help"),
    "sarcomap run --help": ("sarcomap", "run", "--help"),
    "sarcomap bundle release --help": ("sarcomap", "bundle", "release", "--help"),
    "python -m app --help": ("app", "--help"),
    "python -m app.serve --help": ("app.serve", "--help"),
    "python -m analysis --help": ("analysis", "--help"),
    "python -m analysis run --help": ("analysis", "run", "--help"),
    "python -m phantom --help": ("phantom", "--help"),
    "python -m phantom study --help": ("phantom", "study", "--help"),
}
REFUSED = {
    "sarcomap run, no such zip": ("sarcomap", "run", "nowhere.zip", "-o", "{out}"),
    "sarcomap run, output that cannot be written": ("sarcomap", "run", ".", "-o", "/proc/nothing/out"),
    "sarcomap run, no GPU": ("sarcomap", "run", ".", "-o", "{out}", "--device", "cuda"),
    "python -m app, no such zip": ("app", "-i", "nowhere.zip", "-o", "{out}"),
    "python -m app, output that cannot be written": ("app", "-i", ".", "-o", "/proc/nothing/out"),
    "python -m app, no GPU": ("app", "-i", ".", "-o", "{out}", "--device", "cuda"),
}
#: Imports of a run: of the current pipeline, and of the MONAI Deploy application.
IMPORTS = {
    "imports of a run": (
        "import operators.dicom_loader, operators.dicom_seg_writer, operators.phenotype_report, "
        "operators.station_fusion, operators.segmentation.label_outputs"
    ),
    "imports of python -m app": "import app.application",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: print a table, and write it as JSON if a file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--code", type=Path, default=ROOT, help="checkout to measure (default: this one)")
    parser.add_argument("--out", type=Path, help="JSON file to add the figures to, under the commit's short name")
    options = parser.parse_args(argv)
    found: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for group in (HELP, REFUSED):
            for name, words in group.items():
                module, *rest = (word.format(out=Path(scratch) / "out") for word in words)
                found[name] = _median(["-m", module, *rest], options.code, options.repeats, refused=group is REFUSED)
        for name, code in IMPORTS.items():
            found[name] = _median(["-c", code], options.code, options.repeats)
    for name, seconds in found.items():
        print(f"{name:50s} {'cannot' if seconds is None else f'{seconds:.2f} s'}")
    if options.out is not None:
        earlier = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
        commit = subprocess.run(
            ["git", "-C", str(options.code), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        earlier[commit] = found
        options.out.write_text(json.dumps(earlier, indent=1) + "\n", encoding="utf-8")
    return 0


def _median(arguments: Sequence[str], code: Path, repeats: int, refused: bool = False) -> float | None:
    """Seconds of a whole process; None if this version has no such command."""
    seconds = []
    for _ in range(repeats + 1):  # the first run fills caches
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=code,
            capture_output=True,
            check=False,
            env=os.environ | {"COLUMNS": "100"},
        )
        seconds.append(time.perf_counter() - start)
        if b"No module named" in done.stderr or (done.returncode != 0) is not refused:
            return None
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    sys.exit(main())
