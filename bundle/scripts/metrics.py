"""Compare label maps with the truth: tables with bootstrap intervals, and a figure.

    python -m bundle.scripts.metrics --labels DIR --truth DIR --out DIR

Both folders hold one folder (or file) per participant, with the same names.
The command writes DIR/by_structure.csv, by_participant.csv, metrics.png and
metrics.svg with Dice, IoU, precision, recall, HD95, surface Dice at 2 mm and
relative volume error of the structures of the label table. Structures absent
from the truth are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bundle.scripts.evaluation import label_files, report, score_files
from operators.core.errors import InputError, SarcoMapError


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bundle.scripts.metrics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--labels", type=Path, required=True, metavar="DIR", help="label maps to evaluate")
    parser.add_argument("--truth", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--labels-name", metavar="PATTERN", help="pattern of the label files' names, e.g. '*.seg.nrrd'")
    parser.add_argument("--truth-name", metavar="PATTERN")
    parser.add_argument(
        "--datalist", type=Path, help="datalist; participants that it marks as weak are reported separately"
    )
    parser.add_argument(
        "--resample", action="store_true", help="resample labels to the truth's grid if the grids differ"
    )
    parser.add_argument("--tolerance-mm", type=float, default=2.0, help="tolerance of the surface Dice (default: 2)")
    parser.add_argument("--title", default="", help="title of the figure")
    given = parser.parse_args(arguments)
    try:
        labels, truth = label_files(given.labels, given.labels_name), label_files(given.truth, given.truth_name)
        weak = _weak_participants(given.datalist)
        if missing := [name for name in truth if name not in labels]:
            print(f"note: {len(missing)} of {len(truth)} participants have no labels", file=sys.stderr)
        scores = score_files(labels, truth, weak=weak, resample=given.resample, tolerance_mm=given.tolerance_mm)
        report(scores, given.out, given.title)
    except SarcoMapError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    with (given.out / "by_structure.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            print(
                f"{row['structure']:24s} Dice {row['dice']}  ({row['dice_low']} to {row['dice_high']})  {row['labels']}"
            )
    return 0


def _weak_participants(datalist: Path | None) -> list[str]:
    if datalist is None:
        return []
    try:
        entries = json.loads(datalist.read_text(encoding="utf-8"))["training"]
        # Scores are named by a folder (a participant may have several) or by a file.
        names: dict[bool, set[str]] = {True: set(), False: set()}
        for entry in entries:
            names[bool(entry.get("weak"))] |= {str(entry["participant"]), *Path(entry["label"]).parent.parts}
        return sorted(names[True] - names[False])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            datalist.name, "no datalist", "a file of bundle.scripts.datalist", "Check --datalist."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
