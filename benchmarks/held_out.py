"""How well the shipped model segments phantoms that it never saw, through the whole of the pipeline.

    python benchmarks/held_out.py --n 10 --seed 900000 --csv docs/held_out.csv

Each participant is scanned (noise, coil bias, gains and shifts included),
written as DICOM, loaded, fused and segmented as `python -m app` does; the label
map is compared with the truth on the fused grid. Training seeds start at
100000, so the default seeds here were never trained on.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.run import SHIPPED_BUNDLE
from operators import anatomy
from operators.dicom_loader import load_study
from operators.phenotype_report import measure
from operators.segmentation import SegmentationModel, load_model, segment
from operators.station_fusion import fuse
from phantom import write_study


def dice(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """Dice of each structure that the truth has: 2 |A and B| / (|A| + |B|)."""
    both = np.bincount(truth[found == truth].ravel(), minlength=anatomy.CHANNEL_COUNT)
    sizes = np.bincount(found.ravel(), minlength=anatomy.CHANNEL_COUNT) + np.bincount(
        truth.ravel(), minlength=anatomy.CHANNEL_COUNT
    )
    present = np.unique(truth)
    return {s.name: float(2 * both[s.index] / sizes[s.index]) for s in anatomy.STRUCTURES if s.index in present}


def evaluate(seed: int, model: SegmentationModel, folder: Path) -> dict[str, float]:
    """Dice by structure, and relative errors of TMV and P/A (NaN where a phenotype is not given)."""
    written = write_study(folder / str(seed), seed=seed, zip_archive=True)
    fused = fuse(load_study(written.dicom))
    labels = segment(fused, model)
    row = dice(np.asarray(labels.voxels, np.uint8), written.truth.labels_on(fused.grid))
    found = measure(labels, fused).phenotypes
    truth = written.truth.covered_volumes
    nan = float("nan")
    row["tmv_relative_error"] = nan if found.tmv_cm3 is None else found.tmv_cm3 / truth.tmv_cm3 - 1
    row["pa_relative_error"] = nan if found.pa_ratio is None else found.pa_ratio / truth.pa_ratio - 1
    return row


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10, help="participants (default: 10)")
    parser.add_argument("--seed", type=int, default=900000, help="the first one's (default: 900000)")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE)
    parser.add_argument("--csv", type=Path, help="write one row a participant here")
    arguments = parser.parse_args()
    model = load_model(arguments.bundle)
    rows = []
    for seed in tqdm(range(arguments.seed, arguments.seed + arguments.n), unit="participant"):
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"seed": float(seed), **evaluate(seed, model, Path(folder))})
    names = [s.name for s in anatomy.STRUCTURES]
    by_class = {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
    for name in names:
        print(f"{name:24s} {np.nanmean(by_class[name]):.3f}  (lowest {np.nanmin(by_class[name]):.3f})")
    means = np.nanmean(np.stack(list(by_class.values())), axis=0)
    print(f"{'mean over structures':24s} {means.mean():.3f}  (lowest participant {means.min():.3f}, n = {len(rows)})")
    for key in ("tmv_relative_error", "pa_relative_error"):
        errors = np.abs([row[key] for row in rows])
        print(f"{'median |' + key + '|':24s} {np.nanmedian(errors):.3f}  (largest {np.nanmax(errors):.3f})")
    if arguments.csv:
        with arguments.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["seed", *names, "tmv_relative_error", "pa_relative_error"])
            writer.writeheader()
            writer.writerows({key: round(value, 4) for key, value in row.items()} for row in rows)


if __name__ == "__main__":
    main()
