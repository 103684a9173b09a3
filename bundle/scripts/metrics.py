"""Compare label maps with the truth: tables with bootstrap intervals, and a figure.

    python -m bundle.scripts.metrics --labels DIR --truth DIR --out DIR

Both folders hold one folder (or file) for each participant, of the same name.
Writes OUT/by_structure.csv, by_participant.csv, metrics.png and metrics.svg:
Dice, IoU, precision, recall, HD95, surface Dice at 2 mm and relative volume
error of the structures of the label table; those absent from the truth are left out.
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
    parser.add_argument("--labels", type=Path, required=True, metavar="DIR", help="what was found")
    parser.add_argument("--truth", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--labels-name", metavar="PATTERN", help="of the label files' names, e.g. '*.seg.nrrd'")
    parser.add_argument("--truth-name", metavar="PATTERN")
    parser.add_argument("--datalist", type=Path, help="whose participants marked weak are counted apart")
    parser.add_argument("--resample", action="store_true", help="lay labels on the truth's grid where they differ")
    parser.add_argument("--tolerance-mm", type=float, default=2.0, help="of the surface Dice (default: 2)")
    parser.add_argument("--title", default="", help="of the figure")
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
        # Scores go by the name of a folder, of which a participant may have several, or of a file.
        names: dict[bool, set[str]] = {True: set(), False: set()}
        for entry in entries:
            names[bool(entry.get("weak"))] |= {str(entry["participant"]), *Path(entry["label"]).parent.parts}
        return sorted(names[True] - names[False])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            datalist.name, "no datalist", "what bundle.scripts.datalist writes", "Check --datalist."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
