"""Calibration of a network's numbers: errors on phantoms, the intervals that follow, and how often they hold.

    python -m benchmarks.calibrate --records FOLDER --n 200

Each phantom is scanned, fused, labelled and measured, and leaves a small record. Records that the
folder has for these weights are kept, so the command can be stopped and given again; --seconds
stops it after a while. Then each fifth of the phantoms is checked with the calibration that the
other four fifths give, and the calibration of all of them is written beside the bundle's model
card. Give it again whenever phantom, weights or measures change.

Several processes may fill one folder, each with its own --seed, --n and --no-fit; the command
with --fit-only then uses the records of all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibration_fit import LEAST_RECORDS, LEVEL, fit, folds
from benchmarks.calibration_phantoms import make_record, read_record, record_path
from operators.core.calibration import CALIBRATION_FILE
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.output_files import replacing

_FOLDS = 5
_FIRST_SEED = 700000
"""Neither trained on nor used for the held-out accuracy."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--n", type=int, default=200, help="phantoms (default: 200)")
    parser.add_argument("--seed", type=int, default=_FIRST_SEED)
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE)
    parser.add_argument("--small", action="store_true", help="stations of half the pixels in plane")
    parser.add_argument("--seconds", type=float, help="make no further record after so many seconds, and do not fit")
    parser.add_argument("--fit-only", action="store_true", help="make no record; use those that there are")
    parser.add_argument("--no-fit", action="store_true", help="make records only")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the table of how often intervals hold")
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + args.n)
    sha256 = json.loads((args.bundle / "models/shipped.json").read_text(encoding="utf-8"))["sha256"]
    if not args.fit_only and not _made(args, seeds, sha256):
        print("Not all records are made. Give the command again to go on.", file=sys.stderr)
        return
    if args.no_fit:
        return
    records = [found for seed in seeds if (found := read_record(args.records, seed, sha256)) is not None]
    if len(records) < LEAST_RECORDS:
        sys.exit(f"{len(records)} records; at least {LEAST_RECORDS} are needed.")
    command = f"python -m benchmarks.calibrate --n {args.n} --seed {args.seed}{' --small' if args.small else ''}"
    studies = f"{len(records)} phantoms from seed {args.seed} on, with noise, coil bias, gains and motion"
    calibration = fit(records, command, studies)
    with replacing(args.bundle / CALIBRATION_FILE) as temporary:
        temporary.write_text(json.dumps(calibration.record(), indent=2) + "\n", encoding="utf-8")
    rows = table(folds(records, _FOLDS))
    flags = dict(sorted(Counter(code for record in records for code in record["flags"]).items()))
    facts = {"phantoms": len(records), "sha256": sha256, "phantoms_with_flag": flags, "level": LEVEL, "folds": _FOLDS}
    text = json.dumps({**facts, "numbers": rows})
    print(text.replace("}, {", "},\n{"))
    if args.out:
        with replacing(args.out) as temporary:
            temporary.write_text(json.dumps(json.loads(text), indent=1) + "\n", encoding="utf-8")


def table(checked: Mapping[str, Sequence[tuple[bool, float]]]) -> list[dict[str, Any]]:
    """For each number: how many intervals were checked, the share that held, and the median half width in percent."""
    return [
        {
            "number": key,
            "checked": len(entries),
            "held": round(float(np.mean([held for held, _ in entries])), 3),
            "half_width_percent": round(float(np.median([width for _, width in entries])), 2),
        }
        for key, entries in checked.items()
    ]


def _made(args: argparse.Namespace, seeds: range, sha256: str) -> bool:
    """Make the records that are missing; False if time ran out first."""
    model: Any = None
    began = time.monotonic()
    for seed in seeds:
        if read_record(args.records, seed, sha256) is not None:
            continue
        if args.seconds is not None and time.monotonic() - began > args.seconds:
            return False
        if model is None:
            from operators.segmentation import load_model

            args.records.mkdir(parents=True, exist_ok=True)
            model = load_model(args.bundle)
        make_record(args.records, seed, model, small=args.small)
        print(f"{record_path(args.records, seed).name} made", file=sys.stderr, flush=True)
    return True


if __name__ == "__main__":
    main()
