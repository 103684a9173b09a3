"""What the shipped network finds when it is given less than a whole study: water alone, and slabs.

    python -m benchmarks.part_inputs --n 10 --studies /tmp/held-out --out benchmarks/results/part_inputs.json

The participants are those of `benchmarks.held_out`. Their fused volumes are cropped, written as NIfTI, read again and
labelled, as ``sarcomap run FILE.nii.gz`` does. The truth is the anatomy at the voxel centres of what was read. A
structure is in view when `LEAST_CM3` of it are. Structures that are found but not in view are counted too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.held_out import kept_or_temporary, study, true_labels
from operators.core.anatomy import HAMSTRINGS, QUADRICEPS, STRUCTURES, by_name
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.nifti_files import write_nifti
from operators.core.options import FusionOptions
from operators.core.output_files import replacing
from operators.core.volume import Fused, Grid, Volume
from operators.dicom_loader import load_study
from operators.nifti_loader import load_nifti
from operators.segmentation import SegmentationModel, load_model, segment
from operators.station_fusion import fuse
from operators.station_fusion.fused_elsewhere import fused_elsewhere

LEAST_CM3 = 5.0
"""Of a structure, to be in view."""

Labels = NDArray[np.uint8]
Slices = Callable[[Labels, float], slice]
"""From the true labels and the height of a slice in mm, the slices to give; they count from the feet."""


class Part(NamedTuple):
    """What is given of a study."""

    slices: Slices
    water_alone: bool


def _whole(labels: Labels, slice_mm: float) -> slice:
    return slice(0, len(labels))


def _thigh(labels: Labels, slice_mm: float) -> slice:
    """186 mm downwards from the gluteal fold, the lowest slice of the gluteus maximus."""
    fold = int(np.flatnonzero((labels == by_name("gluteus_maximus").index).any(axis=(1, 2)))[0])
    return slice(max(0, fold - round(186 / slice_mm)), fold)


def _pelvis(labels: Labels, slice_mm: float) -> slice:
    """150 mm upwards from the lowest slice of the obturator internus."""
    first = int(np.flatnonzero((labels == by_name("obturator_internus").index).any(axis=(1, 2)))[0])
    return slice(first, first + round(150 / slice_mm))


PARTS: dict[str, Part] = {
    "whole study, water and fat": Part(_whole, water_alone=False),
    "whole study, water alone": Part(_whole, water_alone=True),
    "186 mm of the thighs, water and fat": Part(_thigh, water_alone=False),
    "186 mm of the thighs, water alone": Part(_thigh, water_alone=True),
    "150 mm of the pelvis, water and fat": Part(_pelvis, water_alone=False),
    "150 mm of the pelvis, water alone": Part(_pelvis, water_alone=True),
}


def given(fused: Fused, part: Part, truth: Labels, folder: Path) -> Fused:
    """The part of a fused study, after it was written to NIfTI files in ``folder`` and read again."""
    first, end, _ = part.slices(truth, fused.grid.spacing_mm[2]).indices(fused.grid.shape[0])
    affine = fused.grid.affine.copy()
    affine[:3, 3] += first * affine[:3, 2]
    grid = Grid((end - first, *fused.grid.shape[1:]), affine)
    images = {"water": fused.water} if part.water_alone else {"water": fused.water, "fat": fused.fat}
    for name, image in images.items():
        write_nifti(folder / f"{name}.nii.gz", Volume(image[first:end], grid))
    return fused_elsewhere(load_nifti(folder), FusionOptions())


def scores(labels: Labels, truth: Labels, voxel_cm3: float) -> dict[str, Any]:
    """Dice of the structures in view and of two groups, and the structures that were found out of view."""
    dice, invented = {}, []
    for structure in STRUCTURES:
        found, true = labels == structure.index, truth == structure.index
        if true.sum() * voxel_cm3 >= LEAST_CM3:
            dice[structure.name] = _dice(found, true)
        elif not true.any() and found.sum() * voxel_cm3 >= LEAST_CM3:
            invented.append(structure.name)
    for name, members in (("quadriceps", QUADRICEPS), ("hamstrings", HAMSTRINGS)):
        group = [by_name(member).index for member in members]
        true = np.isin(truth, group)
        if true.sum() * voxel_cm3 >= LEAST_CM3:
            dice[name] = _dice(np.isin(labels, group), true)
    return {"dice": dice, "invented": invented}


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return round(float(2 * (one & other).sum() / (one.sum() + other.sum())), 4)


def examine(seed: int, archive: Path, model: SegmentationModel) -> dict[str, dict[str, Any]]:
    """Scores of each part of one participant."""
    fused = fuse(load_study(archive))
    truth = true_labels(seed, fused.grid)
    found = {}
    for name, part in PARTS.items():
        with tempfile.TemporaryDirectory() as folder:
            shown = given(fused, part, truth, Path(folder))
        labels = np.asarray(segment(shown, model).voxels, np.uint8)
        found[name] = scores(labels, true_labels(seed, shown.grid), shown.grid.voxel_volume_mm3 / 1000)
    return found


def summary(every: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the participants who show a structure; the mean over structures is the mean of these."""
    names = sorted({name for one in every for name in one["dice"]})
    means = {
        name: round(float(np.mean([one["dice"][name] for one in every if name in one["dice"]])), 3) for name in names
    }
    groups = {name: means.pop(name) for name in ("quadriceps", "hamstrings") if name in means}
    lowest = min(means, key=lambda name: means[name])
    return {
        "participants": len(every),
        "structures": len(means),
        "mean_dice": round(float(np.mean(list(means.values()))), 3),
        "lowest": {lowest: means[lowest]},
        "groups": groups,
        "invented": sum(len(one["invented"]) for one in every),
        "by_structure": means,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10, help="participants (default: 10)")
    parser.add_argument("--seed", type=int, default=900000, help="seed of the first participant (default: 900000)")
    parser.add_argument("--studies", type=Path, help="folder to keep the studies in; existing ones are reused")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    args = parser.parse_args()
    model = load_model(SHIPPED_BUNDLE)
    every = []
    with kept_or_temporary(args.studies) as folder:
        for seed in range(args.seed, args.seed + args.n):
            every.append(examine(seed, study(seed, folder), model))
            means = {name: round(float(np.mean(list(one["dice"].values()))), 3) for name, one in every[-1].items()}
            print(
                seed, means, {name: one["invented"] for name, one in every[-1].items() if one["invented"]}, flush=True
            )
    parts = {name: summary([one[name] for one in every]) for name in PARTS}
    found = {"model": model.card.version, "sha256": model.card.sha256, "least_cm3": LEAST_CM3, "parts": parts}
    text = json.dumps(found, indent=1)
    print(text)
    if args.out is not None:
        with replacing(args.out) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
