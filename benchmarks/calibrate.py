"""Errors of a network's numbers on phantoms, and the calibration of its intervals.

python -m benchmarks.calibrate --records FOLDER --calibration 120 --check 200

Makes a record for each phantom; what exists is kept, so that the command
can be stopped and given again. ``--seconds`` ends it after a while.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.calibration_phantoms import make_record, record_path
from operators.core.model_card import SHIPPED_BUNDLE
from operators.segmentation import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE)
    parser.add_argument("--seed", type=int, default=700000)
    parser.add_argument("--n", type=int, default=320)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    args = parser.parse_args()
    args.records.mkdir(parents=True, exist_ok=True)
    model = load_model(args.bundle)
    began = time.monotonic()
    for seed in range(args.seed, args.seed + args.n):
        if record_path(args.records, seed).is_file():
            continue
        if time.monotonic() - began > args.seconds:
            break
        make_record(args.records, seed, model, small=args.small)
        print(f"seed {seed}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
