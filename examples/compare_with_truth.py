"""Make a synthetic participant, process it, and compare what was measured with the truth.

    python examples/compare_with_truth.py folder --seed 3

The truth is exact: the phantom knows every voxel. ``covered_volumes`` counts what
lies in the fused volume, from pelvis to knee, and not the whole body.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phantom import write_study
from sarcomap import SHIPPED_BUNDLE, load_model, process_study, read_segmentation

NUMBERS = ("tmv_cm3", "pa_ratio", "quadriceps_cm3", "hamstrings_cm3", "gluteal_cm3")


def compare_with_truth(folder: Path, bundle: Path = SHIPPED_BUNDLE, **phantom: Any) -> tuple[pd.DataFrame, float]:
    """Measured and true phenotypes, and the share of voxels with the right label among those that have one.

    ``phantom`` goes to `phantom.write_study`: seed, participant, stations, faults.
    """
    written = write_study(folder / "study", **phantom)  # DICOM in written.dicom, the truth beside it
    result = process_study(written.dicom, folder / "result", model=load_model(bundle))

    truth = written.truth.covered_volumes.phenotypes(written.participant.height_cm / 100)
    table = pd.DataFrame(
        {"measured": [result.phenotypes[name] for name in NUMBERS], "true": [truth[name] for name in NUMBERS]},
        index=NUMBERS,
        dtype=float,  # None, which stands for a phenotype that cannot be given, becomes NaN
    )
    table["difference_percent"] = 100 * (table["measured"] / table["true"] - 1)

    labels = read_segmentation(result.folder / "segmentation.seg.nrrd")
    true_labels = written.truth.labels_on(labels.grid)  # the phantom's labels on the grid of the result
    either = np.not_equal(labels.voxels, 0) | np.not_equal(true_labels, 0)
    return table, float(np.mean(labels.voxels[either] == true_labels[either]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="new folder for the study and the results")
    parser.add_argument("--seed", type=int, default=3, help="which participant")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="your own weights")
    numbers, share = compare_with_truth(**vars(parser.parse_args()))
    print(numbers.round(3).to_string(), f"\nright label: {share:.1%} of the voxels")
